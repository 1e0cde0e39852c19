"""Which route the kernel sends a packet by: RTM_GETROUTE with RTM_F_FIB_MATCH, as Linux 6.18 answers it.

Source: fib_rules_lookup in net/core/fib_rules.c, fib_table_lookup in net/ipv4/fib_trie.c; tried with ``ip route get
fibmatch``. What it leaves out: uids, ports and VRFs.
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH
from typing import Final

from routed.core.linux.state import LinuxState
from routed.core.rules import WORDS
from routed.model import names
from routed.model.lookup import Decision, Question
from routed.model.net import IPV4, family_of, is_inside, network_of
from routed.model.objects import Hop, Kind, RouteSlot, RouteValue, RuleMember, Standing

ROUTE_ERRORS: Final = {names.BLACKHOLE: EINVAL, names.UNREACHABLE: EHOSTUNREACH, names.PROHIBIT: EACCES}
RULE_ERRORS: Final = {names.BLACKHOLE: EINVAL, names.UNREACHABLE: ENETUNREACH, names.PROHIBIT: EACCES}


def look_up(state: LinuxState, question: Question, links: Mapping[str, int]) -> Decision:
    """The route, or the error of what drops the packet."""
    del links
    family = family_of(question.destination)
    rules = [one.member for one in state.stand(Kind.RULE) if one.slot.family == family]
    chosen = sorted((rule for rule in rules if isinstance(rule, RuleMember)), key=lambda rule: rule.priority)
    jump = 0
    for rule in chosen:
        if rule.priority < jump or _selects(rule, question) is rule.inverted:
            continue
        if rule.action == names.GOTO:
            jump = rule.target
        elif rule.action in RULE_ERRORS:
            return Decision(errno=RULE_ERRORS[rule.action])
        elif rule.action == names.TO_TABLE:
            found = _find_best(state, question, family, rule.table)
            if found is None or (len(found.member) and found.member[-1] <= rule.suppress_prefixlength):
                continue
            if found.value.type != names.THROW:
                error = ROUTE_ERRORS.get(found.value.type, 0)
                return Decision(errno=error) if error else Decision(found)
    return Decision(errno=ENETUNREACH)


def _selects(rule: RuleMember, question: Question) -> bool:
    flow = question.flow
    return (
        (not rule.source or bool(flow.source and is_inside(flow.source, rule.source)))
        and (not rule.destination or is_inside(question.destination, rule.destination))
        and (not rule.iif or rule.iif == (flow.iif or "lo"))
        and (not rule.oif or rule.oif == flow.oif)
        and flow.mark & rule.fwmask == rule.fwmark & rule.fwmask
        and rule.tos in {0, flow.tos}
        and (not rule.extra or all(fits(rule, flow) for fits in WORDS.values()))
    )


def _find_best(state: LinuxState, question: Question, family: int, table: int) -> Standing | None:
    """The longest prefix, then the type of service, then the lowest metric; of aliases the first that can be used."""
    here = [
        (slot, members)
        for slot, members in state.objects[Kind.ROUTE].items()
        if isinstance(slot, RouteSlot) and (slot.family, slot.table) == (family, table) and not slot.source
    ]
    here = [one for one in here if one[0].tos in {0, question.flow.tos}]
    if not here:
        return None
    here.sort(key=lambda one: (-one[0].tos, one[0].metric))
    for length in sorted(state.lengths.get(family, ()), reverse=True):
        prefix = network_of(question.destination, length)
        for slot, members in here:
            for value in members.get(prefix, ()):
                if can_be_used(state, family, value, question.flow.oif):
                    return Standing(slot, prefix, state.show(value))
    return None


def can_be_used(state: LinuxState, family: int, value: RouteValue, oif: str = "") -> bool:
    """Has this route a leg by which packets go now, or needs it none? On a named link, where one is named."""
    hops = state.show(value).hops
    return not hops or any(
        is_usable(state, family, hop) and (not oif or state.links[hop.dev].name == oif) for hop in hops
    )


def is_leg_usable(state: LinuxState, family: int, value: RouteValue, hop: Hop) -> bool:
    """Do packets go by this leg of a route? What is for this host itself does, however its link is."""
    return is_free_of_link(family, value) or is_usable(state, family, hop)


def is_free_of_link(family: int, value: RouteValue) -> bool:
    """Does it stay in use while its link is down? Of IPv4 what is for this host: its leg is RT_SCOPE_NOWHERE.

    fib_create_info and fib_sync_down_dev in net/ipv4/fib_semantics.c.
    """
    return family == IPV4 and value.scope == names.HOST


def is_usable(state: LinuxState, family: int, hop: Hop) -> bool:
    """Is the link of this leg up, and has it a carrier, where that counts?"""
    link = state.links.get(hop.dev)
    if link is None or not link.is_up:
        return False
    return link.has_carrier or family not in state.sysctls_of(hop.dev).ignores_linkdown


def find_in_main(state: LinuxState, address: bytes) -> RouteValue | None:
    """The route of table main that carries an address: longest prefix, then lowest metric."""
    found = _find_best(state, Question(address), family_of(address), names.TABLE_MAIN)
    value: RouteValue | None = found.value if found else None
    return value
