"""What decides: is an object that stands also the one that its packets go by?

It is *shadowed* where something that is not ours decides for the whole of its destination, or of its selector, where
otherwise one of ours would: the same prefix with a lower metric, a rule in front, an address of this host, two halves
over a default route. What covers only a part of it is no matter of the object, nor is an object that only certain
packets reach: those are the packets that are asked about. A route that stands by behind a better one of ours is in
effect as it is meant to be.

Nothing is asked here. Each question is yielded, and answered by what is sent back (``Decision`` of a ``Question``, the
default routes of a table of an ``Exact``), so that whoever asks may do so when he likes. Here must never live: which
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
from routed.model.lookup import Decision, Exact, Flow, Question
from routed.model.net import DEFAULT, is_inside
from routed.model.objects import RouteSlot, RouteValue, RuleMember, RuleSlot, RuleValue, Standing
from routed.model.owner import Owner, Stamp

MOST_WAYS: Final = 4  # rules that lead to a table, by which its routes are tried
SIXTEENTHS: Final = (3, 9, 13)  # where the addresses lie that stand for a prefix: in both halves, and never at its ends


class StandingRule(NamedTuple):
    """One rule as it stands, and whose it is."""

    member: RuleMember
    owner: Owner


class Rival(NamedTuple):
    """What decides in place of an object of ours."""

    route: Standing | None = None  # None where a rule does so by itself, or the kernel names none
    rule: RuleMember | None = None  # that leads to the route; None where both stand in one table
    dead_end: int = 0  # the type of a route that the kernel does not name, since it drops packets


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


Questions: TypeAlias = Generator[Question | Exact, Any, Rival | None]


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
    """Ask for a few packets. The first that one of ours decides about says that not all is lost."""
    parts: list[Rival] = []
    sought = find_samples(claim.target, samples)
    for address in sought:
        answer: Decision = yield Question(address, claim.flow)
        verdict = _judge_answer(view, claim, address, answer)
        if verdict is None:
            return None
        if isinstance(verdict, Rival):
            parts.append(verdict)
    whole = next((part for part in parts if part.route and is_within(claim.target, _prefix_of(part))), None)
    if whole is not None:
        return whole
    if len(parts) == len(sought) and _are_all_of_it(claim.target, parts):
        return parts[0]
    if claim.slot and claim.target == DEFAULT[claim.slot.family]:
        return (yield from _ask_for_the_default_itself(view, claim.slot))
    return None


class _Verdict(Enum):
    PART_OF_OURS = "one of ours that is more specific decides, and says nothing of the rest"


def _judge_answer(view: View, claim: _Claim, address: bytes, answer: Decision) -> Rival | _Verdict | None:
    """What decides about one packet in place of the object; None where ours does, or where nothing can be said."""
    if answer.winner is None:
        is_known = answer.errno in _TYPES and not claim.flow.iif and not _is_as_wanted(answer, claim)
        if not is_known or view.is_our_dead_end(address, answer.errno):
            return None
        return Rival(dead_end=_TYPES[answer.errno])
    if _is_part_of_ours(view, claim, answer.winner):
        return _Verdict.PART_OF_OURS
    return _judge(view, claim, address, answer.winner)


def _are_all_of_it(target: bytes, parts: Sequence[Rival]) -> bool:
    """Do these leave nothing of the target? What the kernel does not name is taken at its word for all of it."""
    named = [_prefix_of(part) for part in parts if part.route]
    return _is_covered(target, named) if named else bool(parts)


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


def _prefix_of(rival: Rival) -> bytes:
    assert rival.route is not None
    assert isinstance(rival.route.member, bytes)
    return rival.route.member


def _is_covered(target: bytes, prefixes: Iterable[bytes]) -> bool:
    """Do these prefixes together leave nothing of the target?"""
    outer: list[bytes] = []
    for prefix in sorted(set(prefixes), key=lambda one: one[-1]):
        if is_within(prefix, target) and not any(is_within(prefix, other) for other in outer):
            outer.append(prefix)
    return sum(2.0 ** (target[-1] - prefix[-1]) for prefix in outer) >= 1.0


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
