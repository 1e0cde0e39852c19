"""The gate: has routed become slower by a factor of two? Ratios only, in less than a minute.

    python -m tests.bench.gate [--slow FACTOR]

What is compared is CPU time, which another load on the machine changes little, of routed and of a program that does the
same work in the same run: the best of several rounds of each. ``--slow`` multiplies what routed took, to see that the
gate would close. A bound stands above what was measured on two cores, idle and beside two busy loops, and below twice
the least of it. Who makes routed faster lowers it: run the gate a few times, idle and under load, and with
``--slow 2``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from tests.bench.arena import QUICK, Arena, enter
from tests.bench.contenders import Contender, IpBatch, Limit, Routed
from tests.bench.wire import Routes

ROUNDS: Final = 5  # at most; where it is clear after one, it stays with one
MANY: Final = Routes(100_000)
SOME: Final = Routes(10_000)
REPAIRS: Final = 300
SIZES: Final = QUICK._replace(limit=300.0)


def cpu_of_start(kind: type[Contender], routes: Routes) -> float:
    """CPU seconds from exec until all routes stand."""
    with enter(kind, SIZES) as arena:
        arena.install(routes)
        return arena.contender.programs.cpu()


def cpu_of_batch(routes: Routes) -> float:
    """CPU seconds of ``ip -batch``, which ends by itself."""
    with enter(IpBatch, SIZES) as arena:
        arena.contender.write(routes)
        assert isinstance(arena.contender, IpBatch)
        return arena.contender.run().cpu


def cpu_of_look(kind: type[Contender], routes: Routes) -> float:
    """CPU seconds of a pass that finds nothing."""
    with enter(kind, SIZES) as arena:
        arena.install(routes)
        time.sleep(SIZES.rest)
        return min(arena.contender.look().cpu for _ in range(5))


def cpu_of_repair(kind: type[Contender], routes: Routes) -> float:
    """CPU seconds of one repair: those of many, divided."""
    with enter(kind, SIZES) as arena:
        arena.install(routes)
        time.sleep(SIZES.rest)
        return min(_cpu_of_repairs(arena, routes) for _ in range(3))


def _cpu_of_repairs(arena: Arena, routes: Routes) -> float:
    [deletion] = arena.observer.make_deletions(routes.family, [routes.count // 2])
    before = arena.contender.programs.cpu()
    for _ in range(REPAIRS // 3):
        time.sleep(0.001)
        arena.observer.time_repair(deletion)
    return (arena.contender.programs.cpu() - before) / (REPAIRS // 3)


def cpu_of_check() -> float:
    """CPU seconds of ``routed check`` of a short file."""
    with enter(Routed, SIZES) as arena:
        routed = arena.contender
        assert isinstance(routed, Routed)
        routed.write(Routes(10))
        return min(routed.programs.run(routed.command("check"), SIZES.limit).cpu for _ in range(10))


def cpu_of_python() -> float:
    """CPU seconds of a Python that imports what no command line that reads TOML can do without."""
    with enter(Routed, SIZES) as arena:
        command = [sys.executable, "-c", "import argparse, tomllib"]
        return min(arena.contender.programs.run(command, SIZES.limit).cpu for _ in range(10))


class Ratio(NamedTuple):
    """What may not grow: the least that routed took over the least that the other took."""

    title: str
    ours: Callable[[], float]
    theirs: Callable[[], float]
    bound: float


RATIOS: Final = (
    Ratio(
        "cold start of 100 000 routes : ip -batch",
        lambda: cpu_of_start(Routed, MANY),
        lambda: cpu_of_batch(MANY),
        1.3,
    ),
    Ratio(
        "a tenth of the cold start of 100 000 routes : that of 10 000",
        lambda: cpu_of_start(Routed, MANY) * SOME.count / MANY.count,
        lambda: cpu_of_start(Routed, SOME),
        0.42,
    ),
    Ratio(
        "a pass over 100 000 routes that finds nothing : a raw dump",
        lambda: cpu_of_look(Routed, MANY),
        lambda: cpu_of_look(Limit, MANY),
        8.5,
    ),
    Ratio(
        "a hundred repairs : python -c 'import argparse, tomllib'",
        lambda: cpu_of_repair(Routed, Routes(10)) * 100,
        cpu_of_python,
        2.6,
    ),
    Ratio("`routed check` : python -c 'import argparse, tomllib'", cpu_of_check, cpu_of_python, 10.0),
)


def measure(ratio: Ratio, slow: float) -> tuple[float, float]:
    """The best of some rounds of each, one after the other so that a load meets both. Stops early where it is clear."""
    ours = theirs = float("inf")
    for _ in range(ROUNDS):
        ours, theirs = min(ours, ratio.ours() * slow), min(theirs, ratio.theirs())
        if ours <= ratio.bound * theirs * 0.8:
            break
    return ours, theirs


def main() -> None:
    """Print the ratios; exit 1 when one is above its bound."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gate", description="Ratios that may not grow.")
    parser.add_argument("--slow", type=float, default=1.0, metavar="FACTOR", help="multiply what routed took")
    slow, began, is_open = parser.parse_args().slow, time.monotonic(), True
    for ratio in RATIOS:
        ours, theirs = measure(ratio, slow)
        is_within = ours <= ratio.bound * theirs
        is_open = is_open and is_within
        verdict = "" if is_within else "  TOO SLOW"
        print(
            f"{ours / theirs:6.2f}  at most {ratio.bound:5.2f}  {ratio.title}"
            f" ({ours * 1e3:.2f} ms : {theirs * 1e3:.2f} ms){verdict}",
            flush=True,
        )
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(not is_open)


if __name__ == "__main__":
    main()
