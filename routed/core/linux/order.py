"""In which order the kernel shows the objects of a kind, where it is not as they came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from routed.model.net import IPV6
from routed.model.objects import Kind, Member, Slot, Value

ValuesByMember: TypeAlias = Mapping[Member, Sequence[Value]]
InOrder: TypeAlias = Iterable[tuple[Member, Sequence[Value]]]


def as_they_came(_slot: Slot, members: ValuesByMember) -> InOrder:
    """What came first stands first."""
    return members.items()


def by_priority(_slot: Slot, members: ValuesByMember) -> InOrder:
    """A new rule goes behind those of its priority (fib_nl_newrule)."""
    return sorted(members.items(), key=lambda one: one[0].priority)  # type: ignore[union-attr]


def newest_first(slot: Slot, members: ValuesByMember) -> InOrder:
    """Of IPv6 addresses the newest stands first (ipv6_link_dev_addr), of IPv4 ones the oldest."""
    return reversed(list(members.items())) if slot.family == IPV6 else members.items()


ORDERS: Final[dict[Kind, Callable[[Slot, ValuesByMember], InOrder]]] = {
    Kind.RULE: by_priority,
    Kind.ADDRESS: newest_first,
}
