"""The manifest for pre-commit, which reads it from the root of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from routed.cli.arguments import VERBS

MANIFEST = (Path(__file__).parents[3] / ".pre-commit-hooks.yaml").read_text()
FIELDS = dict(re.findall(r"^[- ] (\w+): (.*)$", MANIFEST, re.MULTILINE))


def test_the_hook_runs_a_command_that_there_is() -> None:
    program, verb = FIELDS["entry"].split()
    assert program == "routed"
    assert verb in VERBS


@pytest.mark.parametrize(
    ("file", "is_read"),
    [
        ("routed.toml", True),
        ("hosts/node1/routed.toml", True),
        ("etc/routed.toml.d/50-more.toml", True),
        ("routed-node1.toml", True),
        ("pyproject.toml", False),
        ("routed.toml.d/drop.txt", False),
        ("routed.toml.orig", False),
        ("src/routed/pyproject.toml", False),
    ],
)
def test_the_hook_runs_for_files_of_routed_and_no_others(file: str, *, is_read: bool) -> None:
    assert bool(re.search(FIELDS["files"], file)) is is_read
