"""Assumptions: facts as they might be, in place of what is known, for a plan that says what would happen then.

One row a kind. ``check:wan1=down`` is KIND:NAME=WORD: the fact of that kind and name has the value that the word
stands for. Here must never live what follows from it: the story has no other way for what is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from routed.model.checks import CHECK, CheckState, Ruling
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey, Facts, Freshness
from routed.model.reasons import Assumed, Misfit, Unassumable


class AssumptionError(Exception):
    """Nobody can assume that."""

    def __init__(self, why: Unassumable) -> None:
        super().__init__(why)
        self.why = why


class Assumable(NamedTuple):
    """What can be assumed of one kind of fact."""

    values: Mapping[str, Any]  # by the word for each
    list_names: Callable[[Intent], Iterable[str]]  # of what, by these files
    lay: Callable[[Facts, FactKey, Fact], Facts]  # into the store, wherever such facts are read from


def _list_checks(intent: Intent) -> Iterable[str]:
    return (check.name for check in intent.checks if not check.is_template)


def _lay_told(facts: Facts, key: FactKey, fact: Fact) -> Facts:
    return facts.put(told={**facts.told, key: fact})


ASSUMABLE: Final[Mapping[str, Assumable]] = {
    CHECK: Assumable(
        {CheckState.UP: Ruling(True, Assumed.IN_PLAN), CheckState.DOWN: Ruling(False, Assumed.IN_PLAN)},
        _list_checks,
        _lay_told,
    )
}


def split_assumption(given: str) -> tuple[str, str, str]:
    """``check:wan1=down`` as its kind, name and word. Raises AssumptionError."""
    kind, _, rest = given.partition(":")
    name, _, word = rest.rpartition("=")
    if not name or kind not in ASSUMABLE:
        forms = tuple(f"{known}:NAME={word}" for known, row in ASSUMABLE.items() for word in row.values)
        raise AssumptionError(Unassumable(given, Misfit.FORM, forms))
    if word not in ASSUMABLE[kind].values:
        raise AssumptionError(Unassumable(given, Misfit.WORD, tuple(ASSUMABLE[kind].values)))
    return kind, name, word


def read_assumptions(every: Iterable[str], intent: Intent) -> dict[FactKey, Fact]:
    """The facts that these stand for, with these files in force. Raises AssumptionError."""
    assumed: dict[FactKey, Fact] = {}
    for given in every:
        kind, name, word = split_assumption(given)
        row = ASSUMABLE[kind]
        if name not in (names := tuple(sorted(row.list_names(intent)))):
            raise AssumptionError(Unassumable(given, Misfit.NAME, names))
        fact = Fact(row.values[word], Freshness.LIVE)
        if assumed.setdefault(FactKey(kind, name), fact) != fact:
            raise AssumptionError(Unassumable(given, Misfit.CONTRADICTION))
    return assumed


def lay(facts: Facts, assumed: Mapping[FactKey, Fact]) -> Facts:
    """The store in which what is assumed stands in place of what is known."""
    for key, fact in assumed.items():
        facts = ASSUMABLE[key.what].lay(facts, key, fact)
    return facts
