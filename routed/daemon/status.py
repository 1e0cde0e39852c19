"""The state of every entry and object, as a document.

A pure reading of the host between two passes: it asks the kernel nothing, since the passes keep it true.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from routed.core.desired import Resolution
from routed.core.holds import Subject, Why
from routed.daemon.host import Host, State, Trouble
from routed.model.documents import EntryDocument, ObjectDocument
from routed.model.objects import Key, Kind
from routed.model.text import Vocabulary, format_key, to_json

SMALL: Final = 16  # entries of up to so many objects show each of them
SHOWN: Final = 64  # objects of a large entry that are shown when they are not in sync

Moment = Callable[[float], str]


def vocabulary_of(host: Host) -> Vocabulary:
    """The names by which the host's objects are printed now."""
    return Vocabulary.of(host.facts, host.intent.table_names, host.intent.settings.protocol)


def describe_entries(host: Host, moment: Moment) -> list[EntryDocument]:
    """Every entry of the files in force, in their order. ``moment`` writes a clock reading as ISO 8601."""
    troubles = _group_by_entry(host)
    vocabulary = vocabulary_of(host)
    return [
        _describe_entry(host, resolution, troubles[resolution.entry.name], vocabulary, moment)
        for entry in host.intent.entries
        if (resolution := host.desired.resolutions.get(entry.name))
    ]


def describe_leftovers(host: Host, moment: Moment) -> list[ObjectDocument]:
    """Objects that carry our mark, that no entry wants, and that are still there."""
    vocabulary = vocabulary_of(host)
    return [
        _describe_object(subject, trouble, vocabulary, moment)
        for subject, trouble in host.troubles.items()
        if isinstance(subject, Key) and host.desired.get(subject) is None
    ]


def summarise(host: Host, revision: int) -> str:
    """One sentence, for ``systemctl status``: how many objects are in sync and how many are not."""
    if unread := host.unread.get(None):
        where = f"revision {revision} in force" if revision else "in force"
        return f"{where}, but what the kernel holds is not known, and is read again: {unread.reason}"
    in_sync, others = count_states(host)
    wrong = ", ".join(f"{count} {state}" for state, count in sorted(others.items()))
    where = f"revision {revision} in force" if revision else "in force"
    return f"{where}: {in_sync} object{'' if in_sync == 1 else 's'} in sync" + (f", {wrong}" if wrong else "")


def count_states(host: Host) -> tuple[int, dict[str, int]]:
    """How many objects are in sync, and how many are in each other state."""
    counts: defaultdict[str, int] = defaultdict(int)
    for entry in describe_entries(host, lambda _: ""):
        for thing in entry["objects"]:
            if thing["state"] != State.IN_SYNC:
                counts[thing["state"]] += thing["count"]
        if entry["state"] == State.WAITING and not entry["total"]:
            counts[State.WAITING] += 1
    return max(0, host.desired.count() - sum(counts.values())), counts


def _group_by_entry(host: Host) -> defaultdict[str, list[tuple[Subject, Trouble]]]:
    by_entry: defaultdict[str, list[tuple[Subject, Trouble]]] = defaultdict(list)
    for subject, trouble in (host.unproved | host.troubles).items():
        if isinstance(subject, Key):
            want = host.desired.get(subject)
            if want is not None:
                by_entry[want.entry.name].append((subject, trouble))
        else:
            by_entry[subject].append((subject, trouble))
    return by_entry


def _describe_entry(
    host: Host,
    resolution: Resolution,
    troubles: list[tuple[Subject, Trouble]],
    vocabulary: Vocabulary,
    moment: Moment,
) -> EntryDocument:
    entry = resolution.entry
    total = sum(len(group.members) for group in resolution.sets)
    states = [trouble for _, trouble in troubles]
    since = host.since.get(entry.name, 0.0)
    paused = host.holds.held.get(entry.name) or host.holds.held.get("")
    if paused is not None and paused.why is Why.PAUSED:
        states.append(Trouble(State.PAUSED, paused.reason, paused.since))
    if resolution.waiting:
        reason = "; ".join(dict.fromkeys(waiting.reason for waiting in resolution.waiting))
        states.append(Trouble(State.WAITING, reason, since))
    if entry.name in host.desired.clashes:
        reason = f"{host.desired.clashes[entry.name]} wants the same object"
        states.append(Trouble(State.CONFLICT, reason, since))
    if unread := host.find_unread(resolution):
        states.append(unread)
    worst = max(
        states,
        key=lambda trouble: list(State).index(trouble.state),
        default=Trouble(State.IN_SYNC, resolution.note, since),
    )
    return EntryDocument(
        entry=entry.name,
        state=worst.state,
        reason=worst.reason,
        since=moment(worst.since),
        origin=str(entry.origin),
        enforce=entry.enforce,
        total=total,
        objects=_describe_objects(resolution, dict(troubles), worst, vocabulary, moment),
    )


def _describe_objects(
    resolution: Resolution, troubles: dict[Subject, Trouble], worst: Trouble, vocabulary: Vocabulary, moment: Moment
) -> list[ObjectDocument]:
    total = sum(len(group.members) for group in resolution.sets)
    documents: list[ObjectDocument] = []
    whole = troubles.get(resolution.entry.name)
    if whole is not None:
        documents.append(_describe_whole(resolution, whole, total, moment))
    unknown = {group.slot for group in resolution.sets if group.value is None}
    waiting = Trouble(State.WAITING, worst.reason, worst.since)
    if total > SMALL and unknown:
        count = sum(len(group.members) for group in resolution.sets if group.slot in unknown)
        documents.append(_describe_whole(resolution, waiting, count, moment))
    if total > SMALL:
        shown: Iterable[Key] = [subject for subject in troubles if isinstance(subject, Key)][:SHOWN]
    else:
        shown = (Key(group.kind, group.slot, m) for group in resolution.sets for m in sorted(group.members))
    in_sync = Trouble(State.IN_SYNC, "", worst.since)
    for key in shown:
        trouble = troubles.get(key) or (waiting if key.slot in unknown else in_sync)
        documents.append(_describe_object(key, trouble, vocabulary, moment))
    return documents


def _describe_whole(resolution: Resolution, trouble: Trouble, total: int, moment: Moment) -> ObjectDocument:
    kind = resolution.sets[0].kind if resolution.sets else Kind.ROUTE
    return ObjectDocument(
        kind=kind,
        object=resolution.entry.name,
        state=trouble.state,
        reason=trouble.reason,
        since=moment(trouble.since),
        count=total,
        ip={},
    )


def _describe_object(key: Key, trouble: Trouble, vocabulary: Vocabulary, moment: Moment) -> ObjectDocument:
    return ObjectDocument(
        kind=key.kind,
        object=format_key(key, vocabulary),
        state=trouble.state,
        reason=trouble.reason,
        since=moment(trouble.since),
        count=1,
        ip=to_json(key, trouble.standing[0] if trouble.standing else None, vocabulary),
    )
