"""Policy rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from routed.core.kinds.cures import add_or_delete, operate, take_away, wanted_of
from routed.model import names
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.objects import Member, RuleMember, RuleSlot, RuleValue, Slot, Value
from routed.model.owner import Stamp

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
    return Nature.EXTRA if any(other != want.value and stamp(other).is_ours for other in standing) else None


def cure_rule(drift: Drift, stamp: Stamp) -> list[Operation]:
    """A rule cannot be edited: the new one comes first, then the old one goes."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS} and not drift.want:
        return add_or_delete(drift)
    wanted = wanted_of(drift)
    new = [operate(Verb.ADD, drift, None)] if drift.nature is Nature.MISSING else []
    old = [take_away(drift, other) for other in drift.standing if stamp(other).is_ours and other != wanted]
    return new + old


def rank_rule(rule: RuleMember, _value: RuleValue) -> int:
    """The general ones before the narrow ones, told by how many selectors they have.

    The kernel takes a general rule for equal to a narrower one of the same priority that is there already, and refuses
    it (rule_exists in net/core/fib_rules.c).
    """
    plain = RuleMember(rule.priority)
    return sum(mine != default for mine, default in zip(rule, plain, strict=True))


def is_way_to_anything(_watched: frozenset[bytes], _rules: Iterable[RuleMember]) -> bool:
    """A rule may move packets to anywhere."""
    return True
