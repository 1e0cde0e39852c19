"""The dashboard, the alerts and the how-to speak of metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from routed.audit.labels import label_actor, label_cause
from routed.core.troubles import State
from routed.daemon.metrics import FAMILIES
from routed.model.checks import CheckState
from routed.model.facts import Freshness
from routed.model.reasons import Deed, LinkTurn, MembersChanged
from tests.system.promtool import judge

ROOT = Path(__file__).parents[2]
RULES = ROOT / "contrib/prometheus/routed.rules.yml"
DASHBOARD = ROOT / "contrib/prometheus/routed.dashboard.json"
PAGE = (ROOT / "docs/how-to/watch-routed-with-prometheus.md").read_text(encoding="utf-8")
SUFFIXES = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
NAMES = {f"{row.name}{suffix}" for row in FAMILIES for suffix in SUFFIXES[row.type]}
LABELS: dict[str, str] = dict(re.findall(r"^\| `(routed_\w+)` \| \w+ \| ([^|]*) \|", PAGE, re.MULTILINE))


def find_expressions(thing: object) -> list[str]:
    if isinstance(thing, dict):
        own = [thing[key] for key in ("expr", "definition") if isinstance(thing.get(key), str)]
        return own + [one for value in thing.values() for one in find_expressions(value)]
    return [one for value in thing for one in find_expressions(value)] if isinstance(thing, list) else []


EXPRESSIONS = [
    *find_expressions(json.loads(DASHBOARD.read_text(encoding="utf-8"))),
    *re.findall(r"expr: (.*)", RULES.read_text(encoding="utf-8")),
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_only_for_metrics_and_labels_that_there_are(expression: str) -> None:
    asked = re.findall(r"\b(routed_\w+)(?:\{([^}]*)\})?", expression)
    assert asked or expression == 'up{job="routed"} == 0'
    for name, selectors in asked:
        assert name in NAMES
        known = {one.strip() for one in LABELS[name.removesuffix("_bucket")].split(",")}
        for label, operator, values in re.findall(r'(\w+)(=~|!=|!~|=)"([^"]*)"', selectors):
            assert label in known | {"instance"}
            if label == "state" and operator in {"=", "=~", "!="}:
                assert set(values.split("|")) <= {*State, *CheckState, *Freshness, "in", "out"}


def test_somebody_asks_for_every_metric() -> None:
    shown = " ".join(EXPRESSIONS)
    hidden = {row.name for row in FAMILIES if not re.search(rf"\b{row.name}(_total|_info|_bucket)?\b", shown)}
    assert hidden == {"routed_start_time_seconds"}


def test_the_how_to_lists_every_metric_with_its_meaning() -> None:
    listed = dict(re.findall(r"^\| `(routed\w+)` \| \w+ \| [^|]* \| (.*) \|$", PAGE, re.MULTILINE))
    assert listed == {f"{row.name}{SUFFIXES[row.type][0].replace('_bucket', '')}": row.help for row in FAMILIES}


def test_promtool_takes_the_alerts() -> None:
    assert judge("check", "rules", str(RULES)) == ""


def test_labels_are_words_of_ours() -> None:
    assert [label_cause(one) for one in (Deed.DELETED, LinkTurn.WENT_DOWN, MembersChanged)] == [
        "deleted", "link-went-down", "members-changed",
    ]  # fmt: skip
    assert [label_actor(port) for port in (None, 0, 1)] == ["unknown", "kernel", "process"]
