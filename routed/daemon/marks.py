"""The protocol numbers that mark what is ours, on disk: those of the file, and former ones that may still be in use.

    <state-dir>/marks.json    {"version": 1, "protocol": 115, "former": [114]}
                              {"version": 1, "protocol": 115, "former": [114, 200], "further": [200]}

``former`` has the further numbers as well: a version that knows none of them takes what they mark for its own, too.

Here must never live: when a number is forgotten, or who holds its lock.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from routed.daemon.storage import (
    DAMAGES,
    NEW,
    NewerFormatError,
    describe_damage,
    leave_newer,
    read_document,
    replace_file,
    told_as_state_error,
)
from routed.model.owner import Marks

_LOGGER = logging.getLogger(__name__)

VERSION: Final = 1
NUMBERS: Final = range(1, 256)  # rtm_protocol is one byte; 0 is nobody's (linux/rtnetlink.h)


class MarksFile:
    """The file in one state folder, which need not exist yet. Who writes it holds the locks of all its numbers."""

    def __init__(self, state_dir: Path, complain: Callable[[str], None] = _LOGGER.warning) -> None:
        """``complain`` is told, in a sentence, why a file that is there says nothing."""
        self._path = state_dir / "marks.json"
        self._complain = complain

    def load(self) -> Marks | None:
        """What is kept. None where that is nothing, or nothing that we can read; only damage is complained of."""
        try:
            document = read_document(self._path.read_bytes(), VERSION)
            further = frozenset(map(_check, document.get("further", ())))
            former = frozenset(map(_check, document["former"])) - further
            return Marks(_check(document["protocol"]), former, further)
        except (FileNotFoundError, PermissionError):
            return None
        except NewerFormatError as error:
            self._complain(f"{self._path} says nothing to us and is left alone: {error}")
            return None
        except DAMAGES as error:
            self._complain(f"former protocol numbers are not known, {self._path} is damaged: {describe_damage(error)}")
            return None

    def save(self, marks: Marks) -> None:
        """Keep these numbers. Raises StateError, and then what was kept before is still there."""
        leave_newer(self._path, VERSION)
        others = sorted(marks.numbers - {marks.protocol})
        document: dict[str, Any] = {"version": VERSION, "protocol": marks.protocol, "former": others}
        if marks.further:
            document["further"] = sorted(marks.further)
        with told_as_state_error(f"cannot keep the protocol numbers in {self._path}"):
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            new = self._path.with_name(self._path.name + NEW)
            replace_file(self._path, json.dumps(document).encode() + b"\n", new=new)


def _check(number: Any) -> int:
    if not isinstance(number, int) or number not in NUMBERS:
        raise ValueError(f"{number!r} is no protocol number")
    return number
