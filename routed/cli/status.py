"""``routed status``: what the daemon keeps, entry by entry, and whether the files on disk are in force."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, cast

from routed.audit.figures import format_count
from routed.audit.printable import make_printable
from routed.cli.ages import format_age
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.folding import IN_SYNC, make_row, make_rows
from routed.cli.picking import CALM, Wish, concerns_host, has_any, has_failed, pick, pick_failed, read_wishes
from routed.cli.plan_text import render_absent
from routed.cli.terminal import CYAN, GREEN, RED, YELLOW, complain, make_table, paint, say, say_json, wants_color
from routed.model.documents import (
    CheckDocument,
    EntryDocument,
    ObjectDocument,
    PauseDocument,
    StatusDocument,
    SysctlDocument,
    TargetDocument,
)

SERVER_OF: Final = " -> "  # between a service and its server
COLORS: Final = {
    IN_SYNC: GREEN,
    "up": GREEN,
    "waiting": YELLOW,
    "withheld": YELLOW,
    "down": RED,
    "paused": CYAN,
    "draining": CYAN,
    "drift": YELLOW,
    "held": RED,
    "shadowed": RED,
    "conflict": RED,
    "failed": RED,
    "unknown": RED,
}
NOTHING_FAILED: Final = "Nothing has failed."
NO_ENTRY_FAILED: Final = "No entry has failed; what stands above has to be looked after."
LATE: Final = 0.5  # seconds that a question may be late without a word
MOST: Final = 10  # problems of the files that are shown


def run(options: Namespace) -> Exit:
    """Ask the daemon and print its answer, or go on to print it."""
    if options.watch:
        from routed.cli.watch import run as watch  # few look on

        return watch(options)
    try:
        status, wish = look(options)
    except ClientError as error:
        complain(str(error))
        return error.code
    if options.json:
        say_json(pick_failed(status) if options.failed else status)
    elif not options.quiet:
        say("\n".join(show(options, status, wish, datetime.now(UTC))))
    return Exit.FAILED if options.failed and has_failed(status, is_all=wish.is_all) else Exit.DONE


def look(options: Namespace) -> tuple[StatusDocument, Wish]:
    """What the daemon says of what is wished for. Raises ClientError, also where there is nothing."""
    for wish in read_wishes(options.entry):
        status = pick(cast(StatusDocument, call(options.runtime_dir, "GetStatus", wish.parameters)), wish)
        if wish.is_all or has_any(status):
            return status, wish
    raise ClientError(wish.nothing, Exit.FAILED)


def show(options: Namespace, status: StatusDocument, wish: Wish, now: datetime) -> Iterator[str]:
    """All lines, each of them printable."""
    is_colored = wants_color(options, sys.stdout)
    is_folded = not options.verbose
    if wish.is_all:
        yield from render_head(status, is_colored=is_colored)
    if not wish.is_detailed or options.failed:
        nothing = NO_ENTRY_FAILED if wish.is_all and concerns_host(status) else NOTHING_FAILED
        yield from render_entries(
            status, now, is_colored=is_colored, is_folded=is_folded, is_failed=options.failed, nothing=nothing
        )
    if wish.is_detailed or options.verbose:
        shown = pick_failed(status) if options.failed else status
        yield from render_objects(shown, now, is_colored=is_colored)
        yield from render_checks(shown.get("checks", []), now, is_colored=is_colored)


def render_status(status: StatusDocument, now: datetime, *, is_colored: bool, is_folded: bool = True) -> Iterator[str]:
    """What is in force, how the files stand to it, and a table of all entries; what members make of one is folded."""
    yield from render_head(status, is_colored=is_colored)
    yield from render_entries(status, now, is_colored=is_colored, is_folded=is_folded)


def render_head(status: StatusDocument, *, is_colored: bool) -> Iterator[str]:
    """What is in force, how the files stand to it, and what concerns the whole host."""
    yield make_printable(status["state"])
    yield from _render_files(status, is_colored=is_colored)
    yield from render_absent(status.get("absent", []))
    for one in status.get("sysctls", []):
        yield make_printable(_describe_sysctl(one))
    if (following := status.get("following")) and following["reason"]:
        yield make_printable(f"what others ask of IPVS is not seen: {following['reason']}")
    if served := status.get("metrics"):
        state = f"not served: {served['reason']}" if served["reason"] else "served"
        yield make_printable(f"metrics at {served['address']}: {state}")
    for pause in status.get("pauses", []):
        yield make_printable(_describe_pause(pause))
    for number in status.get("protocols", []):
        yield make_printable(f"protocol {number} of single entries: what carries it is ours as well")
    for number in status.get("former_protocols", []):  # a daemon of an older version does not tell
        yield make_printable(f"former protocol {number}: what carries it is ours as well, until nothing does")


def render_entries(
    status: StatusDocument,
    now: datetime,
    *,
    is_colored: bool,
    is_folded: bool = True,
    is_failed: bool = False,
    nothing: str = NOTHING_FAILED,
) -> Iterator[str]:
    """A table of the entries, the checks and what is left over; of what has failed alone where that is wanted."""
    rows = [
        (row.name, row.state, format_age(row.since, now), f"{row.in_sync}/{row.total}", row.note)
        for row in make_rows(status["entries"], is_folded=is_folded)
        if not (is_failed and row.state in CALM)
    ]
    rest = pick_failed(status) if is_failed else status
    checks = rest.get("checks", [])
    rows += [(one["check"], one["state"], format_age(one["since"], now), "", _note_check(one)) for one in checks]
    rows += [
        (f"({thing['kind']})", thing["state"], format_age(thing["since"], now), str(thing["count"]), _note(thing))
        for thing in rest["leftovers"]
    ]
    if is_failed and not rows:
        yield nothing
        return
    yield from _render_table(("ENTRY", "STATE", "SINCE", "OBJECTS", "NOTE"), rows, is_colored=is_colored)


def _describe_sysctl(one: SysctlDocument) -> str:
    whose = f" ({one['entry']})" if one["entry"] else ""
    return f"{one['sysctl']} is {one['value']}{whose}: {one['reason']}: {one['command']}"


def _describe_pause(pause: PauseDocument) -> str:
    subject = pause["entry"] or "everything"
    spared = f" but {', '.join(pause['spared'])}" if pause["spared"] else ""
    by = f" by {pause['author']}" if pause["author"] else ""
    why = f": {pause['reason']}" if pause["reason"] else ""
    how = "drained" if pause.get("drained") else "paused"
    return f"{subject}{spared} {how} until {pause['until']}{by}{why}"


def render_objects(status: StatusDocument, now: datetime, *, is_colored: bool) -> Iterator[str]:
    """The entries of the document with every object that is known one by one."""
    for entry in status["entries"]:
        reason = f": {entry['reason']}" if entry["reason"] else ""
        age = format_age(entry["since"], now)
        yield make_printable(f"{entry['entry']} is {entry['state']} since {age}{reason}")
        yield make_printable(f"{entry['origin']}, enforce = {entry['enforce']}, {_count_objects(entry)} in sync")
        if "held" in entry:
            yield make_printable(f"held until routed apply --force lets them go: {' '.join(entry['held'])}")
        if entry["objects"]:
            yield from _render_objects(entry["objects"], now, is_colored=is_colored)


# What is said of services and servers, as ``ipvsadm -Ln`` has it. A column of which nothing is known is left out.
COUNTED: Final[dict[str, Callable[[ObjectDocument], object]]] = {
    "WEIGHT": lambda thing: thing["ip"].get("weight"),
    "ACTIVE": lambda thing: thing.get("traffic", {}).get("active"),
    "INACT": lambda thing: thing.get("traffic", {}).get("inactive"),
    "RATE": lambda thing: thing.get("traffic", {}).get("rate"),
}


def _render_objects(things: Sequence[ObjectDocument], now: datetime, *, is_colored: bool) -> Iterator[str]:
    told = {head: [find(thing) for thing in things] for head, find in COUNTED.items()}
    counted = {head: cells for head, cells in told.items() if any(one is not None for one in cells)}
    names, whole = [], ""
    for thing in things:
        place, arrow, server = thing["object"].partition(SERVER_OF)
        names.append(f"  -> {server}" if arrow and place == whole else _name_object(thing))
        whole = whole if arrow else thing["object"]
    rows = [
        (
            names[place],
            thing["state"],
            format_age(thing["since"], now),
            *("" if cells[place] is None else str(cells[place]) for cells in counted.values()),
            thing["reason"],
        )
        for place, thing in enumerate(things)
    ]
    yield from _render_table(("OBJECT", "STATE", "SINCE", *counted, "NOTE"), rows, is_colored=is_colored)


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
        reason = f": {_explain_check(check)}" if check["reason"] else ""
        late = f", {check['late']:.1f} s late" if check["late"] >= LATE else ""
        yield make_printable(f"{check['check']} is {check['state']} since {format_age(check['since'], now)}{reason}")
        share = f", {_format_share(check)}" if "share" in check else ""
        yield make_printable(f"{check['origin']}, type = {check['type']}{share}{late}")
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
    if "share" in check and asked and not check["reason"]:
        return f"{_format_share(check)}, {_note_target(asked[0])}"
    measured = [one for one in asked if one["state"] == "up" and "rtt" in one]
    if check["reason"] or measured:
        return _explain_check(check) or f"{_format_rtt(measured[0])}, {_format_loss(measured[0])}"
    return _note_target(asked[0]) if len(asked) == len(check["targets"]) == 1 else ""


def _format_share(check: CheckDocument) -> str:
    return f"{check['share']} % of its weight"


def _explain_check(check: CheckDocument) -> str:
    """Its reason, and what it counts as where it cannot be made."""
    counts_as = check.get("counts_as")  # a daemon of an older version does not tell
    return f"{check['reason']} (it still counts as {counts_as})" if counts_as else check["reason"]


def _note_target(target: TargetDocument) -> str:
    parts = [target["last"]]
    if target["state"] == "up" and target["seconds"]:
        parts[0] += f" in {target['seconds'] * 1000:.1f} ms"
        parts += [f"median {_format_rtt(target)}"] if "rtt" in target else []
    parts += [_format_loss(target)] if "loss" in target else []
    return ", ".join(parts)


def _format_rtt(target: TargetDocument) -> str:
    return f"{target['rtt'] * 1000:.3g} ms"


def _format_loss(target: TargetDocument) -> str:
    return f"{target['loss'] * 100:.3g} % loss"


def _render_files(status: StatusDocument, *, is_colored: bool) -> Iterator[str]:
    files = status["files"]
    color = GREEN if files["state"] == "in force" else YELLOW
    yield f"{make_printable(status['config'])}: {paint(make_printable(files['state']), color, is_colored=is_colored)}"
    for problem in files["problems"][:MOST]:
        place = ":".join(str(part) for part in (problem["file"], problem["line"], problem["column"]) if part)
        yield make_printable(f"  {place}: {problem['message']}")
    if (more := len(files["problems"]) - MOST) > 0:
        yield f"  {format_count(more, 'more problem')}, which routed check -v shows"


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
    row = make_row(entry)
    return f"{row.in_sync}/{row.total}"


def _name_object(thing: ObjectDocument) -> str:
    """A service as ``ipvsadm -Ln`` has it, where its content is known."""
    if scheduler := thing["ip"].get("scheduler"):
        return f"{thing['object']} {scheduler}"
    more = f" ({thing['count']} objects)" if thing["count"] > 1 else ""
    return f"{thing['kind']} {thing['object']}{more}"


def _note(leftover: ObjectDocument) -> str:
    name = leftover["object"]
    of = f"of {name} before" if name and leftover["count"] > 1 else name
    return ": ".join(part for part in (of, _note_object(leftover)) if part)
