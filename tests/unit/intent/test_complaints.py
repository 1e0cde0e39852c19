"""What a person reads when a file is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from routed.intent import gather, load, schema
from routed.intent.complaints import _models_in, find_inner, keys_of, validate
from routed.intent.convert import convert as convert_one
from routed.intent.documents import parse_document
from routed.intent.load import load_sources
from routed.intent.problems import IntentError
from tests.unit.intent.intent_help import HEAD, complaint, drop_in, problems, read, source

GOLDEN = """\
/etc/routed.toml:3:6: `to`: "10.30.0.1/16" has host bits set: write 10.30.0.0/16
    to = "10.30.0.1/16"
         ^
/etc/routed.toml:4:1: unknown key `gateway`
    gateway = "10.20.0.1"
    ^
    help: write `via`
/etc/routed.toml:5:2: unknown key `tabel`
    \ttabel = "storage"
    \t^
    help: did you mean `table`?
/etc/routed.toml:6:10: unknown key `wieght`
    hops = [{wieght = 3}]
             ^
    help: did you mean `weight`?
/etc/routed.toml.d/50-more.toml:1:7: not valid TOML: Invalid value
    to = [
          ^
/etc/routed.toml.d/60-more.toml:2:1: unknown key `lookup`
    lookup = "main"
    ^
    help: write `table`"""


def test_every_error_of_every_file_comes_in_one_go_with_its_line_and_a_caret() -> None:
    text = """[[route]]
to = "10.30.0.1/16"
gateway = "10.20.0.1"
\ttabel = "storage"
hops = [{wieght = 3}]
"""
    broken = drop_in("to = [")
    other = drop_in('[[rule]]\nlookup = "main"\n', "60-more.toml")
    with pytest.raises(IntentError) as caught:
        read(text, broken, other)
    assert str(caught.value) == GOLDEN


def test_a_zero_byte_main_file_is_an_error() -> None:
    with pytest.raises(IntentError, match="the file is empty"):
        load_sources((source(""),))


def test_the_main_file_needs_its_version_and_a_drop_in_does_not() -> None:
    with pytest.raises(IntentError, match="the file has no `version`"):
        load_sources((source('[daemon]\nresync = "1m"\n'),))
    assert read("", drop_in('[daemon]\nresync = "1m"\n')).settings.resync == 60


@pytest.mark.parametrize("version", ["2", "true", "1.0", '"1"'])
def test_no_other_version_is_taken(version: str) -> None:
    with pytest.raises(IntentError, match="`version` must be 1"):
        load_sources((source(f"version = {version}\n"),))


def test_bytes_that_are_not_utf_8_are_named_with_their_place() -> None:
    bad = source("")._replace(content=b"version = 1\n# caf\xe9\n")
    with pytest.raises(IntentError) as caught:
        load_sources((bad,))
    assert str(caught.value).startswith("/etc/routed.toml:2:6: the byte 0xe9 is not UTF-8\n")


def test_nesting_without_end_is_a_problem_and_not_a_crash() -> None:
    assert "nested too deeply" in complaint("a = " + "[" * 5000)


@pytest.mark.parametrize(
    ("key", "meant"),
    [("gateway", "via"), ("nexthop", "via"), ("destination", "to"), ("dst", "to"), ("device", "dev"),
     ("interface", "dev"), ("preference", "metric"), ("prio", "metric"), ("lookup", "table")],
)  # fmt: skip
def test_the_words_of_other_programs_are_answered_with_ours(key: str, meant: str) -> None:
    text = f'[[route]]\nto = "10.0.0.0/8"\nvia = "192.0.2.1"\n{key} = 1\n'
    assert complaint(text) == f"unknown key `{key}` / write `{meant}`"


@pytest.mark.parametrize(("key", "meant"), [("mark", "fwmark"), ("pref", "priority"), ("src", None)])
def test_a_rule_has_hints_of_its_own(key: str, meant: str | None) -> None:
    text = f'[[rule]]\npriority = 5\nfrom = "10.0.0.0/8"\ntable = 7\n{key} = 1\n'
    assert complaint(text).startswith(f"unknown key `{key}`")
    assert meant is None or complaint(text).endswith(f"write `{meant}`")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[route]\nto = '10.0.0.0/8'", "write [[route]] with two brackets"),
        ("[[routes]]\n", "did you mean `route`?"),
        ("[[interface]]\nname = 'x'", "`match` is missing"),
        ("[[interface]]\nname = 'x'\nmatch = [{ name = 'a', nic = 'b' }]", "unknown key `nic`"),
        ("[[vip]]\naddress = '192.0.2.1'\ndev = '@internal'", 'no [[interface]] is named "internal"'),
        ("[daemon]\nresync = 60", 'write "60s" or "60ms"'),
        ("[daemon]\nresync = '60'", "is not a duration"),
        ("[daemon]\nmax_deletes = 50", "must be a string"),
        ("[daemon]\nprotocol = 2", "not the kernel's own"),
        ("[daemon]\nwatch = 'never'", 'must be "check" or "apply"'),
        ("[daemon]\nfight_limit = 0", "from 1 to"),
        ("[[route]]\nname = 'a b'\ndisabled = true", "is not a name"),
        ("[[table]]\nname = 'main'\nid = 7", "the kernel's"),
        ("[[table]]\nname = 'x'", "`id` is missing"),
        ("[[route]]\nname = 5\ndisabled = true", "must be a string"),
        ("route = [5]", "`route` must be a table"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    assert said in complaint(text)


def test_a_table_name_that_a_broken_file_may_hold_is_not_called_unknown() -> None:
    text = "[[route]]\nto = '10.0.0.0/8'\nvia = '192.0.2.1'\ntable = 'storage'\n"
    assert 'unknown table "storage"' in complaint(text)
    assert [problem.file for problem in problems(text, drop_in("[[table"))] == ["/etc/routed.toml.d/50-more.toml"]
    (half,) = problems(text, drop_in("[[table]]\nname = 'storage'"))
    assert half.message == "`id` is missing"


def test_a_problem_in_the_middle_of_a_file_with_dos_line_ends_is_placed_right() -> None:
    crlf = source((HEAD + "[[route]]\nto = 5\n").replace("\n", "\r\n"))
    with pytest.raises(IntentError) as caught:
        load_sources((crlf,))
    assert [(problem.line, problem.source_line) for problem in caught.value.problems] == [(3, "to = 5")]


def inner_tables() -> Iterator[tuple[type[BaseModel], str, type[BaseModel]]]:
    """Every key of every table of the file that holds tables itself, and which."""
    models: list[type[BaseModel]] = [*schema.ENTRY_TABLES.values(), schema.Daemon]
    for model in models:
        for name, field in model.model_fields.items():
            for inner in _models_in(field.annotation):
                yield model, field.alias or name, inner


INNER = list(inner_tables())


def test_the_schema_has_tables_inside_of_tables() -> None:
    assert {key for _, key, _ in INNER} >= {"hops", "match", "announce"}


@pytest.mark.parametrize(("model", "key", "inner"), INNER)
def test_a_mistyped_key_in_an_inner_table_is_answered_with_the_keys_of_that_table(
    model: type[BaseModel], key: str, inner: type[BaseModel]
) -> None:
    word = keys_of(inner)[0]
    mistyped = word[0] + word[2:] + word[1]
    is_array = "list" in str(next(field for name, field in model.model_fields.items() if key in {name, field.alias}))
    table: Any = {mistyped: 3}
    found = validate(model, {key: [table] if is_array else table})
    assert isinstance(found, tuple)
    path = (key, 0, mistyped) if is_array else (key, mistyped)
    (fault,) = [fault for fault in found if fault.path == path]
    assert (fault.message, fault.hint) == (f"unknown key `{mistyped}`", f"did you mean `{word}`?")
    assert find_inner(model, path[:-1]) is inner


def test_a_mistyped_key_of_announce_is_named_with_its_place_and_the_key_that_was_meant() -> None:
    text = "[[vip]]\naddress = '10.0.0.80'\ndev = 'd0'\nannounce = { cuont = 3 }\n"
    (problem,) = problems(text)
    assert (problem.line, problem.column) == (5, 14)
    assert complaint(text) == "unknown key `cuont` / did you mean `count`?"


ROUTES = """[[route]]
to = "10.0.0.0/8"
dev = "a"
[[route]]
to = "10.1.0.0/16"
tabel = 7
[[rule]]
from = "10.0.0.0/8"
table = 7
"""


@pytest.mark.parametrize("error", [KeyError("announce"), MemoryError(), RecursionError("too deep"), OSError(24, "x")])
def test_a_defect_in_the_work_on_one_table_is_a_problem_of_that_table_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    convert = convert_one

    def stumble(kind: str, *rest: Any) -> Any:
        if kind == "route":
            raise error
        return convert(kind, *rest)

    monkeypatch.setattr(load, "convert", stumble)
    found = problems(ROUTES)
    assert [problem.line for problem in found] == [2, 7, 8]
    assert found[0].message.startswith(f"this is a defect in routed: {type(error).__name__}")
    assert found[1].message == "unknown key `tabel`"


@pytest.mark.parametrize("name", ["validate", "name_entries", "read_names", "find_clashes", "derive_links"])
def test_no_exception_leaves_the_loader_but_its_own(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def stumble(*_: Any) -> Any:
        raise ZeroDivisionError("nobody thought of it")

    monkeypatch.setattr(load, name, stumble)
    found = problems("[[route]]\nto = '10.0.0.0/8'\ndev = 'a'\n")
    assert found
    assert all("this is a defect in routed: ZeroDivisionError: nobody thought" in one.message for one in found)
    assert all(one.file == "/etc/routed.toml" for one in found)


def test_a_defect_in_the_work_on_one_file_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = parse_document

    def stumble(one: Any) -> Any:
        if one.role == "main":
            raise MemoryError
        return parse(one)

    monkeypatch.setattr(gather, "parse_document", stumble)
    main, other = problems("", drop_in("to = ["))
    assert (main.file, main.line) == ("/etc/routed.toml", 0)
    assert "MemoryError" in main.message
    assert "not valid TOML" in other.message
