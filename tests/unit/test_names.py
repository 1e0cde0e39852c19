"""One name means one thing: no two classes, enumerations or type aliases of routed have the same one."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import routed

ROUTED: Final = Path(routed.__file__).parent

# Name → why two have it.
EXCEPTIONS: Final = {
    "Hop": "state files name the model's, and the JSON Schema of routed.toml that of the file",
    "Member": "what is in a slot is one, and a host of a fleet is called nothing else",
    "Parameters": "asyncvarlink looks for it in each of its errors",
}


def find_names(tree: ast.Module) -> Iterator[str]:
    """The classes and type aliases that a module makes. An alias is told by its capital: constants have no small."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id.lstrip("_")[:1].isupper() and not target.id.isupper():
                yield target.id


def count_names() -> Counter[str]:
    return Counter(name for path in ROUTED.rglob("*.py") for name in find_names(ast.parse(path.read_text())))


def test_no_two_types_have_the_same_name() -> None:
    twice = {name for name, times in count_names().items() if times > 1}
    assert sorted(twice - EXCEPTIONS.keys()) == []


def test_every_exception_is_still_there() -> None:
    names = count_names()
    assert [name for name in EXCEPTIONS if names[name] < 2] == []
