"""The sockets of checks: bound to the way that the operator named."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from errno import EACCES, EAFNOSUPPORT, EBUSY, EPERM, EPROTONOSUPPORT
from functools import cache
from os import strerror
from pathlib import Path as Folder
from struct import pack
from typing import Final, NamedTuple

from routed.model.net import IPV4, family_of, format_address

FAMILY: Final = {4: socket.AF_INET, 16: socket.AF_INET6}  # by the length of an address
LINGER_0: Final = pack("=ii", 1, 0)  # struct linger: close at once, by a reset

MOST_CLOSING: Final = 128  # packet sockets; above that this host asks no more for a while

_REFUSALS: Final = frozenset({EPERM, EACCES, EAFNOSUPPORT, EPROTONOSUPPORT})

_closing: set[Future[None]] = set()


class NoSocketError(Exception):
    """This process may not have such a socket, now and later. Sends that a filter refuses are none of this."""


@contextmanager
def _told_as_refusal() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _REFUSALS:
            raise NoSocketError(strerror(error.errno)) from None
        raise


class Path(NamedTuple):
    """Which way a question takes. Whatever is empty the kernel chooses."""

    link: str = ""
    ifindex: int = 0
    source: bytes = b""
    mark: int = 0
    helper: str = ""  # of a command: the socket of whoever runs it
    gateway: bytes = b""  # the question itself is handed to it; else the kernel routes it


def open_socket(address: bytes, kind: int, path: Path, protocol: int = 0) -> socket.socket:
    """A socket towards this address that never blocks. Raises NoSocketError and OSError."""
    with _told_as_refusal():
        one = socket.socket(FAMILY[len(address)], kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    try:
        with _told_as_refusal():
            if path.link:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, path.link.encode() + b"\0")
            if path.mark:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, path.mark)
        if path.source:
            one.bind((format_address(path.source), 0))
    except BaseException:
        one.close()
        raise
    return one


@contextmanager
def open_packet_socket(kind: int, protocol: int = 0) -> Iterator[socket.socket]:
    """A packet socket that never blocks. Raises NoSocketError and OSError.

    Another thread closes it: the kernel waits then until no processor looks at it any more, for twenty milliseconds
    and at times for a hundred (synchronize_net in packet_release, net/packet/af_packet.c).
    """
    if len(_closing) >= MOST_CLOSING:
        raise OSError(EBUSY, strerror(EBUSY))
    with _told_as_refusal():
        one = socket.socket(socket.AF_PACKET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.htons(protocol))
    try:
        yield one
    finally:
        closing = _find_closer().submit(os.close, one.detach())
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)


@cache
def _find_closer() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, "close")  # they wait side by side


def endpoint(address: bytes, port: int, path: Path) -> tuple[str, int] | tuple[str, int, int, int]:
    """The address as connect(2) takes it."""
    if family_of(address) == IPV4:
        return format_address(address), port
    return format_address(address), port, 0, path.ifindex if address[:2] == b"\xfe\x80" else 0


def drops_answers(address: bytes, path: Path) -> bool:
    """May the kernel drop an answer because it came in by this way? IPv4 alone has that filter.

    Source: fib_validate_source in net/ipv4/fib_frontend.c; the higher of both values counts, and 1 is strict.
    """
    if family_of(address) != IPV4 or not (path.link and path.mark):
        return False
    try:
        values = [int(Folder("/proc/sys/net/ipv4/conf", name, "rp_filter").read_text()) for name in ("all", path.link)]
    except (OSError, ValueError):
        return False
    return max(values) == 1
