"""What is measured: one function each, and the table at the end. A function returns figures by name, in their unit."""

from __future__ import annotations

import itertools
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import busy, singles
from tests.bench.arena import Arena, Sizes, enter
from tests.bench.contenders import LIMIT, CannotError, Contender, Routed
from tests.bench.observer import TooLateError
from tests.bench.programs import PROJECT, Programs
from tests.bench.results import Figures, Metric
from tests.bench.wire import DEV, IPV6, Routes
from tests.kernel import netns

NOBODY: Final = "one-shot: nobody is there to repair"
DIFFERENT: Final = 100  # routes that are deleted in turn
DECODED: Final = 20_000  # events; its receive buffer holds as many
RESTS: Final = {"1s": 1.0, "200ms": 0.2, "20ms": 0.02, "2ms": 0.002}  # seconds between two deletions
CHURN_RATE: Final = 100_000  # changes a second, as fast as one core makes them beside a daemon


def start_cold(arena: Arena, routes: Routes) -> Figures:
    """From exec until all stand."""
    seconds = arena.install(routes)
    programs = arena.contender.programs
    figures = {"seconds": seconds, "per_route": seconds / routes.count * 1e6}
    if arena.contender.is_daemon and programs.pids:  # it may have ended by itself
        figures |= {"cpu": programs.cpu(), "memory": programs.memory()}
    return figures


def repair_one(arena: Arena, routes: Routes) -> Figures:
    """One route deleted until it is back, another one each time, after rests of different length.

    A real host is idle for hours before that: after a second at rest nothing of a daemon is in any cache. After two
    milliseconds all of it is, and another daemon may still be busy with the deletion before.
    """
    _install_to_keep(arena, routes)
    figures: Figures = {}
    for name, rest in RESTS.items():
        times = max(3, min(arena.sizes.repairs, int(arena.sizes.repair_seconds / rest / len(RESTS))))
        found = _time_repairs(arena, routes, times, 2 * arena.sizes.repair_seconds, rest=rest)
        figures |= {f"{key}_{name}": value for key, value in found.items()}
    return figures


def repair_all(arena: Arena, routes: Routes) -> Figures:
    """All flushed by `ip`, until all are back."""
    _install_to_keep(arena, routes)
    number = str(arena.contender.protocol)
    since, began = arena.observer.count_notices(), time.perf_counter()
    command = ["ip", "route", "flush", "table", "main", "proto", number]
    subprocess.run(command, check=False, capture_output=True, timeout=arena.sizes.limit)
    flushed = time.perf_counter()
    back = arena.wait_for(routes, 2 * routes.count, since)
    return {"seconds": back - began, "after": max(0.0, back - flushed)}


def flap(arena: Arena, routes: Routes) -> Figures:
    """The link that carries all goes down and comes up, until all are back."""
    _install_to_keep(arena, routes)
    netns.ip(f"link set {DEV} down")
    arena.wait_for(routes._replace(count=0), 0, arena.observer.count_notices())
    since, began = arena.observer.count_notices(), time.perf_counter()
    netns.ip(f"link set {DEV} up")
    return {"seconds": arena.wait_for(routes, routes.count, since) - began}


def look_over(arena: Arena, routes: Routes) -> Figures:
    """A pass that finds nothing. The CPU time is that of the contender, the wall time holds the asking too."""
    arena.install(routes)
    time.sleep(arena.sizes.rest)
    used = min((arena.contender.look() for _ in range(3)), key=lambda used: used.cpu)
    return {"cpu": used.cpu, "seconds": used.wall}


def repair_in_a_flood(arena: Arena, routes: Routes) -> Figures:
    """A stranger changes other routes in the same table: what that costs, and one route deleted until it is back."""
    _install_to_keep(arena, routes)
    half, programs = arena.sizes.changes // 2, arena.contender.programs
    before = programs.cpu()
    with _changing(arena, half) as churn:
        while churn.poll() is None:
            time.sleep(0.01)
    cpu = programs.cpu() - before
    with _changing(arena, half) as churn:
        figures = _time_repairs(arena, routes, sys.maxsize, arena.sizes.limit, lambda: churn.poll() is None)
    return figures | {"cpu": cpu, "share": cpu / (time_decoding() * half) * 100}


@contextmanager
def _changing(arena: Arena, changes: int) -> Iterator[subprocess.Popen[bytes]]:
    """A stranger at work, and after it the time that the contender needs to read what is still queued."""
    stranger = Programs(arena.contender.folder)
    try:
        yield stranger.launch([LIMIT, "churn", str(changes), str(CHURN_RATE)])
    finally:
        stranger.close()
    time.sleep(0.5)


def time_decoding() -> float:
    """CPU seconds for each event where all are read and decoded, by the codec of routed."""
    command = [sys.executable, "-m", "tests.bench.decode_all", str(DECODED)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT) as decoder:
        assert decoder.stdout is not None
        assert decoder.stdout.readline() == b"ready\n"
        subprocess.run([LIMIT, "churn", str(DECODED), str(CHURN_RATE)], check=True)
        return float(decoder.stdout.readline())


