"""[[check]]: templates, secrets by file, and what contradicts itself."""

from __future__ import annotations

import pytest

from routed.intent.load import load_kept
from tests.unit.intent.intent_help import HEAD, complaint, problems, read, source
from tests.unit.intent.test_loops import a_check, a_route

TEMPLATE = '[[check]]\nname = "ready"\ntype = "https"\npath = "/healthz"\nneed = "all"\n'


def test_a_check_without_a_target_is_a_template_and_is_called_so() -> None:
    loaded = load_kept((source(HEAD + TEMPLATE),))
    (check,) = loaded.intent.checks
    assert check.is_template
    (notice,) = loaded.notices
    assert "check/ready has no `target`, so it is a template for services" in notice.message
    assert not any("no entry requires" in one.message for one in loaded.notices)


def test_a_check_that_is_asked_is_none() -> None:
    for check in read(a_check("a", "192.0.2.1") + '[[check]]\nname = "f"\ntype = "file"\nfile = "/run/f"\n').checks:
        assert not check.is_template


@pytest.mark.parametrize(
    "entry",
    [
        a_route("10.0.0.0/8", "@ready"),
        a_route("10.0.0.0/8", "!@ready"),
        '[[route]]\nto = "10.0.0.0/8"\nhops = [{ dev = "e", requires = "@ready" }]',
    ],
)
def test_an_entry_that_requires_a_template_is_an_error_with_its_cure(entry: str) -> None:
    said = complaint(TEMPLATE + entry)
    assert "check/ready has no `target`, so it is a template, and nobody asks it" in said
    assert "give the check at /etc/routed.toml:2 a `target`" in said


def test_target_and_targets_exclude_each_other() -> None:
    (problem,) = problems(a_check("a", "192.0.2.1", 'targets = ["192.0.2.2"]'))
    assert problem.message == "`target` and `targets` exclude each other"


def a_web_check(keys: str, type_: str = "http") -> str:
    return a_check("web", "192.0.2.9:80", keys, type_)


@pytest.mark.parametrize("word", ["/etc/routed/headers", "/run/credentials/x", "web-headers", "a_b.c"])
def test_headers_stand_in_a_file_or_in_a_credential(word: str) -> None:
    (check,) = read(a_web_check(f'headers_file = "{word}"')).checks
    assert check.headers_file == word


@pytest.mark.parametrize(
    ("word", "type_", "said"),
    [
        ("/home/me/headers", "http", "does not see this folder"),
        ("/root/headers", "https", "does not see this folder"),
        ("../headers", "http", "neither a path"),
        (".hidden", "http", "neither a path"),
        ("a/b", "http", "neither a path"),
        ("", "http", "neither a path"),
        ("/etc/routed/headers", "tls", "a check of type tls has none"),
    ],
)
def test_where_headers_cannot_stand_is_an_error(word: str, type_: str, said: str) -> None:
    assert said in complaint(a_web_check(f'headers_file = "{word}"', type_))
