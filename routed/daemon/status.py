"""The state of every entry and object, as a document.

A pure reading of the host between two passes: it asks the kernel nothing, since the passes keep it true. Every count is
that of the objects themselves, however few of them are shown one by one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from routed.audit.documents import add_former, describe_former
from routed.audit.reasons import describe_reason
from routed.audit.wording import WORDS, describe_left_alone
from routed.core.desired import ObjectSet, Resolution
from routed.core.drain import whole_of
from routed.core.holds import GROUP, Hold
from routed.core.membership import find_followed
from routed.core.prospects import is_error
from routed.core.troubles import Looked, State, Trouble, Troubled
from routed.daemon.host import Host
from routed.model.change import Drift
from routed.model.checks import find_ruling
from routed.model.documents import AbsenceDocument, EntryDocument, ObjectDocument, PauseDocument, is_asked
from routed.model.objects import Key, Kind, Member, Slot, Value
from routed.model.prefixes import Packed, PrefixSet
from routed.model.reasons import Claimed, Flaw, Observed, Paused, Reason, join_reasons
from routed.model.text import Vocabulary, format_key, mark_name, to_json

SMALL: Final = 16  # entries of up to so many objects show each of them; so many leftovers are shown one by one
FEW: Final = 3  # of what is still there as it was before, so many are named
WHOLE: Final = 1088  # those of an entry that somebody asks for: 64 services, and 1024 servers
SHOWN: Final = 64  # objects of a large entry that are shown when they are not in sync

RANKS: Final = {state: rank for rank, state in enumerate(State)}  # the worst one is the last

Moment = Callable[[float], str]
Wrong = Mapping[str, Sequence[Troubled]]  # entry → its objects that are not in sync


def vocabulary_of(host: Host) -> Vocabulary:
    """The names by which the host's objects are printed now."""
    return Vocabulary.of(host.world.facts, host.wanted.intent.table_names, host.wanted.intent.settings.protocol)


def describe_entries(host: Host, moment: Moment, asked: str = "") -> list[EntryDocument]:
    """Every entry of the files in force, in their order. ``moment`` writes a clock reading as ISO 8601.

    With the name of an entry, or what follows its kind, those alone, with more of their objects and all of these.
    """
    wrong = _group_by_entry(host)
    vocabulary = vocabulary_of(host)
    former = find_former(host, vocabulary)
    draining = _group_draining(host)
    documents = []
    for one in _in_order(host, asked):
        document = _describe_entry(host, one, _find_wrong(host, one, wrong), vocabulary, moment, is_asked=bool(asked))
        if stays := former.get(one.entry.name):
            document["former"] = stays
            document["reason"] = add_former(document["reason"], stays)
        leaving = ((key, group.trouble) for group in draining.get(one.entry.name, ()) for key in _keys_of(group))
        document["objects"] += [
            describe_object(key, trouble, vocabulary, moment) for key, trouble in islice(leaving, SHOWN)
        ]
        documents.append(document)
    return documents


def look_over(host: Host) -> Iterator[Looked]:
    """Every entry in the order of the files, and how it stands."""
    wrong = _group_by_entry(host)
    for one in _in_order(host):
        yield Looked(one, _find_wrong(host, one, wrong), _pick_worst(_list_overall(host, one)))


def find_leftovers(host: Host) -> list[Troubled]:
    """Objects that carry our mark, that no entry wants, and that are still there."""
    shown = {id(one.trouble) for some in _group_draining(host).values() for one in some}
    return [
        one
        for one in host.ledger.troubles
        if one.trouble.entry not in host.wanted.desired.resolutions and id(one.trouble) not in shown
    ]


def find_former(host: Host, vocabulary: Vocabulary) -> dict[str, list[str]]:
    """By the name of an entry that waits: what of it is still there as it was before."""
    troubles = (one for one in host.ledger.troubles if one.trouble.reason is Flaw.FORMER)
    return _list_former(((one.trouble.entry, one, one.trouble.standing) for one in troubles), vocabulary)


def group_former(drifts: Iterable[Drift], vocabulary: Vocabulary) -> dict[str, list[str]]:
    """The same of what a comparison found."""
    return _list_former(((one.want.entry.name, one, one.standing) for one in drifts if one.want), vocabulary)


def _list_former(
    found: Iterable[tuple[str, Drift | Troubled, Sequence[Value]]], vocabulary: Vocabulary
) -> dict[str, list[str]]:
    """Some of each entry, and how many more there are."""
    counts: Counter[str] = Counter()
    told: defaultdict[str, list[str]] = defaultdict(list)
    for name, group, standing in found:
        counts[name] += 1
        if counts[name] <= FEW:
            told[name].append(describe_former(group, standing, vocabulary))
    for name, count in counts.items():
        if count > FEW:
            told[name].append(f"{count - FEW} more")
    return told


