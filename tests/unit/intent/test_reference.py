"""The reference page knows every key, and its examples are files that load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from routed.intent import schema
from routed.intent.complaints import keys_of
from tests.unit.intent.intent_help import problems

PAGE = (Path(__file__).parents[3] / "docs/reference/routed.toml.md").read_text()
SECTIONS = dict(zip(*[iter(re.split(r"^##+ (.+)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMON = keys_of(schema.EntryTable)


def documented(section: str) -> list[str]:
    return re.findall(r"^\| `([a-z0-9_]+)` \|", section, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "model"),
    [("[daemon]", schema.Daemon), ("[[table]]", schema.RoutingTable), ("[[route]]", schema.Route), ("hops", schema.Hop),
     ("[[rule]]", schema.Rule), ("[[address]]", schema.AddressTable), ("[[vip]]", schema.Vip),
     ("announce", schema.Announce), ("[[interface]]", schema.InterfaceTable), ("match", schema.Match),
     ("[[check]]", schema.CheckTable), ("probe", schema.ProbeTable),
     ("[[service]]", schema.ServiceTable), ("servers", schema.Server), ("tunnel", schema.Tunnel),
     ("Keys of every entry", schema.EntryTable)],
)  # fmt: skip
def test_every_key_of_a_table_is_documented_and_no_other(heading: str, model: type[BaseModel]) -> None:
    known = set(keys_of(model))
    if issubclass(model, schema.EntryTable) and model is not schema.EntryTable:
        known -= set(COMMON)
    assert set(documented(SECTIONS[heading])) == known


def test_every_table_is_documented() -> None:
    assert set(documented(PAGE.split("\n## ")[0])) == set(keys_of(schema.File))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_loads(example: str) -> None:
    assert problems(example.removeprefix("version = 1\n")) == ()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 1 + len(schema.ENTRY_TABLES) + 1
