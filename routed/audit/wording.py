"""Wording: the clauses that sentences of the audit are made of.

Pure functions from values of the model to words. Which sentence is said stands in the catalogue; when, elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from routed.audit.figures import format_count
from routed.model.change import Cause, Nature, Operation, Verb
from routed.model.entries import Entry
from routed.model.events import KERNEL
from routed.model.objects import AddressMember, Key, Kind, Member, RouteValue, Value
from routed.model.text import Vocabulary, find_differing, format_key, to_json

_ABSENT: Final = object()


class Actor(NamedTuple):
    """Who made a change, in words and in journal fields."""

    words: str
    fields: dict[str, str]


NameActor = Callable[[int], Actor]


def name_by_port(port: int) -> Actor:
    """All that a notification itself tells: the port id of the requester (nlmsg_pid, netlink(7))."""
    return Actor(f"port id {port}", {"ROUTED_ACTOR_PID": str(port)})


def name_subject(entry: Entry | None, key: Key, vocabulary: Vocabulary) -> str:
    """Of whom a sentence speaks: ``route/storage-lan 10.30.0.0/16 table storage``; without an entry the kind."""
    return f"{entry.name if entry else key.kind} {format_key(key, vocabulary)}"


def name_group(entry: Entry | None, kind: Kind, count: int) -> str:
    """The same for many objects at once: ``route/drop: 4997 routes``, without an entry ``4997 routes``."""
    counted = format_count(count, kind)
    return f"{entry.name}: {counted}" if entry else counted


def name_interface(key: Key, value: Value | None, vocabulary: Vocabulary) -> str:
    """The link that an object stands on, empty where there is none or more than one."""
    if isinstance(key.member, AddressMember):
        return vocabulary.link(key.member.dev)
    if isinstance(value, RouteValue) and len(value.hops) == 1 and value.hops[0].dev:
        return vocabulary.link(value.hops[0].dev)
    return ""


def describe_change(key: Key, before: Value, after: Value, vocabulary: Vocabulary) -> str:
    """What of the former content differs: ``gateway 10.20.0.9 instead of 10.20.0.1``."""
    old, new = to_json(key, before, vocabulary), to_json(key, after, vocabulary)
    clauses = [
        _describe_pair(name, old.get(name, _ABSENT), new.get(name, _ABSENT))
        for name in dict.fromkeys((*old, *new))
        if old.get(name, _ABSENT) != new.get(name, _ABSENT)
    ]
    # What has no key in JSON (the lock of a metric, attributes that routed has no word for) still has a name.
    return ", ".join(clauses) or ", ".join(f"another {name}" for name in find_differing(before, after))


def describe_cause(cause: Cause, name_actor: NameActor) -> str:
    """Who and why, as one clause: ``deleted by port id 4242``, ``dropped by the kernel (link eth1 went down)``."""
    if cause.port is None:
        return cause.text
    if cause.port == KERNEL:
        return f"dropped by the kernel ({cause.text})" if " " in cause.text else f"{cause.text} by the kernel"
    return f"{cause.text} by {name_actor(cause.port).words}"


def describe_trouble(operation: Operation, member: Member, cause: Cause, vocabulary: Vocabulary, who: NameActor) -> str:
    """What was wrong with one object, and who did it; it follows the subject of a sentence."""
    by = describe_cause(cause, who)
    if operation.nature is Nature.MISSING:
        return f" missing ({by})" if cause.port is None else f" {by}"
    return f": {describe_wrong(operation, Key(operation.kind, operation.slot, member), vocabulary)} ({by})"


def describe_wrong(operation: Operation, key: Key, vocabulary: Vocabulary) -> str:
    """How the content differed where it did; otherwise the reason of the operation."""
    if operation.nature in _COMPARED and operation.verb is not Verb.DELETE and operation.before is not None:
        return describe_change(key, operation.before, operation.value, vocabulary)
    return operation.reason


_COMPARED: Final = frozenset({Nature.DIFFERENT, Nature.FOREIGN})

CURES: Final[dict[Nature, str]] = {
    Nature.MISSING: "restored",
    Nature.DIFFERENT: "repaired",
    Nature.FOREIGN: "repaired",
    Nature.BEHIND: "first again",
    Nature.EXTRA: "taken away",
    Nature.IN_FRONT: "put behind it",
    Nature.SURPLUS: "removed",
}

PAST: Final[dict[Verb, str]] = {
    Verb.ADD: "added",
    Verb.REPLACE: "replaced",
    Verb.PREPEND: "put first",
    Verb.CHANGE: "changed",
    Verb.DELETE: "removed",
}


def _describe_pair(name: str, old: Any, new: Any) -> str:
    if new is _ABSENT:
        return f"{name} {_format_json(old)} too much" if old is not True else f"{name} too much"
    if old is _ABSENT:
        return f"no {name} instead of {_format_json(new)}" if new is not True else f"no {name}"
    return f"{name} {_format_json(old)} instead of {_format_json(new)}"


def _format_json(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_format_json(item) for item in value) + "]"
    if isinstance(value, dict):
        return " ".join(f"{name} {_format_json(item)}" for name, item in value.items())
    return str(value)
