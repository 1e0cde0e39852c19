"""Selection: which packets a rule selects, as far as two rules can be compared by it.

Here lives what follows from the words of two rules alone, and never which of them comes first.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from routed.model.attributes import PORT_MASKS, has_more_than_a_rule, split
from routed.model.net import contains
from routed.model.objects import RuleMember

Bounds: TypeAlias = tuple[int, int] | None

_EXACT: Final = ("tos", "iif", "oif", "ipproto")
_SPANS: Final[tuple[tuple[str, Bounds], ...]] = (("sport", (0, 0)), ("dport", (0, 0)), ("uidrange", None))


def strip_action(rule: RuleMember) -> RuleMember:
    """What a rule selects, without what it does about it."""
    plain = RuleMember(rule.priority)
    return rule._replace(
        action=plain.action,
        table=plain.table,
        target=plain.target,
        l3mdev=plain.l3mdev,
        suppress_prefixlength=plain.suppress_prefixlength,
        suppress_ifgroup=plain.suppress_ifgroup,
    )


def decide_alike(one: RuleMember, other: RuleMember) -> bool:
    """Do both send what they select the same way?"""
    return (one.action, one.table, one.target) == (other.action, other.table, other.target)


def covers(wide: RuleMember, narrow: RuleMember) -> bool:
    """Is it certain that the one selects all that the other selects? Of attributes without a word nothing is.

    Of those with a word it is where both say the same, or only the narrow one says any: but for the mask of a port, by
    which that one selects more.
    """
    wide, narrow = strip_action(wide), strip_action(narrow)
    if wide == narrow:
        return True
    if wide.inverted or narrow.inverted or not _say_more(wide.extra, narrow.extra):
        return False
    plain = RuleMember(wide.priority)
    return (
        (not wide.source or contains(wide.source, narrow.source))
        and (not wide.destination or contains(wide.destination, narrow.destination))
        and all(getattr(wide, word) in {getattr(plain, word), getattr(narrow, word)} for word in _EXACT)
        and wide.fwmask & narrow.fwmask == wide.fwmask
        and wide.fwmark & wide.fwmask == narrow.fwmark & wide.fwmask
        and all(_spans(getattr(wide, word), getattr(narrow, word), all_of_it) for word, all_of_it in _SPANS)
    )


def _say_more(wide: bytes, narrow: bytes) -> bool:
    if wide == narrow:
        return not has_more_than_a_rule(wide)
    return not (wide or has_more_than_a_rule(narrow)) and split(narrow).keys().isdisjoint(PORT_MASKS.values())


def is_no_more(general: bytes, narrow: bytes) -> bool:
    """Does the kernel take the attributes of a rule for those of another, of which they say no more?

    Only masks of ports it always compares, since a port has one anyway (rule_exists and rule_find in
    net/core/fib_rules.c, fib4_rule_compare, fib6_rule_compare).
    """
    if general == narrow:
        return True
    mine, theirs = split(general), split(narrow)
    return mine.items() <= theirs.items() and all(mine.get(one) == theirs.get(one) for one in PORT_MASKS.values())


def may_meet(one: RuleMember, other: RuleMember) -> bool:
    """May both select a packet, and decide differently about it? True where that is not certain."""
    if one.inverted or other.inverted:
        return not decide_alike(one, other)
    return not _are_prefixes_apart(one.source, other.source) and not (
        decide_alike(one, other) or _are_apart(one, other)
    )


def _are_apart(one: RuleMember, other: RuleMember) -> bool:
    """By something else than the source, which is asked first: by it most rules are told apart."""
    plain = RuleMember(one.priority)
    words = ((getattr(one, word), getattr(other, word), getattr(plain, word)) for word in _EXACT)
    return (
        _are_prefixes_apart(one.destination, other.destination)
        or any(mine != theirs and unset not in {mine, theirs} for mine, theirs, unset in words)
        or bool((one.fwmark ^ other.fwmark) & one.fwmask & other.fwmask)
        or any(_are_spans_apart(getattr(one, word), getattr(other, word), all_of_it) for word, all_of_it in _SPANS)
    )


def _are_prefixes_apart(one: bytes, other: bytes) -> bool:
    return bool(one) and bool(other) and not contains(one, other) and not contains(other, one)


def _spans(wide: Bounds, narrow: Bounds, all_of_it: Bounds) -> bool:
    if wide in (all_of_it, narrow):
        return True
    if wide is None or narrow is None or narrow == all_of_it:
        return False
    return wide[0] <= narrow[0] and narrow[1] <= wide[1]


def _are_spans_apart(one: Bounds, other: Bounds, all_of_it: Bounds) -> bool:
    if one is None or other is None or all_of_it in (one, other):
        return False
    return one[1] < other[0] or other[1] < one[0]
