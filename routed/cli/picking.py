"""What of a status somebody wants to see: one entry, those of a pattern, those for an address, what has failed.

Pure. Here must never live: how it is shown (``status``).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from routed.cli.folding import DRAINING, IN_SYNC
from routed.model.documents import StatusDocument, is_asked
from routed.model.net import parse_address

# What nobody has to look after: it is as it is to be, or will be by itself, or somebody said so. What a daemon of a
# newer version may say counts as failed.
CALM: Final = frozenset({IN_SYNC, DRAINING, "waiting", "withheld", "paused"})
CALM_CHECKS: Final = frozenset({"up", "down", "unknown"})
WILD: Final = frozenset("*?[")  # what may make a pattern …
SURE: Final = frozenset("*?")  # … and what does, for no name has it


class Wish(NamedTuple):
    """What was asked for."""

    parameters: dict[str, Any]  # of the question to the daemon
    is_for: Callable[[str], bool]  # name of an entry or a check → is it meant?
    is_detailed: bool = False  # are its objects shown?
    nothing: str = ""  # the sentence where there is none
    is_all: bool = False


def read_wishes(asked: str) -> list[Wish]:
    """By what stands on the command line; of several the first that finds anything is meant.

    Brackets are a pattern, unless they are of a name: ``route/pods[node2]``.
    """
    if not asked:
        return [Wish({}, lambda _name: True, is_all=True)]
    if is_address(asked):
        return [Wish({"address": asked}, lambda _name: True, is_detailed=True, nothing=f"no entry is for {asked}")]
    nothing = f"there is no entry {asked} in force"
    name = Wish({"entry": asked}, lambda name: is_asked(name, asked), is_detailed=True, nothing=nothing)
    pattern = Wish({}, lambda name: is_like(name, asked), nothing=f"no entry in force is like {asked}")
    if WILD.isdisjoint(asked):
        return [name]
    return [name, pattern] if SURE.isdisjoint(asked) else [pattern]


def is_address(text: str) -> bool:
    """Is it one address, of either family?"""
    try:
        parse_address(text)
    except ValueError:
        return False
    return True


def is_like(name: str, pattern: str) -> bool:
    """By the rules of a shell, and by its whole name or without its kind; ``route/pods[node2]`` is a name as well."""
    return is_asked(name, pattern) or fnmatchcase(name, pattern) or fnmatchcase(name.partition("/")[2], pattern)


def pick(status: StatusDocument, wish: Wish) -> StatusDocument:
    """The same status with those entries and checks alone."""
    status["entries"] = [one for one in status["entries"] if wish.is_for(one["entry"])]
    if not wish.is_all:
        status["leftovers"] = []
    if "checks" in status:
        is_named = "address" not in wish.parameters
        status["checks"] = [one for one in status["checks"] if is_named and wish.is_for(one["check"])]
    return status


def pick_failed(status: StatusDocument) -> StatusDocument:
    """A copy of the status with nothing but what somebody has to look after."""
    picked = copy(status)
    picked["entries"] = [one for one in status["entries"] if one["state"] not in CALM]
    picked["leftovers"] = [one for one in status["leftovers"] if one["state"] not in CALM]
    if "checks" in status:
        picked["checks"] = [one for one in status["checks"] if one["state"] not in CALM_CHECKS]
    return picked


def has_any(status: StatusDocument) -> bool:
    """Is there an entry or a check in it?"""
    return bool(status["entries"] or status.get("checks"))


def has_failed(status: StatusDocument, *, is_all: bool = True) -> bool:
    """Is there anything that somebody has to look after? Of the whole host only where all of it is asked for."""
    failed = pick_failed(status)
    return has_any(failed) or bool(failed["leftovers"]) or (is_all and concerns_host(status))


def concerns_host(status: StatusDocument) -> bool:
    """Is there anything to look after that is no entry's? The head of a status says it."""
    return bool(status.get("absent") or status.get("unsaved") or "coming" in status or status["files"]["problems"])