def describe_leftovers(host: Host, moment: Moment) -> list[ObjectDocument]:
    """Objects that carry our mark, that no entry wants, and that are still there.

    Of many there is one document for all that stay for one reason, and that one entry wanted, as far as that is known
    and the entries are few.
    """
    vocabulary = vocabulary_of(host)
    found = find_leftovers(host)
    if _count(found) <= SMALL:
        return [describe_object(key, one.trouble, vocabulary, moment) for one in found for key in _keys_of(one)]
    shares = list(_share_by_former(host, found))
    if len({(kind, name) for kind, name, _, _ in shares}) > SMALL:  # then who they were is a list as long as any
        shares = [(kind, "", count, trouble) for kind, _, count, trouble in shares]
    folds: defaultdict[tuple[Kind, str, State, Reason | None], list[tuple[int, float]]] = defaultdict(list)
    for kind, name, count, trouble in shares:
        folds[kind, name, trouble.state, trouble.reason].append((count, trouble.since))
    return [
        describe_fold(kind, name, state, reason, parts, moment) for (kind, name, state, reason), parts in folds.items()
    ]


def summarise(host: Host, revision: int) -> str:
    """One sentence, for ``systemctl status``: how many objects are in sync and how many are not."""
    where = f"revision {revision} in force" if revision else "in force"
    if unread := host.world.unknown:
        again = "" if unread is host.world.unenforced else ", and is read again"
        return f"{where}, but what the kernel holds is not known{again}: {describe_reason(unread.reason)}"
    counts = count_states(host)
    in_sync = counts.pop(State.IN_SYNC)
    told = [f"{count} {state}" for state, count in sorted(counts.items())]
    if left := count_leftovers(host):
        told.append(f"{left} left over")
    wrong = ", ".join(told)
    return f"{where}: {in_sync} object{'' if in_sync == 1 else 's'} in sync" + (f", {wrong}" if wrong else "")


def describe_absent(host: Host) -> list[AbsenceDocument]:
    """The rules of the kernel that are missing, and what brings them back."""
    found = []
    for (kind, slot), members in host.world.absent.items():
        describe = WORDS[kind].describe_absent
        if describe is not None:
            _, family, missing, command = describe(slot, members)
            found.append(AbsenceDocument(family=family, missing=missing, command=command))
    return found


def summarise_absent(host: Host) -> str:
    """The beginning of a headline where rules of the kernel are missing; it ends with a semicolon."""
    return "".join(
        f"the kernel's own {one['family']} rules are missing ({one['missing']}); " for one in describe_absent(host)
    )


def summarise_pauses(host: Host, moment: Moment) -> str:
    """The beginning of a headline where something is paused; it ends with a semicolon."""
    pauses = host.ledger.holds.list_pauses()
    if not pauses:
        return ""
    if (everything := pauses.get("")) is not None:
        spared = f" but {', '.join(sorted(host.ledger.holds.spared))}" if host.ledger.holds.spared else ""
        return f"everything{spared} is paused until {moment(everything.until)}; "
    last = moment(max(hold.until for hold in pauses.values()))
    what = f"{next(iter(pauses))} is" if len(pauses) == 1 else f"{len(pauses)} entries are"
    words = {"drained" if _is_drain(hold) else "paused" for hold in pauses.values()}
    return f"{what} {' or '.join(sorted(words))} until {last}; "


def describe_pauses(host: Host, moment: Moment) -> list[PauseDocument]:
    """What is not enforced for a while, until when, and by whose word; everything first."""
    documents: list[PauseDocument] = []
    for entry, hold in sorted(host.ledger.holds.list_pauses().items()):
        assert isinstance(hold.reason, Paused)
        document = PauseDocument(
            entry=entry,
            since=moment(hold.since),
            until=moment(hold.until),
            reason=hold.reason.words,
            author=hold.reason.author,
            spared=sorted(host.ledger.holds.spared) if not entry else [],
        )
        if _is_drain(hold):
            document["drained"] = True
        documents.append(document)
    return documents


def _is_drain(hold: Hold) -> bool:
    return isinstance(hold.reason, Paused) and hold.reason.is_drain


