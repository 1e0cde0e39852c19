"""Assumptions: what might be, in place of what is, for a plan that says what would happen then.

One row a kind. ``check:wan1=down`` is KIND:NAME=WORD. A row of facts says which fact has another value; the other rows
are of things that the kernel has, whose names only the host knows: what happens to those is a row of
``core.linux.suppose``. Here must never live what follows from it: the story has no other way for what is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from routed.model.assumption import Assumptions, Happening
from routed.model.checks import CHECK, CheckState, Ruling
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey, Facts, Freshness
from routed.model.members import MEMBERS, Roster
from routed.model.reasons import Assumed, Misfit, Unassumable

FILE: Final = "file"  # the one assumption that has no word: other files are in force
MEMBER: Final = "member"
MOST_NAMED: Final = 12  # names that are told where another one was asked for


class AssumptionError(Exception):
    """Nobody can assume that."""

    def __init__(self, why: Unassumable) -> None:
        super().__init__(why)
        self.why = why


class Assumable(NamedTuple):
    """What can be assumed of one kind."""

    choices: tuple[str, ...]  # the words that may stand behind the name
    # of what, by these files; None: only the host knows
    list_names: Callable[[Intent], Iterable[str]] | None = None
    values: Mapping[str, Any] = {}  # of a fact, by the word for each
    # all facts of this kind into the store, wherever such facts are read from
    lay: Callable[[Facts, Mapping[FactKey, Fact]], Facts] | None = None
    # the names that these facts know, where the files do not say them; None: they do
    list_known: Callable[[Facts], Iterable[str]] | None = None
    form: str = "NAME"  # what stands before the word


def _list_checks(intent: Intent) -> Iterable[str]:
    return (check.name for check in intent.checks if not check.is_template)


def _lay_told(facts: Facts, assumed: Mapping[FactKey, Fact]) -> Facts:
    return facts.put(told={**facts.told, **assumed})


def _lay_members(facts: Facts, assumed: Mapping[FactKey, Fact]) -> Facts:
    gone = {key.which for key in assumed}
    told = dict(facts.told)
    for key, fact in facts.told.items():
        if key.what == MEMBERS and isinstance(fact.value, Roster):
            present = {
                name: one for name, one in fact.value.present.items() if gone.isdisjoint(_name_member(key.which, name))
            }
            if len(present) < len(fact.value.present):
                told[key] = fact._replace(value=fact.value._replace(present=present))
    return facts.put(told=told)


def _list_members(facts: Facts) -> Iterable[str]:
    for key, fact in facts.told.items():
        if key.what == MEMBERS and isinstance(fact.value, Roster):
            for name in fact.value.present:
                yield from _name_member(key.which, name)


def _name_member(source: object, name: str) -> tuple[str, str]:
    return name, f"{source}/{name}"


ASSUMABLE: Final[Mapping[str, Assumable]] = {
    "link": Assumable(("down", "up", "no-carrier", "gone")),
    "address": Assumable(("gone",), form="ADDRESS"),
    CHECK: Assumable(
        (CheckState.UP, CheckState.DOWN),
        _list_checks,
        {CheckState.UP: Ruling(True, Assumed.IN_PLAN), CheckState.DOWN: Ruling(False, Assumed.IN_PLAN)},
        _lay_told,
    ),
    MEMBER: Assumable(("gone",), values={"gone": None}, lay=_lay_members, list_known=_list_members),
    FILE: Assumable((), form="PATH"),
}


def split_assumption(given: str) -> tuple[str, str, str]:
    """``check:wan1=down`` as its kind, name and word; that of a file is empty. Raises AssumptionError."""
    kind, _, rest = given.partition(":")
    if kind == FILE and rest:
        return kind, rest, ""
    name, _, word = rest.rpartition("=")
    if not name or kind not in ASSUMABLE:
        raise AssumptionError(Unassumable(given, Misfit.FORM, _list_forms(kind)))
    if word not in ASSUMABLE[kind].choices:
        raise AssumptionError(Unassumable(given, Misfit.WORD, ASSUMABLE[kind].choices))
    return kind, name, word


def _list_forms(kind: str) -> tuple[str, ...]:
    """How what can be assumed is written, of one kind where it is known."""
    rows = {kind: ASSUMABLE[kind]} if kind in ASSUMABLE else ASSUMABLE
    return tuple(
        f"{name}:{row.form}{f'={word}' if word else ''}" for name, row in rows.items() for word in row.choices or ("",)
    )


def read_assumptions(every: Iterable[str], intent: Intent) -> Assumptions:
    """What these stand for, with these files in force. Raises AssumptionError.

    Whether the host has what they name is known only when they are laid.
    """
    facts: dict[FactKey, Fact] = {}
    happenings: list[Happening] = []
    words: dict[tuple[str, str], str] = {}
    known: dict[str, set[str]] = {}
    every = tuple(every)
    for given in every:
        kind, name, word = split_assumption(given)
        row = ASSUMABLE[kind]
        if row.list_names is not None:
            if kind not in known:
                known[kind] = set(row.list_names(intent))
            if name not in known[kind]:
                raise AssumptionError(Unassumable(given, Misfit.NAME, name_few(known[kind])))
        if words.setdefault((kind, name), word) != word:
            raise AssumptionError(Unassumable(given, Misfit.CONTRADICTION))
        if kind == FILE:
            continue
        if row.lay is not None:
            facts[FactKey(kind, name)] = Fact(row.values[word], Freshness.LIVE)
        elif (happening := Happening(kind, name, word)) not in happenings:
            happenings.append(happening)
    return Assumptions(every, facts, tuple(happenings), find_file(every))


def find_file(every: Iterable[str]) -> str:
    """The file whose place the files in force are to take; empty where they are to stay. Raises AssumptionError."""
    files = {name for kind, name, _ in map(split_assumption, every) if kind == FILE}
    if len(files) > 1:
        raise AssumptionError(Unassumable(f"{FILE}:{max(files)}", Misfit.CONTRADICTION))
    return next(iter(files), "")


def lay(facts: Facts, assumed: Mapping[FactKey, Fact]) -> Facts:
    """The store in which what is assumed stands in place of what is known."""
    for kind, row in ASSUMABLE.items():
        of_kind = {key: fact for key, fact in assumed.items() if key.what == kind}
        if of_kind and row.lay is not None:
            facts = row.lay(facts, of_kind)
    return facts


def check_facts(facts: Facts, assumed: Mapping[FactKey, Fact]) -> None:
    """Is all that is assumed of what these facts know? Raises AssumptionError."""
    for key in assumed:
        list_known = ASSUMABLE[key.what].list_known
        if list_known is not None and key.which not in (known := set(list_known(facts))):
            raise AssumptionError(Unassumable(f"{key.what}:{key.which!s}", Misfit.NAME, name_few(known)))


def name_few(known: Iterable[str]) -> tuple[str, ...]:
    """Names that could stand there, and not too many of them."""
    names = sorted(known)
    return tuple(names[:MOST_NAMED]) if len(names) <= MOST_NAMED else (*names[:MOST_NAMED], "another")
