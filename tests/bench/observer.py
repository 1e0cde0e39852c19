"""The third party: it sees what the kernel holds, with the same eyes for every contender, and never helps.

It counts notices without reading them, dumps the table, and deletes a route and sees it come back.
"""

from __future__ import annotations

import ctypes
import select
import socket
import time
from collections.abc import Callable, Iterable
from struct import Struct, unpack
from typing import Final

from tests.bench.wire import (
    HEADER,
    NEW_ROUTE,
    Routes,
    find_destination,
    make_deletion,
    make_dump_request,
    pack,
)

_SOL_NETLINK, _STRICT_CHECK, _CAP_ACK = 270, 12, 10
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SO_MEMINFO = 26, 33, 55
_DROPS: Final = 8  # SK_MEMINFO_DROPS
_ROUTE_GROUPS: Final = 0x40 | 0x400  # RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE
_DONE, _ERROR, _INTERRUPTED = 3, 2, 0x10
_RESULT: Final = Struct("=i")
_DONE_SIZE: Final = HEADER.size + _RESULT.size
_TABLE_AT, _PROTOCOL_AT = HEADER.size + 4, HEADER.size + 5  # rtm_table, rtm_protocol
_TABLE_MAIN: Final = 254
_DATAGRAM: Final = 1 << 18

LISTENED: Final = 64 << 20  # bytes of the receive buffer of the socket that hears routes come back
STALLED: Final = 0.03  # seconds without a notice: whoever works has paused, or is done


class TooLateError(Exception):
    """It did not happen within the limit. ``str`` says so."""


class Observer:
    """Watches the routes of one protocol in table main, in the network namespace of the thread that makes it."""

    def __init__(self, protocol: int, limit: float) -> None:
        self._protocol = protocol
        self._limit = limit
        self._requests = _open(0, LISTENED)
        # This one is never read: the kernel counts for us what does not fit.
        self._counter = _open(_ROUTE_GROUPS, 1)
        self._notices = _open(_ROUTE_GROUPS, LISTENED)
        for opened in (self._counter, self._notices):
            _let_through(opened, protocol)
        self._notices.setblocking(False)
        self._readable = select.poll()
        self._readable.register(self._notices, select.POLLIN)

    def close(self) -> None:
        """Close all sockets."""
        for opened in (self._requests, self._counter, self._notices):
            opened.close()

    def count_notices(self) -> int:
        """How many changes of such routes were announced until now, less the first few."""
        return int(unpack("=9I", self._counter.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))[_DROPS])

    def dump(self, family: int) -> list[bytes]:
        """The datagrams of one dump, read again while the kernel says that it was interrupted."""
        while True:
            self._requests.send(make_dump_request(family, self._protocol))
            datagrams: list[bytes] = []
            is_interrupted = is_over = False
            while not is_over:
                datagram = self._requests.recv(_DATAGRAM)
                datagrams.append(datagram)
                _, type_, flags, _, _ = HEADER.unpack_from(datagram)
                length, last, more, _, _ = HEADER.unpack_from(datagram, len(datagram) - _DONE_SIZE)
                is_over = type_ in {_DONE, _ERROR} or (length, last) == (_DONE_SIZE, _DONE)
                is_interrupted |= bool((flags | (more if is_over else 0)) & _INTERRUPTED)
            if not is_interrupted:
                return datagrams

    def find_all(self, family: int) -> dict[bytes, tuple[bytes, int, int]]:
        """The routes that stand, by destination: where each message lies."""
        found: dict[bytes, tuple[bytes, int, int]] = {}
        for datagram in self.dump(family):
            start, size = 0, len(datagram)
            while start + HEADER.size <= size:
                length, type_, _, _, _ = HEADER.unpack_from(datagram, start)
                if type_ == NEW_ROUTE:
                    found[find_destination(datagram, start, start + length)] = (datagram, start, start + length)
                start += (length + 3) & ~3
        return found

    def wait_for(self, routes: Routes, *, changes: int, since: int, is_vain: Callable[[], bool]) -> float:
        """Wait until these routes stand, all of them and no other; the moment at which the dump began that showed it.

        Until so many changes were announced since a count, or none for a while, the table is left in peace. Raises
        TooLateError after the limit, or as soon as it is in vain.
        """
        wanted = {pack(routes.family, number) for number in routes.numbers}
        deadline = time.perf_counter() + self._limit
        while True:
            self._leave_in_peace(since + changes, deadline)
            seen, began = self.count_notices(), time.perf_counter()
            if self.find_all(routes.family).keys() == wanted:
                return began
            took = time.perf_counter() - began
            while self.count_notices() == seen and time.perf_counter() < began + 3 * took:
                time.sleep(0.001)
            if is_vain():
                raise TooLateError("it failed")
            if time.perf_counter() > deadline:
                raise TooLateError(f"not there in {self._limit:.0f} s")

    def _leave_in_peace(self, enough: int, deadline: float) -> None:
        last, since = self.count_notices(), time.perf_counter()
        while (now := time.perf_counter()) < deadline:
            count = self.count_notices()
            if count >= enough - 16:  # the first few stand in the buffer and are not counted
                return
            if count != last:
                last, since = count, now
            elif now - since > STALLED:
                return
            time.sleep(0.0005)

    def make_deletions(self, family: int, numbers: Iterable[int]) -> list[bytes]:
        """The requests that delete the routes which stand there, by all that the kernel says of them."""
        standing = self.find_all(family)
        return [make_deletion(*standing[pack(family, number)]) for number in numbers]

    def time_repair(self, deletion: bytes) -> float:
        """Seconds from the request that deletes a route to the notice that it stands again."""
        destination = find_destination(deletion, 0, len(deletion))
        self._forget_notices()
        began = time.perf_counter()
        self._requests.send(deletion)
        answer = self._requests.recv(_DATAGRAM)
        error = _RESULT.unpack_from(answer, HEADER.size)[0]
        if error:
            raise OSError(-error, "the route that was to be deleted is not there")
        while True:
            left = began + self._limit - time.perf_counter()
            if left <= 0 or not self._readable.poll(left * 1000):
                raise TooLateError(f"not repaired in {self._limit:.0f} s")
            datagram = self._notices.recv(_DATAGRAM)
            arrived = time.perf_counter()
            length, type_, _, _, _ = HEADER.unpack_from(datagram)
            if type_ == NEW_ROUTE and find_destination(datagram, 0, length) == destination:
                return arrived - began

    def _forget_notices(self) -> None:
        while True:
            try:
                self._notices.recv(_DATAGRAM)
            except BlockingIOError:
                return


def _open(groups: int, buffer: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
    opened.setsockopt(_SOL_NETLINK, _STRICT_CHECK, 1)
    opened.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
    opened.bind((0, groups))
    return opened


def _let_through(opened: socket.socket, protocol: int) -> None:
    """Have the kernel drop what is not of this protocol and table main: a classic BPF program (linux/filter.h)."""
    steps = [
        (0x30, 0, 0, _PROTOCOL_AT),  # load a byte
        (0x15, 0, 3, protocol),  # equal? otherwise jump
        (0x30, 0, 0, _TABLE_AT),
        (0x15, 0, 1, _TABLE_MAIN),
        (0x06, 0, 0, 0xFFFFFFFF),  # keep
        (0x06, 0, 0, 0),  # drop
    ]
    program = ctypes.create_string_buffer(b"".join(Struct("=HBBI").pack(*step) for step in steps))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, Struct("@HP").pack(len(steps), ctypes.addressof(program)))
