"""Next hops: ways that routes and groups name by a number. docs/explanation/kernel.md says what goes with one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from routed.core.kinds.cures import add_or_delete, is_as_wanted, operate, wanted_of
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.net import IPV4, IPV6
from routed.model.objects import Key, Kind, NexthopMember, NexthopSlot, NexthopValue
from routed.model.owner import Stamp
from routed.model.reasons import NoNexthop, Reason

NEXTHOPS: Final = NexthopSlot()


def judge_nexthop(_slot: NexthopSlot, want: Want, standing: tuple[NexthopValue, ...], stamp: Stamp) -> Nature | None:
    """One next hop has a number, never more."""
    if not standing:
        return Nature.MISSING
    if is_as_wanted(standing[0], want):
        return None
    return Nature.DIFFERENT if stamp(standing[0]).is_ours else Nature.FOREIGN


def cure_nexthop(drift: Drift, _stamp: Stamp) -> list[Operation]:
    """Changed in place where that can be: the routes that use it go with it."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return add_or_delete(drift)
    (before,) = drift.standing
    return [operate(choose_verb_for_nexthop(before, wanted_of(drift)), drift, before)]


def choose_verb_for_nexthop(before: NexthopValue, wanted: NexthopValue) -> Verb:
    """By which one takes the place of the other: replace_nexthop_grp and replace_nexthop_single in nexthop.c."""
    one, other = before.resilient, wanted.resilient
    is_alike = bool(before.group) is bool(wanted.group) and (one is None) is (other is None)
    if one is not None and other is not None:
        is_alike &= one.buckets == other.buckets
    is_for_less = before.way_family == IPV6 and wanted.way_family == IPV4  # while IPv6 routes use it
    return Verb.REPLACE if is_alike and before.blackhole is wanted.blackhole and not is_for_less else Verb.CHANGE


def find_links_of_nexthops(_members: Iterable[NexthopMember], values: Iterable[NexthopValue]) -> set[int]:
    """The link of a way; a group has those of its members."""
    return {value.dev for value in values if value.dev}


def rank_nexthop(_member: NexthopMember, value: NexthopValue) -> int:
    """A group takes only what is there."""
    return int(bool(value.group))


def name_nexthop(id_: int) -> Key:
    """The next hop of this number."""
    return Key(Kind.NEXTHOP, NEXTHOPS, NexthopMember(id_))


def lack_nexthop(member: NexthopMember) -> Reason:
    """Why what names it has to wait."""
    return NoNexthop(member.id)


def list_legs(value: NexthopValue) -> Iterator[Key]:
    """What a group is made of."""
    return (name_nexthop(leg.id) for leg in value.group)
