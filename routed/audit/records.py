"""Records: what becomes of an outcome before it is written anywhere.

Pure: values in, values out. Where records go is the business of ``sinks``; whether one was said already, of ``repeat``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from routed.audit.actors import name_actor
from routed.audit.catalogue import CATALOGUE, Message
from routed.audit.figures import format_count, format_elapsed
from routed.audit.printable import make_lines_printable, make_printable
from routed.audit.reasons import describe_reason
from routed.audit.wording import (
    CURES,
    PAST,
    describe_cause,
    describe_change,
    describe_flows,
    describe_left_alone,
    describe_return,
    describe_trouble,
    list_standing,
    name_group,
    name_interface,
    name_subject,
)
from routed.model.change import Cause, Drift, Nature, Operation, Outcome, Plan, Verb
from routed.model.entries import Entry
from routed.model.events import KERNEL
from routed.model.objects import Key, Kind, Member, Value, list_aliases
from routed.model.reasons import AgentSaid, Draining, Look, Reason
from routed.model.text import Vocabulary, differs_in_mark, format_key, format_object

IDENTIFIER: Final = "routed"  # SYSLOG_IDENTIFIER

MANY: Final = 8  # more objects than this in one group are not told one by one
SHOWN: Final = 3  # then only so many are, and a summary counts the rest
MOST_CAUSES: Final = 8  # that a summary names; it counts the others together
MOST_GROUPS: Final = 64  # more groups of one message than this in one pass become one summary


class Record(NamedTuple):
    """One message with its journal fields (systemd.journal-fields(7)); fields without a value are left out."""

    message: str  # one printable line
    priority: int  # of syslog(3)
    fields: dict[str, str]  # printable; of the reasons some have several lines


UNKNOWN: Final = Cause(None, Look.COMPARISON)


class Context(NamedTuple):
    """What records are written under."""

    vocabulary: Vocabulary
    is_initial: bool = False  # at start or after a reload, when a difference is news of the files and not a drift
    new_entries: Container[str] = frozenset()  # not in force before: what is done for them is news, too
    cause_of: Callable[[Key], Cause] = lambda _: UNKNOWN  # why something is looked at that was left alone
    is_waiting: Callable[[Kind, int], bool] = lambda _kind, _errno: False  # core.waiting.is_waiting


class Part(NamedTuple):
    """The members of one group that share a message."""

    message: Message
    outcome: Outcome
    members: Sequence[Member]
    reason: Reason  # of a failure the kernel's words, otherwise the operation's


def make_record(message: Message, words: Mapping[str, str], fields: Mapping[str, str] | None = None) -> Record:
    """A record of one kind: the sentence of the catalogue with ``words`` filled in."""
    row = CATALOGUE[message]
    given = {name: make_lines_printable(value) for name, value in (fields or {}).items() if value}
    return Record(
        make_printable(row.sentence.format_map(words)),
        row.priority,
        {"MESSAGE_ID": row.message_id, "ROUTED_EVENT": message.value} | given,
    )


def record_pass(plan: Plan, outcomes: Iterable[Outcome], context: Context) -> list[Record]:
    """Everything that one pass has to say: what was done, what failed, what was refused and what stands beside."""
    records = record_outcomes(outcomes, context)
    records += [
        _record_drift(
            Message.GUARD_HELD if refusal.by_guard else Message.CONFLICT, refusal.drift, refusal.reason, context
        )
        for refusal in plan.refusals
    ]
    return records + [_record_drift(Message.STRANGER_BESIDE, note, None, context) for note in plan.notes]


def record_outcomes(outcomes: Iterable[Outcome], context: Context) -> list[Record]:
    """What was done and what failed. Many objects of one entry and cause give a few records and one that counts all."""
    groups: dict[Message, dict[tuple[str, Kind, Cause | Reason], list[Part]]] = {}
    for outcome in outcomes:
        for part in _split(outcome, context):
            operation = outcome.operation
            cause = part.reason if part.message in _UNDONE else outcome.cause
            key = (operation.entry.name if operation.entry else "", operation.kind, cause)
            groups.setdefault(part.message, {}).setdefault(key, []).append(part)
    records: list[Record] = []
    for by_entry in groups.values():
        every = list(by_entry.values())
        for parts in every[:MOST_GROUPS]:
            records += _record_group(parts, context)
        if len(every) > MOST_GROUPS:
            records.append(_summarise([part for parts in every[MOST_GROUPS:] for part in parts]))
    return records


def _split(outcome: Outcome, context: Context) -> Iterator[Part]:
    operation = outcome.operation
    if outcome.done:
        is_news = context.is_initial or (operation.entry is not None and operation.entry.name in context.new_entries)
        yield Part(_choose_message(operation, outcome.cause, is_news=is_news), outcome, outcome.done, operation.reason)
    failures: dict[tuple[Message, Reason], list[Member]] = {}
    for failure in outcome.failures:
        message = Message.WAITING if context.is_waiting(operation.kind, failure.errno) else Message.FAILED
        failures.setdefault((message, failure.reason), []).append(failure.member)
    for (message, reason), members in failures.items():
        yield Part(message, outcome, tuple(members), reason)


# What was done at start or after a reload, by the nature of the difference; later all but a surplus is a repair.
_NEWS: Final[dict[Nature, Message]] = {
    Nature.MISSING: Message.ADDED,
    Nature.DIFFERENT: Message.CHANGED,
    Nature.FOREIGN: Message.DISPLACED,
    Nature.BEHIND: Message.DISPLACED,
    Nature.EXTRA: Message.REMOVED,
    Nature.IN_FRONT: Message.CHANGED,
    Nature.OUT_OF_ORDER: Message.CHANGED,
    Nature.SURPLUS: Message.REMOVED,
}


def _choose_message(operation: Operation, cause: Cause, *, is_news: bool) -> Message:
    if isinstance(operation.reason, Draining):
        return Message.DRAINS
    if operation.nature is Nature.SURPLUS:
        return Message.REMOVED if operation.verb is Verb.DELETE else Message.PUT_BACK
    if operation.nature is Nature.DIFFERENT and isinstance(cause.reason, AgentSaid):
        return Message.WEIGHED
    if not is_news:
        return Message.REPAIRED
    if operation.verb is Verb.DELETE:
        return Message.REMOVED
    if operation.nature is Nature.FOREIGN and differs_in_mark(operation.kind, operation.before, operation.value):
        return Message.ADOPTED
    return _NEWS[operation.nature]


def _record_group(parts: list[Part], context: Context) -> list[Record]:
    total = sum(len(part.members) for part in parts)
    each = ((part, member) for part in parts for member in part.members)
    if total <= MANY:
        return [_record_one(part, member, context) for part, member in each]
    first = [_record_one(part, member, context) for (part, member), _ in zip(each, range(SHOWN), strict=False)]
    return [*first, _summarise(parts, told=SHOWN)]


def _record_one(part: Part, member: Member, context: Context) -> Record:
    outcome, vocabulary = part.outcome, context.vocabulary
    operation = outcome.operation
    key = Key(operation.kind, operation.slot, member)
    before = format_object(key, operation.before, vocabulary) if operation.before is not None else ""
    after = format_object(key, operation.value, vocabulary) if operation.verb is not Verb.DELETE else ""
    words = {
        "subject": name_subject(operation.entry, key, vocabulary),
        "trouble": describe_trouble(operation, member, outcome.cause, vocabulary),
        "cure": _name_cure(operation),
        "difference": _describe_difference(operation, key, vocabulary),
        "flows": describe_flows(flows := _count_flows(outcome, (member,))),
        "before": before,
        "after": after,
    } | _words_of(part)
    fields = _fields_of(part) | {
        "ROUTED_OBJECT": format_key(key, vocabulary),
        "ROUTED_BEFORE": before,
        "ROUTED_AFTER": after if part.message not in _UNDONE else "",
        "INTERFACE": name_interface(key, operation.value, vocabulary),
        "ROUTED_FLOWS": str(flows or ""),
    }
    return make_record(part.message, words, fields)


def _count_flows(outcome: Outcome, members: Iterable[Member]) -> int:
    return sum(outcome.flows.get(member, 0) for member in members) if outcome.flows else 0


def _summarise(parts: list[Part], told: int = 0) -> Record:
    """One record that counts all objects of these parts, and how many each cause had. Some were ``told`` already."""
    first = parts[0]
    operation = first.outcome.operation
    total = sum(len(part.members) for part in parts)
    entries = {part.outcome.operation.entry.name if part.outcome.operation.entry else "" for part in parts}
    is_one = len(entries) == 1
    causes: Counter[str] = Counter()
    for part in parts:
        is_undone = part.message in _UNDONE
        said = describe_reason(part.reason) if is_undone else describe_cause(part.outcome.cause)
        causes[said] += len(part.members)
    if is_one:
        subject = name_group(operation.entry, operation.kind, total)
    else:
        subject = f"{total} objects of {format_count(len(entries), 'more entry')}"
    counted = ", ".join(f"{count} {cause}" for cause, count in _name_most(causes))
    words = {
        "subject": subject,
        "trouble": f" differed from the file ({counted})",
        "cure": _name_cure(operation),
        **dict.fromkeys(("difference", "before", "after"), describe_reason(operation.reason)),
        "flows": describe_flows(flows := sum(_count_flows(part.outcome, part.members) for part in parts)),
    } | _words_of(first)
    latest = max(parts, key=lambda part: part.outcome.elapsed)
    words["elapsed"] = format_elapsed(latest.outcome.elapsed)
    words["reason"] = counted if first.message in _UNDONE else words["reason"]
    fields = _fields_of(first) | {"ROUTED_COUNT": str(total), "ROUTED_CAUSES": counted}
    fields["ROUTED_TOLD"] = str(told) if told else ""
    fields["ROUTED_FLOWS"] = str(flows or "")
    fields["ROUTED_ELAPSED_USEC"] = _microseconds(latest.outcome.elapsed)
    if len(causes) > 1:
        of_one = {name for name in fields if name.startswith("ROUTED_ACTOR_")} | {"ROUTED_CAUSE"}
        fields = {name: value for name, value in fields.items() if name not in of_one}
    if not is_one:
        fields |= {"ROUTED_ENTRY": "", "ROUTED_ORIGIN": ""}
    return make_record(first.message, words, fields)


def _name_most(causes: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent causes with their counts, the others as one; the counts add up."""
    most = causes.most_common(MOST_CAUSES)
    rest = causes.total() - sum(count for _, count in most)
    return [*most, (f"of {len(causes) - len(most)} other causes", rest)] if rest else most


