"""The status of those entries that are for one address, with the objects that are: a reading from memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from routed.core.holding import find_holding
from routed.core.troubles import Looked, State, Trouble
from routed.daemon.host import Host
from routed.daemon.status import Moment, describe_entries, describe_fold, describe_object, look_over, vocabulary_of
from routed.model.documents import EntryDocument, ObjectDocument
from routed.model.objects import Key, Kind
from routed.model.reasons import Reason
from routed.model.text import Vocabulary


def describe_entries_of(host: Host, moment: Moment, address: bytes) -> list[EntryDocument]:
    """The entries that are for a packed address. Of their other objects those not in sync are counted."""
    vocabulary = vocabulary_of(host)
    found: dict[str, list[ObjectDocument]] = {}
    for one in look_over(host):
        held = find_holding(one.resolution, address)
        if held is not None:
            shown = _describe_held(host, one, held, vocabulary, moment)
            found[one.resolution.entry.name] = [*_count_others(one, set(held), moment), *shown]
    entries = [entry for entry in describe_entries(host, moment) if entry["entry"] in found]
    for entry in entries:
        entry["objects"] = found[entry["entry"]]
    return entries


def _describe_held(
    host: Host, one: Looked, held: Collection[Key], vocabulary: Vocabulary, moment: Moment
) -> Iterator[ObjectDocument]:
    since = host.ledger.since.get(one.resolution.entry.name, 0.0)
    values = {(group.kind, group.slot): group.value for group in one.resolution.sets}
    for key in held:
        value = values[key.kind, key.slot]
        in_sync = Trouble(State.IN_SYNC, None, since, () if value is None else (value,))
        wrong = (w.trouble for w in one.wrong if (w.kind, w.slot) == key[:2] and key.member in w.members)
        yield describe_object(key, next(wrong, in_sync), vocabulary, moment, value)


def _count_others(one: Looked, held: Collection[Key], moment: Moment) -> Iterator[ObjectDocument]:
    folds: defaultdict[tuple[Kind, State, Reason | None], list[tuple[int, float]]] = defaultdict(list)
    for wrong in one.wrong:
        told = sum((wrong.kind, wrong.slot) == key[:2] and key.member in wrong.members for key in held)
        if count := len(wrong.members) - told:
            folds[wrong.kind, wrong.trouble.state, wrong.trouble.reason].append((count, wrong.trouble.since))
    for (kind, state, reason), parts in folds.items():
        yield describe_fold(kind, one.resolution.entry.name, state, reason, parts, moment)
