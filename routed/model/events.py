"""What the kernel told us. An event is a hint: it says where to look, and sometimes already what is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from routed.model.facts import HostAddress, Link
from routed.model.net import family_of
from routed.model.objects import AddressMember, Key, Kind, Member, Slot, Value
from routed.model.reasons import Reason

KERNEL: Final = 0  # the port id of a change that the kernel made itself

PLACE_SIZE: Final = 4  # bytes
Span: TypeAlias = tuple[int, int]  # the first and the last of a row of places


def place_of(prefix: bytes) -> int:
    """Where a prefix lies among all of its family: the first 32 bits of its address."""
    return int.from_bytes(prefix[:PLACE_SIZE], "big")


class Interest(NamedTuple):
    """Of which routes a change is worth an event. Those that we change ourselves are another question."""

    protocols: frozenset[int]  # wherever they are
    spans: dict[int, tuple[Span, ...]]  # family → whoever changes them; in order, without overlap

    def covers(self, prefix: bytes, protocol: int) -> bool:
        """Is this route among them? One to everywhere always is."""
        spans, place = self.spans[family_of(prefix[:-1])], place_of(prefix)
        return not prefix[-1] or protocol in self.protocols or any(first <= place <= last for first, last in spans)


class ObjectEvent(NamedTuple):
    """Objects were added, changed or removed: mostly one; of a storm many, one right after another in the same way."""

    kind: Kind
    slot: Slot
    members: Sequence[Member]  # in the order of their events
    value: Value
    is_removal: bool
    is_replacement: bool  # NLM_F_REPLACE: it now stands first under its key
    is_addition: bool  # NLM_F_EXCL: the kernel said there was nothing under the key; False for append and prepend
    port: int  # nlmsg_pid of the requester


class Loss(NamedTuple):
    """One object went, and nothing else is told."""

    kind: Kind
    slot: Slot
    member: Member
    value: Value
    port: int  # nlmsg_pid of the requester


class LinkEvent(NamedTuple):
    """A link appeared, changed or went away."""

    link: Link
    is_removal: bool


class Ipv6Event(NamedTuple):
    """The kernel speaks IPv6 on a link from now on, or no more. No event tells of a disable_ipv6 that is set."""

    ifindex: int
    has_ipv6: bool


class AddressEvent(NamedTuple):
    """An address of this host appeared, changed its state (DAD done, now deprecated …) or went away.

    It comes in front of the ObjectEvent of the same message: facts first, then what stands on them.
    """

    member: AddressMember
    address: HostAddress
    is_removal: bool
    port: int = KERNEL  # nlmsg_pid of the requester; of an IPv6 address the kernel never tells it
    is_dynamic: bool = False  # it has a lifetime


class Touched(NamedTuple):
    """Objects that somebody asked to change: one, all of a slot, or (without a slot) all of a kind."""

    kind: Kind
    slot: Slot | None = None
    member: Member | None = None


class RequestEvent(NamedTuple):
    """Somebody asked for a change of what tells of none: seen on its way to the kernel, so it may not be done yet."""

    touched: tuple[Touched, ...]
    under: Key | None  # the object that all of it belongs to; None: it is about everybody's
    reason: Reason  # what was asked for
    port: int  # by which the one who asks named himself; KERNEL where he did not


class Overrun(NamedTuple):
    """The socket lost events (ENOBUFS): nothing that we believed is certain any more."""


FactEvent: TypeAlias = LinkEvent | Ipv6Event | AddressEvent  # what changes facts, not only objects
Event: TypeAlias = ObjectEvent | FactEvent | Overrun