_UNDONE: Final = frozenset({Message.FAILED, Message.WAITING})  # messages of what the kernel did not do


def _name_cure(operation: Operation) -> str:
    return "taken away" if operation.verb is Verb.DELETE else CURES[operation.nature]


def _words_of(part: Part) -> dict[str, str]:
    return {
        "reason": describe_reason(part.reason),
        "action": PAST[part.outcome.operation.verb],
        "elapsed": format_elapsed(part.outcome.elapsed),
        "how": describe_return(part.outcome.operation.lifetime),
    }


def _fields_of(part: Part) -> dict[str, str]:
    """The fields that all members of a part share."""
    outcome = part.outcome
    return {
        **_entry_fields(outcome.operation.entry),
        "ROUTED_ACTION": outcome.operation.verb.value,
        "ROUTED_REASON": describe_reason(part.reason),
        "ROUTED_CAUSE": _describe_cause_field(outcome.cause),
        "ROUTED_ELAPSED_USEC": _microseconds(outcome.elapsed),
        **name_actor(outcome.cause.port, outcome.cause.process).fields,
    }


def _describe_cause_field(cause: Cause) -> str:
    words = describe_reason(cause.reason)
    return words if cause.port != KERNEL else f"kernel: {words}"


def _describe_difference(operation: Operation, key: Key, vocabulary: Vocabulary) -> str:
    if operation.before is None or operation.verb is Verb.DELETE:
        return describe_reason(operation.reason)
    return describe_change(key, operation.before, operation.value, vocabulary) or describe_reason(operation.reason)


