"""A program that changes routes by netlink itself, from a socket of the port id that a test wants.

    python -m tests.system.stranger SOCKETS

It opens so many sockets, prints the port id of the last one, and deletes each IPv4 prefix that it reads through it.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import IO

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_ATTRIBUTE = struct.Struct("=HH4s")  # struct rtattr with an IPv4 address
_DELETE = 25  # RTM_DELROUTE
_REQUEST = 1
_MAIN = 254
_NOWHERE = 255  # RT_SCOPE_NOWHERE: of any scope
_DST = 1


def open_socket(port: int = 0) -> socket.socket:
    """A route socket; 0 has the kernel choose its port id."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    opened.bind((port, 0))
    return opened


def delete(opened: socket.socket, prefix: str) -> None:
    """Delete a route of table main. When this returns, the kernel has done it."""
    network = IPv4Network(prefix)
    body = _ROUTE.pack(socket.AF_INET, network.prefixlen, 0, 0, _MAIN, 0, _NOWHERE, 0, 0)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size, _DST, network.network_address.packed)
    opened.send(_HEADER.pack(_HEADER.size + len(body), _DELETE, _REQUEST, 1, 0) + body)


@contextmanager
def long_lived(sockets: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The program, running, and the port id that it deletes from."""
    command = [sys.executable, "-m", "tests.system.stranger", str(sockets)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        yield process, int(_pipe(process.stdout).readline())
        _pipe(process.stdin).close()


def ask(process: subprocess.Popen[str], prefix: str) -> None:
    """Have the running program delete a route."""
    pipe = _pipe(process.stdin)
    pipe.write(f"{prefix}\n")
    pipe.flush()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def main() -> None:
    """The program itself."""
    opened = [open_socket() for _ in range(int(sys.argv[1]))]
    sys.stdout.write(f"{opened[-1].getsockname()[0]}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        delete(opened[-1], line.strip())


if __name__ == "__main__":
    main()
