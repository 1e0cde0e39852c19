"""What is assumed, and what the kernel does then by itself, in words and as documents.

A row for each kind of assumption. Pure builders, for the commands and for the control socket alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from routed.model.change import Want
from routed.model.documents import KernelStepDocument
from routed.model.objects import Key, Kind, Member, Slot, Value
from routed.model.text import Vocabulary, format_key, format_object, to_json

# What is so then, by kind and word; of a file there is no word.
_SENTENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "link": {
        "down": "{0} is down",
        "up": "{0} is up and has a carrier",
        "no-carrier": "{0} has no carrier",
        "gone": "{0} is gone",
    },
    "address": {"gone": "{0} is no address of this host"},
    "check": {"up": "check/{0} is up", "down": "check/{0} is down"},
    "member": {"gone": "{0} is no member"},
    "file": {"": "the files are those of {0}"},
}

FEW: Final = 8  # of those, so many are still told one by one
GOES: Final = "x"
COMES: Final = "*"

Changes = Iterable[tuple[Key, tuple[Value, ...], tuple[Value, ...]]]  # key, what stands, what stands then


def describe_assumption(given: str) -> str:
    """``link:eth1=down`` as a sentence without its end."""
    kind, _, rest = given.partition(":")
    name, _, word = rest.rpartition("=") if "" not in _SENTENCES.get(kind, {}) else (rest, "", "")
    sentence = _SENTENCES.get(kind, {}).get(word)
    return sentence.format(name) if sentence else given


def describe_case(given: Iterable[str]) -> str:
    """All that is assumed, as the first half of a sentence."""
    return "if " + " and ".join(dict.fromkeys(map(describe_assumption, given)))


def make_kernel_steps(
    changes: Changes, find_want: Callable[[Key], Want | None], vocabulary: Vocabulary
) -> Iterator[KernelStepDocument]:
    """What the kernel takes away, makes and changes by itself. Routes that differ in nothing else are one."""
    alike: dict[tuple[Kind, Slot, Value | None, Value | None, str], list[Member]] = {}
    for key, olds, news in changes:
        for before, after in _pair(olds, news):
            entry = _find_entry(find_want(key), before or after)
            alike.setdefault((key.kind, key.slot, before, after, entry), []).append(key.member)
    for (kind, slot, before, after, entry), members in alike.items():
        groups = [members] if len(members) > FEW else [[member] for member in members]
        yield from (_make_step(kind, slot, group, before, after, entry, vocabulary) for group in groups)


def _pair(olds: tuple[Value, ...], news: tuple[Value, ...]) -> Iterator[tuple[Value | None, Value | None]]:
    """What of several under one key became what."""
    gone, come = [one for one in olds if one not in news], [one for one in news if one not in olds]
    yield from zip(gone, come, strict=False)
    yield from ((one, None) for one in gone[len(come) :])
    yield from ((None, one) for one in come[len(gone) :])


def _find_entry(want: Want | None, value: Value) -> str:
    """The entry that wants just that."""
    return want.entry.name if want is not None and value in {want.value, *want.also} else ""


def _make_step(
    kind: Kind,
    slot: Slot,
    members: list[Member],
    before: Value | None,
    after: Value | None,
    entry: str,
    vocabulary: Vocabulary,
) -> KernelStepDocument:
    key = Key(kind, slot, members[0])
    name = format_key(key, vocabulary)
    shown: dict[str, Any] = to_json(key, before if after is None else after, vocabulary)
    return KernelStepDocument(
        symbol=GOES if after is None else COMES,
        kind=kind,
        entry=entry,
        object=name if len(members) == 1 else f"{name} and {len(members) - 1} more",
        count=len(members),
        before="" if before is None else format_object(key, before, vocabulary),
        after="" if after is None else format_object(key, after, vocabulary),
        ip=shown,
    )
