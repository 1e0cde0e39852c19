"""Dumps: what stands in the kernel now, whole and consistent, or an error.

A dump is first read raw and to its end, then decoded while it is iterated. So a dump that the kernel interrupted is
simply read again before anybody saw a part of it, a dump that nobody iterates costs no decoding, and the kernel's own
pass over the table is as short as it can be. The price is the raw table in memory, about 60 bytes a route, given back
piece by piece while it is decoded.

Reading is written as generators: every ``yield`` is a place where the caller may serve somebody else, on other sockets.
A reader that is abandoned needs no care: the next question takes a new socket.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from errno import EBUSY, EINTR, ENOENT, EOPNOTSUPP
from os import strerror
from struct import Struct
from typing import Final, NamedTuple, TypeVar

from routed.kernel.codec import CODECS, Decoder
from routed.kernel.codec.attributes import (
    DONE,
    DUMP,
    DUMP_INTERRUPTED,
    ERROR,
    HEADER_SIZE,
    REQUEST,
    MalformedMessage,
    message,
)
from routed.kernel.requests import RequestSocket, number_of
from routed.model.objects import AlikeRoutes, Chunk, Scope, Standing

T = TypeVar("T")

_DATAGRAM: Final = 1 << 16  # bytes; the kernel fills at most 32 KiB of a dump at a time (netlink_dump)
_SLICE: Final = 16  # datagrams between two breaths of the caller, 2 ms; a million routes are some 1 800
_ATTEMPTS: Final = 30
_FEW: Final = 5  # attempts that show everything when they are taken together
_PAUSE: Final = 0.001  # seconds after the first interrupted attempt; each further one waits twice as long, at most …
_LONGEST_PAUSE: Final = 0.1

_START: Final = Struct("=IHH")  # length, type, flags of struct nlmsghdr
_RESULT: Final = Struct("=i")


class DumpInterrupted(OSError):  # noqa: N818  named for what happened
    """The table changed during every one of the attempts to read it: EBUSY, try later."""

    def __init__(self) -> None:
        super().__init__(EBUSY, f"the table changed during each of {_ATTEMPTS} attempts to read it")


class Datagrams(NamedTuple):
    """The datagrams of one dump without the closing NLMSG_DONE, and a digest of them."""

    datagrams: deque[bytes]
    digest: bytes


class Dump:
    """One dump, read to its end. To be iterated once, in the kernel's order.

    ``fingerprint`` is there before the first iteration: a caller who knows it need not iterate at all. A scope that
    names neither a table nor a protocol leaves out what the kernel itself keeps in table local.
    """

    def __init__(self, scope: Scope, raw: Datagrams, decoder: Decoder) -> None:
        self.scope = scope
        self.fingerprint = raw.digest
        self._datagrams = raw.datagrams
        self._decoder = decoder

    def __iter__(self) -> Iterator[list[Standing]]:
        """The objects, a list for each datagram."""
        for chunk in self.chunks():
            yield chunk.spread() if isinstance(chunk, AlikeRoutes) else chunk

    def chunks(self) -> Iterator[Chunk]:
        """The same, with routes that differ in their prefix only left together."""
        kind, family = self.scope.kind, self.scope.family
        is_noise = None if self.scope.table or self.scope.protocol else CODECS[kind].is_noise
        while self._datagrams:
            chunk = self._decoder.decode_chunk(kind, self._datagrams.popleft(), family)
            yield _leave_out(chunk, is_noise) if is_noise else chunk

    def discard(self) -> Iterator[None]:
        """Give the memory back in slices: a million routes are 60 MB, and freeing them takes its time."""
        while self._datagrams:
            for _ in range(min(_SLICE, len(self._datagrams))):
                self._datagrams.popleft()
            yield


def _leave_out(chunk: Chunk, is_noise: Callable[[Standing | AlikeRoutes], bool]) -> Chunk:
    if isinstance(chunk, AlikeRoutes):
        return [] if is_noise(chunk) else chunk
    return [standing for standing in chunk if not is_noise(standing)]


def read_scope(requests: RequestSocket, scope: Scope, decoder: Decoder) -> Generator[None, None, Dump]:
    """Dump one scope. A table that does not exist is empty. Raises DumpInterrupted and OSError."""
    codec = CODECS[scope.kind]
    raw = yield from read_in_slices(requests, codec.get, codec.dump_body(scope))
    return Dump(scope, raw, decoder)


def read_raw(requests: RequestSocket, type_: int, body: bytes) -> list[bytes]:
    """The datagrams of one dump, read in one go. Raises as ``read_in_slices`` does."""
    return list(finish(read_in_slices(requests, type_, body)).datagrams)


def finish(steps: Generator[object, None, T]) -> T:
    """What a generator returns, without a breath."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def read_in_slices(requests: RequestSocket, type_: int, body: bytes) -> Generator[None, None, Datagrams]:
    """One dump, read again while the kernel says that it was interrupted.

    Raises DumpInterrupted after the last attempt, and OSError for any other refusal of the kernel.
    """
    for attempt in range(_ATTEMPTS):
        yield from _rest_before(attempt)
        raw, is_interrupted = yield from _collect(requests, type_, body)
        if not is_interrupted:
            return raw
    raise DumpInterrupted


