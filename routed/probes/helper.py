"""The helper: runs the commands of checks, as a user without rights, for the daemon that may not.

A process of its own: ``python -m routed.probes.helper``, with a listening socket for stdin. systemd starts it by
routed-exec.socket, or the daemon by ``daemon.helpers`` where it may change users.

Each connection is served by a keeper: a child that runs one command and ends. A keeper adopts whatever its command
leaves behind (PR_SET_CHILD_SUBREAPER), also what moved into a session of its own, and kills all of it at the end, at
the timeout, and when the daemon closes the connection or is gone. Nothing is imported after the start, since the user
that runs this may not be able to read the library; codecs are modules too, so files are read as bytes. Here must never
live: asyncio, or anything that the daemon decides.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pwd
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NoReturn

from routed.model.trust import find_writable
from routed.probes.dialogue import MOST, MOST_OUTPUT, CommandEnd, CommandResult, CommandRun, pack_result, unpack_run

MOST_KEEPERS: Final = 64  # the daemon asks for fewer
PATIENCE: Final = 2.0  # seconds for what was killed to be gone, and for a request to come
ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
NOT_PERMITTED: Final = 77  # exit code: sysexits.h
# linux/prctl.h
PR_SET_PDEATHSIG: Final = 1
PR_CAPBSET_DROP: Final = 24
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
_LAST_CAPABILITY: Final = 63
_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: Sequence[str]) -> int:
    """``--user NAME``: become that user first. ``--idle SECONDS``: end when nobody came for so long."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        if user := options.get("--user"):
            become(user)
        _prctl(PR_SET_NO_NEW_PRIVS, 1)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
    except (KeyError, OSError):
        return NOT_PERMITTED
    if not is_harmless():
        return NOT_PERMITTED
    listening, nothing = socket.socket(fileno=os.dup(0)), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.chdir("/")
    serve(listening, float(options["--idle"]) if "--idle" in options else None)
    return 0


# --- rights -----------------------------------------------------------------------------------------------------------


def become(user: str) -> None:
    """Be this user for ever, without groups and capabilities, and gone when the daemon is. Raises KeyError, OSError."""
    about, parent = pwd.getpwnam(user), os.getppid()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for capability in range(_LAST_CAPABILITY):
        _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # those that there are, as far as that is permitted
    os.setgroups([])
    os.setresgid(about.pw_gid, about.pw_gid, about.pw_gid)
    os.setresuid(about.pw_uid, about.pw_uid, about.pw_uid)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise OSError(errno.ESRCH, "the daemon is gone")


def is_harmless() -> bool:
    """Is this neither root, nor anybody with a capability? Cap lines of proc_pid_status(5)."""
    with open("/proc/self/status", "rb") as status:  # noqa: PTH123  pathlib costs 3 ms
        held = {line.split()[0]: int(line.split()[1], 16) for line in status if line.startswith((b"CapPrm", b"CapEff"))}
    return 0 not in {*os.getresuid(), *os.getresgid()} and not any(held.values())


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


# --- connections ------------------------------------------------------------------------------------------------------


def serve(listening: socket.socket, idle: float | None) -> None:
    """Give each connection its keeper, until nobody came for ``idle`` seconds."""
    listening.setblocking(False)
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    keepers: set[int] = set()
    poll = select.poll()
    poll.register(listening, select.POLLIN)
    poll.register(woken, select.POLLIN)
    while True:
        ready = dict(poll.poll(None if idle is None else idle * 1000))
        if woken in ready:
            with suppress(BlockingIOError):
                os.read(woken, 4096)
            _reap(keepers)
        if listening.fileno() in ready:
            _accept(listening, keepers)
        if not ready and not keepers:
            return


def _accept(listening: socket.socket, keepers: set[int]) -> None:
    try:
        connection, _ = listening.accept()
    except OSError:
        return  # whoever it was is gone, or this host is short of something: the daemon asks again
    with connection:
        if _find_peer(connection) != 0:
            return
        connection.setblocking(True)
        if len(keepers) >= MOST_KEEPERS:
            _answer(connection, CommandResult(CommandEnd.BUSY))
            return
        try:
            keeper = os.fork()
        except OSError as error:
            _answer(connection, CommandResult(CommandEnd.STUCK, error.errno or 0))
            return
        if not keeper:
            _keep(listening, connection)
        keepers.add(keeper)


def _find_peer(connection: socket.socket) -> int:
    _, uid, _ = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)


def _reap(keepers: set[int]) -> None:
    """Keepers that ended; what one left behind that was killed itself is killed."""
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            keepers.discard(pid)
    for pid in _list_children() - keepers:
        _kill(pid)


def _answer(connection: socket.socket, answer: CommandResult) -> None:
    with suppress(OSError):  # nobody waits for it any more
        connection.send(pack_result(answer))


# --- one command ------------------------------------------------------------------------------------------------------