def count_states(host: Host) -> dict[str, int]:
    """How many objects of all entries are in each state; in sync always, the others where there are any.

    What an entry waits for without knowing which objects it comes to counts as one.
    """
    counts: Counter[str] = Counter()
    by_entry = _group_by_entry(host)
    noted = _list_noted(host, by_entry)
    counts[State.IN_SYNC] += host.wanted.desired.total - sum(one.count_objects() for one in noted)
    for resolution in noted:
        wrong = _find_wrong(host, resolution, by_entry)
        counts[State.IN_SYNC] += max(0, resolution.count_objects() - _count(wrong))
        for one in wrong:
            counts[one.trouble.state] += len(one.members)
        if resolution.waiting and not resolution.count_objects():
            counts[_judge_waiting(resolution)] += 1
        if resolution.withheld:
            counts[State.WITHHELD] += 1
        if resolution.held:
            counts[State.HELD] += 1
        if resolution.degraded:
            counts[State.DEGRADED] += 1
    if leaving := _count(one for one in host.ledger.troubles if one.trouble.state is State.DRAINING):
        counts[State.DRAINING] = leaving
    return {State.IN_SYNC.value: 0} | {str(state): count for state, count in counts.items()}


def _list_noted(host: Host, by_entry: Wrong) -> list[Resolution]:
    """Those of which there may be something to say. Most are as wanted, and there may be thousands."""
    desired = host.wanted.desired
    if host.world.unread or host.world.unknown:
        return list(desired.resolutions.values())
    names = {*by_entry, *desired.clashes, *desired.notable} & desired.resolutions.keys()
    return [desired.resolutions[name] for name in names]


def count_leftovers(host: Host) -> int:
    """How many objects carry our mark, are wanted by no entry, and are still there though they have not to drain."""
    resolutions = host.wanted.desired.resolutions
    wrong = (one for one in host.ledger.troubles if one.trouble.state is not State.DRAINING)
    return _count(one for one in wrong if one.trouble.entry not in resolutions)


def _in_order(host: Host, asked: str = "") -> Iterator[Resolution]:
    for entry in host.wanted.list_entries():
        if asked and not is_asked(entry.name, asked):
            continue
        resolution = host.wanted.desired.resolutions.get(entry.name)
        if resolution is not None:
            yield resolution


def _count(some: Iterable[Troubled]) -> int:
    return sum(len(one.members) for one in some)


def _keys_of(one: Troubled) -> Iterator[Key]:
    return (Key(one.kind, one.slot, member) for member in one.members)


def _join(some: Iterable[Troubled]) -> Iterator[tuple[Kind, Slot, Sequence[Member], Trouble]]:
    """The same, with those of one place that are alike together."""
    joined: defaultdict[tuple[Kind, Slot, State, Reason | None], list[Troubled]] = defaultdict(list)
    for one in some:
        joined[one.kind, one.slot, one.trouble.state, one.trouble.reason].append(one)
    for (kind, slot, _, _), alike in joined.items():
        oldest = min((one.trouble for one in alike), key=lambda trouble: trouble.since)
        first = alike[0].members
        if len(alike) == 1 and isinstance(first, PrefixSet):
            yield kind, slot, Packed(first.pack(), first.width), oldest
        else:
            yield kind, slot, tuple(member for one in alike for member in one.members), oldest


def _share_by_former(host: Host, some: Iterable[Troubled]) -> Iterator[tuple[Kind, str, int, Trouble]]:
    """How many of these which entry wanted before; an empty name where nobody knows."""
    for kind, slot, members, trouble in _join(some):
        former = host.wanted.former.count(kind, slot, members)
        former[""] = len(members) - former.total()
        yield from ((kind, name, count, trouble) for name, count in (+former).items())


def _group_by_entry(host: Host) -> Wrong:
    by_entry: defaultdict[str, list[Troubled]] = defaultdict(list)
    for one in host.ledger.troubles:
        by_entry[one.trouble.entry].append(one)
    for key, trouble in host.ledger.shadowed.items():
        want = host.wanted.desired.get(key)
        if want is not None and key not in host.ledger.troubles:
            by_entry[want.entry.name].append(Troubled(key.kind, key.slot, (key.member,), trouble))
    return by_entry


def _group_draining(host: Host) -> dict[str, list[Troubled]]:
    """By the entry of their service: the servers that leave. Those of a service that leaves itself are left over."""
    found: defaultdict[str, list[Troubled]] = defaultdict(list)
    for one in host.ledger.troubles if host.ledger.drains else ():
        whole = whole_of(one.kind, one.slot) if one.trouble.state is State.DRAINING else None
        if whole is not None and (want := host.wanted.desired.get(whole)) is not None:
            found[want.entry.name].append(one)
    return found


