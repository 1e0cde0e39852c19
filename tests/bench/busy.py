"""Is routed there for others while a million routes are installed, and while they are compared?

Asks for its status over the control socket, deletes a small route of its own beside the many and sees it come back, in
turn, for as long as the work goes on; and listens to how often it feeds the watchdog.
"""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final

from routed.cli.client import call
from tests.bench.arena import Arena
from tests.bench.contenders import CannotError, Routed
from tests.bench.observer import TooLateError
from tests.bench.results import Figures, Metric
from tests.bench.wire import Routes

FEW: Final = Routes(10)
REST: Final = 0.01  # seconds between two questions
WATCHDOG: Final = 2.0  # seconds; it is fed twice as often
# What is done, in this order: the title of its time, and what is said of it.
PHASES: Final = {"install": "installed in", "compare": "compared in"}
METRICS: Final = (
    *(
        metric
        for phase, title in PHASES.items()
        for metric in (
            Metric(phase, title, "s"),
            Metric(f"{phase}_status", "status meanwhile: median", "ms"),
            Metric(f"{phase}_status_worst", "worst", "ms"),
            Metric(f"{phase}_repair", "repair meanwhile: median", "ms"),
            Metric(f"{phase}_repair_worst", "worst", "ms"),
            Metric(f"{phase}_times", "times", ""),
        )
    ),
    Metric("unfed", "longest time between two feeds of a watchdog that wants one each second", "s"),
)


def keep_answering(arena: Arena, routes: Routes) -> Figures:
    """Many routes are installed, then compared, while somebody asks and somebody deletes."""
    routed = arena.contender
    if not isinstance(routed, Routed):
        raise CannotError("other questions")
    routed.write_beside(FEW, routes._replace(count=0))
    with _listening(routed.folder / "notify") as feeds:
        variables = {"NOTIFY_SOCKET": str(routed.folder / "notify"), "WATCHDOG_USEC": f"{WATCHDOG * 1e6:.0f}"}
        routed.programs.launch(routed.command("run", "--log-format", "json"), variables)
        arena.wait_for(FEW, FEW.count, 0)
        time.sleep(arena.sizes.rest)
        [deletion] = arena.observer.make_deletions(FEW.family, [FEW.count // 2])
        routed.write_beside(FEW, routes)
        figures = {name: value for phase in PHASES for name, value in _disturb(arena, phase, deletion).items()}
        moments = list(feeds)
    return figures | {"unfed": max(after - before for before, after in pairwise(moments))}


def _disturb(arena: Arena, phase: str, deletion: bytes) -> Figures:
    """Have it read its files and compare everything; ask and delete in turn until that is done."""
    runtime, limit = f"{arena.contender.folder}/run", arena.sizes.limit
    answers: list[float] = []
    repairs: list[float] = []
    work = threading.Thread(target=call, args=(runtime, "Reload", {"force": False}, limit), daemon=True)
    began = time.perf_counter()
    work.start()
    while work.is_alive():
        asked = time.perf_counter()
        call(runtime, "GetStatus", timeout=limit)
        answers.append((time.perf_counter() - asked) * 1000)
        repairs.append(arena.observer.time_repair(deletion) * 1000)
        time.sleep(REST)
    if time.perf_counter() - began > limit:
        raise TooLateError(f"not done in {limit:.0f} s")
    return {
        phase: time.perf_counter() - began,
        f"{phase}_status": statistics.median(answers),
        f"{phase}_status_worst": max(answers),
        f"{phase}_repair": statistics.median(repairs),
        f"{phase}_repair_worst": max(repairs),
        f"{phase}_times": len(repairs),
    }


@contextmanager
def _listening(path: Path) -> Iterator[list[float]]:
    """The moments at which a watchdog that listens there was fed."""
    moments: list[float] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(path))
        notified.settimeout(0.2)
        is_over = threading.Event()

        def listen() -> None:
            while not is_over.is_set():
                try:
                    if b"WATCHDOG=1" in notified.recv(4096):
                        moments.append(time.perf_counter())
                except TimeoutError:
                    continue

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield moments
        finally:
            is_over.set()
            listener.join()
