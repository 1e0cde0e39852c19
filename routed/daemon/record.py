"""The deployment on disk: what a start has to know of a trial, or of files that were rolled back.

    <state-dir>/revisions/deployment.json    {"version": 1, "phase": "rolled back", "revision": 7, …}

There is no such file where the files are simply in force. It lies beside the revisions that it speaks of, and goes with
them. Here must never live what a deployment means: that is ``core.deployment``.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from routed.core.deployment import Deployment, Phase
from routed.daemon.storage import (
    DAMAGES,
    NEW,
    NewerFormatError,
    describe_damage,
    flush_folder,
    is_passing,
    leave_newer,
    read_document,
    replace_file,
    told_as_state_error,
)
from routed.model.lifetime import BootTime

_LOGGER = logging.getLogger(__name__)

VERSION: Final = 1
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class RecordFile:
    """The file in one folder, which need not exist yet."""

    def __init__(self, folder: Path, complain: Callable[[str], None] = _LOGGER.warning) -> None:
        """``complain`` is told, in a sentence, why a file that is there says nothing."""
        self._path = folder / "deployment.json"
        self._complain = complain

    def load(self) -> Deployment:
        """What is kept; that of files in force where that is nothing, or nothing that we can read."""
        try:
            return _decode(read_document(self._path.read_bytes(), VERSION))
        except (FileNotFoundError, NotADirectoryError):
            return Deployment()
        except NewerFormatError as error:
            self._complain(f"{self._path} says nothing to us and is left alone: {error}")
        except DAMAGES as error:
            how = "cannot be read" if is_passing(error) else "is damaged"
            self._complain(f"whether files were rolled back is not known, {self._path} {how}: {describe_damage(error)}")
        return Deployment()

    def save(self, deployment: Deployment) -> None:
        """Keep what a start has to know of it. Raises StateError, and then what was kept before is still there."""
        record = deployment.record
        leave_newer(self._path, VERSION)
        with told_as_state_error(f"cannot keep which revision is in force in {self._path}"):
            if record == Deployment():
                if self._path.exists():
                    self._path.unlink()
                    flush_folder(self._path.parent)
                return
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._path.with_name(NEW + self._path.name)
            replace_file(self._path, json.dumps(_encode(record), indent=1).encode() + b"\n", new=new)


def read_boot() -> tuple[str, float]:
    """Which boot this is, and the seconds of CLOCK_BOOTTIME since then (random(4), clock_gettime(2)).

    Raises OSError, and never again once it did not.
    """
    return _read_boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME)


def find_moment() -> BootTime:
    """The moment by which lifetimes are counted. Where no boot can be told from another, none is known."""
    try:
        return BootTime(*read_boot())
    except OSError:
        return BootTime("", 0.0)


@cache  # a process does not outlive its boot, and may run out of descriptors
def _read_boot_id() -> str:
    return _BOOT_ID.read_text(encoding="ascii").strip()


def _encode(record: Deployment) -> dict[str, Any]:
    return {"version": VERSION} | record._asdict() | {"barred": sorted(record.barred)}


def _decode(document: dict[str, Any]) -> Deployment:
    """Raises one of ``DAMAGES`` for what is none."""
    return Deployment(
        phase=Phase(document["phase"]),
        revision=int(document["revision"]),
        digest=str(document["digest"]),
        base=int(document["base"]),
        barred=frozenset(map(str, document["barred"])),
        until=float(document["until"]),
        boot=str(document["boot"]),
        written=str(document.get("written", "")),  # a former version did not keep it
        base_written=str(document.get("base_written", "")),
        is_forced=document.get("is_forced") is True,
    )