def _find_wrong(host: Host, resolution: Resolution, by_entry: Wrong) -> list[Troubled]:
    """The objects of an entry that are not in sync, each once: not known, in trouble, or another entry's."""
    name = resolution.entry.name
    since = host.ledger.since.get(name, 0.0)
    waiting = Trouble(_judge_waiting(resolution), find_why_waiting(resolution), since)
    wrong: list[Troubled] = []
    known: list[ObjectSet] = []
    for group in resolution.sets:
        unknown = waiting if group.value is None else host.world.find_unread(group.kind, group.slot)
        if unknown is None:
            known.append(group)
        else:
            wrong.append(Troubled(group.kind, group.slot, group.members, unknown))
    whole = {(one.kind, one.slot) for one in wrong} - {(group.kind, group.slot) for group in known}
    beside = [one for one in by_entry.get(name, ()) if (one.kind, one.slot) not in whole]
    wrong += _leave_out(beside, list(wrong)) if wrong else beside
    clash = host.wanted.desired.clashes.get(name)
    if clash is not None:
        conflict = Trouble(State.CONFLICT, Claimed(clash), since)
        taken = ((group, host.wanted.desired.find_taken(group, name)) for group in known)
        wrong += [Troubled(group.kind, group.slot, members, conflict) for group, members in taken if members]
    return wrong


def find_wrong_of(host: Host, resolution: Resolution) -> list[Troubled]:
    """The objects of one entry that are not in sync."""
    return _find_wrong(host, resolution, _group_by_entry(host))


def _leave_out(some: Iterable[Troubled], counted: Sequence[Troubled]) -> Iterator[Troubled]:
    """Those that are not counted yet, where a slot has both."""
    for one in some:
        there = [other.members for other in counted if (other.kind, other.slot) == (one.kind, one.slot)]
        left = tuple(m for m in one.members if not any(m in members for members in there)) if there else one.members
        if left:
            yield one._replace(members=left)


def find_why_waiting(resolution: Resolution) -> Reason | None:
    """All that an entry waits for."""
    return join_reasons(waiting.reason for waiting in resolution.waiting)


def _judge_waiting(resolution: Resolution) -> State:
    return State.FAILED if is_error(find_why_waiting(resolution)) else State.WAITING


def _describe_entry(
    host: Host,
    resolution: Resolution,
    wrong: list[Troubled],
    vocabulary: Vocabulary,
    moment: Moment,
    *,
    is_asked: bool,
) -> EntryDocument:
    entry = resolution.entry
    worst = _find_worst(host, resolution, wrong)
    document = EntryDocument(
        entry=entry.name,
        state=worst.state,
        reason=_describe_worst(worst, resolution, vocabulary),
        since=moment(worst.since),
        origin=str(entry.origin),
        enforce=entry.enforce,
        total=resolution.count_objects(),
        objects=list(_describe_objects(resolution, wrong, worst.since, vocabulary, moment, is_asked=is_asked)),
    )
    if resolution.held:
        document["held"] = sorted(find_followed(entry, host.world.facts).held)
    return document


def list_wrong(host: Host) -> Iterator[tuple[Resolution, list[Troubled], Trouble]]:
    """Each entry of which there is something to say, its objects that are not in sync, and what it is shown as."""
    by_entry, holds = _group_by_entry(host), host.ledger.holds
    noted = {one.entry.name for one in _list_noted(host, by_entry)}
    for one in _in_order(host):
        if one.entry.name in noted or (holds.active and holds.find_pause(one.entry.name)):
            wrong = _find_wrong(host, one, by_entry)
            yield one, wrong, _find_worst(host, one, wrong)


def _find_worst(host: Host, resolution: Resolution, wrong: list[Troubled]) -> Trouble:
    """What decides how an entry is shown."""
    worst = _pick_worst([*(one.trouble for one in wrong), *_list_overall(host, resolution)])
    return worst or Trouble(State.IN_SYNC, resolution.note, host.ledger.since.get(resolution.entry.name, 0.0))


def _pick_worst(troubles: Iterable[Trouble]) -> Trouble | None:
    return max(troubles, key=lambda trouble: RANKS[trouble.state], default=None)


def _list_overall(host: Host, resolution: Resolution) -> Iterator[Trouble]:
    """What is said of the entry itself, whatever its objects are."""
    name = resolution.entry.name
    since = host.ledger.since.get(name, 0.0)
    paused = host.ledger.holds.find_pause(name)
    if paused is not None:
        yield Trouble(State.PAUSED, paused.reason, paused.since)
    if resolution.withheld:
        yield Trouble(State.WITHHELD, resolution.withheld, _find_withheld_since(host, resolution))
    if resolution.held:
        yield Trouble(State.HELD, resolution.held, find_followed(resolution.entry, host.world.facts).held_since or 0.0)
    if resolution.degraded:
        yield Trouble(State.DEGRADED, resolution.degraded, _find_withheld_since(host, resolution))
    if resolution.waiting:
        yield Trouble(_judge_waiting(resolution), find_why_waiting(resolution), since)
    if name in host.wanted.desired.clashes:
        yield Trouble(State.CONFLICT, Claimed(host.wanted.desired.clashes[name]), since)


