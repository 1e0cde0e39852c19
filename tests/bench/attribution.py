"""How many short-lived commands are named: the share of deletions by ``ip`` whose command line is told.

    python -m tests.bench.attribution [DELETIONS]

One route after the other is deleted by an ``ip route del`` of its own, which its parent takes away as soon as it has
ended, as a shell does. First the daemon answers, by its records, without and with the niceness that its unit gives it.
Then a bare listener with the daemon's own look-up does, without and with the starts of programs
(``--follow-processes``): the kernel tells of them in the first network namespace only, and the daemon under test runs
in another. Afterwards the cost of a look at /proc is measured.

It is a race against a process that ends: run it on a machine that does nothing else, from the first network namespace.
The share of time in which the processors were idle is printed with each row; a run of it alone leaves about 90 %.
"""

from __future__ import annotations

import os
import resource
import select
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from routed.daemon.scheduling import ask_for_short_slices
from routed.kernel.execs import ExecWatch
from routed.kernel.kernel import Kernel
from routed.kernel.processes import read_process
from routed.model.events import ObjectEvent
from routed.model.objects import Kind
from tests.kernel import netns
from tests.system.daemon import Daemon

ENTRIES = 50  # so that no entry has more records than are written one by one
PACE = 0.02  # seconds between two deletions; the listener falls asleep, as it is when somebody deletes a route
LOOKS = 2000
UNIT = Path(__file__).parents[2] / "contrib/systemd/routed.service"
COMMAND = "ip route del"


def destination(number: int) -> str:
    """The route that is deleted in this turn."""
    return f"10.30.{number % ENTRIES}.0/24"


def classify(cmdline: str, comm: str) -> str:
    """How much was told of an ``ip route del``."""
    return "with its arguments" if cmdline.startswith(COMMAND) else "by name" if comm == "ip" else "not"


def read_niceness() -> str:
    """What the unit says."""
    (line,) = (line for line in UNIT.read_text(encoding="utf-8").splitlines() if line.startswith("Nice="))
    return line.removeprefix("Nice=")


def ask_the_daemon(deletions: int, niceness: str) -> tuple[Counter[str], float]:
    """What its records tell, and the median of microseconds from event to cure."""
    answers: Counter[str] = Counter()
    elapsed: list[int] = []
    with TemporaryDirectory() as folder, netns.private_network():
        netns.veth("v0", "10.0.0.1/24")
        daemon = Daemon(Path(folder))
        entries = (f'[[route]]\nto = "{destination(n)}"\nvia = "10.0.0.2"\n' for n in range(ENTRIES))
        daemon.start("".join(entries), daemon='fight_limit = "off"', before=("nice", "-n", niceness))
        for number in range(deletions):
            daemon.forget()
            time.sleep(PACE)
            subprocess.run([*COMMAND.split(), destination(number)], check=True)
            fields = daemon.wait_for("repaired")["fields"]
            elapsed.append(int(fields["ROUTED_ELAPSED_USEC"]))
            answers[classify(fields.get("ROUTED_ACTOR_CMDLINE", ""), fields.get("ROUTED_ACTOR_COMM", ""))] += 1
        daemon.close()
    return answers, statistics.median(elapsed)


def ask_a_listener(deletions: int, *, is_following: bool) -> tuple[Counter[str], float]:
    """What the look-up tells, and microseconds of processor time for each program that was started."""
    execs = ExecWatch() if is_following else None  # it speaks of the namespace that it was opened in
    with netns.private_network():
        netns.veth("v0", "10.0.0.1/24")
        answer, answering = os.pipe()
        child = os.fork()
        if child == 0:
            _listen(deletions, execs, answering)
            os._exit(0)
        os.close(answering)
        os.read(answer, 1)
        for number in range(deletions):
            netns.ip(f"route add {destination(number)} via 10.0.0.2")
            time.sleep(PACE)
            subprocess.run([*COMMAND.split(), destination(number)], check=True)
        words = os.fdopen(answer).read().split(",")
        os.waitpid(child, 0)
    return Counter({name: int(count) for name, count in zip(words[1::2], words[2::2], strict=True)}), float(words[0])


def _listen(deletions: int, execs: ExecWatch | None, answering: int) -> None:
    answers: Counter[str] = Counter()
    if execs:
        ask_for_short_slices()
    with Kernel() as kernel:
        kernel.open_events()
        poll = select.poll()
        poll.register(kernel.events_fileno(), select.POLLIN)
        if execs:
            poll.register(execs, select.POLLIN)
        os.write(answering, b" ")
        began = resource.getrusage(resource.RUSAGE_SELF)
        while answers.total() < deletions:
            for file, _ in poll.poll():
                if execs and file == execs.fileno():
                    kernel.witness.note_starts(execs)
                    continue
                for event in kernel.read_events():
                    if isinstance(event, ObjectEvent) and event.kind is Kind.ROUTE and event.is_removal and event.port:
                        process = kernel.identify(event.port)
                        answers[classify(process.cmdline, process.comm) if process else "not"] += len(event.members)
        spent = resource.getrusage(resource.RUSAGE_SELF)
    seconds = spent.ru_utime + spent.ru_stime - began.ru_utime - began.ru_stime
    told = ",".join(f"{name},{count}" for name, count in answers.items())
    os.write(answering, f"{seconds / deletions / 2 * 1e6},{told}".encode())


def measure_looks() -> float:
    """Microseconds that one look at a process takes, on average, when it is done again and again."""
    began = time.perf_counter()
    for _ in range(LOOKS):
        assert read_process(os.getpid())
    return (time.perf_counter() - began) / LOOKS * 1e6


def read_idle() -> tuple[int, int]:
    """Ticks that all processors were idle, and all ticks (proc_stat(5))."""
    ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def measure(title: str, ask: Callable[[], tuple[Counter[str], float]], meaning: str) -> str:
    """One row of the table."""
    before = read_idle()
    answers, microseconds = ask()
    idle, every = (after - then for after, then in zip(read_idle(), before, strict=True))
    shares = (answers[how] / answers.total() for how in ("with its arguments", "by name", "not"))
    told = "  ".join(f"{share:>9.1%}" for share in shares)
    return f"{title:<30}  {told}  {idle / every:>5.0%}  {microseconds:>4.0f} µs {meaning}"


def main() -> None:
    """Print the table."""
    deletions = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{'':<30}  ARGUMENTS  NAME ONLY  NOT NAMED   IDLE")
    cure, cost = "from event to cure (median)", "of processor time for each program started"
    for title, ask, meaning in (
        ("daemon", partial(ask_the_daemon, deletions, "0"), cure),
        ("daemon, as its unit starts it", partial(ask_the_daemon, deletions, read_niceness()), cure),
        ("listener", partial(ask_a_listener, deletions, is_following=False), cost),
        ("listener, --follow-processes", partial(ask_a_listener, deletions, is_following=True), cost),
    ):
        print(measure(title, ask, meaning), flush=True)
    print(f"one look at a process, when it is warm: {measure_looks():.0f} µs")


if __name__ == "__main__":
    main()
