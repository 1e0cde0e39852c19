"""The bars: what routed has set out to reach, each as a figure of a run over another, and a bound."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from tests.bench.results import Results
from tests.bench.singles import ENTRIES
from tests.bench.table import write_number
from tests.bench.wire import Routes

Size = Literal["few", "named", "some", "many", "most"]


class Figure(NamedTuple):
    """Where a figure stands: the median of all rounds, in the case of so many routes."""

    row: str
    contender: str
    key: str
    size: Size = "many"
    sort: str = "gateway"

    def find(self, results: Results) -> float | None:
        """Its value; None when it was not measured."""
        counts: dict[Size, Any] = {
            "few": results.sizes["few"],
            "named": ENTRIES,
            "some": 1_000,
            "many": results.sizes["many"],
            "most": 1_000_000,  # as the bar says: a quick run measures none
        }
        cell = results.find(self.row, str(Routes(counts[self.size], self.sort)), self.contender)
        return cell.median(self.key) if cell and cell.values(self.key) else None


class Bar(NamedTuple):
    """One thing to reach."""

    title: str
    figure: Figure
    bound: float
    unit: str = ""
    over: Figure | None = None  # what the figure is divided by, and in words
    of: str = ""
    is_least: bool = False  # shall it be so much at least?

    def measure(self, results: Results) -> float | None:
        """The ratio, or the figure itself; None when something of it was not measured."""
        value = self.figure.find(results)
        other = self.over.find(results) if self.over else 1.0
        return value / other if value is not None and other else None

    def write(self, results: Results) -> tuple[str, str, str, str]:
        """As a line of a table: what, its bound, measured, and whether it was reached."""
        value = self.measure(results)
        unit = f" {self.unit}" if self.unit else f" × {self.of}"
        measured = "–" if value is None else f"{write_number(value)}{unit if self.unit else ' ×'}"
        verdict = "not measured" if value is None else "met" if self._is_met(value) else "**missed**"
        return self.title, f"{'at least ' if self.is_least else 'at most '}{self.bound:g}{unit}", measured, verdict

    def _is_met(self, value: float) -> bool:
        return value >= self.bound if self.is_least else value <= self.bound


_REPAIR: Final = Figure("b", "routed", "", "some")
_START: Final = Figure("a", "routed", "seconds")
_INSERT: Final = Figure("a", "limit", "seconds")
_COMMANDS: Final = Figure("i", "routed", "check", "few")
_IMPORT: Final = _COMMANDS._replace(key="import")
_SINGLE: Final = Figure("k", "routed", "", "some")
_NAMED: Final = Figure("l", "routed", "arguments", "named")
_BUSY: Final = Figure("j", "routed", "", "most", "blackhole")
_MODEL: Final = "importing pydantic and building one model"
_THREE, _ALL_THREE = "`import pydantic, tomllib, argparse`", "`import pydantic, pyroute2, asyncio`"

BARS: Final = (
    *(
        Bar(
            f"One route deleted after {rest} of rest until it is back, median",
            _REPAIR._replace(key=f"median_{rest}"),
            2.0,
            "",
            _REPAIR._replace(key=f"median_{rest}", contender="keepalived"),
            "keepalived",
        )
        for rest in ("1s", "200ms")
    ),
    Bar("Cold start, many routes", _START, 0.9, "", _START._replace(contender="bird"), "BIRD"),
    Bar(
        "Cold start, a million routes",
        _START._replace(size="most"),
        0.8,
        "",
        _START._replace(contender="bird", size="most"),
        "BIRD",
    ),
    Bar(
        "All flushed: from the end of `ip` until all are back",
        Figure("c", "routed", "after"),
        1.5,
        "",
        _INSERT,
        "the kernel's own insert time",
    ),
    Bar(
        "A pass that finds nothing, CPU time",
        Figure("e", "routed-1s", "cpu"),
        4.0,
        "",
        Figure("e", "limit", "cpu"),
        "a raw dump",
    ),
    Bar("A stranger's changes, CPU time of decoding them all", Figure("f", "routed", "share", "few"), 5.0, "%"),
    Bar("Memory with few routes", Figure("h", "routed", "memory", "few"), 32.0, "MB"),
    Bar("Memory with many routes", Figure("h", "routed", "memory"), 60.0, "MB"),
    Bar(
        "Memory with a million routes",
        Figure("a", "routed", "memory", "most"),
        1.0,
        "",
        Figure("a", "bird", "memory", "most"),
        "BIRD",
    ),
    Bar("`routed check`, wall time", _COMMANDS, 1.3, "", _COMMANDS._replace(key="model"), _MODEL),
    Bar("`routed status`, wall time", _COMMANDS._replace(key="status"), 1.5, "", _IMPORT, _THREE),
    Bar(
        "exec until READY, few routes, files as at the last start",
        _COMMANDS._replace(key="again"),
        0.74,  # 0.6 of what it was before the state held what the files meant
        "",
        _COMMANDS._replace(key="import_all"),
        _ALL_THREE,
    ),
    Bar("One VIP deleted after 1s of rest until it is back, median", _SINGLE._replace(key="vip_median"), 1000.0, "µs"),
    Bar("Deletions by `ip` that are named with their arguments", _NAMED, 90.0, "%", is_least=True),
    Bar(
        "Wake-ups in an idle minute, of which one is the resync",
        Figure("h", "routed", "wakeups", "few"),
        2.0,
        "wake-ups",
    ),
    *(
        Bar(f"{title}, worst", _BUSY._replace(key=key), most, "ms")
        for title, key, most in (
            ("Status while a million routes are installed", "install_status_worst", 100.0),
            ("Status while a million routes are compared", "compare_status_worst", 100.0),
            ("A repair while a million routes are installed", "install_repair_worst", 10.0),
            ("A repair while a million routes are compared", "compare_repair_worst", 10.0),
        )
    ),
)
