"""A reason is a value: it is compared as one, and only the audit has words for it.

What is a sentence is read from the syntax tree: a literal with a blank in it. Docstrings, the values of enumerations
and what is raised or asserted are for who reads the code, and no reasons.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from pathlib import Path
from typing import Any, Final

import pytest

import routed
from routed.audit.reasons import DETAILED, PLAIN
from routed.model import reasons
from routed.model.reasons import (
    CameTo,
    Detailed,
    Flaw,
    Fought,
    InUse,
    LinkDown,
    NoLink,
    Plain,
    Reason,
    SaidNo,
    Several,
    join_reasons,
)

ROUTED: Final = Path(routed.__file__).parent
TEXTS: Final = frozenset({"text", "message", "words"})  # attributes that hold somebody's words
REASONS: Final = frozenset({"reason", "note", "why"})  # and those that hold reasons
PARSERS: Final = frozenset(
    {"startswith", "endswith", "split", "partition", "rpartition", "removeprefix", "find", "index"}
)
BEARERS: Final = frozenset(
    {"Cause", "Waiting", "Refusal", "Trouble", "Hold", "Choice", "Resolution", "Burst", "Verdict"}
)

IN_THE_FILE: Final = "what the file says of an interface, and no sentence"
EXCEPTIONS: Final[dict[tuple[str, str, str], str]] = {
    ("core/select.py", "_match_name", "matcher.text in (link.name, *link.altnames)"): IN_THE_FILE,
    ("core/select.py", "_match_driver", "facts.drivers.get(link.ifindex) == matcher.text"): IN_THE_FILE,
}


def test_no_decision_compares_or_parses_a_sentence() -> None:
    found = [*find("core", _reads_a_sentence), *find("daemon", _reads_a_sentence)]
    assert [one for one in found if one not in EXCEPTIONS] == []


def test_every_exception_is_still_there() -> None:
    assert EXCEPTIONS.keys() - {*find("core", _reads_a_sentence), *find("daemon", _reads_a_sentence)} == set()


def test_the_core_has_no_sentence() -> None:
    assert list(find("core", _is_sentence)) == []


def test_no_sentence_is_given_where_a_reason_belongs() -> None:
    assert [*find("core", _bears_a_sentence), *find("daemon", _bears_a_sentence)] == []


def of_ours(base: type[Any]) -> list[type[Any]]:
    """The types of reasons of routed; tests may have more."""
    return [one for one in base.__subclasses__() if one.__module__.startswith(f"{reasons.__name__}.")]


def test_every_reason_without_data_has_words() -> None:
    assert PLAIN.keys() == {member for group in of_ours(Plain) for member in group}


def test_every_reason_with_data_has_words() -> None:
    assert DETAILED.keys() == set(of_ours(Detailed))


def test_every_type_of_reasons_has_a_name_of_its_own() -> None:
    names = [one.__name__ for one in (*of_ours(Plain), *of_ours(Detailed))]
    assert len(set(names)) == len(names)


def test_two_reasons_with_the_same_data_are_the_same_only_if_they_are_of_one_type() -> None:
    assert CameTo("v0") == CameTo(link="v0")
    several: list[Reason] = [CameTo("v0"), InUse("v0"), CameTo("v0"), Flaw.MISSING, Flaw.MISSING]
    assert several[0] != several[1]
    assert len(set(several)) == 3


def test_a_field_left_out_is_as_its_default_says() -> None:
    assert NoLink("v0") == NoLink("v0", "") == NoLink("v0", selector="")
    assert Fought(30, 2, process=None) == Fought(30, 2)
    assert LinkDown("v0", gateway=b"gate").gateway == b"gate"


def test_a_copy_of_a_reason_is_the_same() -> None:
    for reason in (LinkDown("v0", b"gate"), Several((NoLink("v0"), Flaw.MISSING)), Flaw.MISSING):
        assert deepcopy(reason) == copy(reason) == reason
        assert type(deepcopy(reason)) is type(reason)


def test_a_reason_shows_its_data() -> None:
    assert repr(SaidNo(19, "No such device")) == "SaidNo(errno=19, words='No such device')"


def test_several_reasons_are_each_told_once_and_one_is_itself() -> None:
    one, other = NoLink("v0"), NoLink("v1")
    assert join_reasons([]) is None
    assert join_reasons([one, one]) == one
    assert join_reasons([one, other, one]) == Several((one, other))


@pytest.mark.parametrize(
    "line",
    [
        'cause.reason == "looked at again"',
        '"looked at again" != said',
        'said in {"deleted", "deleted by hand"}',
        "cause.text in {DELETED, UNTOLD}",
        "error.message == other",
        'hold.reason.startswith("paused")',
        'trouble.reason == "deleted"',
        '"paused" in hold.reason',
    ],
)
def test_each_way_to_read_a_sentence_is_found(line: str) -> None:
    assert len(list(_find("file", ast.parse(line), "", _reads_a_sentence))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "cause.reason is Look.AGAIN",
        "former.reason == reason",
        'settings.watch != "check"',
        'state == "waiting"',
        'name.startswith("@")',
    ],
)
def test_what_is_no_sentence_may_be_compared(line: str) -> None:
    assert list(_find("file", ast.parse(line), "", _reads_a_sentence)) == []


def test_each_form_of_a_sentence_is_found() -> None:
    text = '''
"""A docstring."""
class Place(Enum):
    """A docstring."""
    FREE = "it may stand there"
def why(link):
    """A docstring."""
    assert link, "a link has to be there"
    if not link:
        raise ValueError("there is no link")
    told = "link v0 is down"
    return told or f"link {link} is down" or f"{link}" or "word"
'''
    assert len(list(_find("file", ast.parse(text), "", _is_sentence))) == 2
    assert (
        len(list(_find("file", ast.parse('Cause(None, "it is so"), Trouble(state, f"{a} b")'), "", _bears_a_sentence)))
        == 2
    )


def find(floor: str, is_meant: Callable[[ast.AST], bool]) -> Iterator[tuple[str, str, str]]:
    """Each place as (file, function, source)."""
    for path in sorted((ROUTED / floor).rglob("*.py")):
        yield from _find(str(path.relative_to(ROUTED)), ast.parse(path.read_text()), "", is_meant)


def _find(file: str, node: ast.AST, where: str, is_meant: Callable[[ast.AST], bool]) -> Iterator[tuple[str, str, str]]:
    if isinstance(node, ast.Raise | ast.Assert) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ):
        return
    if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Enum") for base in node.bases):
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}" if where else node.name
    if is_meant(node):
        yield file, where, ast.unparse(node)
        return
    for child in ast.iter_child_nodes(node):
        yield from _find(file, child, where, is_meant)


def _is_sentence(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=str() as text):
            return " " in text.strip()
        case ast.JoinedStr(values=parts):
            return any(isinstance(part, ast.Constant) and " " in str(part.value) for part in parts)
        case _:
            return False


def _reads_a_sentence(node: ast.AST) -> bool:
    match node:
        case ast.Compare(left=left, comparators=others):
            each = [left, *others]
            has_text = any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in each)
            is_read = has_text and any(_is_attribute(part, REASONS) for part in each)
            return is_read or any(_is_attribute(part, TEXTS) or _has_sentence(part) for part in each)
        case ast.Call(func=ast.Attribute(value=value, attr=attr)):
            return attr in PARSERS and _is_attribute(value, TEXTS | REASONS)
        case _:
            return False


def _is_attribute(node: ast.AST, names: frozenset[str]) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in names


def _has_sentence(node: ast.AST) -> bool:
    return any(map(_is_sentence, ast.walk(node)))


def _bears_a_sentence(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BEARERS):
        return False
    return any(map(_is_sentence, (*node.args, *(keyword.value for keyword in node.keywords))))
