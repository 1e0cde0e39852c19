"""``routed monitor``: what happens to an entry, or to everything, as it happens. The journal has the same for later."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from routed.audit.printable import dump_json
from routed.cli.client import HUNG_UP, ClientError, call, watch
from routed.cli.exits import Exit
from routed.cli.history import render_record
from routed.cli.picking import has_any, pick, read_wishes
from routed.cli.terminal import complain, say, wants_color
from routed.model.documents import OutcomeDocument, StatusDocument


def run(options: Namespace) -> Exit:
    """Print a line for each record until the daemon ends, or the user has had enough."""
    try:
        _note_absence(options)
        asked = {"entry": options.entry} if options.entry else {}
        for line in _render(options, watch(options.runtime_dir, parameters=asked)):
            say(line)
            sys.stdout.flush()  # whoever reads it wants it now, be it by a pipe
    except ClientError as error:
        if str(error) == HUNG_UP:
            complain("the daemon has ended, or hung up on a reader that is too slow: nothing more is told")
            return Exit.UNAVAILABLE
        complain(str(error))
        return error.code
    return Exit.DONE


def _note_absence(options: Namespace) -> None:
    """Say so where nothing of this name is there; it may come. Raises ClientError."""
    if not options.entry or options.entry.startswith("source/"):
        return
    wish = read_wishes(options.entry)[0]
    if not has_any(pick(cast(StatusDocument, call(options.runtime_dir, "GetStatus", wish.parameters)), wish)):
        complain(f"there is no entry {options.entry} in force; what comes under this name will be shown")


def _render(options: Namespace, outcomes: Iterator[dict[str, Any]]) -> Iterator[str]:
    is_colored = wants_color(options, sys.stdout)
    for outcome in outcomes:
        if options.json:
            yield dump_json({"schema": "routed.monitor/1", **outcome})
        elif not options.quiet:
            yield render_record(_as_record(cast(OutcomeDocument, outcome)), is_colored=is_colored)


def _as_record(outcome: OutcomeDocument) -> Mapping[str, str]:
    """The same as the journal would have it."""
    when = datetime.fromisoformat(outcome["time"]).timestamp()
    return {
        "__REALTIME_TIMESTAMP": str(round(when * 1_000_000)),
        "PRIORITY": str(outcome["priority"]),
        "MESSAGE": outcome["message"],
    }
