"""How what is wrong with files is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from routed.cli.exits import Exit
from routed.cli.problems import MOST, render_problems
from routed.intent.problems import Problem

SGR = re.compile(r"\x1b\[[0-9;]*m")


def problem(line: int = 3, file: str = "/etc/routed.toml") -> Problem:
    return Problem(file, line, 6, "`to`: wrong", 'to = "x"', "write something else")


def render(*problems: Problem, what: str = "problem", is_colored: bool = False, is_folded: bool = True) -> list[str]:
    return list(render_problems(problems, what, is_colored=is_colored, is_folded=is_folded))


def test_a_single_problem_is_not_counted() -> None:
    assert render(problem()) == [str(problem())]


def test_several_problems_are_counted_with_their_files_at_the_end() -> None:
    shown = render(problem(3), problem(5), problem(1, "/etc/routed.toml.d/a.toml"))
    assert shown[-1] == "3 problems in 2 files"
    assert len(shown) == 4


def test_of_500_problems_of_a_file_the_first_are_shown_and_the_others_counted() -> None:
    many = [problem(line) for line in range(1, 501)]
    shown = render(*many, problem(7, "/etc/routed.toml.d/a.toml"))
    assert shown[:MOST] == list(map(str, many[:MOST]))
    assert shown[MOST:] == [
        f"/etc/routed.toml: {500 - MOST} more problems, which -v shows",
        str(problem(7, "/etc/routed.toml.d/a.toml")),
        "501 problems in 2 files",
    ]
    assert render(*many, is_folded=False) == [*map(str, many), "500 problems in 1 file"]


@pytest.mark.parametrize("what", ["problem", "notice"])
def test_colour_says_nothing_that_the_words_do_not(what: str) -> None:
    several = (problem(), problem(5))
    colored = render(*several, what=what, is_colored=True)
    assert [SGR.sub("", line) for line in colored] == render(*several, what=what)
    assert "\x1b[" in colored[0]


def test_a_problem_drives_no_terminal() -> None:
    (shown,) = render(Problem("a\x1b[2J", 1, 3, "b\x1b[2J", "c\t\x1b[2J", "d\x1b[2J"), is_colored=True)
    assert "\x1b[2J" not in shown
    assert shown.splitlines()[2].startswith("     \t")  # below the tab


@pytest.mark.parametrize(("when", "is_colored"), [("always", True), ("auto", False), ("never", False)])
def test_check_colours_what_it_says_on_stderr(routed: Any, tmp_path: Path, when: str, is_colored: bool) -> None:
    config = tmp_path / "routed.toml"
    config.write_text("version = 1\n[[route]]\nto = 5\n[[rule]]\n", encoding="utf-8")
    ended = routed("check", "--color", when, str(config))
    assert ended.returncode == Exit.INVALID
    assert ("\x1b[" in ended.stderr) is is_colored
    assert SGR.sub("", ended.stderr).endswith("4 problems in 1 file\n")


def test_json_has_every_problem(routed: Any, tmp_path: Path) -> None:
    config = tmp_path / "routed.toml"
    config.write_text("version = 1\n" + "[[route]]\nto = 5\n" * 100, encoding="utf-8")
    assert len(json.loads(routed("check", "--json", str(config)).stdout)["problems"]) == 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stauts",), '"stauts" is unknown: did you mean status?'),
        (("--config", "plan", "stauts"), '"stauts" is unknown: did you mean status?'),
        (("Check",), '"Check" is unknown: did you mean check?'),
        (("fly",), '"fly" is unknown: one of run, check, plan,'),
        (("apply", "--Force"), "unrecognized arguments: --Force: did you mean --force?"),
        (("check", "--colour=always"), "did you mean --color?"),
        (("override", "wan1", "dwon"), '"dwon" is unknown: did you mean down?'),
        (("check", "a", "b"), "unrecognized arguments: b\n"),
    ],
)
def test_a_word_that_the_command_line_does_not_know_is_answered_with_the_one_that_was_meant(
    routed: Any, arguments: tuple[str, ...], said: str
) -> None:
    ended = routed(*arguments)
    assert ended.returncode == Exit.USAGE
    assert said in ended.stderr
