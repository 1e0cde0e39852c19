"""The figures of a run as values, to and from JSON."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from tests.bench.wire import Routes

Figures = dict[str, float]


class Metric(NamedTuple):
    """One figure of a row."""

    key: str
    title: str
    unit: str  # s, ms, µs, MB, %, or nothing


@dataclass(slots=True)
class Cell:
    """One contender in one case of one row: a sample a round, or a note why there is none."""

    row: str
    contender: str
    case: str
    group: str  # what is alike but for the count
    count: int
    samples: list[dict[str, float]] = field(default_factory=list)
    note: str = ""
    spent: float = 0.0  # seconds

    def values(self, key: str) -> list[float]:
        """One figure of all rounds, in order of size."""
        return sorted(sample[key] for sample in self.samples if key in sample)

    def median(self, key: str) -> float:
        """The middle one. Raises StatisticsError when there is none."""
        return statistics.median(self.values(key))


@dataclass(slots=True)
class Results:
    """One run."""

    machine: dict[str, Any]
    sizes: dict[str, Any]
    cells: list[Cell] = field(default_factory=list)

    def add(self, row: str, contender: str, case: Routes) -> Cell:
        """A cell that is still empty."""
        cell = Cell(row, contender, str(case), f"{case.sort}{case.family}", case.count)
        self.cells.append(cell)
        return cell

    def find_smaller(self, cell: Cell) -> Cell | None:
        """The cell of the case that is like this one with the next fewer routes."""
        alike = [
            other
            for other in self.cells
            if (other.row, other.contender, other.group) == (cell.row, cell.contender, cell.group)
            and other.count < cell.count
        ]
        return max(alike, key=lambda other: other.count, default=None)

    def find(self, row: str, case: str, contender: str) -> Cell | None:
        """One cell."""
        return next((c for c in self.cells if (c.row, c.case, c.contender) == (row, case, contender)), None)

    def to_json(self) -> dict[str, Any]:
        """The document."""
        return {"schema": "routed.bench/1", **asdict(self)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Results:
        """The other way round."""
        return cls(document["machine"], document["sizes"], [Cell(**cell) for cell in document["cells"]])
