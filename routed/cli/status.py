"""``routed status``: what the daemon keeps, entry by entry, and whether the files on disk are in force."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, cast

from routed.audit.printable import make_printable
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.plan_text import render_absent
from routed.cli.terminal import CYAN, GREEN, RED, YELLOW, complain, make_table, paint, say, say_json, wants_color
from routed.model.documents import (
    CheckDocument,
    EntryDocument,
    ObjectDocument,
    PauseDocument,
    StatusDocument,
    TargetDocument,
)

IN_SYNC: Final = "in-sync"
COLORS: Final = {
    IN_SYNC: GREEN,
    "up": GREEN,
    "waiting": YELLOW,
    "withheld": YELLOW,
    "down": RED,
    "paused": CYAN,
    "drift": YELLOW,
    "held": RED,
    "shadowed": RED,
    "conflict": RED,
    "failed": RED,
    "unknown": RED,
}
LATE: Final = 0.5  # seconds that a question may be late without a word
AGES: Final = ((86400, "d"), (3600, "h"), (60, "min"), (0, "s"))


def run(options: Namespace) -> Exit:
    """Ask the daemon and print its answer."""
    try:
        status = cast(StatusDocument, call(options.runtime_dir, "GetStatus"))
    except ClientError as error:
        complain(str(error))
        return error.code
    if options.entry:
        status["entries"] = find_entries(status, options.entry)
        status["checks"] = find_checks(status, options.entry)
        if not status["entries"] and not status["checks"]:
            complain(f"there is no entry {options.entry} in force")
            return Exit.FAILED
    if options.json:
        say_json(status)
    elif not options.quiet:
        now = datetime.now(UTC)
        is_colored = wants_color(options, sys.stdout)
        if not options.entry:
            say("\n".join(render_status(status, now, is_colored=is_colored)))
        if options.entry or options.verbose:
            details = [*render_objects(status, now, is_colored=is_colored)]
            details += render_checks(status.get("checks", []), now, is_colored=is_colored)
            say("\n".join(details))
    return Exit.DONE


def find_entries(status: StatusDocument, name: str) -> list[EntryDocument]:
    """The entries of that name: ``route/storage-lan``, or ``storage-lan`` for every kind that has one."""
    return [entry for entry in status["entries"] if name in {entry["entry"], entry["entry"].partition("/")[2]}]


def find_checks(status: StatusDocument, name: str) -> list[CheckDocument]:
    """The check of that name: ``check/wan1``, or ``wan1``."""
    return [check for check in status.get("checks", []) if name in {check["check"], check["check"].partition("/")[2]}]


def render_status(status: StatusDocument, now: datetime, *, is_colored: bool) -> Iterator[str]:
    """What is in force, how the files stand to it, and a table of all entries."""
    yield make_printable(status["state"])
    yield from _render_files(status, is_colored=is_colored)
    yield from render_absent(status.get("absent", []))
    for pause in status.get("pauses", []):
        yield make_printable(_describe_pause(pause))
    for number in status.get("former_protocols", []):  # a daemon of an older version does not tell
        yield make_printable(f"former protocol {number}: what carries it is ours as well, until nothing does")
    rows = [
        (entry["entry"], entry["state"], format_age(entry["since"], now), _count_objects(entry), entry["reason"])
        for entry in status["entries"]
    ]
    checks = status.get("checks", [])
    rows += [(one["check"], one["state"], format_age(one["since"], now), "", _note_check(one)) for one in checks]
    rows += [
        (f"({thing['kind']})", thing["state"], format_age(thing["since"], now), str(thing["count"]), _note(thing))
        for thing in status["leftovers"]
    ]
    yield from _render_table(("ENTRY", "STATE", "SINCE", "OBJECTS", "NOTE"), rows, is_colored=is_colored)


def _describe_pause(pause: PauseDocument) -> str:
    subject = pause["entry"] or "everything"
    spared = f" but {', '.join(pause['spared'])}" if pause["spared"] else ""
    by = f" by {pause['author']}" if pause["author"] else ""
    why = f": {pause['reason']}" if pause["reason"] else ""
    return f"{subject}{spared} paused until {pause['until']}{by}{why}"


def render_objects(status: StatusDocument, now: datetime, *, is_colored: bool) -> Iterator[str]:
    """The entries of the document with every object that is known one by one."""
    for entry in status["entries"]:
        reason = f": {entry['reason']}" if entry["reason"] else ""
        age = format_age(entry["since"], now)
        yield make_printable(f"{entry['entry']} is {entry['state']} since {age}{reason}")
        yield make_printable(f"{entry['origin']}, enforce = {entry['enforce']}, {_count_objects(entry)} in sync")
        rows = [
            (_name_object(thing), thing["state"], format_age(thing["since"], now), _note_object(thing))
            for thing in entry["objects"]
        ]
        if rows:
            yield from _render_table(("OBJECT", "STATE", "SINCE", "NOTE"), rows, is_colored=is_colored)


def _note_object(thing: ObjectDocument) -> str:
    """Why it is not in sync; of a service or a server what is connected, as ``ipvsadm -Ln`` counts it."""
    traffic = thing.get("traffic")
    if traffic is None:
        return thing["reason"]
    counted = f"{traffic['active']} active, {traffic['inactive']} inactive, {traffic['rate']}/s"
    return f"{counted}: {thing['reason']}" if thing["reason"] else counted


def render_checks(checks: Sequence[CheckDocument], now: datetime, *, is_colored: bool) -> Iterator[str]:
    """Every check with what it found last of each target."""
    for check in checks:
        reason = f": {check['reason']}" if check["reason"] else ""
        late = f", {check['late']:.1f} s late" if check["late"] >= LATE else ""
        yield make_printable(f"{check['check']} is {check['state']} since {format_age(check['since'], now)}{reason}")
        yield make_printable(f"{check['origin']}, type = {check['type']}{late}")
        rows = [
            (
                one["target"],
                one["state"],
                format_age(one["since"], now),
                format_age(one["asked"], now),
                _note_target(one),
            )
            for one in check["targets"]
        ]
        if rows:
            yield from _render_table(("TARGET", "STATE", "SINCE", "ASKED", "NOTE"), rows, is_colored=is_colored)


def _note_check(check: CheckDocument) -> str:
    asked = [one for one in check["targets"] if one["asked"]]
    measured = [one for one in asked if one["state"] == "up" and "rtt" in one]
    if check["reason"] or measured:
        return check["reason"] or f"{_format_rtt(measured[0])}, {_format_loss(measured[0])}"
    return _note_target(asked[0]) if len(asked) == len(check["targets"]) == 1 else ""


def _note_target(target: TargetDocument) -> str:
    parts = [target["last"]]
    if target["state"] == "up":
        parts[0] += f" in {target['seconds'] * 1000:.1f} ms"
        parts += [f"median {_format_rtt(target)}"] if "rtt" in target else []
    parts += [_format_loss(target)] if "loss" in target else []
    return ", ".join(parts)


def _format_rtt(target: TargetDocument) -> str:
    return f"{target['rtt'] * 1000:.3g} ms"


def _format_loss(target: TargetDocument) -> str:
    return f"{target['loss'] * 100:.3g} % loss"


def format_age(moment: str, now: datetime) -> str:
    """How long ago a moment (ISO 8601) was, in one unit: ``5 s``, ``3 min``, ``2 h``, ``4 d``. ``-`` for none."""
    try:
        seconds = max(0.0, (now - datetime.fromisoformat(moment)).total_seconds())
    except (ValueError, TypeError):
        return "-"
    size, unit = next((size, unit) for size, unit in AGES if seconds >= size)
    return f"{int(seconds // (size or 1))} {unit}"


def _render_files(status: StatusDocument, *, is_colored: bool) -> Iterator[str]:
    files = status["files"]
    color = GREEN if files["state"] == "in force" else YELLOW
    yield f"{make_printable(status['config'])}: {paint(make_printable(files['state']), color, is_colored=is_colored)}"
    for problem in files["problems"]:
        place = ":".join(str(part) for part in (problem["file"], problem["line"], problem["column"]) if part)
        yield make_printable(f"  {place}: {problem['message']}")


def _render_table(heads: tuple[str, ...], rows: Sequence[Sequence[str]], *, is_colored: bool) -> Iterator[str]:
    head, *lines = make_table(heads, rows)
    yield head
    for line, row in zip(lines, rows, strict=True):
        # The first column may hold the word as well, so only what follows it is looked at.
        start = len(head[: head.index("STATE")])
        yield line[:start] + line[start:].replace(
            row[1], paint(row[1], COLORS.get(row[1], ""), is_colored=is_colored), 1
        )


def _count_objects(entry: EntryDocument) -> str:
    wrong = sum(thing["count"] for thing in entry["objects"] if thing["state"] != IN_SYNC)
    return f"{max(0, entry['total'] - wrong)}/{entry['total']}"


def _name_object(thing: ObjectDocument) -> str:
    more = f" ({thing['count']} objects)" if thing["count"] > 1 else ""
    return f"{thing['kind']} {thing['object']}{more}"


def _note(leftover: ObjectDocument) -> str:
    name = leftover["object"]
    of = f"of {name} before" if name and leftover["count"] > 1 else name
    return ": ".join(part for part in (of, leftover["reason"]) if part)
