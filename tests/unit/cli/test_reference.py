from __future__ import annotations

import re
from pathlib import Path

import pytest

from routed.cli.arguments import COMMON, VERBS
from routed.cli.exits import MEANINGS, Exit

PAGE = (Path(__file__).parents[3] / "docs/reference/commands.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## routed (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
HEAD = PAGE.partition("## routed ")[0]


def test_the_page_of_commands_has_a_section_for_every_verb_and_no_other() -> None:
    assert list(SECTIONS) == list(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_a_section_names_every_argument_and_the_exit_codes(verb: str) -> None:
    section = SECTIONS[verb]
    for argument in VERBS[verb].arguments:
        for name in argument.names if argument.is_option else (str(argument.metavar),):
            assert f"{name}" in section
        for choice in argument.choices:
            assert f"`{choice}`" in section
    assert set(map(int, re.findall(r"\b\d+\b", section.partition("Exit code: ")[2]))) <= set(Exit)
    assert "Exit code: " in section


@pytest.mark.parametrize("name", [name for argument in COMMON for name in argument.names])
def test_common_options_are_listed(name: str) -> None:
    assert re.search(rf"^\|.*`{name}[ `]", HEAD, re.MULTILINE)


def test_the_exit_codes_are_those_of_the_table() -> None:
    listed = {int(code): text for code, text in re.findall(r"^\| (\d+) \| (.*)\. \|$", HEAD, re.MULTILINE)}
    assert listed == {int(code): text[0].upper() + text[1:] for code, text in MEANINGS.items()}
