"""Which pager there is, and from when on what is printed goes through it."""

from __future__ import annotations

from io import StringIO

import pytest

from routed.cli.arguments import VERBS
from routed.cli.pager import LESS, LONG, Paged, find_pager


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, list(LESS)),
        ({"PAGER": "more"}, ["more"]),
        ({"ROUTED_PAGER": "less -R", "PAGER": "more"}, ["less", "-R"]),
        ({"ROUTED_PAGER": "", "PAGER": "more"}, []),
        ({"PAGER": " cat "}, []),
        ({"PAGER": "my\\ pager 'a b'"}, ["my pager", "a b"]),
        ({"PAGER": "'"}, list(LESS)),
        ({"PAGER": "/bin/sh", "SUDO_UID": "1000"}, list(LESS)),
        ({"PAGER": "/home/x/less", "SUDO_UID": "1000"}, list(LESS)),
        ({"PAGER": "less -R", "SUDO_UID": "1000"}, ["less", "-R"]),
    ],
)
def test_the_pager_is_that_of_the_environment_or_less(environment: dict[str, str], words: list[str]) -> None:
    assert find_pager(environment) == words


def test_the_commands_that_page_are_commands() -> None:
    assert set(VERBS) >= LONG


def shown(text: str, lines: int, columns: int) -> tuple[bool, str]:
    """Was a pager tried, and what was printed without one?"""
    out = Terminal()
    paged = Paged(out, ["/nowhere/to/be/found"], lines, columns)
    for part in text.splitlines(keepends=True):
        paged.write(part)
    was_tried = bool(out.getvalue())  # at the moment from which on nothing is kept back
    paged.end()
    return was_tried, out.getvalue()


@pytest.mark.parametrize(
    ("text", "is_long"),
    [
        ("", False),
        ("a\n" * 9, False),
        ("a\n" * 10, True),
        ("x" * 80 + "\n", False),
        (("x" * 81 + "\n") * 5, True),
        (("\x1b[31m" + "x" * 80 + "\x1b[0m\n") * 9, False),
        (("x" * 81 + "\n") * 4, False),
    ],
    ids=["nothing", "all but a line", "a screen", "a line", "wrapped", "colours take no room", "wrapped and short"],
)
def test_only_what_has_no_room_goes_through_it_and_nothing_is_lost(text: str, is_long: bool) -> None:
    assert shown(text, 10, 80) == (is_long, text)


def test_a_paged_stdout_still_counts_as_a_terminal() -> None:
    assert Paged(Terminal(), list(LESS), 10, 80).isatty()
