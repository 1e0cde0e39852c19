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
from tests.bench.results import Cell, Results
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
    return _make_table(("", "bar", "measured", ""), (bar.write(results) for bar in BARS))


def tell_curve(results: Results) -> str:
    """What a route of a cold start costs, by the number of routes."""
    costs = find_costs(results)
    counts = sorted({count for line in costs.values() for count in line})
    rows = [(title, *(_write_cost(line.get(count)) for count in counts)) for title, line in costs.items()]
    return _make_table(("", *(write_number(count) for count in counts)), rows)


def draw_curve(results: Results) -> str:
    """The same as a chart, from where it is more than the start of a program."""
    costs = {title: [p for p in sorted(line.items()) if p[0] >= 1_000] for title, line in find_costs(results).items()}
    lines = [Line(title, points) for title, points in costs.items() if points]
    return draw("Cold start: what a route costs", "routes", "µs for each route", lines)


def find_costs(results: Results) -> dict[str, dict[int, float]]:
    """Microseconds for each route by the number of routes: ours first, and last ours without what the start takes."""
    found: dict[str, dict[int, float]] = {}
    for name in sorted(CONTENDERS, key=lambda name: name != OURS):
        for cell in results.cells:
            if (cell.row, cell.contender) == ("a", name) and cell.case.endswith(f"0 {CURVE}") and cell.samples:
                found.setdefault(CONTENDERS[name].title, {})[cell.count] = cell.median("seconds") / cell.count * 1e6
    if ours := found.get(CONTENDERS[OURS].title):
        least = min(ours)  # with a hundred times as many the start no longer hides in the noise of the two
        more = {n: (cost * n - ours[least] * least) / (n - least) for n, cost in ours.items() if n >= 100 * least}
        found[f"{CONTENDERS[OURS].title}, started"] = more
    return found


def _write_cost(cost: float | None) -> str:
    return "–" if cost is None else f"{write_number(cost)} µs"


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
