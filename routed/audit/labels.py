"""Labels: the words that metrics give to what the daemon counts.

Enumerations of ours in, words out, so that nothing that a process says of itself can become a label.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from routed.model.events import KERNEL
from routed.model.reasons import AddressTurn, LinkTurn

_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OF_WHAT: Final[dict[type, str]] = {AddressTurn: "address-", LinkTurn: "link-"}  # what turned


def label_cause(sort: Enum | type) -> str:
    """``deleted``, ``regular``, ``link-went-down``, ``file-changed``."""
    if isinstance(sort, Enum):
        return _OF_WHAT.get(type(sort), "") + sort.name.lower().replace("_", "-")
    return _WORDS.sub("-", sort.__name__).lower()


def label_actor(port: int | None) -> str:
    """Of what kind whoever changed something is, by the port id: ``kernel``, ``process``, or ``unknown``."""
    return "unknown" if port is None else "kernel" if port == KERNEL else "process"
