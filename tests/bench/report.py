"""The page docs/explanation/performance.md and its chart, from the figures of a run.

    python -m tests.bench.report [RESULTS.json]

What stands between two marks of the page is written here, everything else by hand.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.bench.bars import BARS
from tests.bench.chart import Line, draw
from tests.bench.contenders import CONTENDERS
from tests.bench.programs import PROJECT
from tests.bench.results import Cell, Metric, Results
from tests.bench.rows import IDLE, ROWS, Row
from tests.bench.table import write, write_number

PAGE: Final = PROJECT / "docs/explanation/performance.md"
CHART: Final = PAGE.with_suffix(".svg")
RESULTS: Final = PROJECT / "dist/bench/bench.json"
OURS: Final = "routed"
CURVE: Final = "gateway"  # the sort of routes of the curve
_MARKED: Final = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def main() -> None:
    """Write both."""
    results = Results.from_json(
        json.loads((Path(sys.argv[1]) if sys.argv[1:] else RESULTS).read_text(encoding="utf-8"))
    )
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    CHART.write_text(draw_curve(results), encoding="utf-8")
    print(f"{PAGE}\n{CHART}")


def fill(page: str, results: Results) -> str:
    """The page with what each pair of marks names between them. Raises KeyError for a name that is unknown."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{PARTS[found[2]](results)}\n{found[3]}", page)


def describe_machine(results: Results) -> str:
    """On what it ran, and with what."""
    machine, versions = results.machine, results.machine["versions"]
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']},"
        f" Python {machine['python']}; routed at {machine['routed']}; {said}.\n"
        f"{results.sizes['rounds']} rounds, {machine.get('took', 0) / 60:.0f} minutes. Load when it began:"
        f" {machine['load_before']}, of which nothing was the benchmark's.\n"
    )


def list_bars(results: Results) -> str:
    """Every bar, and whether it was reached."""
    return _make_table(("", "at most", "measured", ""), (bar.write(results) for bar in BARS))


def tell_curve(results: Results) -> str:
    """The time of a cold start for each route, by the number of routes."""
    counts = sorted({cell.count for cell in _find_curve(results)})
    metric = Metric("per_route", "", "µs")
    rows = []
    for name, kind in CONTENDERS.items():
        cells = {cell.count: cell for cell in _find_curve(results) if cell.contender == name}
        if any(cell.samples for cell in cells.values()):
            rows.append((kind.title, *(write(cells[n], metric) if n in cells else "–" for n in counts)))
    rows.append(
        (f"{CONTENDERS[OURS].title}, less its start", *(f"{cost:.1f} µs" for _, cost in _cost_after_start(results)))
    )
    return _make_table(("", *(write_number(count) for count in counts)), rows)


def _cost_after_start(results: Results) -> list[tuple[int, float]]:
    """What a route more costs us: the time without that of the case with the fewest, for each route more."""
    cells = sorted((c for c in _find_curve(results) if c.contender == OURS and c.samples), key=lambda cell: cell.count)
    least = cells[0]
    start = least.median("seconds")
    return [(c.count, (c.median("seconds") - start) / (c.count - least.count) * 1e6) for c in cells[1:]]


def draw_curve(results: Results) -> str:
    """The same as a chart, from where the start itself no longer counts most."""
    lines = []
    for name in sorted(CONTENDERS, key=lambda name: name != OURS):
        cells = [
            cell for cell in _find_curve(results) if cell.contender == name and cell.samples and cell.count >= 1_000
        ]
        points = [(cell.count, cell.median("per_route")) for cell in sorted(cells, key=lambda cell: cell.count)]
        if points:
            lines.append(Line(CONTENDERS[name].title, points))
    return draw("Cold start: what a route costs", "routes", "µs for each route", lines)


def list_rows(results: Results) -> str:
    """A table for each case of each row."""
    rows = dict(sorted([*ROWS.items(), ("h", IDLE)]))
    return "\n".join(part for key, row in rows.items() for part in _write_row(key, row, results))


def _write_row(key: str, row: Row, results: Results) -> Iterator[str]:
    cells = [cell for cell in results.cells if cell.row == key]
    if cells:
        yield f"### {key}. {row.title}\n"
    for case in dict.fromkeys(cell.case for cell in cells):
        yield f"{case} routes:\n\n{_write_case(row, [cell for cell in cells if cell.case == case])}"


def _write_case(row: Row, cells: Sequence[Cell]) -> str:
    metrics = [metric for metric in row.metrics if any(cell.values(metric.key) for cell in cells)]
    ours = next((cell for cell in cells if cell.contender == OURS), None)
    lines = []
    for cell in cells:
        figures = (
            [write(cell, metric) for metric in metrics] if cell.samples else [cell.note, *([""] * len(metrics))][:-1]
        )
        lines.append((CONTENDERS[cell.contender].title, _write_ratio(ours, cell, row.metrics[0].key), *figures))
    return _make_table(("", "routed : it", *(metric.title for metric in metrics)), lines)


def _write_ratio(ours: Cell | None, other: Cell, key: str) -> str:
    """How much of the other's first figure ours is."""
    if ours is None or ours is other or not ours.values(key) or not other.values(key) or not other.median(key):
        return ""
    return write_number(ours.median(key) / other.median(key))


def _find_curve(results: Results) -> list[Cell]:
    return [cell for cell in results.cells if cell.row == "a" and cell.case.endswith(f"0 {CURVE}")]


def _make_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


PARTS: Final[dict[str, Callable[[Results], str]]] = {
    "machine": describe_machine,
    "bars": list_bars,
    "curve": tell_curve,
    "rows": list_rows,
}

if __name__ == "__main__":
    main()
