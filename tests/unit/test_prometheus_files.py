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


# Each alert: the series of a fault and how it is sampled each minute, the minute in which it does not fire yet, and the
# one in which it does.
FIRES: dict[str, tuple[str, str, int, int]] = {
    "RoutedDown": ('up{job="routed"}', "1 0x9", 2, 3),
    "RoutedNotVerified": ("routed_last_verified_timestamp_seconds", "0x20", 6, 8),
    "RoutedEntryNotInForce": ('routed_entry_not_in_sync{entry="route/a",state="shadowed"}', "1x9", 0, 1),
    "RoutedEntryWaits": ('routed_entry_not_in_sync{entry="route/a",state="waiting"}', "1x20", 14, 15),
    "RoutedEntryPausedForLong": ('routed_entry_not_in_sync{entry="route/a",state="paused"}', "1x300", 239, 240),
    "RoutedFight": ('routed_repairs_total{actor="process",cause="deleted"}', "0+3x40", 6, 20),
    "RoutedFilesInvalid": ("routed_files_valid", "0x9", 4, 5),
    "RoutedFilesNotInForce": ("routed_files_in_force", "0x90", 59, 60),
    "RoutedStateNotKept": ("routed_state_kept", "0x9", 4, 5),
    "RoutedCheckDown": ('routed_check_up{check="check/web"}', "0x9", 0, 1),
    "RoutedCheckCannotBeMade": ('routed_checks{state="failed"}', "2x9", 4, 5),
    "RoutedSourceStale": ('routed_source_state{source="fleet",state="stale"}', "1x9", 4, 5),
    "RoutedMembersHeld": ('routed_source_members{source="fleet",held="yes"}', "3x9", 0, 1),
    "RoutedServiceWithoutServers": ('routed_service_servers{service="service/api",state="in"}', "0x9", 0, 1),
}
BESIDE = {"RoutedFilesNotInForce": [{"series": "routed_files_valid", "values": "1x90"}]}


def test_each_alert_is_tried() -> None:
    assert list(FIRES) == re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8"))


@pytest.mark.parametrize("alert", FIRES)
def test_an_alert_fires_when_its_time_is_over_and_not_before(alert: str, tmp_path: Path) -> None:
    series, values, quiet, loud = FIRES[alert]
    count = {
        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
        "eval_time": f"{loud}m",
        "exp_samples": [{"labels": "{}", "value": 1}],
    }
    none = {"expr": count["expr"], "eval_time": f"{quiet}m", "exp_samples": []}
    given = [{"series": series, "values": values}, *BESIDE.get(alert, [])]
    tests = {"interval": "1m", "input_series": given, "promql_expr_test": [none, count]}
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [tests]}))
    assert judge("test", "rules", str(file)) == ""


def test_labels_are_words_of_ours() -> None:
    assert [label_cause(one) for one in (Deed.DELETED, LinkTurn.WENT_DOWN, MembersChanged)] == [
        "deleted", "link-went-down", "members-changed",
    ]  # fmt: skip
    assert [label_actor(port) for port in (None, 0, 1)] == ["unknown", "kernel", "process"]
