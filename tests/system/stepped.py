"""Runs a Python program whose wall clock is stepped while it runs; every other clock goes on as it does.

python -m tests.system.stepped FILE PYTHON -m MODULE ARGUMENTS…    # FILE holds the step in seconds
"""

import datetime as dt
import runpy
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def step_by(file: Path) -> None:
    """From now on the wall clock of this process is wrong by what the file says at that moment."""

    def find_step() -> float:
        with suppress(OSError, ValueError):
            return float(file.read_text())
        return 0.0

    real_time, real_time_ns, real_clock = time.time, time.time_ns, time.clock_gettime
    real_datetime: Any = dt.datetime

    class Stepped(real_datetime):  # type: ignore[misc]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real_datetime.now(tz) + dt.timedelta(seconds=find_step())

    def read_clock(clock: int) -> float:
        return real_clock(clock) + (find_step() if clock == time.CLOCK_REALTIME else 0.0)

    stepped: dict[str, Callable[..., Any]] = {
        "time": lambda: real_time() + find_step(),
        "time_ns": lambda: real_time_ns() + int(find_step() * 1e9),
        "clock_gettime": read_clock,
    }
    for name, function in stepped.items():
        setattr(time, name, function)
    dt.datetime = Stepped  # type: ignore[misc]


if __name__ == "__main__":
    step_by(Path(sys.argv[1]))
    module, arguments = sys.argv[4], sys.argv[5:]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
