"""From a port id to its process, at the moment of an event: the short way, through /proc/PID.

The first socket of a process has its pid for a port id, as the process itself sees its pid (netlink_autobind in
net/netlink/af_netlink.c). So a port id is a hint: a process in a container has another pid there, and anybody may bind
to a port id of his choice. Here a process is named only where nothing speaks against it. The long way, for every other
port id, is in ``owners``. Here must never live the sentence about a process.

A short-lived process is racing us: what vanishes first is read first.

Sources: proc(5); fs/proc/base.c, fs/proc/array.c.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from routed.model.process import Process

LONGEST: Final = 256  # characters of a text from outside; some command lines are very long
MOST_PIDS: Final = 4 << 20  # PID_MAX_LIMIT, include/linux/threads.h
INIT: Final = 1
_KTHREADD: Final = 2  # the parent of every kernel thread
_CAP_NET_ADMIN: Final = 12  # linux/capability.h
_NOBODY: Final = 0xFFFFFFFF  # a loginuid that was never set
_BLOCK: Final = 4096  # bytes; the arguments may be longer, the other files are not

_UNIT_SUFFIXES: Final = (".service", ".scope", ".socket", ".mount", ".swap")


class Status(NamedTuple):
    """What /proc/PID/status tells of a process."""

    comm: str
    uid: int
    innermost_pid: int  # as the process itself sees it
    may_change_routes: bool  # CAP_NET_ADMIN, at least in its own user namespace
    is_kernel_thread: bool


class _Traces(NamedTuple):
    """What /proc told of a process while it was there, not read yet; None for what was gone."""

    status: bytes | None = None
    is_in_our_network: bool = True
    cgroup: bytes | None = None
    loginuid: bytes | None = None


def read_cmdline(pid: int, proc: str = "/proc") -> bytes | None:
    """What vanishes first of a process that ends, not read yet; None where the process is gone."""
    try:
        return _read(f"{proc}/{pid}/cmdline")
    except OSError:
        return None


def read_process(pid: int, proc: str = "/proc", cmdline: bytes | None = None) -> Process | None:
    """The process that a request with its pid for a port id came from, as far as /proc tells; None where it does not.

    ``cmdline`` is what ``read_cmdline`` found a moment ago: the process may be gone by now.
    """
    if cmdline is None and (cmdline := read_cmdline(pid, proc)) is None:
        return None
    arguments, traces = parse_cmdline(cmdline), _take_traces(f"{proc}/{pid}", proc)
    if traces.status is not None:
        status = parse_status(traces.status)
        if status is None or not _is_plausible(pid, status) or not traces.is_in_our_network:
            return None
        if traces.cgroup is not None and traces.loginuid is not None:
            unit, loginuid = parse_unit(traces.cgroup), parse_loginuid(traces.loginuid)
            return Process(pid, status.comm, arguments, unit, status.uid, loginuid)
    comm = os.path.basename(arguments.partition(" ")[0])  # noqa: PTH119  # a name from outside is no path
    return Process(pid, comm[:15], arguments) if arguments else None


def _take_traces(folder: str, proc: str) -> _Traces:
    """All of it as fast as it can be had."""
    status = cgroup = None
    is_ours = True
    try:
        status = _read(f"{folder}/status")
        is_ours = _is_in_our_network(folder, proc)
        cgroup = _read(f"{folder}/cgroup")
        return _Traces(status, is_ours, cgroup, _read(f"{folder}/loginuid"))
    except OSError:  # it ended between two reads, as only one that was just here can
        return _Traces(status, is_ours, cgroup)


def describe_owner(pid: int, proc: str = "/proc") -> Process | None:
    """A process that is known to be the right one, with whatever can be read of it; None where it is gone."""
    folder = f"{proc}/{pid}"
    try:
        status = parse_status(_read(f"{folder}/status"))
        cmdline, cgroup, loginuid = (_read(f"{folder}/{name}") for name in ("cmdline", "cgroup", "loginuid"))
    except OSError:
        return None
    comm, uid = (status.comm, status.uid) if status else ("", None)
    return Process(pid, comm, parse_cmdline(cmdline), parse_unit(cgroup), uid, parse_loginuid(loginuid))


def parse_cmdline(data: bytes) -> str:
    """The arguments of /proc/PID/cmdline, which end with a NUL each, on one line and cut to ``LONGEST``."""
    text = data.rstrip(b"\0").replace(b"\0", b" ").decode(errors="backslashreplace")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def parse_status(data: bytes) -> Status | None:
    """What is needed of /proc/PID/status; None where that is not there. The kernel escapes line ends in the name."""
    try:
        pid, parent = int(_field(data, b"\nPid:\t")), int(_field(data, b"\nPPid:\t"))
        return Status(
            comm=_field(b"\n" + data, b"\nName:\t").decode(errors="backslashreplace")[:LONGEST],
            uid=int(_field(data, b"\nUid:\t").split()[0]),
            innermost_pid=int(_field(data, b"\nNSpid:\t").split()[-1]) if b"\nNSpid:\t" in data else pid,
            may_change_routes=bool(int(_field(data, b"\nCapEff:\t"), 16) >> _CAP_NET_ADMIN & 1),
            is_kernel_thread=_KTHREADD in {pid, parent},
        )
    except (ValueError, IndexError):
        return None


def parse_unit(cgroup: bytes) -> str:
    """The unit of systemd in /proc/PID/cgroup: the first that is no slice, as cg_path_get_unit in systemd finds it."""
    for line in cgroup.split(b"\n"):
        _, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        if controllers not in {b"", b"name=systemd"}:
            continue
        for part in path.removesuffix(b" (deleted)").decode(errors="backslashreplace").split("/"):
            if part.endswith(_UNIT_SUFFIXES):
                return part.removeprefix("_")[:LONGEST]  # systemd puts it before what the kernel would misread
    return ""


def parse_loginuid(data: bytes) -> int | None:
    """/proc/PID/loginuid; None for nobody."""
    try:
        number = int(data)
    except ValueError:
        return None
    return None if number == _NOBODY else number


def _is_plausible(pid: int, status: Status) -> bool:
    """May this be a process that changed a route, with its pid for a port id?"""
    if pid == INIT:  # systemd binds sockets for services, and every container has a first process
        return False
    return status.innermost_pid == pid and not status.is_kernel_thread and status.may_change_routes


def _is_in_our_network(folder: str, proc: str) -> bool:
    """Is it in our network namespace? Raises OSError where it ends just now."""
    try:
        # The same file of the same namespace. Comparing ns/net takes CAP_SYS_PTRACE for most processes.
        return os.stat(f"{folder}/net/netlink").st_ino == os.stat(f"{proc}/thread-self/net/netlink").st_ino  # noqa: PTH116
    except FileNotFoundError:
        return True  # it has just ended, and left its namespace first (exit_task_namespaces in kernel/exit.c)


def _field(data: bytes, head: bytes) -> bytes:
    start = data.index(head) + len(head)
    end = data.find(b"\n", start)
    return data[start:] if end < 0 else data[start:end]


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, _BLOCK)
    finally:
        os.close(file)
