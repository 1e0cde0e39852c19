"""Which route the kernel in memory sends a packet by: RTM_GETROUTE with RTM_F_FIB_MATCH, as Linux 6.18 answers it.

Source: fib_rules_lookup in net/core/fib_rules.c, fib_table_lookup in net/ipv4/fib_trie.c; tried with ``ip route get
fibmatch``. What it leaves out: table local, dead next hops, uids and ports.
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH
from typing import TYPE_CHECKING, Final

from routed.model import names
from routed.model.lookup import Decision, Question
from routed.model.net import family_of, is_inside, network_of
from routed.model.objects import Kind, Member, RouteSlot, RuleMember, Standing, Value

if TYPE_CHECKING:
    from tests.property.fake_kernel import FakeKernel

ROUTE_ERRORS: Final = {names.BLACKHOLE: EINVAL, names.UNREACHABLE: EHOSTUNREACH, names.PROHIBIT: EACCES}
RULE_ERRORS: Final = {names.BLACKHOLE: EINVAL, names.UNREACHABLE: ENETUNREACH, names.PROHIBIT: EACCES}


def look_up(kernel: FakeKernel, question: Question, links: Mapping[str, int]) -> Decision:
    """The route, or the error of what drops the packet."""
    del links
    family = family_of(question.destination)
    rules = [one.member for one in kernel.stand(Kind.RULE) if one.slot.family == family]
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
            found = _find_best(kernel, question, family, rule.table)
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
    )


def _find_best(kernel: FakeKernel, question: Question, family: int, table: int) -> Standing | None:
    """The longest prefix, then the type of service, then the lowest metric; of aliases the first."""
    here: list[tuple[RouteSlot, dict[Member, list[Value]]]] = [
        (slot, members)
        for slot, members in kernel.objects[Kind.ROUTE].items()
        if isinstance(slot, RouteSlot) and (slot.family, slot.table) == (family, table) and not slot.source
    ]
    here = [one for one in here if one[0].tos in {0, question.flow.tos}]
    here.sort(key=lambda one: (-one[0].tos, one[0].metric))
    for length in range(len(question.destination) * 8, -1, -1):
        prefix = network_of(question.destination, length)
        for slot, members in here:
            if values := members.get(prefix):
                return Standing(slot, prefix, values[0])
    return None
