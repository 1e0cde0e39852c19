"""Programs as they are started: the process connector of the kernel, for those that end before they can be looked at.

A command such as ``ip route del`` may be gone when the notice of its change is read. Who hears of its start has seen
it. Each start of any program on the host wakes us, so this is for those who ask for it. It speaks in the first network
namespace only, to who has CAP_NET_ADMIN there.

Sources: include/uapi/linux/cn_proc.h and connector.h; drivers/connector/cn_proc.c.
"""

from __future__ import annotations

import socket
import sys
from struct import Struct
from typing import Final

from routed.kernel.filters import keep_only

_NETLINK_CONNECTOR: Final = 11
_CN_IDX_PROC: Final = 1
_CN_VAL_PROC: Final = 1
_PROC_CN_MCAST_LISTEN: Final = 1
_PROC_EVENT_EXEC: Final = 2
_NLMSG_DONE: Final = 3

_REQUEST: Final = Struct("=IHHIIIIIIHHI")  # struct nlmsghdr, struct cn_msg, enum proc_cn_mcast_op
_LISTEN: Final = _REQUEST.pack(
    _REQUEST.size, _NLMSG_DONE, 0, 0, 0, _CN_IDX_PROC, _CN_VAL_PROC, 0, 0, 4, 0, _PROC_CN_MCAST_LISTEN
)
_WHAT_AT: Final = 36  # struct proc_event, behind the two headers
_PID: Final = slice(56, 60)  # process_tgid of its exec_proc_event
_DATAGRAM: Final = 128  # bytes
_BUFFER: Final = 1 << 18  # bytes; some hundred starts


class ExecWatch:
    """Hears of each start of a program. Raises OSError where the kernel does not tell us."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_CONNECTOR)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.setblocking(False)
            self._socket.bind((0, _CN_IDX_PROC))
            # starts alone: forks and ends would wake us as well
            keep_only(self._socket, _PROC_EVENT_EXEC, _WHAT_AT)
            self._socket.send(_LISTEN)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def read(self) -> list[int]:
        """The pids of the programs that were started since. Never blocks; what was lost is lost."""
        pids: list[int] = []
        while True:
            try:
                datagram = self._socket.recv(_DATAGRAM)
            except BlockingIOError:
                return pids
            except OSError:  # ENOBUFS: more starts than fit in the buffer
                continue
            if len(datagram) >= _PID.stop:
                pids.append(int.from_bytes(datagram[_PID], sys.byteorder))
