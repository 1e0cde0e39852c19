"""Figures as people read them, and the table of one case on the terminal as soon as it is measured."""

from __future__ import annotations

from tests.bench.contenders import CONTENDERS
from tests.bench.results import Cell, Metric
from tests.bench.rows import Row
from tests.bench.wire import Routes


def print_table(row: Row, case: Routes, cells: dict[str, Cell]) -> None:
    """One case of a row: the median of each figure and its spread, or why there is none."""
    metrics = [metric for metric in row.metrics if any(cell.values(metric.key) for cell in cells.values())]
    print(f"\n{row.title}: {case} routes")
    print(f"{'':18}" + "".join(f"{metric.title[:22]:>24}" for metric in metrics))
    for name, cell in cells.items():
        figures = "".join(f"{write(cell, metric):>24}" for metric in metrics) if cell.samples else ""
        print(f"{CONTENDERS[name].title:18}{figures}{'  ' + cell.note if cell.note else ''}", flush=True)


def write(cell: Cell, metric: Metric) -> str:
    """The median, and in brackets the least and the most."""
    values = cell.values(metric.key)
    if not values:
        return "–"
    text = f"{write_number(cell.median(metric.key))} {metric.unit}".rstrip()
    return text if len(values) == 1 else f"{text} ({write_number(values[0])}–{write_number(values[-1])})"


def write_number(number: float) -> str:
    """Three digits that count, thousands apart."""
    digits = 0 if number >= 100 else 1 if number >= 10 else 2 if number >= 1 else 3
    return f"{number:,.{digits}f}".replace(",", " ")
