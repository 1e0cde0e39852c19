"""Policy rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from routed.core.kinds.cures import add_or_delete, operate, take_away, take_away_other
from routed.core.kinds.lines import Line
from routed.model import names
from routed.model.attributes import split
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.entries import OnConflict
from routed.model.objects import Member, RuleMember, RuleSlot, Slot, Value
from routed.model.owner import Stamp
from routed.model.reasons import OtherMark
from routed.model.selection import covers, decide_alike, is_no_more, may_meet, strip_action
from routed.model.text import mark_name

DEFAULT_RULES: Final[Mapping[Slot, frozenset[Member]]] = {
    RuleSlot(family): frozenset(RuleMember(priority, table=table) for priority, table in rules.items())
    for family, rules in names.DEFAULT_RULES.items()
}


_PRIORITY_OF: Final = {table: priority for rules in names.DEFAULT_RULES.values() for priority, table in rules.items()}


def find_default_rule(rule: RuleMember) -> RuleMember:
    """The default rule whose work this one does: any rule without a selector that looks up the same table.

    Cilium and hosts with a VRF move the rule of table local behind rules of their own (net/core/fib_rules.c:
    l3mdev asks for it, Documentation/networking/vrf.rst).
    """
    priority = _PRIORITY_OF.get(rule.table)
    is_plain = priority is not None and rule == RuleMember(rule.priority, table=rule.table)
    return RuleMember(priority, table=rule.table) if is_plain and priority is not None else rule


def judge_rule(_slot: RuleSlot, want: Want, standing: tuple[Value, ...], stamp: Stamp) -> Nature | None:
    """The protocol is part of a rule's key: a stranger's twin stands beside ours and takes nothing from it."""
    if want.value not in standing:
        return Nature.MISSING
    return Nature.EXTRA if _find_leaving(want, standing, stamp) else None


def _find_leaving(want: Want, standing: tuple[Value, ...], stamp: Stamp) -> list[Value]:
    """What goes once ours is there: ours of before, and the twins of others where the entry says replace."""
    replaces = want.entry.on_conflict is OnConflict.REPLACE
    return [other for other in standing if other != want.value and (replaces or stamp(other).is_ours)]


def cure_rule(drift: Drift, stamp: Stamp) -> list[Operation]:
    """A rule cannot be edited: the new one comes first, then the old one goes."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS} and not drift.want:
        return add_or_delete(drift)
    if drift.nature is Nature.FOREIGN:
        return [take_away_other(drift, one) for one in drift.others]
    if drift.nature is Nature.OUT_OF_ORDER:
        return [operate(Verb.CHANGE, drift, drift.standing[0])]
    assert drift.want is not None
    # PREPEND is not exclusive: the kernel refuses a rule that it takes for a narrower one
    verb = Verb.PREPEND if drift.others else Verb.ADD
    leaving = _find_leaving(drift.want, drift.standing, stamp)
    twins = [other for other in leaving if not stamp(other).is_ours]
    new = [operate(verb, drift, None)] if drift.nature is Nature.MISSING else []
    if twins:
        new = [_as_adoption(one._replace(before=twins[0])) for one in new]
    old = [take_away(drift, other) for other in leaving]
    return new + [_as_adoption(one) if one.value in twins else one for one in old]


def _as_adoption(operation: Operation) -> Operation:
    """Ours is put beside the twin of somebody else, and the twin goes: it comes back when ours goes."""
    return operation._replace(nature=Nature.FOREIGN, reason=OtherMark(mark_name(operation.kind)))


def _count_words(rule: RuleMember) -> int:
    """How much a rule says beside its priority."""
    fields = zip(rule._replace(extra=b""), RuleMember(rule.priority), strict=True)
    return sum(mine != default for mine, default in fields) + len(split(rule.extra))


def _is_taken_for(general: RuleMember, narrow: RuleMember) -> bool:
    """Does the kernel take the one for the other, of which it says nothing that the other does not say?

    Behind it the kernel refuses the general one, and deletes the narrow one when asked for the general one (rule_exists
    and rule_find in net/core/fib_rules.c). Both look up the same table.
    """
    plain = RuleMember(general.priority)
    bare = general._replace(extra=b"")
    return (
        decide_alike(general, narrow)
        and all(mine in (default, theirs) for mine, default, theirs in zip(bare, plain, narrow, strict=True))
        and is_no_more(general.extra, narrow.extra)
    )


def overrules(front: RuleMember, rule: RuleMember) -> bool:
    """Does a rule decide for every packet that the other selects, and otherwise than that one would?

    What decides for some packets only is left out: ``suppress_prefixlength`` and its like, the table of a VRF, table
    local. Whether the table has a route for them is another question.
    """
    is_partial = front.l3mdev or front.suppress_prefixlength >= 0 or front.suppress_ifgroup >= 0
    if is_partial or front.action == names.NOP or front.table == names.TABLE_LOCAL:
        return False
    return not decide_alike(front, rule) and covers(front, rule)


def _priority_of(rule: RuleMember) -> int:
    return rule.priority


def _area_of(rule: RuleMember) -> bytes:
    return b"" if rule.inverted else rule.source


RULES_IN_LINE: Final = Line(
    of=_priority_of,
    must_precede=_is_taken_for,
    narrowness=_count_words,
    place=strip_action,
    meets=may_meet,
    area=_area_of,
    overrules=overrules,
    can_be_overruled=True,
)


def is_way_to_anything(_watched: frozenset[bytes], _rules: Iterable[RuleMember]) -> bool:
    """A rule may move packets to anywhere."""
    return True


def list_prefixes_of_rule(_slot: RuleSlot, rule: RuleMember) -> tuple[bytes, ...]:
    """Where packets come from, and where they go to."""
    return tuple(prefix for prefix in (rule.source, rule.destination) if prefix)
