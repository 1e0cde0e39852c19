"""The page about performance says what the figures of a run say."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from tests.bench import report
from tests.bench.bars import BARS
from tests.bench.chart import Line, draw
from tests.bench.results import Results
from tests.bench.wire import Routes

MACHINE = {"cpu": "a CPU", "cores": 2, "memory_gib": 8, "kernel": "6.1", "python": "3.11", "routed": "abc",
           "versions": {"bird2": "2.0.12"}, "load_before": "0.10", "took": 120}  # fmt: skip
SIZES = {"few": 10, "many": 100_000, "counts": [100, 100_000], "rounds": 3}


def run(**samples: list[dict[str, float]]) -> Results:
    """A run of which each contender has these samples of the cold start of 100 000 routes."""
    results = Results(dict(MACHINE), dict(SIZES))
    for name, found in samples.items():
        results.add("a", name, Routes(100_000)).samples = found
    return results


def seconds(*values: float) -> list[dict[str, float]]:
    return [{"seconds": value} for value in values]


def bar(title: str, results: Results) -> tuple[str, ...]:
    return next(one for one in BARS if one.title == title).write(results)


@pytest.mark.parametrize(
    ("ours", "theirs", "measured", "verdict"),
    [
        (seconds(1.0, 9.0, 1.2), seconds(2.4), "0.500 ×", "met"),
        (seconds(3.0), seconds(2.0), "1.50 ×", "**missed**"),
        ([], seconds(2.0), "–", "not measured"),
        (seconds(3.0), [], "–", "not measured"),
    ],
)
def test_a_bar_is_judged_by_the_ratio_of_medians(
    ours: list[dict[str, float]], theirs: list[dict[str, float]], measured: str, verdict: str
) -> None:
    assert bar("Cold start, many routes", run(routed=ours, bird=theirs))[1:] == (
        "at most 0.9 × BIRD",
        measured,
        verdict,
    )


def test_a_bar_without_a_ratio_has_a_unit() -> None:
    results = run()
    results.add("h", "routed", Routes(10)).samples = [{"memory": 46.0}]
    assert bar("Memory with few routes", results)[1:] == ("at most 32 MB", "46.0 MB", "**missed**")


@pytest.mark.parametrize(("share", "verdict"), [(90.0, "met"), (89.9, "**missed**")])
def test_of_what_is_to_be_much_less_is_a_miss(share: float, verdict: str) -> None:
    results = run()
    results.add("l", "routed", Routes(50)).samples = [{"arguments": share}]
    title = "Deletions by `ip` that are named with their arguments"
    assert bar(title, results)[1:] == ("at least 90 %", f"{share:.1f} %", verdict)


def test_a_row_has_a_line_for_each_contender_with_the_spread_and_our_ratio_to_it() -> None:
    results = run(routed=seconds(1.0, 2.0, 3.0), bird=seconds(4.0))
    lines = report.list_rows(results).splitlines()
    assert "| routed |  | 2.00 s (1.00–3.00) |" in lines
    assert "| BIRD | 0.500 | 4.00 s |" in lines


def test_a_contender_that_cannot_do_it_is_in_the_table_and_says_so() -> None:
    results = run(routed=seconds(1.0), frr=[])
    results.cells[-1].note = "not there in 20 s"
    assert "| FRR |  | not there in 20 s |" in report.list_rows(results).splitlines()


def test_the_cost_of_a_route_is_told_with_the_start_and_without() -> None:
    results = run(routed=seconds(2.0))
    results.add("a", "routed", Routes(100)).samples = seconds(1.0)
    costs = report.find_costs(results)
    assert costs["routed"] == {100: 10_000.0, 100_000: 20.0}
    assert costs["routed, started"] == {100_000: pytest.approx(1e6 / 99_900)}


def test_what_stands_outside_of_the_marks_stays_and_what_stands_inside_is_written_anew() -> None:
    page = "before\n<!-- begin machine -->\nold\n<!-- end machine -->\nafter\n"
    filled = report.fill(page, run())
    assert re.fullmatch(
        r"before\n<!-- begin machine -->\n\na CPU, 2 cores.*\n<!-- end machine -->\nafter\n", filled, re.DOTALL
    )
    assert "old" not in filled
    assert report.fill(filled, run()) == filled


def test_the_page_in_the_tree_has_all_parts() -> None:
    assert set(re.findall(r"<!-- begin (\w+) -->", report.PAGE.read_text())) == set(report.PARTS)


def test_a_chart_is_a_document_in_which_every_line_has_its_label_and_its_points() -> None:
    lines = [Line("ours", [(1_000, 10.0), (10_000, 9.0)]), Line("a < b", [(1_000, 10.0), (10_000, 9.0)])]
    root = ET.fromstring(draw("title", "x", "y", lines))  # noqa: S314  written a moment ago
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    places = [
        element.get("y")
        for element in root.iter("{http://www.w3.org/2000/svg}text")
        if element.text in {"ours", "a < b"}
    ]
    assert {"title", "x", "y", "ours", "a < b"} <= set(texts)
    assert len(set(places)) == 2  # though both lines end in one place
    assert [len((line.get("points") or "").split()) for line in root.iter("{http://www.w3.org/2000/svg}polyline")] == [
        2,
        2,
    ]