def change_tenth(arena: Arena, routes: Routes) -> Figures:
    """Other routes are wanted, a tenth of them different, until exactly those stand."""
    _install_and_rest(arena, routes)
    after = routes._replace(first=routes.count // 10)
    if not isinstance(arena.contender, Routed):  # its file is its command
        arena.contender.write(after)
    since, began = arena.observer.count_notices(), time.perf_counter()
    if isinstance(arena.contender, Routed):
        arena.contender.write(after)
    arena.contender.change(routes, after)
    return {"seconds": arena.wait_for(after, routes.count // 5, since) - began}


def idle(sizes: Sizes, kinds: Sequence[type[Contender]]) -> Iterator[tuple[type[Contender], str, Figures]]:
    """All daemons side by side, each with many routes and nothing to do. Yields (contender, case, figures)."""
    for count in (sizes.few, sizes.many):
        routes = Routes(count)
        with ExitStack() as stack:
            arenas = []
            for kind in kinds:
                if kind.is_daemon and count <= kind.most:
                    arena = stack.enter_context(enter(kind, sizes))
                    try:
                        _install_and_rest(arena, routes)
                    except (CannotError, TooLateError):
                        continue
                    arenas.append(arena)
            before = [(a.contender.programs.cpu(), a.contender.programs.wakeups()) for a in arenas]
            time.sleep(sizes.idle)
            for arena, (cpu, wakeups) in zip(arenas, before, strict=True):
                programs = arena.contender.programs
                yield (
                    type(arena.contender),
                    str(routes),
                    {
                        "cpu": (programs.cpu() - cpu) * 1000 * 60 / sizes.idle,
                        "wakeups": (programs.wakeups() - wakeups) * 60 / sizes.idle,
                        "memory": programs.memory(),
                    },
                )


def run_commands(arena: Arena, routes: Routes) -> Figures:
    """Wall times of commands against importing what they stand on."""
    routed = arena.contender
    if not isinstance(routed, Routed):
        raise CannotError("other commands")
    routed.write(routes)
    bare = Programs(routed.folder)
    imports = {
        "import": "import pydantic, tomllib, argparse",
        "model": "import pydantic, tomllib, argparse\nclass Model(pydantic.BaseModel):\n    to: str\nModel(to='')",
        "import_all": "import pydantic, pyroute2, asyncio",
    }
    figures = {name: _time(bare, [sys.executable, "-c", code]) for name, code in imports.items()}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(routed.folder / "notify"))
        notified.settimeout(arena.sizes.limit)
        figures["ready"] = _time_start(routed, notified)
        routed.programs.close()
        figures["again"] = _time_start(routed, notified)
        for word in ("check", "plan", "status"):
            figures[word] = _time(bare, routed.command(word))
    return {name: seconds * 1000 for name, seconds in figures.items()}


def _time_start(routed: Routed, notified: socket.socket) -> float:
    """Until it says that its files are in force."""
    while select.select([notified], [], [], 0)[0]:
        notified.recv(4096)
    began = time.perf_counter()
    routed.programs.launch(routed.command("run", "--log-format", "json"), {"NOTIFY_SOCKET": notified.getsockname()})
    while b"READY=1" not in notified.recv(4096):
        pass
    return time.perf_counter() - began


def _time(programs: Programs, command: Sequence[str | Path]) -> float:
    """The median of several times, the first of which finds neither bytecode nor files in memory and does not count."""
    return statistics.median([programs.run(command, 20).wall for _ in range(6)][1:])


def _install_to_keep(arena: Arena, routes: Routes) -> None:
    if not arena.contender.is_daemon:
        raise CannotError(NOBODY)
    _install_and_rest(arena, routes)


def _install_and_rest(arena: Arena, routes: Routes) -> None:
    arena.install(routes)
    time.sleep(arena.sizes.rest)
    if arena.contender.is_daemon and not arena.contender.programs.pids:
        raise CannotError("it ended by itself")


def _time_repairs(
    arena: Arena,
    routes: Routes,
    times: int,
    seconds: float,
    goes_on: Callable[[], bool] = lambda: True,
    rest: float = RESTS["2ms"],
) -> Figures:
    """Delete one after another that stand far from each other, with so many seconds of rest between two, and a bit.

    Whatever a daemon does so long after a change, it must not meet the next one each time.
    """
    numbers = range(0, routes.count, max(1, routes.count // DIFFERENT))
    deletions = itertools.cycle(arena.observer.make_deletions(routes.family, numbers))
    deadline = time.perf_counter() + seconds
    taken: list[float] = []
    while len(taken) < times and time.perf_counter() < deadline and goes_on():
        time.sleep(rest * (1 + len(taken) % 7 / 20))
        taken.append(arena.observer.time_repair(next(deletions)) * 1e6)
    if not taken:
        raise TooLateError("too short")
    taken.sort()
    return {
        "median": statistics.median(taken),
        "p99": taken[int(len(taken) * 0.99)],
        "worst": taken[-1],
        "times": len(taken),
    }


class Row(NamedTuple):
    """One thing that is measured."""

    title: str
    metrics: tuple[Metric, ...]
    cases: Callable[[Sizes], list[Routes]]
    measure: Callable[[Arena, Routes], Figures]
    does_grow: bool = False  # a case is like the one before with more routes


def _cold_cases(sizes: Sizes) -> list[Routes]:
    v4 = [Routes(count, sort) for sort in ("blackhole", "gateway") for count in sizes.counts]
    return [*v4, Routes(sizes.many, "gateway", IPV6)]


_REPAIRED: Final = (
    Metric("median", "median", "µs"),
    Metric("p99", "99th of 100", "µs"),
    Metric("worst", "worst", "µs"),
    Metric("times", "times", ""),
)

ROWS: Final[dict[str, Row]] = {
    "a": Row(
        "Cold start: from exec until a dump shows all routes",
        (
            Metric("seconds", "time", "s"),
            Metric("per_route", "time for each route", "µs"),
            Metric("cpu", "CPU time of the daemon", "s"),
            Metric("memory", "resident memory", "MB"),
        ),
        _cold_cases,
        start_cold,
        does_grow=True,
    ),
    "b": Row(
        "One route deleted until it is back, another one each time, after so long a rest",
        (
            *(Metric(f"median_{name}", f"after {name}: median", "µs") for name in RESTS),
            Metric("p99_2ms", "after 2ms: 99th of 100", "µs"),
            Metric("worst_1s", "after 1s: worst", "µs"),
            *(Metric(f"times_{name}", f"times after {name}", "") for name in ("1s", "2ms")),
        ),
        lambda sizes: [Routes(sizes.few), Routes(1_000), Routes(sizes.many)],
        repair_one,
    ),
    "c": Row(
        "All routes flushed until all are back",
        (Metric("after", "after `ip` has ended", "s"), Metric("seconds", "after `ip` was started", "s")),
        lambda sizes: [Routes(sizes.many)],
        repair_all,
    ),
    "d": Row(
        "The link that carries all goes down and comes up: until all are back",
        (Metric("seconds", "time", "s"),),
        lambda sizes: [Routes(sizes.many)],
        flap,
    ),
    "e": Row(
        "A pass that finds nothing",
        (Metric("cpu", "CPU time", "s"), Metric("seconds", "wall time, with the asking", "s")),
        lambda sizes: [Routes(sizes.many)],
        look_over,
    ),
    "f": Row(
        "One route deleted until it is back, beside a stranger's changes in the same table",
        (
            *_REPAIRED,
            Metric("cpu", "CPU time of the daemon for half of the changes, when nothing is deleted", "s"),
            Metric("share", "of decoding them", "%"),
        ),
        lambda sizes: [Routes(sizes.few)],
        repair_in_a_flood,
    ),
    "g": Row(
        "Other routes are wanted, a tenth of them different: until exactly those stand",
        (Metric("seconds", "time", "s"),),
        lambda sizes: [Routes(sizes.many)],
        change_tenth,
    ),
    "j": Row(
        "Answers and repairs while many routes are installed and compared",
        busy.METRICS,
        lambda sizes: [Routes(sizes.counts[-1], "blackhole")],
        busy.keep_answering,
    ),
    "k": Row(
        "A rule, and a VIP, deleted until it is back, after a second of rest",
        singles.METRICS,
        lambda _: [Routes(1_000)],
        singles.repair_singles,
    ),
    "l": Row(
        "Who deleted a route with `ip`, as the journal names it",
        singles.NAMING,
        lambda _: [Routes(singles.ENTRIES)],
        singles.name_deletions,
    ),
    "i": Row(
        "Commands and the start of the daemon, wall time",
        (
            Metric("import", "`import pydantic, tomllib, argparse`", "ms"),
            Metric("model", "the same, and a model", "ms"),
            Metric("check", "`routed check`", "ms"),
            Metric("plan", "`routed plan`", "ms"),
            Metric("status", "`routed status`", "ms"),
            Metric("import_all", "`import pydantic, pyroute2, asyncio`", "ms"),
            Metric("ready", "exec until READY", "ms"),
            Metric("again", "the same, files unchanged", "ms"),
        ),
        lambda sizes: [Routes(sizes.few)],
        run_commands,
    ),
}
IDLE: Final = Row(
    "Idle",
    (
        Metric("cpu", "CPU time in a minute", "ms"),
        Metric("wakeups", "wake-ups in a minute", ""),
        Metric("memory", "resident memory", "MB"),
    ),
    lambda sizes: [Routes(sizes.few), Routes(sizes.many)],
    start_cold,
)
