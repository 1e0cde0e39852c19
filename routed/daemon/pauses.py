"""The operator's pauses, on disk: they outlive a stop, a start and an upgrade, and end with the boot.

    <state-dir>/pauses.json    {"version": 1, "boot": …, "pauses": [{"subject": "route/lan", …}], "spared": []}

Moments there are seconds of CLOCK_BOOTTIME, which only means something in the same boot. Here must never live what a
pause means: that is ``core.holds``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from routed.core.holds import Holds
from routed.daemon.storage import (
    NEW,
    flush_folder,
    leave_newer,
    load_kept,
    replace_file,
    told_as_state_error,
)
from routed.model.reasons import Paused

_LOGGER = logging.getLogger(__name__)

VERSION: Final = 1


class KeptPause(NamedTuple):
    """One pause. Moments are seconds of CLOCK_BOOTTIME."""

    subject: str  # an entry's name; empty for everything
    since: float
    until: float
    words: str = ""  # why, as the operator says
    author: str = ""
    ruling: bool | None = None  # of a check: what it counts as
    is_drain: bool = False  # of a server: it gets no new connections


class KeptPauses(NamedTuple):
    """All of them, and the entries that were resumed out of a pause of everything."""

    pauses: tuple[KeptPause, ...] = ()
    spared: frozenset[str] = frozenset()


class PausesFile:
    """The file in one state folder, which need not exist yet."""

    def __init__(self, state_dir: Path, complain: Callable[[str], None] = _LOGGER.warning) -> None:
        """``complain`` is told, in a sentence, why a file that is there says nothing."""
        self._path = state_dir / "pauses.json"
        self._complain = complain

    def load(self, boot: str) -> KeptPauses:
        """What is kept of this boot; nothing where that is nothing, or nothing that we can read.

        Raises StateError where it cannot be read just now: then nothing may take its place.
        """
        kept = load_kept(
            self._path,
            VERSION,
            lambda document: _decode(document, boot),
            "what was paused is not known",
            self._complain,
        )
        return KeptPauses() if kept is None else kept

    def save(self, kept: KeptPauses, boot: str) -> None:
        """Keep these, and no others. Raises StateError, and then what was kept before is still there."""
        leave_newer(self._path, VERSION)
        with told_as_state_error(f"cannot keep what is paused in {self._path}"):
            if not kept.pauses:
                if self._path.exists():
                    self._path.unlink()
                    flush_folder(self._path.parent)
                return
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            new = self._path.with_name(self._path.name + NEW)
            replace_file(self._path, json.dumps(_encode(kept, boot), indent=1).encode() + b"\n", new=new)


def list_kept(holds: Holds, shift: float) -> KeptPauses:
    """What there is to keep. ``shift`` is how far CLOCK_BOOTTIME is ahead of the clock of the holds."""
    pauses = tuple(
        KeptPause(
            entry,
            hold.since + shift,
            hold.until + shift,
            hold.reason.words,
            hold.reason.author,
            hold.reason.ruling,
            hold.reason.is_drain,
        )
        for entry, hold in holds.list_pauses().items()
        if isinstance(hold.reason, Paused)
    )
    return KeptPauses(pauses, frozenset(holds.spared))


def take_up(kept: KeptPauses, holds: Holds, now: float, booted: float) -> list[str]:
    """Pause again what was paused. Returns the subjects of pauses whose time is over meanwhile."""
    for pause in kept.pauses:
        if pause.until > booted:
            until, since = (now + moment - booted for moment in (pause.until, pause.since))
            how, is_drain = pause.ruling, pause.is_drain
            holds.pause(pause.subject, pause.words, until, since, pause.author, ruling=how, is_drain=is_drain)
    holds.spare(kept.spared)
    return [pause.subject for pause in kept.pauses if pause.until <= booted]


def _encode(kept: KeptPauses, boot: str) -> dict[str, Any]:
    pauses = [pause._asdict() for pause in kept.pauses]
    return {"version": VERSION, "boot": boot, "pauses": pauses, "spared": sorted(kept.spared)}


def _decode(document: dict[str, Any], boot: str) -> KeptPauses:
    """Raises one of ``DAMAGES`` for what is none."""
    if document["boot"] != boot:
        return KeptPauses()
    pauses = tuple(
        KeptPause(
            subject=str(one["subject"]),
            since=float(one["since"]),
            until=float(one["until"]),
            words=str(one["words"]),
            author=str(one["author"]),
            ruling=one.get("ruling"),  # who wrote this file may not have known it
            is_drain=bool(one.get("is_drain")),  # likewise
        )
        for one in document["pauses"]
    )
    return KeptPauses(pauses, frozenset(map(str, document["spared"])))