def _keep(listening: socket.socket, connection: socket.socket) -> NoReturn:
    """The life of a keeper."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listening.close()
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        connection.settimeout(PATIENCE)
        packet = connection.recv(MOST)
        if packet:
            obey(unpack_run(packet), connection)
    except (OSError, ValueError):
        pass  # whoever asked sees the end of the connection
    finally:
        os._exit(0)


def obey(request: CommandRun, connection: socket.socket) -> None:
    """Run the command, unless there is something against it, and say what became of it. Raises OSError."""
    begun = _find_refusal(request) or _begin(request.command)
    if isinstance(begun, CommandResult):
        _answer(connection, begun)
        return
    pid, reading = begun
    try:
        output, is_over = _await_end(pid, reading, connection, request.timeout)
        if not is_over:  # at once: what hangs in the kernel may take long to be killed
            _answer(connection, CommandResult(CommandEnd.SILENT, output=output.decode(errors="replace")))
    finally:
        status = _end_all(pid)
    if is_over and status is not None:
        code = os.waitstatus_to_exitcode(status)
        end = CommandEnd.ENDED if code >= 0 else CommandEnd.SIGNALLED
        _answer(connection, CommandResult(end, abs(code), output=output.decode(errors="replace")))


def _begin(command: Sequence[str]) -> tuple[int, int] | CommandResult:
    """The process of the command, and where its output is read; or why there is none."""
    reading, writing = os.pipe()
    failing, failed = os.pipe()  # closed by a command that begins
    try:
        pid = os.fork()
    except OSError as error:
        return CommandResult(CommandEnd.STUCK, error.errno or 0)
    if not pid:
        _become_command(command, writing, failed)
    os.close(writing)
    os.close(failed)
    said = os.read(failing, 16)
    if not said:
        return pid, reading
    os.waitpid(pid, 0)
    return CommandResult(CommandEnd.NOT_EXECUTABLE, int(said))


def _find_refusal(request: CommandRun) -> CommandResult | None:
    if request.user not in {"", _find_name()}:
        try:
            wanted = pwd.getpwnam(request.user).pw_uid
        except KeyError:
            return CommandResult(CommandEnd.NO_USER, detail=request.user)
        if wanted != os.getuid():
            return CommandResult(CommandEnd.OTHER_USER, detail=_find_name())
    try:
        writable = find_writable(request.command[0], os.lstat, os.readlink)
        is_executable = os.path.isfile(request.command[0]) and os.access(request.command[0], os.X_OK)  # noqa: PTH113
    except (FileNotFoundError, NotADirectoryError):
        return CommandResult(CommandEnd.ABSENT)
    except OSError as error:
        return CommandResult(CommandEnd.NOT_EXECUTABLE, error.errno or 0)
    if writable:
        return CommandResult(CommandEnd.WRITABLE, detail=writable)
    return None if is_executable else CommandResult(CommandEnd.NOT_EXECUTABLE, errno.EACCES)


def _find_name() -> str:
    """Of the user that this runs as: a dynamic one stands in no list, but systemd says its name (systemd.exec(5))."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return os.environ.get("USER") or str(os.getuid())


def _become_command(command: Sequence[str], output: int, failed: int) -> NoReturn:
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        nothing = os.open("/dev/null", os.O_RDONLY)
        for place, given in enumerate((nothing, output, output)):
            os.dup2(given, place)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
            signal.signal(number, signal.SIG_DFL)
        os.chdir("/")
        os.umask(0o022)
        os.execve(command[0], list(command), ENVIRONMENT)  # noqa: S606  no shell, which is the point
    except OSError as error:
        os.write(failed, str(error.errno or errno.EIO).encode())
    finally:
        os._exit(127)


def _await_end(pid: int, reading: int, connection: socket.socket, timeout: float) -> tuple[bytes, bool]:
    """The beginning of the output, and whether the command ended by itself in time. Raises OSError."""
    deadline, output = time.monotonic() + timeout, b""
    end = os.pidfd_open(pid)
    os.set_blocking(reading, False)
    poll = select.poll()
    poll.register(end, select.POLLIN)
    poll.register(connection, select.POLLIN)
    poll.register(reading, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        ready = dict(poll.poll(max(0.0, left) * 1000))
        if connection.fileno() in ready:  # nothing more is to come but its end
            raise ConnectionAbortedError
        if reading in ready or end in ready:
            piece = _read(reading)
            output = (output + piece)[:MOST_OUTPUT]
            if not piece and reading in ready and end not in ready:
                poll.unregister(reading)  # it closed its output, and goes on
        if end in ready:
            return output, True
        if left <= 0:
            return output, False


def _read(reading: int) -> bytes:
    try:
        return os.read(reading, 65536)
    except BlockingIOError:
        return b""


def _end_all(pid: int) -> int | None:
    """Kill the group of the command and whatever else it left; how the command itself ended, None where it does not."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    status, deadline = None, time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for child in _list_children():
            _kill(child)
        try:
            found, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if found == pid:
            status = how
        elif not found:
            time.sleep(0.002)
    return status


def _list_children() -> set[int]:
    """Of this process: proc_pid_task_tid_children(5). One that is born meanwhile may be missing; it is asked again."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as children:  # noqa: PTH123
            return set(map(int, children.read().split()))
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN: the group alone is killed then
        return set()


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
