"""Since when servers drain, or begin slowly, on disk: a restart keeps that, and the next boot knows nothing of it.

    <state-dir>/drains.json    {"version": 1, "boot": …, "drains": [[SLOT, MEMBER, since, until, ends], …],
                                "risen": {"service/api": {"10.0.0.11:6443": since}}}

Moments there are seconds of CLOCK_BOOTTIME, but for ``ends``, which is Unix time; slot and member are in the form of
``model.handover``. Here must never live what a drain means: that is ``core.drain``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final, NamedTuple

from routed.daemon.storage import (
    NEW,
    leave_newer,
    load_kept,
    replace_file,
    told_as_state_error,
)
from routed.model.drain import Drain
from routed.model.handover import HandoverError, make_codec
from routed.model.ipvs import ServerMember, ServerSlot, ServiceMember
from routed.model.objects import Key, Kind

_LOGGER = logging.getLogger(__name__)

VERSION: Final = 1
_TYPES: Final = (ServerSlot, ServiceMember, ServerMember)


class KeptDrains(NamedTuple):
    """What is known of servers that leave, and of those that came. Moments are seconds of CLOCK_BOOTTIME."""

    drains: Mapping[Key, Drain] = {}
    risen: Mapping[str, Mapping[str, float]] = {}  # entry → part → when it came


class DrainsFile:
    """The file in one state folder, which need not exist yet."""

    def __init__(self, state_dir: Path, complain: Callable[[str], None] = _LOGGER.warning) -> None:
        """``complain`` is told, in a sentence, why a file that is there says nothing."""
        self._path = state_dir / "drains.json"
        self._complain = complain

    def load(self, boot: str) -> KeptDrains:
        """What is kept of this boot; nothing where that is nothing, or nothing that we can read: they begin anew then.

        Raises StateError where it cannot be read just now.
        """
        kept = load_kept(
            self._path,
            VERSION,
            lambda document: _decode(document, boot),
            "since when servers drain is not known",
            self._complain,
        )
        return KeptDrains() if kept is None else kept

    def save(self, kept: KeptDrains, boot: str) -> None:
        """Keep these, and no others. Raises StateError, and then what was kept before is still there.

        It is not forced onto the disk beyond that: it has to outlive this process, and is void after another boot.
        """
        leave_newer(self._path, VERSION)
        with told_as_state_error(f"cannot keep since when servers drain in {self._path}"):
            if not (kept.drains or kept.risen):
                self._path.unlink(missing_ok=True)
                return
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            new = self._path.with_name(self._path.name + NEW)
            replace_file(self._path, json.dumps(_encode(kept, boot)).encode() + b"\n", new=new)


def _encode(kept: KeptDrains, boot: str) -> dict[str, Any]:
    encode = make_codec(_TYPES).encode
    rows = [[encode(key.slot), encode(key.member), *drain] for key, drain in kept.drains.items()]
    return {"version": VERSION, "boot": boot, "drains": rows, "risen": kept.risen}


def _decode(document: dict[str, Any], boot: str) -> KeptDrains:
    """Raises one of ``DAMAGES`` for what is none."""
    if document["boot"] != boot:
        return KeptDrains()
    decode = make_codec(_TYPES).decode
    found: dict[Key, Drain] = {}
    for slot, member, since, until, ends in document["drains"]:
        key = Key(Kind.SERVER, decode(slot), decode(member))
        if not isinstance(key.slot, ServerSlot) or not isinstance(key.member, ServerMember):
            raise HandoverError(f"{key} is no server")
        found[key] = Drain(_read_moment(since), _read_moment(until), int(ends))
    risen = {
        str(entry): {str(part): _read_moment(since) for part, since in parts.items()}
        for entry, parts in document["risen"].items()
    }
    return KeptDrains(found, risen)


def _read_moment(given: Any) -> float:
    """Raises one of ``DAMAGES`` for what is none: NaN would never come."""
    moment = float(given)
    if not isfinite(moment):
        raise ValueError(f"{moment} is no moment")
    return moment