def _record_drift(message: Message, drift: Drift, why: Reason | None, context: Context) -> Record:
    """A record of a group that was left alone; it is one, however large the group."""
    entry, vocabulary = drift.want.entry if drift.want else None, context.vocabulary
    key = Key(drift.kind, drift.slot, drift.members[0])
    count = len(drift.members)
    strangers = _find_strangers(drift) if message is Message.STRANGER_BESIDE else drift.standing
    standing = list_standing(drift, vocabulary) or "; ".join(format_object(key, one, vocabulary) for one in strangers)
    wanted = drift.want.value if drift.want else None
    cause, reason = context.cause_of(key), describe_left_alone(why, key, drift.standing, wanted, vocabulary)
    words = {
        "subject": name_subject(entry, key, vocabulary) if count == 1 else name_group(entry, drift.kind, count),
        "reason": f"{reason} ({describe_cause(cause)})" if cause.port is not None else reason,
        "standing": standing if count == 1 else f"such as {standing}",
    }
    fields = {
        **_entry_fields(entry),
        "ROUTED_OBJECT": format_key(key, vocabulary) if count == 1 else "",
        "ROUTED_COUNT": str(count) if count > 1 else "",
        "ROUTED_REASON": reason or standing,
        "ROUTED_CAUSE": _describe_cause_field(cause),
        **name_actor(cause.port, cause.process).fields,
        "ROUTED_BEFORE": standing,
        "INTERFACE": name_interface(key, strangers[0] if strangers else None, vocabulary),
    }
    return make_record(message, words, fields)


def _find_strangers(drift: Drift) -> tuple[Value, ...]:
    wanted = (drift.want.value, *drift.want.also) if drift.want else ()
    ours = {one for value in wanted for one in list_aliases(value)}
    return tuple(value for value in drift.standing if value not in ours)


def _entry_fields(entry: Entry | None) -> dict[str, str]:
    return {"ROUTED_ENTRY": entry.name, "ROUTED_ORIGIN": str(entry.origin)} if entry else {}


def _microseconds(seconds: float) -> str:
    return str(round(seconds * 1_000_000))