def read_all_that_was_there(requests: RequestSocket, type_: int, body: bytes) -> Generator[None, None, list[bytes]]:
    """The datagrams of one dump; those of a few attempts, where the table changed during each of them.

    What stood all the while is in them, what came or went meanwhile may be. So it is for a caller who hears of each
    change as well, and would rather put a few right than have nothing. Of what comes twice the last is the newest.
    Raises OSError for any refusal of the kernel.
    """
    seen: list[bytes] = []
    for attempt in range(_FEW):
        yield from _rest_before(attempt)
        raw, is_interrupted = yield from _collect(requests, type_, body)
        if not is_interrupted:
            return list(raw.datagrams)
        seen += raw.datagrams
    return seen


def read_beginning(requests: RequestSocket, type_: int, body: bytes) -> bytes:
    """The objects of the first datagram of a dump, without the others: ``requests`` is of no further use.

    Raises DumpInterrupted, and OSError for any other refusal of the kernel.
    """
    for _ in range(_ATTEMPTS):
        datagram = requests.receive(_DATAGRAM, _ask(requests, type_, body))
        end, flags, result = _scan(datagram)
        if result != -EINTR and not flags & DUMP_INTERRUPTED:
            _check(result)
            return datagram[:end]
    raise DumpInterrupted


def _rest_before(attempt: int) -> Iterator[None]:
    """Let the table come to rest before each attempt but the first, without keeping the caller from others for long."""
    if not attempt:
        return
    until = time.monotonic() + min(_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
    while time.monotonic() < until:
        time.sleep(_PAUSE)
        yield


def _collect(requests: RequestSocket, type_: int, body: bytes) -> Generator[None, None, tuple[Datagrams, bool]]:
    """Ask once and read to the end: the dump, and was it interrupted?"""
    datagrams: deque[bytes] = deque()
    digest = 0  # by Python's own hash of bytes (SipHash with a key of this process), at a sixth of what a SHA costs
    is_interrupted = False
    number = _ask(requests, type_, body)
    while True:
        datagram = requests.receive(_DATAGRAM, number)
        end, flags, result = _scan(datagram)
        is_interrupted |= bool(flags & DUMP_INTERRUPTED)
        if end:
            datagrams.append(datagram if result is None else datagram[:end])
            digest = hash((digest, datagrams[-1]))
        if result is not None:
            requests.conclude()
            if result == -EINTR:
                return Datagrams(deque(), b""), True
            _check(result)
            return Datagrams(datagrams, digest.to_bytes(8, "little", signed=True)), is_interrupted
        if not len(datagrams) % _SLICE:
            yield


def _ask(requests: RequestSocket, type_: int, body: bytes) -> int:
    """Begin a dump; the sequence number of its answers."""
    number = number_of(type_, body)
    requests.ask(message(type_, REQUEST | DUMP, number, body))
    return number


# A table that does not exist is empty, and so is a kind of object that this kernel does not know (rtnetlink_rcv_msg).
_EMPTY: Final = frozenset({-ENOENT, -EOPNOTSUPP})


def _check(result: int | None) -> None:
    """Raise what the kernel refused a dump with."""
    if result and result not in _EMPTY:
        raise OSError(-result, strerror(-result))


def _scan(datagram: bytes) -> tuple[int, int, int | None]:
    """(where the objects end, the flags of all messages together, the result of the dump or None if it goes on)."""
    start, size, flags = 0, len(datagram), 0
    if size >= HEADER_SIZE and _are_alike(datagram):
        return size, _START.unpack_from(datagram)[2], None
    while start + HEADER_SIZE <= size:
        length, type_, more = _START.unpack_from(datagram, start)
        if length < HEADER_SIZE or start + length > size:
            raise MalformedMessage(f"a message claims {length} bytes of {size - start}")
        flags |= more
        if type_ in (DONE, ERROR):
            return start, flags, _RESULT.unpack_from(datagram, start + HEADER_SIZE)[0] if length > HEADER_SIZE else 0
        start += (length + 3) & ~3
    return size, flags, None


def _are_alike(datagram: bytes) -> bool:
    """Are these objects whose headers all say the same? Told by all words at once, at a fiftieth of the price."""
    length, type_, _ = _START.unpack_from(datagram)
    if length < HEADER_SIZE or length & 3 or len(datagram) % length or type_ in (DONE, ERROR):
        return False
    words, count = memoryview(datagram).cast("I"), len(datagram) // length
    return all(
        words[at // 4 :: length // 4].tobytes() == datagram[at : at + 4] * count for at in range(0, _START.size, 4)
    )
