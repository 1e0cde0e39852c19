"""What decides: is an object that stands also the one that its packets go by?

It is *shadowed* where something that is not ours decides for the whole of its destination, or of its selector, where
otherwise one of ours would: the same prefix with a lower metric, a rule in front, an address of this host, two halves
over a default route. What covers only a part of it is no matter of the object, nor is an object that only certain
packets reach: those are the packets that are asked about. A route that stands by behind a better one of ours is in
effect as it is meant to be.

Nothing is asked here. Each question is yielded, and answered by what is sent back (``Decision`` of a ``Question``,
routes of an ``Exact`` and of an ``Around``), so that whoever asks may do so when he likes. Here must never live: which
objects are asked about, or when (``daemon.effect``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

from routed.core.rules import DEAD_ENDS, RULE_ERRORS, covers, is_within, make_flow, selects
from routed.model import names
from routed.model.lookup import Around, Decision, Exact, Flow, Lookup, Question
from routed.model.net import DEFAULT, family_of, is_inside
from routed.model.objects import RouteSlot, RouteValue, RuleMember, RuleSlot, RuleValue, Standing
from routed.model.owner import Owner, Stamp

MOST_WAYS: Final = 4  # rules that lead to a table, by which its routes are tried
MOST_HOLES: Final = 5  # tries to cover a prefix with what others have of it
SIXTEENTHS: Final = (3, 9, 13)  # where the addresses lie that stand for a prefix: in both halves, and never at its ends


class StandingRule(NamedTuple):
    """One rule as it stands, and whose it is."""

    member: RuleMember
    owner: Owner


class Rival(NamedTuple):
    """What decides in place of an object of ours."""

    route: Standing | None = None  # None where a rule does so by itself
    rule: RuleMember | None = None  # that leads to the route; None where both stand in one table

    def find_place(self, family: int) -> bytes:
        """The destinations about which it decides."""
        if self.route is None:
            return (self.rule and self.rule.destination) or DEFAULT[family]
        assert isinstance(self.route.member, bytes)
        return self.route.member


@dataclass(frozen=True, slots=True)
class View:
    """What has to be known of the host to ask, and to understand the answers."""

    rules: Mapping[int, Sequence[StandingRule]]  # family → in the kernel's order
    stamp: Stamp  # of routes
    own: Collection[bytes] = frozenset()  # addresses of this host
    links: Collection[str] = frozenset()
    # (address, error) → does a route of ours drop packets to it with this error?
    is_our_dead_end: Callable[[bytes, int], bool] = lambda _address, _errno: False
    flows: dict[tuple[int, RuleMember], Flow | None] = field(default_factory=dict)  # made once for many objects


Questions: TypeAlias = Generator[Lookup, Any, Rival | None]


class _Claim(NamedTuple):
    """What an object decides about, where it does: the packets of a flow to a prefix, from its rule on."""

    at: int  # the place of the rule among those of its family
    flow: Flow
    target: bytes
    slot: RouteSlot | None = None  # of a route
    prefix: bytes = b""  # likewise
    value: RouteValue | None = None  # likewise


def ask_about_route(view: View, slot: RouteSlot, prefix: bytes, value: RouteValue, samples: int = 3) -> Questions:
    """What decides in place of this route for all packets that could reach it; None where it is in effect.

    Where several rules lead to its table, it has to be so by each of them. Where none does, nobody reaches it.
    """
    rival: Rival | None = None
    for claim in _find_ways(view, slot, prefix, value):
        rival = _find_rule_that_drops(view, slot.family, claim) or (yield from _ask(view, claim, samples))
        if rival is None:
            return None
    return rival


def ask_about_rule(view: View, slot: RuleSlot, member: RuleMember, value: RuleValue, samples: int = 3) -> Questions:
    """What decides in place of this rule for all packets that it is for; None where it is in effect."""
    del value
    rules = view.rules.get(slot.family, ())
    at = next((place for place, rule in enumerate(rules) if rule.member == member and rule.owner.is_ours), None)
    flow = _flow_of(view, slot.family, member)
    if at is None:
        return None
    in_front = [place for place, rule in enumerate(rules[:at]) if covers(rule.member, member)]
    for place in in_front:
        if rules[place].member.action in RULE_ERRORS:
            return None if rules[place].owner.is_ours else Rival(rule=rules[place].member)
    if flow is None or not any(rules[place].member.action == names.TO_TABLE for place in in_front):
        return None
    claim = _Claim(at, flow, member.destination or DEFAULT[slot.family])
    rival = yield from _ask(view, claim, samples)
    return rival if rival and rival.rule in {rules[place].member for place in in_front} else None


def find_samples(prefix: bytes, count: int) -> list[bytes]:
    """Some addresses that stand for a prefix: of a larger one in each half, and not at its ends."""
    address, width = int.from_bytes(prefix[:-1], "big"), len(prefix) - 1
    span = 1 << (width * 8 - prefix[-1])
    offsets = dict.fromkeys(span * sixteenths // 16 for sixteenths in SIXTEENTHS)
    return [(address + offset).to_bytes(width, "big") for offset in list(offsets)[:count]]


def _find_ways(view: View, slot: RouteSlot, prefix: bytes, value: RouteValue) -> Iterator[_Claim]:
    """The packets that reach a route: those of a rule without a selector if one leads there, else of each that does."""
    leading = [
        (place, rule.member)
        for place, rule in enumerate(view.rules.get(slot.family, ()))
        if rule.member.action == names.TO_TABLE
        and rule.member.table == slot.table
        and rule.member.suppress_prefixlength < prefix[-1]
        and (is_within(prefix, rule.member.destination) or is_within(rule.member.destination, prefix))
    ]
    plain = [one for one in leading if one[1]._replace(priority=0, suppress_prefixlength=-1) == _to(slot.table)]
    for place, rule in plain[:1] or leading[:MOST_WAYS]:
        flow = _flow_of(view, slot.family, rule)
        if flow is not None:
            flow = flow._replace(tos=slot.tos or flow.tos)
            if slot.source and not (flow.source and is_inside(flow.source, slot.source)):
                flow = flow._replace(source=slot.source[:-1])
            target = rule.destination if rule.destination and rule.destination[-1] > prefix[-1] else prefix
            yield _Claim(place, flow, target, slot, prefix, value)


def _to(table: int) -> RuleMember:
    return RuleMember(0, table=table)


def _flow_of(view: View, family: int, rule: RuleMember) -> Flow | None:
    key = (family, rule)
    if key not in view.flows:
        view.flows[key] = make_flow(rule, family, view.own, view.links)
    return view.flows[key]


def _find_rule_that_drops(view: View, family: int, claim: _Claim) -> Rival | None:
    """A rule of somebody else in front, that drops all that could come to an object."""
    sample = Question(find_samples(claim.target, 1)[0], claim.flow)
    for rule in view.rules.get(family, ())[: claim.at]:
        member = rule.member
        if member.action in RULE_ERRORS and is_within(claim.target, member.destination) and selects(member, sample):
            return None if rule.owner.is_ours else Rival(rule=member)
    return None


def _ask(view: View, claim: _Claim, samples: int) -> Questions:
    """Ask for a few packets. The first that one of ours decides about says that not all is lost.

    Where others have all of them, but none of these all of the target, it is asked about what these leave of it.
    """
    parts: list[tuple[bytes, Rival]] = []  # the place of each, and itself
    sought = find_samples(claim.target, samples)
    for address in sought:
        verdict = yield from _ask_one(view, claim, address)
        if verdict is None:
            return None
        if isinstance(verdict, Rival):
            parts.append((verdict.find_place(family_of(address)), verdict))
    whole = next((part for place, part in parts if is_within(claim.target, place)), None)
    if whole is not None:
        return whole
    for _ in range(MOST_HOLES if len(parts) == len(sought) else 0):
        hole = find_hole(claim.target, [place for place, _ in parts])
        if hole is None:
            return parts[0][1]
        verdict = yield from _ask_one(view, claim, hole)
        if not isinstance(verdict, Rival):
            break
        parts.append((verdict.find_place(family_of(hole)), verdict))
    if claim.slot and claim.target == DEFAULT[claim.slot.family]:
        return (yield from _ask_for_the_default_itself(view, claim.slot))
    return None


class _Verdict(Enum):
    PART_OF_OURS = "one of ours that is more specific decides, and says nothing of the rest"


def _ask_one(view: View, claim: _Claim, address: bytes) -> Generator[Lookup, Any, Rival | _Verdict | None]:
    """What decides about one packet in place of the object; None where ours does, or where nothing can be said."""
    answer: Decision = yield Question(address, claim.flow)
    if answer.winner is None:
        if claim.flow.iif or _is_as_wanted(answer, claim):
            return None
        return (yield from _find_what_drops(view, claim, address, answer.errno))
    if _is_part_of_ours(view, claim, answer.winner):
        return _Verdict.PART_OF_OURS
    return _judge(view, claim, address, answer.winner)


def _find_what_drops(view: View, claim: _Claim, address: bytes, errno: int) -> Questions:
    """The first rule or route on the way of this packet that drops it with this error; None where that is none."""
    question, family = Question(address, claim.flow), family_of(address)
    type_ = _TYPES.get(errno, 0)
    if type_ and view.is_our_dead_end(address, errno):
        return None
    dead_ends: Sequence[Standing] = (yield Around(address, type=type_)) if type_ else ()
    for place, rule in enumerate(view.rules.get(family, ())[: claim.at + 1]):
        member = rule.member
        if not selects(member, question):
            continue
        if RULE_ERRORS.get(member.action) == errno:
            return None if rule.owner.is_ours or place == claim.at else Rival(rule=member)
        here = [one for one in dead_ends if _is_reached(one, member, claim.flow)]
        first = min(here, key=_rank, default=None)
        if first is not None and _length_of(first) > member.suppress_prefixlength:
            return _judge(view, claim, address, first)
    return None


def _ask_for_the_default_itself(view: View, slot: RouteSlot) -> Questions:
    """Where more specific routes answer for every packet, is ours the first default route of its table?"""
    defaults: Sequence[Standing] = yield Exact(slot.family, slot.table)
    better: list[tuple[int, Standing]] = []
    for one in defaults:
        assert isinstance(one.slot, RouteSlot)
        is_alike = one.member == DEFAULT[slot.family] and one.slot._replace(metric=slot.metric) == slot
        if is_alike and one.slot.metric < slot.metric:
            better.append((one.slot.metric, one))
    _, first = min(better, key=itemgetter(0), default=(0, None))
    return None if first is None or view.stamp(first.value).is_ours else Rival(first)


_TYPES: Final = {errno: type_ for type_, errno in DEAD_ENDS.items()}


def _is_as_wanted(answer: Decision, claim: _Claim) -> bool:
    """Are packets dropped as the route itself would drop them?"""
    return claim.value is not None and DEAD_ENDS.get(claim.value.type) == answer.errno


def _judge(view: View, claim: _Claim, address: bytes, winner: Standing) -> Rival | None:
    """Does this decide in place of the object, for this packet? None where ours does, or ours is not usable anyway."""
    if view.stamp(winner.value).is_ours:
        return None
    slot = winner.slot
    assert isinstance(slot, RouteSlot)
    assert isinstance(winner.member, bytes)
    place, rule = _find_leading(view, slot, winner.member[-1], Question(address, claim.flow))
    if rule is None or place > claim.at:
        return None
    if place < claim.at:
        return None if rule.owner.is_ours else Rival(winner, rule.member)
    if claim.slot is None or winner.member[-1] < claim.prefix[-1]:
        return None
    is_better = winner.member[-1] > claim.prefix[-1] or slot.metric < claim.slot.metric
    return Rival(winner) if is_better else None


def _is_part_of_ours(view: View, claim: _Claim, winner: Standing) -> bool:
    """Is it one of ours that is more specific, and says nothing of the rest?"""
    assert isinstance(winner.member, bytes)
    return (
        claim.slot is not None
        and view.stamp(winner.value).is_ours
        and winner.member[-1] > claim.prefix[-1]
        and winner.slot[:2] == claim.slot[:2]  # type: ignore[index]
    )


def _find_leading(view: View, slot: RouteSlot, length: int, question: Question) -> tuple[int, StandingRule | None]:
    """The first rule by which this packet comes to the table of this route."""
    for place, rule in enumerate(view.rules.get(slot.family, ())):
        leads = (rule.member.action, rule.member.table) == (names.TO_TABLE, slot.table)
        if leads and rule.member.suppress_prefixlength < length and selects(rule.member, question):
            return place, rule
    return 0, None


def _rank(one: Standing) -> tuple[int, int, int]:
    """Of the routes of one table for an address the kernel takes the least by this."""
    assert isinstance(one.slot, RouteSlot)
    return -_length_of(one), -one.slot.tos, one.slot.metric


def _length_of(one: Standing) -> int:
    assert isinstance(one.member, bytes)
    return one.member[-1]


def _is_reached(one: Standing, rule: RuleMember, flow: Flow) -> bool:
    """Does this rule lead packets of this flow to this route?"""
    assert isinstance(one.slot, RouteSlot)
    is_for_it = one.slot.tos in {0, flow.tos} and (not one.slot.source or is_inside(flow.source, one.slot.source))
    return is_for_it and (rule.action, rule.table) == (names.TO_TABLE, one.slot.table)


def find_hole(target: bytes, prefixes: Iterable[bytes]) -> bytes | None:
    """The first address of the target that lies in none of these prefixes; None where they leave nothing of it."""
    width = len(target) - 1
    free, end = _span(target)
    for start, after in sorted(map(_span, prefixes)):
        if start > free:
            break
        free = max(free, after)
    return free.to_bytes(width, "big") if free < end else None


def _span(prefix: bytes) -> tuple[int, int]:
    """The first address of a prefix, and the first behind it."""
    start = int.from_bytes(prefix[:-1], "big")
    return start, start + (1 << (len(prefix) * 8 - 8 - prefix[-1]))


def place_of_route(_slot: RouteSlot, prefix: bytes) -> bytes:
    """The destinations about which a route may decide."""
    return prefix


def place_of_rule(slot: RuleSlot, rule: RuleMember) -> bytes:
    """The destinations about which a rule may decide."""
    return rule.destination or DEFAULT[slot.family]


def is_dead_end(_prefix: bytes, value: RouteValue) -> bool:
    """Is a route there to drop packets?"""
    return value.type in DEAD_ENDS


def is_rule_that_drops(rule: RuleMember, _value: RuleValue) -> bool:
    """Is a rule there to drop packets?"""
    return rule.action in RULE_ERRORS


AskAbout: TypeAlias = Callable[[View, Any, Any, Any, int], Questions]
