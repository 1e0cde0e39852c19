"""What the tests of the import share: one text of a format, as the tables that it comes to."""

from __future__ import annotations

import tomllib
from typing import Any

from routed.intent.importing.formats import Text, read_texts
from routed.intent.importing.statements import fold
from routed.intent.importing.writing import write
from routed.intent.load import load_sources
from tests.unit.intent.intent_help import source

NAMES = {"netplan": "50-lan.yaml", "networkd": "10-lan.network", "NetworkManager": "office.nmconnection",
         "ifupdown": "interfaces", "keepalived": "keepalived.conf", "ip": "routes"}  # fmt: skip
Tables = dict[str, list[dict[str, Any]]]


def imported(format_: str, text: str) -> tuple[Tables, list[str]]:
    """The tables without what all have alike, and what was left out."""
    findings = read_texts([Text(NAMES[format_], text)])
    written = write(findings.statements)
    load_sources((source(written.text),))  # what is written is taken
    tables = tomllib.loads(written.text)
    del tables["version"]
    for one in (one for some in tables.values() for one in some):
        if one.get("match") is None:
            one.pop("name", None)
    for rule in tables.get("rule", ()):
        assert rule.pop("on_conflict") == "replace"
    return tables, fold([*findings.leftovers, *written.leftovers], is_verbose=True)


def route(format_: str, text: str) -> dict[str, Any]:
    tables, left_out = imported(format_, text)
    assert left_out == []
    (only,) = tables["route"]
    return only
