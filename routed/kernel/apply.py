"""Change requests: one operation becomes batches, each sent at once and answered before the next.

The kernel works through a batch inside ``send``, so when that returns every answer is already queued and reading them
cannot block for long. Only the last message of a batch asks for an acknowledgement; errors come for each message that
failed, matched by its sequence number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from errno import EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH
from functools import partial
from os import strerror
from struct import Struct
from types import MappingProxyType
from typing import Final, NamedTuple

from routed.kernel.codec import CODECS
from routed.kernel.codec.attributes import ACK_TLVS, ERROR, text, walk
from routed.kernel.requests import RequestSocket
from routed.model.change import Failure, Operation
from routed.model.objects import Member, Value

FIRST: Final = 512  # members of a batch before it is known how fast the kernel is
LEAST: Final = 16
MOST: Final = 2048
WAIT: Final = 0.004  # seconds that the caller should not wait longer than for one batch
_ANSWER_SIZE: Final = 1024  # bytes that one error takes in the receive buffer, with its text, rounded up
_BATCH_SIZE: Final = 1 << 18  # bytes; some routes have hundreds of legs
_ANSWER: Final = 4096  # bytes

_ERROR: Final = Struct("=IHHIIi")  # struct nlmsghdr, then the error of struct nlmsgerr, negative
_ERROR_TEXT_AT: Final = 36  # header, error, header of the request
_ERROR_TEXT: Final = 1  # NLMSGERR_ATTR_MSG

_GONE: Final = frozenset({ESRCH, ENOENT, EADDRNOTAVAIL, ENODEV})


@dataclass(slots=True)
class Pace:
    """How many members of an operation the kernel works through while a caller can wait.

    Mostly some 10 µs each, on a slow host ten times that. An insert that makes the tree of a table double takes up to a
    second by itself (resize in net/ipv4/fib_trie.c): for that no batch is small enough.
    """

    count: int = FIRST

    def note(self, members: int, seconds: float) -> None:
        """So many took so long: the next batch takes what fits into the wait, and at most twice as many."""
        fitting = int(members * WAIT / seconds) if seconds > 0 else MOST
        self.count = max(LEAST, min(MOST, 2 * self.count, fitting))


class Round(NamedTuple):
    """One request for each member of a batch."""

    packed: bytes | bytearray
    base: int  # the sequence number of the first
    is_removal: bool
    pack: Callable[[Sequence[Member], int], bytes | bytearray]  # the same for some of the members, with their base


def batches(
    operation: Operation, requests: RequestSocket, pace: Pace
) -> Iterator[tuple[Sequence[Member], list[Round]]]:
    """The requests of an operation: (members, rounds over them), each as many as the pace says by then.

    No batch can overrun the socket's receive buffer, should every message fail.
    """
    codec = CODECS[operation.kind]
    most = max(1, requests.receive_buffer // _ANSWER_SIZE)
    members = operation.members
    value = operation.value
    if operation.lifetime is not None and codec.lifetimes is not None:
        value = codec.lifetimes.put(value, operation.lifetime)
    before: Value = operation.value if operation.before is None else operation.before
    steps = [
        (
            step.is_removal,
            partial(
                codec.requests,
                codec.delete if step.is_removal else codec.new,
                step.flags,
                operation.slot,
                before if step.of_before else value,
            ),
        )
        for step in codec.steps[operation.verb]
    ]
    start = 0
    while start < len(members):
        count = min(most, pace.count)
        batch = members[start : start + count]
        rounds = []
        for is_removal, pack in steps:
            base = requests.take_numbers(len(batch))
            rounds.append(Round(pack(batch, base), base, is_removal, pack))
        if max(len(one.packed) for one in rounds) > _BATCH_SIZE and count > 1:
            most = max(1, count // 8)
            continue
        yield batch, rounds
        start += len(batch)


def send_batch(
    requests: RequestSocket,
    packed: bytes | bytearray,
    members: Sequence[Member],
    base: int,
    *,
    is_removal: bool,
    hints: Mapping[int, str] = MappingProxyType({}),
) -> list[Failure]:
    """Send one batch and read its answers. Of a removal, what is gone already is no failure. Raises OSError.

    The sequence numbers of the members are ``base``, ``base`` + 1 ….
    """
    requests.ask(packed)
    failures: list[Failure] = []
    count = len(members)
    last = base + count - 1
    while True:
        answer = requests.receive(_ANSWER, base, count)
        length, type_, flags, sequence, _, error = _ERROR.unpack_from(answer)
        if type_ != ERROR:
            continue
        if error and not (is_removal and -error in _GONE):
            failures.append(Failure(members[sequence - base], -error, _explain(answer, length, flags, -error, hints)))
        if sequence == last:
            requests.conclude()
            return failures


def _explain(answer: bytes, length: int, flags: int, error: int, hints: Mapping[int, str]) -> str:
    """The kernel's own words where it has some (NETLINK_EXT_ACK), else those of the error number; and our hint."""
    words = walk(answer, _ERROR_TEXT_AT, length).get(_ERROR_TEXT, b"") if flags & ACK_TLVS else b""
    said = text(words) or strerror(error)
    return f"{said}: {hints[error]}" if error in hints else said
