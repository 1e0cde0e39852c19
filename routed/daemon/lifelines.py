"""Keeping lifelines: asking what the guard has to know before a plan is carried out.

Only a plan that may do harm costs a question, and one of single objects, which were in force before, costs none: what
was held back once stays so without asking, and what was left to somebody else is asked about. Here must never live:
what would decide (``core.lifelines``).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Any, Final

from routed.core.dirt import Dirt
from routed.core.guard import Limits, is_dead_end
from routed.core.kinds import KINDS
from routed.core.lifelines import MOST, Guarded, Lived, find_flows, hold_back, keep_lifelines, of_kind
from routed.daemon.dataplane import Dataplanes
from routed.daemon.host import Host
from routed.daemon.lookups import Lookups
from routed.daemon.ports import HostKernel
from routed.model.change import Operation, Plan
from routed.model.lookup import Flow, Question
from routed.model.net import (
    DEFAULT,
    FAMILIES,
    family_of,
    format_destination,
    format_prefix,
    is_inside,
    parse_prefix,
)
from routed.model.objects import AlikeRoutes, Key, Kind, Member, RuleMember, Scope, Standing
from routed.model.reasons import CutsOff, Lifeline

_LOOPBACK: Final = parse_prefix("127.0.0.0/8")
_PREFIXES: Final = "prefixes"  # the role of a file that lists them


def find_carriers(
    kernel: HostKernel, dataplanes: Dataplanes, plan: Plan, limits: Limits
) -> Generator[None, None, dict[bytes, set[Key]]]:
    """Which routes carry each SSH peer, where a plan leaves one alone that contains a peer. Raises OSError."""
    rules = yield from _read_rules(dataplanes)
    carriers: dict[bytes, set[Key]] = {}
    for peer, flow in (yield from _find_sessions(kernel, plan, rules, limits)):
        winner = kernel.find_winner(Question(peer, flow), {}).winner
        if winner is not None:
            carriers.setdefault(peer, set()).add(Key(Kind.ROUTE, winner.slot, winner.member))
    return carriers


def guard_lifelines(
    kernel: HostKernel, dataplanes: Dataplanes, host: Host, plan: Plan, dirt: Dirt, limits: Limits
) -> Generator[None, None, Plan]:
    """The plan without what would cut off what this host lives by. Raises OSError."""
    if not dirt.needs_dump and not _puts_what_was_left(host, plan):
        return hold_back(plan, lambda key: _find_known(host, key))
    rules = yield from _read_rules(dataplanes)
    desired = host.wanted.desired

    def is_wanted(key: Key, entry: str) -> bool:
        want = desired.get(key)
        return want is not None and want.entry.name == entry

    guarded = Guarded(
        rules.__getitem__,
        is_wanted,
        lambda operation, member: find_line(host, operation, member),
        lambda key: key in limits.contacted,
        lambda name: link.ifindex if (link := host.world.facts.link_named(name)) else 0,
    )
    sessions = yield from _find_sessions(kernel, plan, rules, limits)
    lived = [*(Lived(peer, Lifeline.SESSION, flow) for peer, flow in sessions), *_find_others(host)]
    return (yield from Lookups(kernel, dataplanes, {}).drive(keep_lifelines(plan, lived, guarded)))


def _read_rules(dataplanes: Dataplanes) -> Generator[None, None, dict[int, list[RuleMember]]]:
    rules: dict[int, list[RuleMember]] = {}
    for family in FAMILIES:
        dump = yield from dataplanes.by_kind[Kind.RULE].read_dump(Scope(Kind.RULE, family))
        rules[family] = [one.member for one in _spread(dump.chunks())]  # type: ignore[misc]
    return rules


def _find_sessions(
    kernel: HostKernel, plan: Plan, rules: dict[int, list[RuleMember]], limits: Limits
) -> Generator[None, None, list[tuple[bytes, Flow]]]:
    """The peers of SSH sessions, each with the packets to it that rules tell apart, those of the plan as well."""
    found: list[tuple[bytes, Flow]] = []
    own: list[bytes] | None = None
    for peer in sorted(limits.ssh_peers):
        family = family_of(peer)
        every: list[Any] = [*rules[family]]
        for operation in of_kind(plan.operations, Kind.RULE, family):
            every += operation.members
        if own is None and any(rule.source for rule in every):
            own = [member.address for member in (yield from kernel.read_addresses())]
        mine = [address for address in own or () if len(address) == len(peer) and not is_inside(address, _LOOPBACK)]
        found += [(peer, flow) for flow in find_flows(every, mine)]
    return found


def _puts_what_was_left(host: Host, plan: Plan) -> bool:
    """Is there a dead end whose place was left to somebody, who may be gone by now? Nobody asked what it cuts off."""
    dead_ends = (one for one in plan.operations if is_dead_end(one))
    keys = (Key(one.kind, one.slot, member) for one in dead_ends for member in one.members)
    reasons = (host.ledger.find_conflict(key) for key in keys)
    return any(one is not None and not isinstance(one, CutsOff) for one in reasons)


def _find_known(host: Host, key: Key) -> CutsOff | None:
    trouble = host.ledger.troubles.get(key)
    return trouble.reason if trouble and isinstance(trouble.reason, CutsOff) else None


def _find_others(host: Host) -> Iterator[Lived]:
    yield from (Lived(DEFAULT[family][:-1], Lifeline.DEFAULT) for family in FAMILIES)
    gateways = {
        hop.gateway
        for members in host.wanted.desired.wants[Kind.ROUTE].values()
        for want in (*members.single.values(), *(crowd.want for crowd in members.crowds))
        if want.value is not None
        for one in want.value.aliases
        for hop in one.hops
        if hop.gateway
    }
    yield from (Lived(gateway, Lifeline.GATEWAY) for gateway in sorted(gateways)[:MOST])


def _spread(chunks: Any) -> Iterator[Standing]:
    for chunk in chunks:
        yield from chunk.spread() if isinstance(chunk, AlikeRoutes) else chunk


def find_line(host: Host, operation: Operation, member: Member) -> str:
    """The line of a prefix file that lists this member, ``/etc/routed.d/drop.txt:17``; empty where none does."""
    if operation.entry is None or not KINDS[operation.kind].are_prefixes:
        return ""
    assert isinstance(member, bytes)
    forms = "|".join(re.escape(form) for form in {format_prefix(member), format_destination(member)})
    line = re.compile(rf"^[ \t]*(?:{forms})[ \t\r]*(?:[#;].*)?$".encode(), re.MULTILINE)
    for source in host.wanted.intent.sources:
        match = line.search(source.content) if source.role == _PREFIXES else None
        if match:
            before = source.content.count(b"\n", 0, match.start())
            return f"{source.path}:{before + 1}"
    return ""
