"""The reference page knows every key, and its examples are files that load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from routed.intent import schema
from routed.intent.complaints import keys_of
from routed.intent.schema_check import CheckTable
from routed.intent.schema_encap import EncapTable
from routed.intent.schema_members import MemberTable, SourceTable, WhereTable
from routed.intent.schema_service import Agent, MemberServer, Server, ServiceTable, Tunnel
from routed.intent.schema_values import EntryTable
from routed.model.attributes import (
    HOP_WORDS,
    METRIC_WORDS,
    NEXTHOP_WORDS,
    ROUTE_WORDS,
    RULE_VALUE_WORDS,
    RULE_WORDS,
    Metric,
    Word,
)
from routed.model.members import FILLED_OF_SERVERS
from tests.unit.intent.intent_help import problems

PAGE = (Path(__file__).parents[3] / "docs/reference/routed.toml.md").read_text()
SECTIONS = dict(zip(*[iter(re.split(r"^##+ (.+)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMON = keys_of(EntryTable)
FOR_EACH = set(keys_of(MemberTable)) - set(COMMON)


def documented(section: str) -> list[str]:
    return re.findall(r"^\| `([a-z0-9_]+)` \|", section, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "model"),
    [("[daemon]", schema.Daemon), ("[ipvs]", schema.IpvsTable), ("sysctl", schema.Sysctls),
     ("timeouts", schema.TimeoutsTable),
     ("[[table]]", schema.RoutingTable), ("[[route]]", schema.Route), ("hops", schema.Hop),
     ("[[rule]]", schema.Rule), ("[[address]]", schema.AddressTable), ("[[vip]]", schema.Vip),
     ("announce", schema.Announce), ("[[interface]]", schema.InterfaceTable), ("match", schema.Match),
     ("[[check]]", CheckTable), ("probe", schema.ProbeTable),
     ("[[service]]", ServiceTable), ("agent", Agent), ("servers", Server),
     ("tunnel", Tunnel),
     ("encap", EncapTable),
     ("[[source]]", SourceTable), ("where", WhereTable),
     ("Keys of every entry", EntryTable)],
)  # fmt: skip
def test_every_key_of_a_table_is_documented_and_no_other(heading: str, model: type[BaseModel]) -> None:
    known = set(keys_of(model))
    if issubclass(model, EntryTable) and model is not EntryTable:
        known -= set(COMMON)
    if issubclass(model, MemberTable):
        known -= set(FOR_EACH)
    assert set(documented(SECTIONS[heading])) == known


@pytest.mark.parametrize(
    ("heading", "rows"),
    [("[[route]]", (*METRIC_WORDS, *ROUTE_WORDS, *HOP_WORDS)), ("hops", HOP_WORDS), ("[[nexthop]]", NEXTHOP_WORDS),
     ("[[rule]]", (*RULE_WORDS, *RULE_VALUE_WORDS))],
)  # fmt: skip
def test_the_page_says_of_a_word_what_its_row_says(heading: str, rows: tuple[Metric | Word, ...]) -> None:
    for row in rows:
        default = "false " if row.takes == "boolean" else ""
        assert f"| `{row.name}` | {row.takes} | {default}| {row.meaning} |" in SECTIONS[heading].splitlines()


def test_the_keys_of_a_table_for_each_member_are_documented_once() -> None:
    assert set(documented(SECTIONS["for_each"])) == FOR_EACH


def test_the_keys_of_a_server_for_each_member_are_documented() -> None:
    own = set(keys_of(MemberServer)) - set(keys_of(Server))
    assert set(documented(SECTIONS["servers for each member"])) == own | set(FILLED_OF_SERVERS)


def test_every_table_is_documented() -> None:
    assert set(documented(PAGE.split("\n## ")[0])) == set(keys_of(schema.File))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_loads(example: str) -> None:
    assert problems(example.removeprefix("version = 1\n")) == ()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2 + len(schema.ENTRY_TABLES) + 10
