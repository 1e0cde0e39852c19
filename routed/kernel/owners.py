"""From a port id to its process, the long way: the kernel's table of netlink sockets, and everybody's descriptors.

For port ids that are no pids: those of the second and further sockets of a process, and of sockets that were handed
over, as systemd hands one to networkd. It works while the socket is open. Looking at the descriptors of others takes
CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, and time on a large host: never on the way of a repair.

Sources: netlink_native_seq_show in net/netlink/af_netlink.c; proc_pid_fd(5).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from routed.kernel.processes import INIT, MOST_PIDS, describe_owner, read_process
from routed.model.process import Process

_ROUTE: Final = "0"  # NETLINK_ROUTE
_GROUPS_COLUMN: Final = 3
_INODE_COLUMN: Final = 9
_START_AFTER_NAME: Final = 19  # of the fields behind the name, which may hold anything
YOUNG: Final = 2.0  # seconds; a flush takes less


class PortOwner(NamedTuple):
    """A process, and by which of its descriptors it is known."""

    process: Process
    descriptor: str
    socket: str  # what the descriptor leads to: ``socket:[inode]``


def find_owner(port: int, is_late: Callable[[], bool], proc: Path = Path("/proc")) -> PortOwner | None:
    """Who holds the socket of this port id; None where that is not known, not permitted, or not found in time."""
    inode = find_inode(port, proc)
    if not inode:
        return None
    socket = f"socket:[{inode}]"
    for pid in _list_pids(proc):
        descriptor = _find_descriptor(proc / str(pid) / "fd", socket)
        if descriptor:
            process = describe_owner(pid, str(proc))
            return PortOwner(process, descriptor, socket) if process else None
        if is_late():
            break
    return None


def is_still_owner(owner: PortOwner) -> bool:
    """Does the same descriptor lead to the same socket? No other socket can have its inode while it is open."""
    try:
        return os.readlink(owner.descriptor) == owner.socket  # noqa: PTH115  on the way of a repair
    except OSError:
        return False


def guess_asker(proc: Path = Path("/proc")) -> Process | None:
    """Who may have asked by a socket that is gone again, as ``ip rule flush`` opens one for each rule.

    Its first socket has its pid for a port id, and stays open meanwhile. So that is one that began just now, hears of
    no changes, and has such a socket in our network namespace. None where nobody is like that, or more than one.
    """
    found = [pid for pid in _list_askers(proc) if pid != os.getpid() and _is_young(pid, proc)]
    process = read_process(found[0], str(proc)) if len(found) == 1 else None
    return process._replace(is_certain=False) if process else None


def _list_askers(proc: Path) -> Iterator[int]:
    with suppress(OSError):
        for line in (proc / "thread-self/net/netlink").read_text(encoding="ascii", errors="replace").splitlines()[1:]:
            columns = line.split()
            if len(columns) > _INODE_COLUMN and columns[1] == _ROUTE and not int(columns[_GROUPS_COLUMN], 16):
                yield from (port for port in (int(columns[2]),) if INIT < port <= MOST_PIDS)


def _is_young(pid: int, proc: Path) -> bool:
    """Did the process begin within the last seconds? See starttime in proc_pid_stat(5)."""
    with suppress(OSError, ValueError, IndexError):
        after_name = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        began = int(after_name[_START_AFTER_NAME]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - began < YOUNG
    return False


def find_inode(port: int, proc: Path = Path("/proc")) -> str:
    """The inode of the route socket with this port id in our network namespace; empty where there is none."""
    with suppress(OSError):
        for line in (proc / "thread-self/net/netlink").read_text(encoding="ascii", errors="replace").splitlines()[1:]:
            columns = line.split()
            if len(columns) > _INODE_COLUMN and columns[1:3] == [_ROUTE, str(port)]:
                return columns[_INODE_COLUMN]
    return ""


def _list_pids(proc: Path) -> Iterator[int]:
    """All but our own, and the first process last: it keeps a copy of what it hands over."""
    with suppress(OSError):
        pids = {int(name) for name in os.listdir(proc) if name.isdecimal()}  # noqa: PTH208
        yield from sorted(pids - {INIT, os.getpid()})
        yield from pids & {INIT}


def _find_descriptor(folder: Path, socket: str) -> str:
    with suppress(OSError):  # it ended, or it is not ours to look at
        for name in os.listdir(folder):  # noqa: PTH208
            with suppress(OSError):
                if os.readlink(f"{folder}/{name}") == socket:  # noqa: PTH115
                    return f"{folder}/{name}"
    return ""
