"""Rules and addresses on the fake kernel as they stand one behind the other. The sources are in ``fake_kernel``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from errno import EEXIST, ENOENT
from typing import TYPE_CHECKING, Final

from routed.model.change import Verb
from routed.model.net import IPV4, IPV6, network_of
from routed.model.objects import AddressMember, Key, Kind, Member, RuleMember, Slot, Value

if TYPE_CHECKING:
    from tests.property.fake_kernel import FakeKernel


def insert_rule(kernel: FakeKernel, verb: Verb | str, key: Key, value: Value, port: int) -> int:
    """RTM_NEWRULE: the protocol is part of the key; without EXCL duplicates pile up."""
    standing = list(kernel.standing(key))
    if verb is Verb.ADD and any(value in values for _, values in _find_taken(kernel, key, _HEAD_OF_A_RULE)):
        return EEXIST
    kernel._put(key, [*standing, value])
    kernel._announce(key, value, port)
    return 0


_HEAD_OF_A_RULE: Final = frozenset({"source", "destination", "tos"})  # all that rule_exists leaves to ops->compare


def _find_taken(kernel: FakeKernel, key: Key, open_words: Collection[str]) -> Iterator[tuple[Member, list[Value]]]:
    """The rules that the kernel takes for this one, in its order: of ``open_words`` it may leave some out."""
    assert isinstance(key.member, RuleMember)
    plain = RuleMember(key.member.priority)
    for member, values in _by_priority(key.slot, kernel.objects[Kind.RULE].get(key.slot, {})):
        pairs = zip(RuleMember._fields, key.member, plain, member, strict=True)
        if all(mine == theirs or (word in open_words and mine == unset) for word, mine, unset, theirs in pairs):
            yield member, values


def delete_rule(kernel: FakeKernel, key: Key, value: Value, port: int) -> int:
    """RTM_DELRULE: one rule for each request."""
    for member, values in _find_taken(kernel, key, RuleMember._fields):  # rule_find: the first one that fits
        if value in values:
            kernel._take(Key(Kind.RULE, key.slot, member), value, port)
            return 0
    return ENOENT


def list_secondaries(kernel: FakeKernel, key: Key) -> Iterator[Key]:
    """What goes with an IPv4 address: __inet_del_ifa in net/ipv4/devinet.c, without promote_secondaries."""
    member = key.member
    assert isinstance(member, AddressMember)
    if key.slot.family != IPV4:
        return
    network = network_of(member.address, member.prefixlen)
    alike = [
        other
        for other in kernel.objects[Kind.ADDRESS][key.slot]
        if isinstance(other, AddressMember)
        and (other.dev, network_of(other.address, other.prefixlen)) == (member.dev, network)
    ]
    if alike[0] == member:
        yield from (Key(Kind.ADDRESS, key.slot, other) for other in alike[1:])


Members = Iterable[tuple[Member, list[Value]]]


def as_they_came(_slot: Slot, members: dict[Member, list[Value]]) -> Members:
    return members.items()


def _by_priority(_slot: Slot, members: dict[Member, list[Value]]) -> Members:
    """A new rule goes behind those of its priority (fib_nl_newrule)."""
    return sorted(members.items(), key=lambda one: one[0].priority)  # type: ignore[union-attr]


def _newest_first(slot: Slot, members: dict[Member, list[Value]]) -> Members:
    """Of IPv6 addresses the newest stands first (ipv6_link_dev_addr), of IPv4 ones the oldest."""
    return reversed(members.items()) if slot.family == IPV6 else members.items()


# How the kernel shows the objects of a kind, where it is not as they came.
ORDERS: Final[dict[Kind, Callable[[Slot, dict[Member, list[Value]]], Members]]] = {
    Kind.RULE: _by_priority,
    Kind.ADDRESS: _newest_first,
}
