"""Why an entry is in its state, as a tree: what it waits for, who holds it, what shadows it, and what would change it.

A pure reading of the host, as ``status`` is, and of the same reasons. Here must never live: a word (``audit``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from routed.audit.reasons import describe_reason
from routed.audit.ways_out import find_way_out
from routed.core.desired import Resolution
from routed.core.holds import Why
from routed.core.membership import find_followed
from routed.core.troubles import State, Troubled
from routed.daemon.host import Host
from routed.daemon.status import Moment, describe_entries, find_wrong_of, vocabulary_of
from routed.model.checks import find_ruling, key_of
from routed.model.documents import EntryDocument, PlanDocument, is_asked
from routed.model.objects import Key
from routed.model.reasons import Claimed, Paused, Reason, Required, Several, Withdrawn, split_reasons
from routed.model.text import format_key
from routed.model.why_documents import WhyNodeDocument

NAMED: Final = 3  # objects that share a reason, of which so many are named
NEVER: Final = 0.0


def describe_grounds(host: Host, asked: str, moment: Moment, now: float) -> list[WhyNodeDocument]:
    """A tree for each entry of that name."""
    documents = {one["entry"]: one for one in describe_entries(host, moment, asked)}
    return [
        _describe_entry(host, resolution, documents[name], moment, now)
        for name, resolution in host.wanted.desired.resolutions.items()
        if is_asked(name, asked) and name in documents
    ]


def make_node(
    what: str,
    state: str,
    reason: Reason | None,
    since: str = "",
    until: str = "",
    why: Sequence[WhyNodeDocument] = (),
    entry: str = "",
) -> WhyNodeDocument:
    """One reason with its words, and what would change it."""
    return WhyNodeDocument(
        what=what,
        state=state,
        reason=describe_reason(reason),
        since=since,
        until=until,
        change=find_way_out(reason, entry),
        why=list(why),
    )


def _describe_entry(
    host: Host, resolution: Resolution, document: EntryDocument, moment: Moment, now: float
) -> WhyNodeDocument:
    name = resolution.entry.name
    since = moment(host.ledger.since.get(name, NEVER))
    held_since = moment(find_followed(resolution.entry, host.world.facts).held_since or NEVER)
    nodes = [
        *_list_pauses(host, name, moment),
        *_list_reasons(host, "withheld", resolution.withheld, since, moment),
        *_list_reasons(host, "held", resolution.held, held_since, moment),
        *_list_reasons(host, "degraded", resolution.degraded, since, moment),
        *(
            node
            for waiting in resolution.waiting
            for node in _list_reasons(host, "waiting", waiting.reason, since, moment)
        ),
        *_list_clashes(host, name, since),
        *_list_objects(host, resolution, moment, now),
    ]
    root = make_node(name, document["state"], None, document["since"], why=nodes)
    note = describe_reason(resolution.note)
    return {**root, "origin": document["origin"], "reason": note if not nodes else ""}


def _list_pauses(host: Host, name: str, moment: Moment) -> Iterator[WhyNodeDocument]:
    hold = host.ledger.holds.find_pause(name)
    if hold is not None:
        by = f"pause by {hold.reason.author}" if isinstance(hold.reason, Paused) and hold.reason.author else "pause"
        yield make_node(by, "paused", hold.reason, moment(hold.since), moment(hold.until), entry=name)


def _list_reasons(
    host: Host, state: str, reason: Reason | None, since: str, moment: Moment
) -> Iterator[WhyNodeDocument]:
    """A node for each single reason, with what is behind it."""
    for one in split_reasons(reason) if reason else ():
        yield make_node("", state, one, since, why=tuple(_list_behind(host, one, moment)))


def _list_behind(host: Host, reason: Reason, moment: Moment) -> Iterator[WhyNodeDocument]:
    """What a reason stands on: of a check how it is, of what was withdrawn why."""
    if isinstance(reason, Withdrawn):
        yield from _list_reasons(host, "", reason.why, "", moment)
    if not isinstance(reason, Required):
        return
    ruling = find_ruling(host.world.facts.find(key_of(reason.check)))
    since = moment(ruling.since) if ruling else ""
    word = "up" if reason.is_up else "down"
    name = reason.check if "/" in reason.check else f"check/{reason.check}"
    parts = tuple(_list_reasons(host, "", reason.why, since, moment)) if isinstance(reason.why, Several) else ()
    yield make_node(name, word, reason.why, since, why=parts)


def _list_clashes(host: Host, name: str, since: str) -> Iterator[WhyNodeDocument]:
    other = host.wanted.desired.clashes.get(name)
    if other is not None:
        yield make_node("", str(State.CONFLICT), Claimed(other), since)


def _list_objects(host: Host, resolution: Resolution, moment: Moment, now: float) -> Iterator[WhyNodeDocument]:
    """The objects that are not as wanted, those together that share a reason."""
    told = {State.WAITING: resolution.waiting, State.CONFLICT: host.wanted.desired.clashes.get(resolution.entry.name)}
    groups: defaultdict[tuple[State, Reason | None], list[Troubled]] = defaultdict(list)
    for one in find_wrong_of(host, resolution):
        if not told.get(one.trouble.state):
            groups[one.trouble.state, one.trouble.reason].append(one)
    for (state, reason), some in groups.items():
        since = min(one.trouble.since for one in some)
        keys = [Key(one.kind, one.slot, member) for one in some for member in list(one.members)[:NAMED]]
        count = sum(len(one.members) for one in some)
        until = moment(_find_until(host, keys, resolution.entry.name, now))
        node = make_node(
            _name(host, keys, count), str(state), reason, moment(since), until, entry=resolution.entry.name
        )
        parts = split_reasons(reason) if reason else ()
        yield {**node, "why": [behind for part in parts for behind in _list_behind(host, part, moment)]}


def _find_until(host: Host, keys: Iterable[Key], name: str, now: float) -> float:
    """When what holds one of these lets go, other than a pause; nothing where nothing does."""
    holds = (host.ledger.holds.find(key, name, now) for key in keys)
    return max((hold.until for hold in holds if hold and hold.why is not Why.PAUSED), default=NEVER)


def _name(host: Host, keys: Sequence[Key], count: int) -> str:
    vocabulary = vocabulary_of(host)
    named = ", ".join(format_key(key, vocabulary) for key in keys[:NAMED])
    return named if count <= NAMED else f"{named} and {count - NAMED} more"


def describe_steps(found: Sequence[WhyNodeDocument], plan: PlanDocument) -> list[WhyNodeDocument]:
    """The same with what a plan would do about each entry: where nobody has enforced it, that is what is wrong."""
    return [_add_steps(node, plan) for node in found]


def _add_steps(root: WhyNodeDocument, plan: PlanDocument) -> WhyNodeDocument:
    name = root["what"]
    steps = [
        WhyNodeDocument(
            what=step["object"],
            state="drift",
            reason=step["reason"],
            since="",
            until="",
            change="routed apply",
            why=[],
        )
        for step in plan["steps"]
        if step["entry"] == name
    ]
    refusals = [
        WhyNodeDocument(
            what=one["object"],
            state="held" if one["by_guard"] else "conflict",
            reason=one["reason"],
            since="",
            until="",
            change="",
            why=[],
        )
        for one in plan["refusals"]
        if one["entry"] == name
    ]
    more = [*refusals, *steps]
    is_first = bool(more) and root["state"] == State.IN_SYNC
    return {**root, "state": more[0]["state"] if is_first else root["state"], "why": [*root["why"], *more]}
