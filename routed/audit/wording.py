"""Wording: the clauses that sentences of the audit are made of.

Pure functions from values of the model to words. Which sentence is said stands in the catalogue; when, elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from routed.audit.actors import name_actor
from routed.audit.figures import format_count, format_span
from routed.audit.reasons import describe_paused, describe_reason
from routed.model.change import Cause, Drift, Nature, Operation, Verb
from routed.model.entries import Entry
from routed.model.events import KERNEL
from routed.model.lifetime import Lifetime
from routed.model.names import TABLES
from routed.model.net import IPV4, IPV6
from routed.model.objects import (
    AddressMember,
    AddressValue,
    Key,
    Kind,
    Member,
    NeighbourMember,
    NeighbourValue,
    NexthopMember,
    NexthopValue,
    RouteValue,
    RuleMember,
    RuleSlot,
    Value,
)
from routed.model.reasons import AddressChange, Differs, LinkChange, Observed, OtherMark, Reason, Sign
from routed.model.text import Json, Vocabulary, find_differing, format_key, format_object, to_json

_ABSENT: Final = object()
HOPS: Final = "nexthops"  # a key of ``ip -j``
APPEND: Final = "append"  # likewise: what stands behind a route
_OF_A_HOP: Final = ("gateway", "via", "dev", "flags", "encap", "realms")  # what a route of one next hop has of it
_TABLES: Final = frozenset({"encap"})  # what is said within them needs their name: they have an `id` and a `dst` too


def name_subject(entry: Entry | None, key: Key, vocabulary: Vocabulary) -> str:
    """Of whom a sentence speaks: ``route/storage-lan 10.30.0.0/16 table storage``; without an entry the kind."""
    return f"{entry.name if entry else key.kind} {format_key(key, vocabulary)}"


def name_group(entry: Entry | None, kind: Kind, count: int) -> str:
    """The same for many objects at once: ``route/drop: 4997 routes``, without an entry ``4997 routes``."""
    counted = format_count(count, kind)
    return f"{entry.name}: {counted}" if entry else counted


def name_interface(key: Key, value: Value | None, vocabulary: Vocabulary) -> str:
    """The link that an object stands on, empty where there is none or more than one."""
    link = WORDS[key.kind].find_link(key.member, value)
    return vocabulary.link(link) if link else ""


def describe_change(key: Key, before: Value, after: Value, vocabulary: Vocabulary) -> str:
    """What of the former content differs: ``gateway 10.20.0.9 instead of 10.20.0.1``; of an order all of it."""
    old, new = to_json(key, before, vocabulary), to_json(key, after, vocabulary)
    if APPEND in old or APPEND in new:
        return f"{format_object(key, before, vocabulary)} instead of {format_object(key, after, vocabulary)}"
    clauses = list(_list_changes(*_align(old, new)))
    # What has no key in JSON (the lock of a metric, attributes that routed has no word for) still has a name.
    return ", ".join(clauses) or ", ".join(f"another {name}" for name in find_differing(before, after))


def _align(old: Json, new: Json) -> tuple[Json, Json]:
    """The same in one form: next hops as a list wherever one side has several, and each metric by its own name."""
    if HOPS in old or HOPS in new:
        old, new = _list_hops(old), _list_hops(new)
    return _spread_metrics(old), _spread_metrics(new)


def _list_hops(json: Json) -> Json:
    if HOPS in json:
        return json
    only = {name: json[name] for name in _OF_A_HOP if name in json}
    rest = {name: value for name, value in json.items() if name not in only}
    return rest | {HOPS: [only | {"weight": 1}] if only else []}


def _spread_metrics(json: Json) -> Json:
    rest = {name: value for name, value in json.items() if name != "metrics"}
    return rest | {name: value for metric in json.get("metrics", ()) for name, value in metric.items()}


def _list_changes(old: Json, new: Json) -> Iterator[str]:
    """What differs, by its own name wherever it stands."""
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if isinstance(before, dict) and isinstance(after, dict):
            of = f"{name} " if name in _TABLES else ""
            yield from (of + clause for clause in _list_changes(before, after))
        elif name == HOPS and before != after:
            yield from (f"with next hop {_format_hop(hop)}" for hop in before if hop not in after)
            yield from (f"without next hop {_format_hop(hop)}" for hop in after if hop not in before)
        elif before != after:
            yield _describe_pair(name, before, after)


def describe_cause(cause: Cause) -> str:
    """Who and why, as one clause: ``deleted by "ip …" (pid 4242)``, ``dropped by the kernel (link eth1 went down)``."""
    why, actor = describe_reason(cause.reason), name_actor(cause.port, cause.process).words
    if cause.port is None:
        return why
    if cause.port != KERNEL:
        return f"{why} by {actor}"
    if not isinstance(cause.reason, (AddressChange, LinkChange)) and cause.reason is not Sign.EXPIRED:
        # port id 0 is the kernel's, and so is what ioctl(2) asks for (ip_rt_ioctl in net/ipv4/fib_frontend.c) and each
        # change of an IPv6 address (inet6_ifa_notify in net/ipv6/addrconf.c)
        return f"{why} by the kernel, or by a program that it does not name"
    return f"dropped by the kernel ({why} by {actor})" if actor else f"dropped by the kernel ({why})"


def describe_trouble(operation: Operation, member: Member, cause: Cause, vocabulary: Vocabulary) -> str:
    """What was wrong with one object, and who did it; it follows the subject of a sentence."""
    by = describe_cause(cause)
    if operation.nature is Nature.MISSING:
        return f" missing ({by})" if cause.port is None else f" {by}"
    return f": {describe_wrong(operation, Key(operation.kind, operation.slot, member), vocabulary)} ({by})"


def describe_wrong(operation: Operation, key: Key, vocabulary: Vocabulary) -> str:
    """How the content differed where it did; otherwise the reason of the operation."""
    if operation.nature in _COMPARED and operation.verb is not Verb.DELETE and operation.before is not None:
        return describe_change(key, operation.before, operation.value, vocabulary)
    return describe_reason(operation.reason)


def describe_step(operation: Operation, key: Key, vocabulary: Vocabulary) -> str:
    """Why something is done; where another content is the reason, how that differs."""
    is_compared = isinstance(operation.reason, Differs) and operation.before is not None
    return describe_wrong(operation, key, vocabulary) if is_compared else describe_reason(operation.reason)


def list_standing(drift: Drift, vocabulary: Vocabulary) -> str:
    """What stands in line with an object under keys of their own, where that is what is wrong."""
    each = (format_object(Key(drift.kind, one.slot, one.member), one.value, vocabulary) for one in drift.others)
    return "; ".join(each)


def describe_left_alone(
    reason: Reason | None, key: Key, standing: Sequence[Value], wanted: Value | None, vocabulary: Vocabulary
) -> str:
    """Why something is left alone; where that says how it differs, with both contents."""
    is_compared = isinstance(reason, Observed) and isinstance(reason.flaw, (Differs, OtherMark))
    if not is_compared or not standing or wanted is None:
        return describe_paused(reason)
    assert isinstance(reason, Observed)
    return f"{describe_reason(reason.word)}: {describe_change(key, standing[0], wanted, vocabulary)}"


def describe_return(lifetime: Lifetime | None) -> str:
    """How something stands that was put back where ours stood; with what was left of its time, where that ends."""
    if lifetime is None:
        return "as it stood before routed took its place"
    left = format_span(lifetime.valid)
    return f"with the {left} that were left of its lifetime when routed took its place"


def describe_flows(count: int) -> str:
    """How much of what clients still sent to something was ended with it; nothing of none."""
    return f"; {format_count(count, 'tracked flow')} of UDP ended" if count else ""


class Absence(NamedTuple):
    """What the kernel makes itself, and what of it has gone."""

    subject: str  # of the record, by which it can be forgotten when all of it is back
    family: str
    missing: str  # as ``ip`` shows it
    command: str  # that brings it back


def _find_no_link(_member: Member, _value: Value | None) -> int:
    return 0


def _find_link_of_address(member: AddressMember, _value: AddressValue | None) -> int:
    return member.dev


def _find_link_of_neighbour(member: NeighbourMember, _value: NeighbourValue | None) -> int:
    return member.dev


def _find_link_of_nexthop(_member: NexthopMember, value: NexthopValue | None) -> int:
    return value.dev if value is not None else 0


def _find_link_of_route(_prefix: bytes, value: RouteValue | None) -> int:
    return value.hops[0].dev if value is not None and len(value.hops) == 1 else 0


def _describe_absent_rules(slot: RuleSlot, members: Iterable[RuleMember]) -> Absence:
    option = {IPV4: "-4", IPV6: "-6"}[slot.family]  # of ``ip``
    rules = [(rule.priority, TABLES[rule.table]) for rule in sorted(members)]
    return Absence(
        f"{Kind.RULE} {option}",
        {IPV4: "IPv4", IPV6: "IPv6"}[slot.family],
        ", ".join(f"{priority}: from all lookup {table}" for priority, table in rules),
        "; ".join(f"ip {option} rule add priority {priority} lookup {table}" for priority, table in rules),
    )


class WordRow(NamedTuple):
    """How the audit speaks of a kind, beyond what ``model.text`` has for everybody."""

    find_link: Callable[[Any, Any], int] = _find_no_link  # (member, value) → the one link that it stands on, else 0
    # (slot, members) → those that are not there of what the kernel makes; where it makes none, there is nothing to say
    describe_absent: Callable[[Any, Iterable[Any]], Absence] | None = None


WORDS: Final[dict[Kind, WordRow]] = {
    Kind.LINK: WordRow(),
    Kind.ADDRESS: WordRow(find_link=_find_link_of_address),
    Kind.NEIGHBOUR: WordRow(find_link=_find_link_of_neighbour),
    Kind.PROXY: WordRow(find_link=_find_link_of_neighbour),
    Kind.NEXTHOP: WordRow(find_link=_find_link_of_nexthop),
    Kind.ROUTE: WordRow(find_link=_find_link_of_route),
    Kind.RULE: WordRow(describe_absent=_describe_absent_rules),
    Kind.SERVICE: WordRow(),
    Kind.SERVER: WordRow(),
    Kind.TIMEOUT: WordRow(),
}

_COMPARED: Final = frozenset({Nature.DIFFERENT, Nature.FOREIGN})

CURES: Final[dict[Nature, str]] = {
    Nature.MISSING: "restored",
    Nature.DIFFERENT: "repaired",
    Nature.FOREIGN: "repaired",
    Nature.BEHIND: "first again",
    Nature.EXTRA: "taken away",
    Nature.IN_FRONT: "put behind it",
    Nature.OUT_OF_ORDER: "in order again",
    Nature.SURPLUS: "removed",
    Nature.TAKEN: "put back",
}

PAST: Final[dict[Verb, str]] = {
    Verb.ADD: "added",
    Verb.REPLACE: "replaced",
    Verb.PREPEND: "put first",
    Verb.CHANGE: "changed",
    Verb.DELETE: "removed",
    Verb.APPEND: "put last",
    Verb.ARRANGE: "put in order",
}


def _describe_pair(name: str, old: Any, new: Any) -> str:
    if new is _ABSENT:
        return f"{name} {_format_json(old)} instead of none" if old is not True else f"{name} set"
    if old is _ABSENT:
        return f"no {name} instead of {_format_json(new)}" if new is not True else f"{name} not set"
    return f"{name} {_format_json(old)} instead of {_format_json(new)}"


def _format_hop(hop: Json) -> str:
    """As ``ip`` writes it, then what few hops have; a weight of 1 is none."""
    flags = hop.get("flags", ())
    words = {
        "via": hop.get("gateway") or hop.get("via", {}).get("host"),
        "dev": hop.get("dev"),
        "weight": hop["weight"],
    }
    words |= {name: _format_json(item) for name, item in hop.items() if name not in {*words, "gateway", "flags"}}
    told = [f"{name} {value}" for name, value in words.items() if value and (name, value) != ("weight", 1)]
    return " ".join([*told, *flags])


def _format_json(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_format_json(item) for item in value) + "]"
    if isinstance(value, dict):
        return " ".join(f"{name} {_format_json(item)}" for name, item in value.items())
    return str(value)
