"""The table of kinds: everything that the core must know of a kind of object. A kind is one row.

What a row says beyond words and numbers stands in a module for each kind, ``cures`` has what they share. Here must
never live a question for a kind by its name: who needs to know something of a kind adds a column.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from errno import EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENODEV
from typing import Any, Final, NamedTuple

from routed.core.effect import (
    AskAbout,
    ask_about_route,
    ask_about_rule,
    is_dead_end,
    is_rule_that_drops,
    place_of_route,
    place_of_rule,
)
from routed.core.kinds.address import (
    ADDRESSES_IN_LINE,
    blame_kernel_for_address,
    choose_verb_for_address,
    cure_address,
    find_links_of_addresses,
    judge_address,
    list_prefixes_of_address,
    list_routes_of_address,
    place_of_address,
)
from routed.core.kinds.cures import Aliases, Cure, Drainage, Judge, is_as_wanted
from routed.core.kinds.hooks import HOOK_OF_LINK, HOOK_OF_ROUTE, HOOK_OF_RULE, Hook
from routed.core.kinds.ipvs import (
    SERVERS_DRAIN,
    cure_ipvs,
    cure_timeout,
    find_service,
    judge_ipvs,
    list_prefixes_of_ipvs,
)
from routed.core.kinds.lines import Line
from routed.core.kinds.link import cure_link, find_ends, judge_link
from routed.core.kinds.neighbour import (
    cure_neighbour,
    find_links_of_neighbours,
    judge_neighbour,
    list_prefixes_of_neighbour,
)
from routed.core.kinds.nexthop import (
    choose_verb_for_nexthop,
    cure_nexthop,
    find_links_of_nexthops,
    judge_nexthop,
    lack_nexthop,
    list_legs,
    rank_nexthop,
)
from routed.core.kinds.route import (
    cure_route,
    find_links_of_routes,
    find_nexthop,
    find_scope_of_routes,
    is_way_to,
    judge_route,
    list_lifelines,
    list_prefixes_of_route,
    opens_network,
    rank_route,
)
from routed.core.kinds.rule import (
    DEFAULT_RULES,
    RULES_IN_LINE,
    cure_rule,
    find_default_rule,
    is_way_to_anything,
    judge_rule,
    list_prefixes_of_rule,
)
from routed.model.change import Cause, Verb
from routed.model.events import KERNEL
from routed.model.ipvs import (
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    TimeoutMember,
    TimeoutSlot,
    TimeoutValue,
)
from routed.model.net import FAMILIES
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Hop,
    Ipip,
    Key,
    Kind,
    Leg,
    LinkMember,
    LinkSlot,
    LinkValue,
    Member,
    NeighbourMember,
    NeighbourSlot,
    NeighbourValue,
    NexthopMember,
    NexthopSlot,
    NexthopValue,
    Resilient,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
    Scope,
    Slot,
    Value,
)
from routed.model.reasons import Reason

__all__ = ["KINDS", "Aliases", "KindRow", "is_as_wanted"]


def _find_scope(kind: Kind, slot: Slot) -> Scope:
    return Scope(kind, slot.family)


def _rank_equal(_member: Member, _value: Value) -> int:
    return 0


def _find_no_links(_members: Iterable[Member], _values: Iterable[Value]) -> set[int]:
    return set()


def _list_no_lifelines(_slot: Slot, _ssh_peers: frozenset[bytes]) -> Mapping[Any, Reason]:
    return {}


def _stand_for_itself(member: Member) -> Member:
    return member


def _is_no_way(_watched: frozenset[bytes], _members: Iterable[Member]) -> bool:
    return False


def _drops_nothing(_member: Member, _value: Value) -> bool:
    return False


def _find_no_place(_slot: Slot, _member: Member) -> bytes:
    return b""


def _list_no_prefixes(_slot: Slot, _member: Member) -> Iterable[bytes]:
    return ()


def _shares_everything(_value: Value) -> Hashable:
    return None


def _stands_on_nothing(_value: Value) -> Iterable[Key]:
    return ()


def _opens_nothing(_value: Value) -> bool:
    return False


def _blame_kernel(_slot: Slot, _value: Value, reason: Reason) -> Cause:
    return Cause(KERNEL, reason)


def _replace(_before: Value, _wanted: Value) -> Verb:
    return Verb.REPLACE


class KindRow(NamedTuple):
    """What the core must know of a kind. A row says only what is not as of most kinds."""

    rank: int  # what comes later may need what comes first; removals go the other way round
    aliases: Aliases
    judge: Judge  # what is wrong under a key, None for nothing
    cure: Cure  # by which operations it is put right
    types: tuple[type[Any], ...]  # that its slots, members and values are made of, as they are kept on disk
    families: tuple[int, ...] = FAMILIES  # of each there is a dump of its own
    scope: Callable[[Kind, Any], Scope] = _find_scope  # the dump that shows what stands in a slot
    # Are its members prefixes? There may be a million of them: they are kept packed, and the kernel tells only of those
    # that are worth it.
    are_prefixes: bool = False
    is_announced: bool = False  # may neighbours be told where it is?
    is_written: bool = True  # is there a table of the file for it?
    is_part: bool = False  # is it written within the table of another kind?
    has_parts: bool = False  # do objects of another kind stand in it?
    # (slot) → the object in which what is in it stands; while that is left alone, nothing is put into it
    find_whole: Callable[[Any], Key] | None = None
    is_given_back: bool = True  # is what ours took the place of put back when ours goes?
    not_yet: frozenset[int] = frozenset()  # errnos that mean: something that it stands on is missing
    made_by_kernel: Mapping[Slot, frozenset[Member]] = {}  # what a new namespace has, and what is missed if it has gone
    # member → the one of those that it does the work of, wherever somebody moved it; itself if it does of none
    stands_for: Callable[[Any], Any] = _stand_for_itself
    choose_verb: Callable[[Any, Any], Verb] = (
        _replace  # (what stands, what shall) → by which the second takes its place
    )
    rank_within: Callable[[Any, Any], int] = _rank_equal  # (member, value): among additions of the kind, lower first
    # value → the objects that it names, without which it cannot be put and with which it goes, without a word
    find_bases: Callable[[Any], Iterable[Key]] = _stands_on_nothing
    why_absent: Callable[[Any], Reason] | None = None  # member → why what names it has to wait; None: nothing does
    # (members, values) → ifindexes of the links with which they go
    find_links: Callable[[Iterable[Any], Iterable[Any]], set[int]] = _find_no_links
    # (slot, SSH peers) → members over which the operator may be logged in, and why not to take a foreign one's place
    list_lifelines: Callable[[Any, frozenset[bytes]], Mapping[Any, Reason]] = _list_no_lifelines
    # (watched prefixes, members): may packets to one of them go another way when such members come, change or go?
    is_way_to: Callable[[frozenset[bytes], Iterable[Any]], bool] = _is_no_way
    opens_network: Callable[[Any], bool] = _opens_nothing  # may a value bring a gateway into reach?
    # (slot, value, reason) → why it went, where the kernel says that it was the kernel
    blame_kernel: Callable[[Any, Any, Reason], Cause] = _blame_kernel
    drops: Callable[[Any, Any], bool] = _drops_nothing  # (member, value): is it there to drop packets?
    # (slot, member) → the prefix about whose packets such an object may decide, whoever put it there; b"" for none
    find_place: Callable[[Any, Any], bytes] = _find_no_place
    # (slot, member) → the prefixes to or from whose addresses it is for packets; none where it is for any, or for none
    list_prefixes: Callable[[Any, Any], Iterable[bytes]] = _list_no_prefixes
    # (slot, member) → the prefixes of the routes that the kernel makes for such an object
    list_made: Callable[[Any, Any], Iterable[bytes]] = _list_no_prefixes
    # (view, slot, member, value, samples) → what decides in its place; None: nobody asks that
    ask_about: AskAbout | None = None
    # May an object have gone for the reason for which its dump is dirty? No, where that reason may be its own change.
    is_explained_by_dump: bool = True
    # value → what of it the kernel lets one object have at a time, whatever its key; None for nothing. What goes from
    # there goes before another one comes.
    find_claim: Callable[[Any], Hashable] = _shares_everything
    # May something have come long before the kernel tells of it? Then that something else went before says nothing yet.
    is_told_late: bool = False
    # Does the kernel tell of each change of what is wanted, and refuse to put a new one in the place of another? Then
    # nobody has to look before one is changed that was in order.
    is_followed: bool = False
    # Does the loss of one raise questions about the host, whose answers are as before when it stands again?
    raises_questions: bool = False
    drain: Drainage | None = None  # how an object that no entry wants any more leaves, where it is not gone at once
    line: Line | None = None  # in which its objects stand, where it matters which comes first
    hook: Hook = Hook()  # where it hangs in the picture of the way of packets

    @property
    def has_bases(self) -> bool:
        """May its objects stand on others?"""
        return self.find_bases is not _stands_on_nothing


_OF_NEIGHBOURS: Final[Mapping[str, Any]] = {
    "aliases": Aliases.ALONE,
    "judge": judge_neighbour,
    "cure": cure_neighbour,
    "types": (NeighbourSlot, NeighbourMember, NeighbourValue),
    "not_yet": frozenset({ENODEV}),
    "find_links": find_links_of_neighbours,
    "list_prefixes": list_prefixes_of_neighbour,
}

KINDS: Final[dict[Kind, KindRow]] = {
    Kind.LINK: KindRow(
        rank=0,
        aliases=Aliases.ALONE,
        judge=judge_link,
        cure=cure_link,
        types=(LinkSlot, LinkMember, LinkValue, Ipip),
        families=(0,),
        find_claim=find_ends,
        hook=HOOK_OF_LINK,
    ),
    # A service without servers refuses its clients: they come before the way to its address, and go after it.
    Kind.SERVICE: KindRow(
        rank=1,
        aliases=Aliases.ALONE,
        judge=judge_ipvs,
        cure=cure_ipvs,
        types=(ServiceSlot, ServiceMember, ServiceValue),
        has_parts=True,
        is_given_back=False,
        list_prefixes=list_prefixes_of_ipvs,
    ),
    Kind.SERVER: KindRow(
        rank=2,
        aliases=Aliases.ALONE,
        judge=judge_ipvs,
        cure=cure_ipvs,
        types=(ServerSlot, ServiceMember, ServerMember, ServerValue),
        is_written=False,
        is_part=True,
        find_whole=find_service,
        drain=SERVERS_DRAIN,
        list_prefixes=list_prefixes_of_ipvs,
        is_given_back=False,
    ),
    Kind.ADDRESS: KindRow(
        rank=3,
        aliases=Aliases.ALONE,
        judge=judge_address,
        cure=cure_address,
        types=(AddressSlot, AddressMember, AddressValue),
        is_announced=True,
        raises_questions=True,
        not_yet=frozenset({ENODEV}),
        choose_verb=choose_verb_for_address,
        find_links=find_links_of_addresses,
        blame_kernel=blame_kernel_for_address,
        find_place=place_of_address,
        list_made=list_routes_of_address,
        list_prefixes=list_prefixes_of_address,
        is_explained_by_dump=False,
        is_told_late=True,  # after duplicate address detection
        line=ADDRESSES_IN_LINE,
    ),
    Kind.NEIGHBOUR: KindRow(rank=4, **_OF_NEIGHBOURS),
    Kind.PROXY: KindRow(rank=5, **_OF_NEIGHBOURS),
    Kind.NEXTHOP: KindRow(
        rank=6,
        aliases=Aliases.ALONE,
        judge=judge_nexthop,
        cure=cure_nexthop,
        types=(NexthopSlot, NexthopMember, NexthopValue, Leg, Resilient),
        families=(0,),
        not_yet=frozenset({ENODEV, ENETDOWN, ENETUNREACH, EHOSTUNREACH}),
        choose_verb=choose_verb_for_nexthop,
        rank_within=rank_nexthop,
        find_links=find_links_of_nexthops,
        find_bases=list_legs,
        why_absent=lack_nexthop,
    ),
    Kind.ROUTE: KindRow(
        rank=7,
        aliases=Aliases.ORDERED,
        judge=judge_route,
        cure=cure_route,
        types=(RouteSlot, RouteValue, Hop),
        scope=find_scope_of_routes,
        are_prefixes=True,
        is_followed=True,
        not_yet=frozenset({ENODEV, ENETDOWN, ENETUNREACH, EHOSTUNREACH}),
        rank_within=rank_route,
        find_links=find_links_of_routes,
        find_bases=find_nexthop,
        list_lifelines=list_lifelines,
        is_way_to=is_way_to,
        opens_network=opens_network,
        drops=is_dead_end,
        list_prefixes=list_prefixes_of_route,
        find_place=place_of_route,
        ask_about=ask_about_route,
        hook=HOOK_OF_ROUTE,
    ),
    Kind.RULE: KindRow(
        rank=8,
        aliases=Aliases.BESIDE,
        judge=judge_rule,
        cure=cure_rule,
        types=(RuleSlot, RuleMember, RuleValue),
        made_by_kernel=DEFAULT_RULES,
        stands_for=find_default_rule,
        line=RULES_IN_LINE,
        is_way_to=is_way_to_anything,
        drops=is_rule_that_drops,
        list_prefixes=list_prefixes_of_rule,
        find_place=place_of_rule,
        ask_about=ask_about_rule,
        hook=HOOK_OF_RULE,
    ),
    Kind.TIMEOUT: KindRow(
        rank=9,
        aliases=Aliases.ALONE,
        judge=judge_ipvs,
        cure=cure_timeout,
        types=(TimeoutSlot, TimeoutMember, TimeoutValue),
        families=(0,),
    ),
}
