"""Where a contender is measured: a network namespace of its own with one veth pair, a folder, and the observer."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench.contenders import Contender
from tests.bench.observer import Observer, TooLateError
from tests.bench.wire import DEV, IPV4, VIA, Routes
from tests.kernel import netns


class Sizes(NamedTuple):
    """How large and how long everything is."""

    few: int
    many: int
    counts: tuple[int, ...]  # of the cold start
    rounds: int
    repairs: int
    repair_seconds: float  # a slow one is not watched for longer
    changes: int  # of a stranger
    idle: float  # seconds
    limit: float  # seconds; what takes longer does not happen
    rest: float  # seconds after a start, for what follows it
    budget: float  # seconds for all rounds of one figure; at least one round is done


FULL = Sizes(10, 100_000, (100, 1_000, 10_000, 100_000, 1_000_000), 3, 500, 60.0, 1_000_000, 60.0, 120.0, 2.0, 20.0)
QUICK = Sizes(10, 10_000, (100, 1_000, 10_000), 1, 50, 2.0, 20_000, 3.0, 5.0, 1.0, 5.0)


class Arena(NamedTuple):
    """One contender in its namespace."""

    contender: Contender
    observer: Observer
    sizes: Sizes

    def install(self, routes: Routes) -> float:
        """Start the contender; seconds from exec until a dump shows all of its routes."""
        self.contender.write(routes)
        since, began = self.observer.count_notices(), time.perf_counter()
        self.contender.launch()
        return self.wait_for(routes, routes.count, since) - began

    def wait_for(self, routes: Routes, changes: int, since: int) -> float:
        """Wait until exactly these routes stand; the moment. Raises TooLateError; OSError when a program failed."""
        programs = self.contender.programs
        try:
            return self.observer.wait_for(routes, changes=changes, since=since, is_vain=programs.have_failed)
        except TooLateError:
            if programs.have_failed():
                raise OSError(f"it ended with an error:\n{programs.read_log()[-2000:]}") from None
            raise


@contextmanager
def enter(kind: type[Contender], sizes: Sizes) -> Iterator[Arena]:
    """Build it, and take it down again whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="routed-bench-"))
    try:
        with netns.private_network():
            netns.veth(DEV, "10.0.0.1/24", "fd00::1/64")
            netns.ip(f"neigh replace {VIA[IPV4]} lladdr 02:00:00:00:00:02 dev {DEV}")
            contender, observer = kind(folder, sizes.limit), Observer(kind.protocol, sizes.limit)
            try:
                yield Arena(contender, observer, sizes)
            finally:
                contender.programs.close()
                observer.close()
                netns.ip(f"link del {DEV}")  # here and not behind our back, where it would burden the next one
    finally:
        shutil.rmtree(folder)
