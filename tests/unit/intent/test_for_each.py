"""Tables with ``for_each``: what may be filled, and what the source must say for it."""

from __future__ import annotations

import pytest

from routed.model.entries import EachEntry
from routed.model.net import parse_prefix
from tests.unit.intent.intent_help import complaint, problems, read

SOURCE = '[[source]]\nname = "fleet"\ntype = "file"\npath = "fleet.json"\n'
BOUNDED = SOURCE + 'prefixes_within = ["10.244.0.0/16"]\naddresses_within = ["10.0.0.0/24"]\n'


def route(**keys: str) -> str:
    """A table of routes for each member, with these keys."""
    given = {"name": '"pods"', "for_each": '"@fleet"', "to": '"{prefixes}"', "via": '"{address}"'} | keys
    return "[[route]]\n" + "".join(f"{key} = {text}\n" for key, text in given.items() if text)


def test_a_table_with_for_each_is_one_entry_of_the_files() -> None:
    (each,) = read(BOUNDED + route(where="{ on_link = true }", metric="50")).entries
    assert isinstance(each, EachEntry)
    assert (each.name, each.source, each.where.is_self, each.where.on_link) == ("route/pods", "fleet", False, True)
    assert [(fill.key, fill.template) for fill in each.fills] == [("to", "{prefixes}"), ("via", "{address}")]
    assert (each.prefixes_within, each.addresses_within) == (
        (parse_prefix("10.244.0.0/16"),), (parse_prefix("10.0.0.0/24"),),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (route(name=""), "`name` is missing"),
        (route(for_each='"@other"'), 'no [[source]] is named "other"'),
        (route(for_each='"fleet"'), "for_each"),
        (route(to='"10.0.0.0/8"', via='"10.0.0.1"'), "no key has a field of the members"),
        (route(dev='"{labels.dev}"'), "`dev` is nothing that a member may fill"),
        (route(via='"{gateway}"'), "members have no field {gateway}"),
        (route(via='"{labels.}"'), "members have no field {labels.}"),
        (route(via='"{address"'), "a brace is not closed"),
        (route(via='"address}{address}"'), "a brace is not closed"),
        (route(where="{ mine = true }"), "mine"),
        (route(metric='"x"'), "metric"),
        (route(hops='[{ via = "10.0.0.1" }]'), "hops"),
        ('[[table]]\nname = "t"\nid = 7\nfor_each = "@fleet"\n', "`for_each` is not known in [[table]]"),
    ],
)
def test_a_table_that_cannot_be_is_refused(text: str, said: str) -> None:
    assert said in complaint(BOUNDED + text)


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ({}, "`to` has {prefixes}, and source/fleet at /etc/routed.toml:2 has no `prefixes_within`"),
        ({"via": "", "type": '"blackhole"'}, "no `prefixes_within`"),
        ({"to": '"10.244.0.0/16"'}, "`via` has {address}, and source/fleet at /etc/routed.toml:2 has no `addresses_"),
        ({"to": '"{labels.net}"', "via": '"10.0.0.1"'}, "`to` has {labels.net}, and source/fleet"),
        ({"to": '"{weight}.0.0.0/8"', "via": '"10.0.0.1"'}, "no `prefixes_within`"),
        ({"to": '"10.244.0.0/16"', "via": '"10.0.0.{weight}"'}, "no `addresses_within`"),
    ],
)
def test_what_members_fill_needs_bounds(keys: dict[str, str], missing: str) -> None:
    found = problems(SOURCE + route(**keys))
    assert missing in " ".join(problem.message for problem in found)
    assert problems(BOUNDED + route(**keys)) == ()


@pytest.mark.parametrize(("key", "text"), [
    ("max_loss", '"130%"'), ("max_loss", "0.3"), ("on_empty", '"keep"'), ("on_stale", '"never"'), ("type", '"ldap"'),
    ("gone_after", "30"), ("prefixes_within", '["10.0.0.1/8"]'), ("secret", '"x"'), ("name", '"a b"'),
])  # fmt: skip
def test_a_source_that_cannot_be_is_refused(key: str, text: str) -> None:
    keys = {"name": '"fleet"', "type": '"file"', "path": '"f.json"'} | {key: text}
    assert key in complaint("[[source]]\n" + "".join(f"{one} = {value}\n" for one, value in keys.items()))


@pytest.mark.parametrize("key", ["name", "type", "path"])
def test_a_source_without_its_keys_is_refused(key: str) -> None:
    text = "".join(line + "\n" for line in SOURCE.splitlines() if not line.startswith(key))
    assert f"`{key}` is missing" in complaint(text)


def test_a_fault_of_a_source_is_not_told_again_by_the_tables_that_use_it() -> None:
    assert len(problems(BOUNDED.replace('"file"', '"ldap"') + route())) == 1


def test_a_source_without_tables_is_known() -> None:
    intent = read(SOURCE + 'gone_after = "30s"\nmax_loss = "off"\non_empty = "apply"\non_stale = "1h"\ncache = false\n')
    (source,) = intent.member_sources
    assert (source.name, source.gone_after, source.stale_after) == ("fleet", 30.0, 3600.0)
    assert (source.max_loss, source.holds_empty, source.is_cached) == (None, False, False)
