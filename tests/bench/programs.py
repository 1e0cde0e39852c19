"""Processes of a benchmark: started, measured from outside, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.observer import TooLateError

PROJECT: Final = Path(__file__).parents[2]
_POLITE: Final = 20.0  # seconds to end by itself; a million routes take a while to be removed
# Every contender as it is installed: with the bytecode of its modules at hand.
_ENVIRONMENT: Final = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Used(NamedTuple):
    """What a command took, in seconds."""

    wall: float
    cpu: float


class Programs:
    """The processes of one contender. All output goes to one log."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        self._running: list[subprocess.Popen[bytes]] = []

    def launch(self, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start one and go on."""
        with self._log.open("ab") as log:
            program = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=PROJECT,
                env=_ENVIRONMENT | dict(env or {}),
            )
        self._running.append(program)
        return program

    def run(self, command: Sequence[str | Path], limit: float) -> Used:
        """Run one to its end. Raises TooLateError, and OSError when it fails."""
        began = time.perf_counter()
        program = self.launch(command)
        while True:
            pid, status, usage = os.wait4(program.pid, os.WNOHANG)
            if pid:
                break
            if time.perf_counter() - began > limit:
                raise TooLateError(f"not done in {limit:.0f} s")
            time.sleep(0.0005)
        wall = time.perf_counter() - began
        program.returncode = os.waitstatus_to_exitcode(status)
        self._running.remove(program)
        if program.returncode:
            raise OSError(f"{command[0]} ended with {program.returncode}:\n{self.read_log()[-2000:]}")
        return Used(wall, usage.ru_utime + usage.ru_stime)

    @property
    def pids(self) -> list[int]:
        """All that run, and their children."""
        found = [program.pid for program in self._running if program.poll() is None]
        for pid in found:
            found += [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]
        return found

    def have_failed(self) -> bool:
        """Did one end with an error?"""
        return any(program.poll() for program in self._running)

    def cpu(self) -> float:
        """Seconds of processor time that they have taken: their CPU clocks (clock_getcpuclockid(3)), added."""
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self.pids)

    def memory(self) -> float:
        """Resident memory in MB, what they share counted once each time."""
        lines = [line for pid in self.pids for line in _read(f"/proc/{pid}/status").splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024

    def wakeups(self) -> int:
        """How often any of their threads went to sleep, so far."""
        tasks = [task for pid in self.pids for task in Path(f"/proc/{pid}/task").iterdir()]
        lines = [line for task in tasks for line in _read(task / "status").splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))

    def read_log(self) -> str:
        """What they printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the one that was started last."""
        self._running[-1].send_signal(number)

    def close(self) -> None:
        """End them, politely and then not."""
        for program in reversed(self._running):
            program.terminate()
        deadline = time.monotonic() + _POLITE
        for program in self._running:
            try:
                program.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        self._running.clear()


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return ""
