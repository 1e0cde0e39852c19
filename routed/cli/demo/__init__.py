"""``routed demo``: the real daemon on a real file, in a network namespace that goes away, broken in many ways.

Here is the order of the play. The stage, the breakages and the observer have modules of their own; nothing of the demo
is used by any other command.
"""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from routed.audit.printable import make_printable
from routed.cli.demo.breakages import BREAKAGES, Breakage
from routed.cli.demo.observer import Notice, Observer, Thing, find_ports, read_standing
from routed.cli.demo.stage import (
    INTERFACES,
    Log,
    StageError,
    enter,
    is_inside,
    make_interfaces,
    private_folder,
    running_daemon,
)
from routed.cli.exits import Exit
from routed.cli.terminal import BOLD, DIM, GREEN, RED, complain, make_table, paint, say, say_json, wants_color

CONFIG: Final = Path(__file__).with_name("demo.toml")
PATIENCE: Final = 5.0  # seconds that a repair may take
ATTEMPTS: Final = 3  # to measure, on a machine that is busy with something else
QUIET: Final = 0.02  # seconds without news after which ip is asked
AUDIT_EVENTS: Final = frozenset({"repaired", "stranger-beside", "failed", "waiting", "conflict", "fight-held"})
INTRODUCTION: Final = """\
Now they are broken from outside. The clock runs from the kernel's news of the change to its news of the repair, both
read from a netlink socket of the demo's own. Then `ip -j` has to show every object as it was before.
"""

Tell = Callable[[str], None]


class Result(NamedTuple):
    """What became of one breakage."""

    breakage: Breakage
    is_restored: bool
    took: float | None  # seconds from the first news of the change to the last of its repair; None: not measured
    repairs: int  # changes that routed made
    audit: tuple[dict[str, Any], ...]  # routed's own records about it


class Scene(NamedTuple):
    """What every breakage is judged by."""

    wanted: dict[Thing, Thing]  # what must stand
    ours: frozenset[int]  # the daemon's port ids
    observer: Observer
    log: Log


def run(options: Namespace) -> Exit:
    """Play the demo. Outside its namespace this starts it again inside, as the same process."""
    try:
        if not is_inside():
            enter(sys.argv[1:])
        return _play(options)
    except StageError as error:
        complain(str(error))
        return Exit.NOT_PERMITTED


def _play(options: Namespace) -> Exit:
    is_colored = wants_color(options, sys.stdout)
    tell: Tell = (lambda _: None) if options.json or options.quiet else say
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as on Ctrl-C
    make_interfaces()
    tell(f"A network namespace of its own, with {' and '.join(INTERFACES)}. The host is not touched.")
    with private_folder() as folder, Observer() as observer:
        began = time.monotonic()
        with running_daemon(CONFIG, folder) as daemon, Log(folder) as log:
            wanted = read_standing()
            tell(f"routed run --config {CONFIG}")
            tell(f"  {len(wanted)} objects stand {(time.monotonic() - began) * 1000:.0f} ms after its start.")
            tell(INTRODUCTION)
            observer.read(0)
            log.read()
            scene = Scene(wanted, find_ports(daemon.pid), observer, log)
            results = []
            for breakage in BREAKAGES:
                results.append(result := _play_breakage(breakage, scene))
                _tell_result(result, tell, is_colored=is_colored)
    if options.json:
        say_json(_describe(results))
    else:
        _tell_table(results, is_colored=is_colored)
    return Exit.DONE if all(result.is_restored for result in results) else Exit.FAILED


def _play_breakage(breakage: Breakage, scene: Scene) -> Result:
    """Break it and watch; once more where the demo itself was too late to see when the change came."""
    for _ in range(ATTEMPTS - 1):
        result = _break(breakage, scene)
        if result.took is not None or not result.is_restored:
            return result
    return _break(breakage, scene)


