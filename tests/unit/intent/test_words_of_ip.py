"""Every word of ip's help is a key of the file, or stands on the page of words that are none."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from pydantic import BaseModel

from routed.intent import schema, schema_neighbour, schema_nexthop
from routed.intent.complaints import keys_of
from routed.intent.schema_values import EntryTable

PAGE = (Path(__file__).parents[3] / "docs/reference/words-of-ip.md").read_text(encoding="utf-8")
SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))

# Of the help: what an entry could say, and not how lists are asked for.
SPOKEN = {
    "route": r"^ROUTE := .*?(?=^ROUTE_GET_FLAG)",
    "rule": r"^SELECTOR := .*",
    "address": r"^IFADDR := .*?(?=^TYPE :=)",
    "nexthop": r"^NH := .*",
    "neighbour": r"^ *\{ ADDR .*?(?=^\s+ip neigh)|^STATE := .*",
}
TABLES: dict[str, tuple[type[BaseModel], ...]] = {
    "route": (schema.Route, schema.Hop),
    "rule": (schema.Rule,),
    "address": (schema.AddressTable,),
    "nexthop": (schema_nexthop.NexthopTable, schema_nexthop.GroupLeg),
    "neighbour": (schema_neighbour.NeighbourTable,),
}


def read_help(command: str) -> set[str]:
    text = subprocess.run(["ip", command, "help"], check=False, capture_output=True, text=True).stderr
    spoken = "".join(re.findall(SPOKEN[command], text, flags=re.MULTILINE | re.DOTALL))
    words = re.findall(r"(?<![\w.<-])(?:End|[a-z][a-z0-9]*(?:[_.-][a-z0-9]+)*)(?![\w>])", spoken)
    return set(words) - {"dev"} if words else set()


def listed(command: str) -> set[str]:
    """What stands in the first column, and the words in prose beside it."""
    return {word for quoted in re.findall(r"`([^`]+)`", SECTIONS[f"ip {command}"]) for word in quoted.split()}


@pytest.mark.parametrize("command", SPOKEN)
def test_every_word_of_the_help_of_ip_is_a_key_or_has_its_row(command: str) -> None:
    keys = {key for table in TABLES[command] for key in keys_of(table)}
    words = read_help(command)
    assert len(words) > 5
    assert words - keys - listed(command) == set()


@pytest.mark.parametrize("command", SPOKEN)
def test_what_is_said_to_have_no_word_is_no_key(command: str) -> None:
    keys = {key for table in TABLES[command] for key in keys_of(table)} - set(keys_of(EntryTable))
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", SECTIONS[f"ip {command}"], flags=re.MULTILINE)
    without = {word for words, said in rows if said.startswith("no:") for word in re.findall(r"`([^`]+)`", words)}
    assert without & keys == set()


def test_the_sum_of_what_can_be_said_is_right() -> None:
    rows = re.findall(r"^\| .+? \| (\d+) \| (\S+)", SECTIONS["What outside configurations needed"], flags=re.MULTILINE)
    every, said = sum(int(count) for count, _ in rows), sum(int(count) for count, now in rows if now == "said")
    assert f"{every} configurations: {said} of them can be said now" in PAGE
    assert f"the {140 - every} behind *few*" in PAGE
