"""Whose the objects of rtnetlink are: each carries a protocol number, a link in its alias.

One row a kind. Here belongs everything that is known of these numbers: which are the kernel's own, and which mark
cannot be changed. Here must never live: what follows for an object (``core``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from routed.model import names
from routed.model.change import Drift
from routed.model.net import IPV4
from routed.model.objects import Kind, Scope, Value
from routed.model.owner import Marks, Owner, Stamp


def _is_never(_drift: Drift) -> bool:
    return False


def is_mark_alone(drift: Drift) -> bool:
    """Does an IPv4 address stand as wanted, but under another protocol?

    Before Linux 6.4 it keeps the one that it was made with, whatever a replace says ("net: ipv4: Allow changing IPv4
    address protocol", March 2023).
    """
    if drift.slot.family != IPV4 or not drift.want or not drift.standing:
        return False
    wanted = drift.want.value
    return (
        wanted is not None
        and not drift.want.is_in_front
        and drift.standing[0]._replace(protocol=wanted.protocol) == wanted
    )


class StampRow(NamedTuple):
    """How the owner of a kind is known."""

    kernels: frozenset[int] = names.NEVER_OURS  # numbers under which the kernel keeps what is its own
    is_dumped_by_number: bool = False  # can the kernel show what carries one number, and nothing else?
    is_mark_alone: Callable[[Drift], bool] = _is_never  # is nothing wrong but a mark that old kernels never change?


STAMPS: Final[Mapping[Kind, StampRow]] = {
    Kind.LINK: StampRow(kernels=frozenset()),
    Kind.ADDRESS: StampRow(kernels=names.KERNEL_ADDRESS_PROTOCOLS, is_mark_alone=is_mark_alone),
    Kind.NEIGHBOUR: StampRow(),
    Kind.PROXY: StampRow(),
    Kind.NEXTHOP: StampRow(),
    Kind.ROUTE: StampRow(is_dumped_by_number=True),
    Kind.RULE: StampRow(),
}


@lru_cache(maxsize=16)  # a plan for other files has marks of its own
def make_stamp(kind: Kind, marks: Marks) -> Stamp:
    """The stamp of a kind while these numbers are ours."""
    return stamp_by_number(marks, STAMPS[kind].kernels)


def stamp_by_number(marks: Marks, kernels: frozenset[int] = frozenset()) -> Stamp:
    """The stamp of whatever says a protocol number in its value; ``kernels`` are those of the kernel itself."""
    owners = dict.fromkeys(kernels, Owner.KERNEL)
    owners |= dict.fromkeys(marks.former, Owner.FORMER) | dict.fromkeys(marks.present, Owner.OURS)

    def stamp(value: Value) -> Owner:
        return owners.get(value.protocol, Owner.FOREIGN)

    return stamp


def find_owned(kind: Kind, families: Iterable[int], marks: Marks) -> Iterator[Scope]:
    """The dumps that show everything of a kind that carries one of these numbers."""
    numbers = marks.numbers if STAMPS[kind].is_dumped_by_number else {0}
    for family in families:
        yield from (Scope(kind, family, 0, number) for number in numbers)