def _find_withheld_since(host: Host, resolution: Resolution) -> float:
    told = map(host.world.facts.find, resolution.reads & host.world.facts.told.keys())
    turns = [ruling.since for fact in told if (ruling := find_ruling(fact))]
    return max([host.ledger.since.get(resolution.entry.name, 0.0), *turns])


def _describe_worst(worst: Trouble, resolution: Resolution, vocabulary: Vocabulary) -> str:
    """Why an entry is not in sync; of an only object that differs, with both contents."""
    if resolution.count_objects() != 1:
        return describe_reason(worst.reason)
    (group,) = (one for one in resolution.sets if one.members)
    key = Key(group.kind, group.slot, next(iter(group.members)))
    return _describe_trouble(key, worst, group.value, vocabulary)


def _describe_trouble(key: Key, trouble: Trouble, wanted: Value | None, vocabulary: Vocabulary) -> str:
    if not isinstance(trouble.reason, Observed):
        return describe_reason(trouble.reason)
    return describe_left_alone(trouble.reason, key, trouble.standing, wanted, vocabulary)


def _describe_objects(
    resolution: Resolution,
    wrong: list[Troubled],
    since: float,
    vocabulary: Vocabulary,
    moment: Moment,
    *,
    is_asked: bool,
) -> Iterator[ObjectDocument]:
    """Each object of a small entry; of a large one some that are not in sync, and the others counted by what is wrong.

    Very many of one trouble are not shown one by one. Of what is in sync the content is shown where it is asked for.
    """
    if resolution.count_objects() <= (WHOLE if is_asked else SMALL):
        troubles = {key: one.trouble for one in wrong for key in _keys_of(one)}
        notes = dict(resolution.notes)
        for group in resolution.sets:
            content = _find_content(group) if is_asked else None
            for key in (Key(group.kind, group.slot, member) for member in sorted(group.members)):
                trouble = troubles.get(key)
                if trouble is None:
                    trouble = Trouble(State.IN_SYNC, notes.get(key), since, () if content is None else (content,))
                yield describe_object(key, trouble, vocabulary, moment, group.value)
        return
    few = ((key, one.trouble) for one in wrong if len(one.members) <= GROUP for key in _keys_of(one))
    folded: defaultdict[tuple[Kind, State, Reason | None], list[tuple[int, float]]] = defaultdict(list)
    for one in wrong:
        if len(one.members) > GROUP:
            folded[one.kind, one.trouble.state, one.trouble.reason].append((len(one.members), one.trouble.since))
    shown = [describe_object(key, trouble, vocabulary, moment) for key, trouble in islice(few, SHOWN)]
    for key, trouble in few:
        folded[key.kind, trouble.state, trouble.reason].append((1, trouble.since))
    for (kind, state, reason), parts in folded.items():
        yield describe_fold(kind, resolution.entry.name, state, reason, parts, moment)
    yield from shown


def _find_content(group: ObjectSet) -> Value | None:
    """What stands where these are in sync; whose it is only where nobody else's would be as good."""
    if group.value is None or not group.also:
        return group.value
    unmarked: Value = group.value._replace(**{mark_name(group.kind): 0})
    return unmarked


def describe_fold(
    kind: Kind, name: str, state: State, reason: Reason | None, parts: Sequence[tuple[int, float]], moment: Moment
) -> ObjectDocument:
    """What is not shown one by one. Of each part there is the count, and when it began."""
    return ObjectDocument(
        kind=kind,
        object=name,
        state=state,
        reason=describe_reason(reason),
        since=moment(min(since for _, since in parts)),
        count=sum(count for count, _ in parts),
        ip={},
    )


def describe_object(
    key: Key, trouble: Trouble, vocabulary: Vocabulary, moment: Moment, wanted: Value | None = None
) -> ObjectDocument:
    """One object; of one that is not in sync what stands in its place, else what is wanted where the trouble has it."""
    return ObjectDocument(
        kind=key.kind,
        object=format_key(key, vocabulary),
        state=trouble.state,
        reason=_describe_trouble(key, trouble, wanted, vocabulary),
        since=moment(trouble.since),
        count=1,
        ip=to_json(key, trouble.standing[0] if trouble.standing else None, vocabulary),
    )
