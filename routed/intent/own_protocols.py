"""The protocol numbers that mark what is ours, as the file says them: those of ``[daemon]``, and that of an entry.

Here must never live: what such a number means for an object (``kernel.stamp``), or who holds its lock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from routed.intent.names import Names
from routed.intent.problems import WrongValueError
from routed.model.names import IP_PROTOCOLS, NEVER_OURS, TAKEN_PROTOCOLS


def _own_protocol(names: Names, word: str | int) -> int:
    number = names.protocol(word)
    if not 0 < number <= 255 or number in NEVER_OURS:
        raise ValueError("must be a number from 1 to 255 that is not the kernel's own (1, 2, 9)")
    return number


def _further_protocols(names: Names, words: Iterable[str | int]) -> frozenset[int]:
    """Unlike ``protocol`` these are chosen for a look at them: nobody means to take all that another one has."""
    numbers = frozenset(_own_protocol(names, word) for word in words)
    if taken := sorted(numbers & TAKEN_PROTOCOLS.keys()):
        message = f"{taken[0]} ({TAKEN_PROTOCOLS[taken[0]]}) is what others mark their own with"
        raise WrongValueError(message, "what carries such a number is routed's alone: take one that nobody has")
    return numbers


# (the names of the host, what is written under the key) → what the settings have under it. Raises ValueError.
OWN_PROTOCOLS: Final[Mapping[str, Callable[[Names, Any], Any]]] = {
    "protocol": _own_protocol,
    "protocols": _further_protocols,
}


def find_protocol(known: Names, ours: Collection[int] | None, kind: str, word: str | int) -> int:
    """The number that an entry of this kind says. ``ours`` None: not all of them could be read. Raises ValueError."""
    if kind == "rule" and word in IP_PROTOCOLS.values() and word not in known.protocols:
        raise WrongValueError(f'unknown protocol "{word}"', "write `ipproto`")
    number = known.protocol(word)
    if ours is not None and number not in ours:
        hint = f"name it there: protocols = [{number}], and all that carries it is routed's"
        if number in TAKEN_PROTOCOLS:
            hint = "others mark their own with it: leave this out"
        raise WrongValueError(f"{number} is neither [daemon] protocol nor one of [daemon] protocols", hint)
    return number
