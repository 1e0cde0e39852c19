"""What checks found, kept in the runtime folder: a restart of the daemon neither flaps nor forgets; a boot forgets.

    <runtime-dir>/checks.json    {"version": 1, "boot": …, "healths": [{"check": "wan1", "address": "09090909", …}]}

Moments there are seconds of CLOCK_BOOTTIME. Nothing here is worth an error: without the file the first answers decide.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from routed.core.health import Health
from routed.daemon.record import read_boot
from routed.daemon.storage import DAMAGES, NEW, NewerFormatError, StateError, leave_newer, read_document, replace_file
from routed.model.agent import read_words
from routed.model.checks import CheckState, Target

_LOGGER = logging.getLogger(__name__)

VERSION: Final = 1

Healths = dict[str, dict[Target, Health]]


def load_healths(path: Path, now: float) -> Healths:
    """What is kept of this boot; nothing where that is nothing, or nothing that we can read."""
    healths: Healths = {}
    try:
        boot, booted = read_boot()
        document = read_document(path.read_bytes(), VERSION)
        shift = now - booted
        for one in document["healths"] if document["boot"] == boot else ():
            target = Target(bytes.fromhex(one["address"]), int(one["port"]))
            held_until, falls = float(one["held_until"]) + shift, tuple(float(fall) + shift for fall in one["falls"])
            health = Health(CheckState(one["state"]), float(one["since"]) + shift, falls=falls, held_until=held_until)
            # what wrote it may not know these words
            health = health._replace(is_poor=bool(one.get("is_poor")), words=_read_words(one.get("words")))
            healths.setdefault(str(one["check"]), {})[target] = health
    except FileNotFoundError:
        pass
    except (NewerFormatError, *DAMAGES) as error:
        _LOGGER.warning("what checks found before is not known: %s: %s", path, error)
    return healths


def save_healths(path: Path, healths: Mapping[str, Mapping[Target, Health]], now: float) -> None:
    """Keep these, and no others."""
    try:
        boot, booted = read_boot()
        leave_newer(path, VERSION)
        kept = [
            _encode(name, target, health, booted - now)
            for name, targets in healths.items()
            for target, health in targets.items()
            if health.verdict is not CheckState.UNKNOWN
        ]
        content = json.dumps({"version": VERSION, "boot": boot, "healths": kept}).encode() + b"\n"
        replace_file(path, content, new=path.with_name(path.name + NEW))
    except (OSError, StateError) as error:
        _LOGGER.warning("what checks found cannot be kept: %s: %s", path, error)


def _encode(name: str, target: Target, health: Health, shift: float) -> dict[str, object]:
    return {
        "check": name,
        "address": target.address.hex(),
        "port": target.port,
        "state": health.verdict,
        "since": health.since + shift,
        "falls": [fall + shift for fall in health.falls],
        "held_until": health.held_until + shift,
        "is_poor": health.is_poor,
        "words": health.words,
    }


def _read_words(kept: object) -> str:
    return read_words(kept) if kept and isinstance(kept, str) else ""
