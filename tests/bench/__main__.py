"""The benchmark: every row, every contender, several rounds in another order each, into one JSON document.

    python -m tests.bench [--quick] [--rows a,b] [--contenders routed,bird] [--out FILE]

`make bench` runs it in a network, mount and pid namespace of its own, so that whatever happens nothing is left behind.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.arena import FULL, QUICK, Sizes, enter
from tests.bench.contenders import CONTENDERS, CannotError, Contender
from tests.bench.machine import describe_machine
from tests.bench.observer import TooLateError
from tests.bench.programs import PROJECT
from tests.bench.results import Cell, Results
from tests.bench.rows import IDLE, ROWS, Row, idle
from tests.bench.table import print_table
from tests.bench.wire import Routes

TELLING: Final = 10_000  # routes; with fewer, the time is that of the start


def main() -> None:
    """Run what is asked for."""
    options = parse_arguments()
    sizes = choose_sizes(options)
    results = Results(describe_machine(), sizes._asdict())
    began = time.monotonic()
    for key in options.rows:
        chosen = {name: CONTENDERS[name] for name in options.contenders if key in CONTENDERS[name].rows}
        if key == "h":
            run_idle(sizes, chosen, results)
        else:
            run_row(key, ROWS[key], sizes, chosen, results)
        results.machine["took"] = round(time.monotonic() - began)
        results.machine["load_after"] = Path("/proc/loadavg").read_text(encoding="ascii").split()[0]
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(results.to_json(), indent=1) + "\n")
    print(f"\n{options.out}: {results.machine['took']} s")


def run_row(key: str, row: Row, sizes: Sizes, chosen: dict[str, type[Contender]], results: Results) -> None:
    """All cases of one row, all contenders side by side in each round."""
    for case in row.cases(sizes):
        patient = sizes._replace(limit=min(sizes.limit, wait_for_start(case))) if row.does_grow else sizes
        names = list(chosen)
        cells = {name: results.add(key, name, case) for name in names}
        for number in range(sizes.rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                if not cells[name].note and cells[name].spent < sizes.budget:
                    forecast(row, cells[name], results, patient)
                    measure(row, chosen[name], case, patient, cells[name])
        print_table(row, case, cells)


def wait_for_start(case: Routes) -> float:
    """Seconds after which a start has failed: so that one that fails with few routes does not take the others' time."""
    return 20.0 + case.count * 1e-4


def measure(row: Row, kind: type[Contender], case: Routes, sizes: Sizes, cell: Cell) -> None:
    """One contender, one case, once. What it cannot do is noted, and is no failure of the benchmark."""
    if cell.note:
        return
    if case.count > kind.most:
        cell.note = f"not tried above {kind.most:,}: {kind.because}".replace(",", " ")
        return
    began = time.monotonic()
    try:
        with enter(kind, sizes) as arena:
            cell.samples.append(row.measure(arena, case))
    except (CannotError, TooLateError) as why:
        cell.note = str(why)
    except (OSError, KeyError) as why:
        cell.note = f"failed: {str(why).splitlines()[0]}"
        print(f"{kind.title}, {row.title}: {why}", file=sys.stderr)
    cell.spent += time.monotonic() - began


def forecast(row: Row, cell: Cell, results: Results, sizes: Sizes) -> None:
    """Do not wait for what cannot be done in time by what it took for fewer routes."""
    smaller = results.find_smaller(cell) if row.does_grow and not cell.samples else None
    if smaller is None or smaller.count < TELLING:
        return
    if smaller.note:
        cell.note = smaller.note
    elif smaller.median("seconds") * cell.count / smaller.count > sizes.limit:
        cell.note = f"not there in {sizes.limit:.0f} s, by its time for fewer"


def run_idle(sizes: Sizes, chosen: dict[str, type[Contender]], results: Results) -> None:
    """The one row in which all run at the same time."""
    names = {kind: name for name, kind in chosen.items()}
    cells: dict[str, dict[str, Cell]] = {}
    for case in IDLE.cases(sizes):
        cells[str(case)] = {name: results.add("h", name, case) for name in chosen}
        for name, cell in cells[str(case)].items():
            cell.note = (
                "did not get there, or ended by itself" if chosen[name].is_daemon else "one-shot: nobody is there"
            )
    for kind, label, figures in idle(sizes, list(chosen.values())):
        cells[label][names[kind]].samples.append(figures)
        cells[label][names[kind]].note = ""
    for case in IDLE.cases(sizes):
        print_table(IDLE, case, cells[str(case)])


def choose_sizes(options: argparse.Namespace) -> Sizes:
    """The sizes of a full or a quick run, with what was asked for otherwise."""
    asked: dict[str, Any] = {name: getattr(options, name) for name in ("rounds", "limit", "many", "idle", "repairs")}
    return (QUICK if options.quick else FULL)._replace(**{name: n for name, n in asked.items() if n is not None})


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    rows = sorted([*ROWS, "h"])
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure routed beside its peers.")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round, two minutes")
    parser.add_argument("--rows", type=_among(rows), default=rows, help=f"of {','.join(rows)}")
    names = list(CONTENDERS)
    parser.add_argument("--contenders", type=_among(names), default=names, help=f"of {','.join(names)}")
    parser.add_argument("--rounds", type=int, help="of each figure")
    parser.add_argument("--many", type=int, help="routes, where there are many")
    parser.add_argument("--repairs", type=int, help="deletions of one route")
    parser.add_argument("--limit", type=float, help="seconds after which something does not happen")
    parser.add_argument("--idle", type=float, help="seconds of idleness")
    parser.add_argument("--out", type=Path, default=PROJECT / "dist/bench/bench.json", help="the JSON document")
    return parser.parse_args()


class _among:  # noqa: N801  used like a function
    def __init__(self, known: Sequence[str]) -> None:
        self._known: Final = known

    def __call__(self, words: str) -> list[str]:
        asked = words.split(",")
        if unknown := set(asked) - set(self._known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not among {', '.join(self._known)}")
        return asked


if __name__ == "__main__":
    main()
