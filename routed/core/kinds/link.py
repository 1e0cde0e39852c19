"""Links that routed made for others to stand on."""

from __future__ import annotations

from routed.core.kinds.cures import add_or_delete, is_as_wanted, operate, wanted_of
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.objects import LinkSlot, LinkValue
from routed.model.owner import Stamp


def judge_link(_slot: LinkSlot, want: Want, standing: tuple[LinkValue, ...], _stamp: Stamp) -> Nature | None:
    """One link bears a name, never more. Whose it is does not matter as long as it does its work."""
    if not standing:
        return Nature.MISSING
    return None if is_as_wanted(standing[0], want) else Nature.DIFFERENT


def cure_link(drift: Drift, _stamp: Stamp) -> list[Operation]:
    """Brought up in place. A link that somebody else made stays theirs: it is not marked, and never deleted."""
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return add_or_delete(drift)
    (before,) = drift.standing
    wanted: LinkValue = wanted_of(drift)
    return [operate(Verb.REPLACE, drift, before)._replace(value=wanted._replace(protocol=before.protocol))]
