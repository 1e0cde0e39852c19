"""The state between passes has owners: each part is written by the methods of its own file, and by nobody else.

What counts as a write is read from the syntax tree: whatever is assigned or deleted at a field of a part or below it,
and whatever is called there that changes something, be it under a name that was given to it before.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final

from routed.core.desired import Desired
from routed.core.former import Former
from routed.core.schedule import Schedule
from routed.core.timetable import Timetable
from routed.core.troubles import Troubles
from routed.daemon import host
from routed.daemon.host import Host
from routed.daemon.ledger import Ledger
from routed.daemon.under_way import UnderWay
from routed.daemon.wanted import Wanted
from routed.daemon.world import World

ROUTED: Final = Path(host.__file__).parent.parent
PARTS: Final[dict[str, type]] = {
    "wanted": Wanted,
    "world": World,
    "ledger": Ledger,
    "schedule": Schedule,
    "timetable": Timetable,
    "under_way": UnderWay,
}
FIELDS: Final = {part: {one.name for one in fields(kind)} for part, kind in PARTS.items()}
# What the schedule is told by several parts at once stands in the frame.
OWNERS: Final = {part: {inspect.getfile(kind)} for part, kind in PARTS.items()}
OWNERS["schedule"].add(inspect.getfile(Host))

# Whose own methods are told what happened by whoever sees it: what is to be looked at, what failed, what came up.
TOLD: Final = frozenset({"dirt", "holds", "announcements"})
CONTAINER: Final = frozenset(
    {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "setdefault", "update"}
)

EXCEPTIONS: Final[dict[tuple[str, str], str]] = {
    ("daemon/engine.py", "timetable.retry_at = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** self._failures)"): (
        "what follows when a pass fails is the engine's business alone, and this is the moment of it"
    ),
    ("daemon/engine.py", "self.timetable.retry_at = 0.0"): "likewise",
    ("daemon/loop.py", "engine.timetable.on_sooner = self._arm_sooner"): "who waits says how he is woken",
}  # fmt: skip


def test_nobody_writes_what_he_does_not_own() -> None:
    assert set(_find_all()) - EXCEPTIONS.keys() == set()


def test_every_exception_is_still_there_and_has_a_reason() -> None:
    assert EXCEPTIONS.keys() - set(_find_all()) == set()
    assert all(EXCEPTIONS.values())


def test_the_frame_has_these_parts_and_nothing_else() -> None:
    assert {one.name for one in fields(Host)} == PARTS.keys()


def test_each_form_of_a_write_is_found() -> None:
    text = """
def meddle(host, holds):
    host.wanted.intent = intent
    self.host.world.facts, other = facts, 1
    host.ledger.since["route/a"] = 1.0
    host.ledger.postponed |= scopes
    del host.ledger.displaced[key]
    host.schedule.dirt.everything = cause
    host.ledger.holds.active[key] = hold
    host.world.verified.pop(scope)
    host.wanted.desired.put(resolution)
    host.wanted.former.note(name, sets)
    host.ledger.troubles.update(found)
    wanted, ledger = host.wanted, self.host.ledger
    wanted.new_entries = frozenset()
    ledger.displaced.clear()
    echo = host.under_way.echo
    echo[key] = None
    echo.update(other)
    host.world.facts.links[1] = link
"""
    assert len(list(find_writes(ast.parse(text)))) == 16


def test_what_reads_or_tells_an_owner_is_no_write() -> None:
    text = """
def mind(host):
    host.wanted.let_surplus_go()
    host.ledger.holds.pause(subject, reason, until, now)
    host.schedule.dirt.add_scopes(scopes, cause)
    report.fresh = host.wanted.new_entries
    since = host.ledger.since.get(name, 0.0)
    facts = host.world.facts.put(links=links)
    want = host.wanted.desired.get(key)
    host.ledger.troubles.find_scopes()
"""
    assert list(find_writes(ast.parse(text))) == []


def _find_all() -> Iterator[tuple[str, str]]:
    for path in sorted(ROUTED.rglob("*.py")):
        for part, write in find_writes(ast.parse(path.read_text())):
            if str(path) not in OWNERS[part]:
                yield str(path.relative_to(ROUTED)), write


def find_writes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every write to a field of a part, with the part."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            names = dict(_find_names(scope))
            for node in ast.walk(scope):
                for written in _find_written(node):
                    if part := _find_part(written, names):
                        yield part, ast.unparse(node)


def _find_written(node: ast.AST) -> Iterator[ast.expr]:
    """What a node assigns to, deletes, or calls something of that changes it."""
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            for target in targets:
                written = target.elts if isinstance(target, ast.Tuple) else [target]
                yield from (one for one in written if not isinstance(one, ast.Name))
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            yield target
        case ast.Call(func=ast.Attribute(value=ast.Attribute() | ast.Name() | ast.Subscript() as called, attr=name)):
            last = _last(called)
            if last not in TOLD and name in MUTATORS.get(last, CONTAINER):
                yield called
        case _:
            pass


def _find_names(scope: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names that are given to something here."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
            for name, given in zip(target.elts, value.elts, strict=False) if several else [(target, value)]:  # type: ignore[attr-defined]
                if isinstance(name, ast.Name):
                    yield name.id, given


def _find_part(written: ast.expr, names: dict[str, ast.expr]) -> str | None:
    """The part that has the field at which, or below which, this is."""
    while isinstance(written, ast.Attribute | ast.Subscript | ast.Name):
        if isinstance(written, ast.Name):
            given = names.get(written.id)
            if not isinstance(given, ast.Attribute):
                return None
            names = {name: value for name, value in names.items() if name != written.id}
            written = given
            continue
        if isinstance(written, ast.Attribute):
            part = _last(written.value)
            if part in PARTS and written.attr in FIELDS[part]:
                return part
        written = written.value
    return None


def _last(expression: ast.expr) -> str:
    while isinstance(expression, ast.Subscript):
        expression = expression.value
    match expression:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def _find_mutators(kind: type) -> frozenset[str]:
    """The methods of a class that change it: they write to what is its own, or call one that does."""
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    methods = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    found: set[str] = set()
    while more := {method.name for method in methods if _changes_self(method, found)} - found:
        found |= more
    return frozenset(found)


def _changes_self(method: ast.FunctionDef, mutators: set[str]) -> bool:
    names = dict(_find_names(method))
    for node in ast.walk(method):
        if any(_is_below_self(one, names) for one in _find_written(node)):
            return True
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)) if name in mutators:
                return True
    return False


def _is_below_self(expression: ast.expr, names: dict[str, ast.expr]) -> bool:
    while isinstance(expression, ast.Attribute | ast.Subscript | ast.Call):
        expression = expression.func if isinstance(expression, ast.Call) else expression.value
    if not isinstance(expression, ast.Name):
        return False
    if expression.id == "self":
        return True
    given = names.get(expression.id)
    rest = {name: value for name, value in names.items() if name != expression.id}
    return given is not None and _is_below_self(given, rest)


MUTATORS: dict[str, frozenset[str]] = {}  # of the classes that stand in a part; while these are read, containers alone
MUTATORS |= {
    "desired": _find_mutators(Desired),
    "former": _find_mutators(Former),
    "troubles": _find_mutators(Troubles),
}