def _break(breakage: Breakage, scene: Scene) -> Result:
    *before, last = breakage.commands
    for command in before:
        _run_in_silence(command, scene)
    news: list[list[Notice]] = []
    is_restored = False
    end = time.monotonic() + PATIENCE
    with subprocess.Popen(last.split()) as process:  # noqa: S603  a row of our own
        while not is_restored and time.monotonic() < end:
            notices = scene.observer.read(QUIET)
            if notices:
                news.append(notices)
            is_restored = not notices and process.poll() is not None and read_standing() == scene.wanted
    audit = [record for record in _read_audit(scene.log) if record["fields"]["ROUTED_EVENT"] in AUDIT_EVENTS]
    if breakage.tidy:
        _run_in_silence(breakage.tidy, scene)
        scene.log.read()
    repairs = sum(notice.port in scene.ours for notices in news for notice in notices)
    return Result(breakage, is_restored, _measure(news, scene.ours), repairs, tuple(audit))


def _measure(news: list[list[Notice]], ours: frozenset[int]) -> float | None:
    """Seconds from the first change to the last repair; None where both lay there already when they were read."""
    changes = [notice.at for notices in news for notice in notices if notice.port not in ours]
    repairs = [notice.at for notices in news for notice in notices if notice.port in ours]
    is_late = any(notice.port in ours for notice in news[0]) if news else True
    return None if is_late or not changes or not repairs else repairs[-1] - changes[0]


def _run_in_silence(command: str, scene: Scene) -> None:
    """Run a command and let what comes of it pass."""
    subprocess.run(command.split(), check=True)  # noqa: S603  a row of our own
    while scene.observer.read(QUIET):
        pass


def _read_audit(log: Log) -> list[dict[str, Any]]:
    """The records about what was just repaired. They are written after it, so the first may be a moment late."""
    end = time.monotonic() + 1.0
    while not (records := log.read()) and time.monotonic() < end:
        time.sleep(0.005)
    return records


def _tell_result(result: Result, tell: Tell, *, is_colored: bool) -> None:
    for command in result.breakage.commands:
        tell(paint(f"$ {command}", BOLD, is_colored=is_colored))
    for record in result.audit:
        tell(f"  routed: {make_printable(record['message'])}")
    color = GREEN if result.is_restored else RED
    tell(f"  {paint(_judge(result), color, is_colored=is_colored)}\n")


def _judge(result: Result) -> str:
    if not result.is_restored:
        return f"NOT repaired within {PATIENCE:g} s"
    changes = f"{result.repairs} change{'s' if result.repairs != 1 else ''} by routed"
    return f"repaired after {_format_took(result)} ({changes}); ip -j agrees"


def _format_took(result: Result) -> str:
    return "-" if result.took is None else f"{result.took * 1000:.2f} ms"


def _tell_table(results: list[Result], *, is_colored: bool) -> None:
    rows = [
        (result.breakage.title, _format_took(result), str(result.repairs), "yes" if result.is_restored else "NO")
        for result in results
    ]
    head, *lines = make_table(("WHAT HAPPENED", "REPAIRED AFTER", "CHANGES", "AS BEFORE"), rows)
    say(paint(head, BOLD, is_colored=is_colored))
    for line, result in zip(lines, results, strict=True):
        say(paint(line, "" if result.is_restored else RED, is_colored=is_colored))
    restored = sum(result.is_restored for result in results)
    single = [result.took for result in results if result.took is not None and result.repairs == 1]
    median = (
        f" A single repair took {statistics.median(single) * 1000:.2f} ms (median of {len(single)})." if single else ""
    )
    say(f"{restored} of {len(results)} repaired.{median}")
    say(paint("The namespace goes now, with all that is in it.", DIM, is_colored=is_colored))


def _describe(results: list[Result]) -> dict[str, Any]:
    return {
        "schema": "routed.demo/1",
        "breakages": [
            {
                "title": result.breakage.title,
                "commands": list(result.breakage.commands),
                "restored": result.is_restored,
                "elapsed_usec": None if result.took is None else round(result.took * 1_000_000),
                "changes": result.repairs,
                "audit": [record["message"] for record in result.audit],
            }
            for result in results
        ],
    }
