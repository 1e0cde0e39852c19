"""Policy rules as the kernel goes through them: which packets one selects, and which packet one could be tried with.

Here must never live: whose a rule is, or what a table holds. Source: fib_rule_match in net/core/fib_rules.c,
fib4_rule_match in net/ipv4/fib_rules.c, fib6_rule_match in net/ipv6/fib6_rules.c.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping
from errno import EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH
from typing import Final

from routed.model import names, selection
from routed.model.attributes import DSCP, FLOWLABEL, Word, find_port_mask, has_more_than_a_rule, split
from routed.model.lookup import PLAIN, Flow, Question
from routed.model.net import IPV4, family_of, is_inside
from routed.model.objects import RuleMember

_ANY_PORT: Final = (0, 0)
_LOOPBACK: Final = "lo"  # by which this host's own packets come in (LOOPBACK_IFINDEX)

# What drops packets, by the type of a route: the error that the kernel answers with (fib_props in
# net/ipv4/fib_semantics.c, ip6_rt_type_to_error in net/ipv6/route.c). A rule may do the same by its action, which has
# the same numbers.
DEAD_ENDS: Final = {names.BLACKHOLE: EINVAL, names.UNREACHABLE: EHOSTUNREACH, names.PROHIBIT: EACCES}
RULE_ERRORS: Final = DEAD_ENDS | {names.UNREACHABLE: ENETUNREACH}  # fib4_rule_action, fib6_rule_action


def is_within(prefix: bytes, other: bytes) -> bool:
    """Does this prefix lie in that one, or equal it? ``b""`` is everything."""
    if not other:
        return True
    return bool(prefix) and prefix[-1] >= other[-1] and is_inside(prefix[:-1], other)


def selects(rule: RuleMember, question: Question) -> bool:
    """Is this packet one that the rule is for? One whose selector nobody here can read is for none."""
    return not has_more_than_a_rule(rule.extra) and _matches(rule, question) is not rule.inverted


def _matches(rule: RuleMember, question: Question) -> bool:
    flow = question.flow
    uid = flow.uid or 0
    return (
        (not rule.destination or is_inside(question.destination, rule.destination))
        and (not rule.source or (bool(flow.source) and is_inside(flow.source, rule.source)))
        and (not rule.iif or rule.iif == (flow.iif or _LOOPBACK))
        and (not rule.oif or rule.oif == flow.oif)
        and not (rule.fwmark ^ flow.mark) & rule.fwmask
        and rule.tos in {0, flow.tos}
        and rule.ipproto in {0, flow.ipproto}
        and fits_ports("sport", rule, flow.sport)
        and fits_ports("dport", rule, flow.dport)
        and (rule.uidrange is None or rule.uidrange[0] <= uid <= rule.uidrange[1])
        and (not rule.extra or all(fits(rule, flow) for fits in WORDS.values()))
    )


def fits_ports(word: str, rule: RuleMember, port: int) -> bool:
    """Is this port among those of ``sport`` or ``dport``?"""
    first, last = getattr(rule, word)
    if first == last and rule.extra:
        return not (first ^ port) & find_port_mask(word, rule.extra) or (first, last) == _ANY_PORT
    return (first, last) == _ANY_PORT or first <= port <= last


def _fits_dscp(rule: RuleMember, flow: Flow) -> bool:
    return _fits_masked(DSCP, rule, flow.tos >> 2)


def _fits_label(rule: RuleMember, _flow: Flow) -> bool:
    """Of a packet without a flow label: nobody asks about others."""
    return _fits_masked(FLOWLABEL, rule, 0)


def _fits_masked(row: Word, rule: RuleMember, value: int) -> bool:
    attributes = split(rule.extra)
    if row.number not in attributes:
        return True
    wanted, mask = row.read(attributes)
    return not (wanted ^ value) & mask


# The words of a rule that are attributes of their own: is it for packets of this flow?
WORDS: Final[Mapping[str, Callable[[RuleMember, Flow], bool]]] = {DSCP.name: _fits_dscp, FLOWLABEL.name: _fits_label}


def covers(rule: RuleMember, other: RuleMember) -> bool:
    """Is every packet of the other rule also for this one?

    An inverted rule is taken to be for all that it does not name: it leaves out what is special, as the packets of the
    tunnel itself, by their mark.
    """
    one, two = _selector_of(rule), _selector_of(other)
    if rule.extra or (other.inverted and one != RuleMember(0)):
        return one == two
    if rule.inverted:
        return not selection.covers(one._replace(inverted=False), two)
    return selection.covers(one, two._replace(inverted=False))


def _selector_of(rule: RuleMember) -> RuleMember:
    """The rule without what it does and when."""
    return selection.strip_action(rule)._replace(priority=0)


def make_flow(rule: RuleMember, family: int, own: Collection[bytes], links: Container[str]) -> Flow | None:
    """A packet that the rule is for, but for its destination; None where there is none that could be asked about.

    ``own`` are the addresses of this host, one of which is taken for a source where it can be; ``links`` are the names
    of those that are there.
    """
    if (
        has_more_than_a_rule(rule.extra)
        or rule.l3mdev
        or any(name and name not in links for name in (rule.iif, rule.oif))
    ):
        return None
    if rule.inverted:
        return PLAIN if not _matches(rule, Question(_any_of(rule, family))) else None
    if not _fits_label(rule, PLAIN):
        return None
    source = rule.source and next((one for one in own if is_inside(one, rule.source)), rule.source[:-1])
    iif = "" if rule.iif == _LOOPBACK else rule.iif
    if source and source not in own and family == IPV4 and not iif:
        iif = _LOOPBACK  # such a packet is not this host's own: it only goes where this host forwards
    return Flow(
        source,
        iif,
        rule.oif,
        rule.fwmark,
        rule.tos or _find_tos(rule),
        rule.ipproto,
        rule.sport[0],
        rule.dport[0],
        None if rule.uidrange is None else rule.uidrange[0],
    )


def _find_tos(rule: RuleMember) -> int:
    attributes = split(rule.extra)
    return DSCP.read(attributes)[0] << 2 if DSCP.number in attributes else 0


def _any_of(rule: RuleMember, family: int) -> bytes:
    """Some address that an inverted rule does not name, or one that it does where it names all."""
    width = 4 if family == IPV4 else 16
    if rule.destination and family_of(rule.destination) == family:
        return bytes(byte ^ 0xFF for byte in rule.destination[:-1])
    return bytes(width)
