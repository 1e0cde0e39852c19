from __future__ import annotations

import errno
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.audit.actors import name_actor
from routed.audit.catalogue import CATALOGUE, Message
from routed.audit.history import assign_blame, count_objects
from routed.audit.printable import make_printable
from routed.audit.records import (
    MANY,
    MOST_CAUSES,
    MOST_GROUPS,
    SHOWN,
    Context,
    make_record,
    record_outcomes,
    record_pass,
)
from routed.model.change import Cause, Nature, Plan, Refusal, Verb
from routed.model.process import Process
from routed.model.reasons import Deed, Differs, Flaw, LeftAlone, LinkChange, LinkTurn, Look, Sign, TooMany

KERNEL_DROP = Cause(0, LinkChange(LinkTurn.WENT_DOWN, "eth1"))
COMPARED = Cause(None, Look.REGULAR)
BY_IP = '"ip route del 10.30.0.0/16" (pid 4242, uid 0, session-3.scope)'
NOBODY_KNOWN = "port id 4242, whose process is not known"
SUBJECT = "route/storage-lan 10.30.0.0/16 table storage"


def say(story: Any, *outcomes: Any, **context: Any) -> list[str]:
    return [record.message for record in record_outcomes(outcomes, Context(story.vocabulary, **context))]


def test_a_deleted_route_is_told_with_who_did_it_and_how_long_it_took(story: Any) -> None:
    assert say(story, story.outcome()) == [f"{SUBJECT} deleted by {BY_IP}; restored in 0.4 ms"]


def test_what_the_kernel_dropped_in_silence_is_told_with_why(story: Any) -> None:
    outcome = story.outcome(cause=KERNEL_DROP, elapsed=0.0012)
    assert say(story, outcome) == [f"{SUBJECT} dropped by the kernel (link eth1 went down); restored in 1.2 ms"]


def test_what_a_comparison_found_names_nobody(story: Any) -> None:
    outcome = story.outcome(cause=COMPARED, elapsed=1.5)
    assert say(story, outcome) == [f"{SUBJECT} missing (found by the regular comparison); restored in 1.5 s"]


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ({"gateway": "10.20.0.9"}, "gateway 10.20.0.9 instead of 10.20.0.1"),
        (
            {"gateway": "10.20.0.9", "protocol": 4},
            "gateway 10.20.0.9 instead of 10.20.0.1, protocol static instead of routed",
        ),
        ({"metrics": ((2, 1400),)}, "mtu 1400 instead of none"),
        ({"lock": 4}, "another lock"),
    ],
)
def test_a_changed_route_is_told_by_what_differed(story: Any, before: dict[str, Any], told: str) -> None:
    outcome = story.outcome(
        Verb.REPLACE,
        Nature.DIFFERENT,
        before=story.value(**before),
        cause=Cause(4242, Deed.REPLACED),
        reason=Differs(("hops",)),
    )
    assert say(story, outcome) == [f"{SUBJECT}: {told} (replaced by {NOBODY_KNOWN}); repaired in 0.4 ms"]


def test_a_stranger_in_front_of_ours_is_told_as_such(story: Any) -> None:
    outcome = story.outcome(
        Verb.CHANGE,
        Nature.BEHIND,
        before=story.value(),
        reason=Flaw.BEHIND,
        cause=Cause(7, Sign.ALIAS_ADDED),
    )
    assert say(story, outcome) == [
        (
            f"{SUBJECT}: a foreign object comes first under its key"
            " (an alias was added under its key by port id 7, whose process is not known); first again in 0.4 ms"
        )
    ]


@pytest.mark.parametrize(
    ("verb", "nature", "before", "event", "sentence"),
    [
        (Verb.ADD, Nature.MISSING, None, "added", f"{SUBJECT} added in 0.4 ms"),
        (
            Verb.REPLACE,
            Nature.DIFFERENT,
            {"gateway": "10.20.0.9"},
            "changed",
            f"{SUBJECT}: gateway 10.20.0.9 instead of 10.20.0.1; changed in 0.4 ms",
        ),
        (
            Verb.REPLACE,
            Nature.FOREIGN,
            {"protocol": 4},
            "adopted",
            f"{SUBJECT} adopted: it stood there already (missing)",
        ),
        (
            Verb.REPLACE,
            Nature.FOREIGN,
            {"gateway": "10.20.0.9", "protocol": 4},
            "displaced",
            (
                f"{SUBJECT} took the place of a foreign object:"
                " 10.30.0.0/16 via 10.20.0.9 dev eth1 table storage proto static"
            ),
        ),
    ],
)
def test_at_a_reload_differences_are_news_and_no_drift(
    story: Any, verb: Verb, nature: Nature, before: Any, event: str, sentence: str
) -> None:
    outcome = story.outcome(verb, nature, before=None if before is None else story.value(**before))
    (record,) = record_outcomes([outcome], Context(story.vocabulary, is_initial=True))
    assert (record.fields["ROUTED_EVENT"], record.message) == (event, sentence)


def test_what_nobody_wants_is_removed_or_gives_its_place_back(story: Any) -> None:
    gone = story.outcome(Verb.DELETE, Nature.SURPLUS, entry=None, reason=Flaw.UNWANTED)
    back = story.outcome(Verb.REPLACE, Nature.SURPLUS, entry=None, value=story.value("10.20.0.9", 4))
    assert say(story, gone, back) == [
        "route 10.30.0.0/16 table storage removed (ours, and no entry wants it)",
        (
            "route 10.30.0.0/16 table storage put back, as it stood before routed took its place:"
            " 10.30.0.0/16 via 10.20.0.9 dev eth1 table storage proto static"
        ),
    ]


def test_a_record_carries_every_field_that_is_known(story: Any) -> None:
    outcome = story.outcome(Verb.REPLACE, Nature.DIFFERENT, before=story.value("10.20.0.9"), reason=Differs(("hops",)))
    (record,) = record_outcomes([outcome], Context(story.vocabulary))
    assert record.priority == 5
    assert record.fields == {
        "MESSAGE_ID": CATALOGUE[Message.REPAIRED].message_id,
        "ROUTED_EVENT": "repaired",
        "ROUTED_ENTRY": "route/storage-lan",
        "ROUTED_ORIGIN": "/etc/routed.toml:12",
        "ROUTED_OBJECT": "10.30.0.0/16 table storage",
        "ROUTED_ACTION": "replace",
        "ROUTED_REASON": "differs in its next hops",
        "ROUTED_CAUSE": "deleted",
        "ROUTED_BEFORE": "10.30.0.0/16 via 10.20.0.9 dev eth1 table storage proto routed",
        "ROUTED_AFTER": "10.30.0.0/16 via 10.20.0.1 dev eth1 table storage proto routed",
        "ROUTED_ACTOR_PORT": "4242",
        "ROUTED_ACTOR_PID": "4242",
        "ROUTED_ACTOR_COMM": "ip",
        "ROUTED_ACTOR_CMDLINE": "ip route del 10.30.0.0/16",
        "ROUTED_ACTOR_UNIT": "session-3.scope",
        "ROUTED_ACTOR_UID": "0",
        "ROUTED_ELAPSED_USEC": "400",
        "INTERFACE": "eth1",
    }


@pytest.mark.parametrize("cause", [KERNEL_DROP, COMPARED])
def test_without_a_process_there_is_no_actor_field(story: Any, cause: Cause) -> None:
    (record,) = record_outcomes([story.outcome(cause=cause)], Context(story.vocabulary))
    assert "ROUTED_ACTOR_PID" not in record.fields


@pytest.mark.parametrize(
    ("process", "words"),
    [
        (Process(7, "ip", "ip x", "a.service", 0, 1000), '"ip x" (pid 7, uid 0, login uid 1000, a.service)'),
        (Process(7, "ip", "ip route del x", "", 0, 0), '"ip route del x" (pid 7, uid 0)'),
        (Process(7, "ip", "", "", 0), '"[ip]" (pid 7, uid 0)'),
        (Process(7, "ip", "ip route del x"), '"ip route del x" (pid 7)'),
        (None, "port id 7, whose process is not known"),
    ],
)  # fmt: skip
def test_an_actor_is_told_as_far_as_it_is_known(process: Process | None, words: str) -> None:
    assert name_actor(7, process).words == words


def test_a_socket_of_the_first_process_is_told_for_what_it_is_likely_to_be() -> None:
    assert "systemd-networkd" in name_actor(1, None).words


@given(st.text(), st.text(), st.text())
def test_no_process_can_name_itself_out_of_its_quotes(comm: str, cmdline: str, unit: str) -> None:
    words, fields = name_actor(7, Process(7, comm, cmdline, unit, 0))
    assert make_printable(words) == words
    assert all(make_printable(value) == value for value in fields.values())
    assert re.fullmatch(r'"(?:[^"\\]|\\.)*" \(pid 7, uid 0.*\)', words, re.DOTALL)


def test_a_summary_names_the_most_frequent_causes_and_counts_the_rest(story: Any) -> None:
    outcomes = [
        story.outcome(cause=Cause(port, Deed.DELETED), members=[f"10.{port}.{n}.0/24" for n in range(1 + (port < 3))])
        for port in range(1, 101)
    ]
    records = record_outcomes(outcomes, Context(story.vocabulary))
    last = records[-1].fields
    counts = [int(clause.split()[0]) for clause in re.split(r", (?=\d)", last["ROUTED_CAUSES"])]
    others = 100 - MOST_GROUPS - MOST_CAUSES
    assert sum(counts) == int(last["ROUTED_COUNT"]) == 100 - MOST_GROUPS
    assert last["ROUTED_CAUSES"].endswith(f"{others} of {others} other causes")
    assert sum(count_objects(record.fields) for record in records) == 102
    assert not [name for name in last if "_ACTOR_" in name or name == "ROUTED_CAUSE"], "many causes have no one actor"


def test_a_failure_is_told_in_the_kernels_own_words_and_waiting_is_no_failure(story: Any) -> None:
    failures = [
        ("10.30.0.0/16", errno.EINVAL, "Invalid argument: bad scope"),
        ("10.31.0.0/16", errno.ENETDOWN, "Network is down"),
    ]
    outcome = story.outcome(members=["10.30.0.0/16", "10.31.0.0/16", "10.32.0.0/16"], failures=failures)
    context = Context(story.vocabulary, is_waiting=lambda _kind, number: number == errno.ENETDOWN)
    records = record_outcomes([outcome], context)
    assert {record.fields["ROUTED_EVENT"]: (record.priority, record.message) for record in records} == {
        "repaired": (
            5,
            f"route/storage-lan 10.32.0.0/16 table storage deleted by {BY_IP}; restored in 0.4 ms",
        ),
        "failed": (3, f"{SUBJECT} could not be added: Invalid argument: bad scope"),
        "waiting": (5, "route/storage-lan 10.31.0.0/16 table storage waits: Network is down"),
    }


def many(count: int) -> list[str]:
    return [f"10.{number >> 8}.{number & 255}.0/24" for number in range(count)]


def test_up_to_eight_objects_are_told_one_by_one(story: Any) -> None:
    assert len(say(story, story.outcome(members=many(MANY)))) == MANY


def test_more_give_three_records_and_a_summary_that_counts_all_of_them_for_each_cause(story: Any) -> None:
    by_hand, by_kernel = many(1000)[:400], many(1000)[400:]
    records = record_outcomes(
        [story.outcome(members=by_hand), story.outcome(members=by_kernel, cause=KERNEL_DROP, elapsed=0.2)],
        Context(story.vocabulary),
    )
    assert len(records) == 2 * (SHOWN + 1)
    by_ip, by_the_kernel = records[SHOWN], records[-1]
    assert by_ip.message == (
        f"route/storage-lan: 400 routes differed from the file (400 deleted by {BY_IP}); restored in 0.4 ms"
    )
    assert by_the_kernel.message == (
        "route/storage-lan: 600 routes differed from the file (600 dropped by the kernel (link eth1 went down));"
        " restored in 200 ms"
    )
    assert (by_ip.fields["ROUTED_COUNT"], by_ip.fields["ROUTED_TOLD"]) == ("400", str(SHOWN))
    assert by_ip.fields["ROUTED_ACTOR_PID"] == "4242"
    assert sum(count_objects(record.fields) for record in records) == 1000


def test_many_failures_are_summed_up_by_their_reason(story: Any) -> None:
    prefixes = many(20)
    failures = [(prefix, errno.EINVAL, "Invalid argument") for prefix in prefixes]
    records = record_outcomes([story.outcome(members=prefixes, failures=failures)], Context(story.vocabulary))
    assert records[-1].message == "route/storage-lan: 20 routes could not be added: 20 Invalid argument"


def test_a_flood_over_many_entries_is_bounded_and_no_object_is_lost(story: Any) -> None:
    outcomes = [story.outcome(entry=story.entry(f"r{number}")) for number in range(1000)]
    records = record_outcomes(outcomes, Context(story.vocabulary))
    assert len(records) == MOST_GROUPS + 1
    assert sum(int(record.fields.get("ROUTED_COUNT", "1")) for record in records) == 1000
    assert "ROUTED_ENTRY" not in records[-1].fields
    assert records[-1].message.startswith("936 objects of 936 more entries differed from the file")


def test_what_is_left_alone_is_told_with_who_did_it_where_that_is_known(story: Any) -> None:
    plan = Plan(refusals=(Refusal(story.drift(Nature.MISSING), LeftAlone.OBSERVED, by_guard=False),))
    cause = story.outcome().cause
    (record,) = record_pass(plan, (), Context(story.vocabulary, cause_of=lambda _: cause))
    assert record.message == f"{SUBJECT} left alone: observed only (deleted by {BY_IP})"
    assert record.fields["ROUTED_ACTOR_PID"] == "4242"
    assert record.fields["ROUTED_CAUSE"] == "deleted"
    assert assign_blame([record.fields])[0].who == "ip (uid 0, session-3.scope)"


def test_refusals_and_strangers_are_told_with_what_stands_there(story: Any) -> None:
    foreign = story.value("10.20.0.9", 4)
    plan = Plan(
        refusals=(
            Refusal(story.drift(Nature.FOREIGN, foreign), LeftAlone.REFUSED, by_guard=False),
            Refusal(story.drift(Nature.SURPLUS, count=40, is_wanted=False), TooMany(40, 60, 30), by_guard=True),
        ),
        notes=(story.drift(Nature.FOREIGN, story.value(), foreign),),
    )
    records = record_pass(plan, (), Context(story.vocabulary))
    assert [(record.fields["ROUTED_EVENT"], record.message) for record in records] == [
        ("conflict", f"{SUBJECT} left alone: a foreign object stands in its place, and on_conflict is refuse"),
        (
            "guard-held",
            (
                "40 routes held by the guard: 40 of 60 owned objects would go at once, and max_deletes allows 30:"
                " apply --force lets them"
            ),
        ),
        (
            "stranger-beside",
            (
                f"{SUBJECT} has a foreign object beside it, which is left alone:"
                " 10.30.0.0/16 via 10.20.0.9 dev eth1 table storage proto static"
            ),
        ),
    ]
    assert records[1].fields["ROUTED_COUNT"] == "40"


def test_a_pass_that_did_nothing_says_nothing(story: Any) -> None:
    assert record_pass(Plan(), (), Context(story.vocabulary)) == []


def test_control_characters_from_outside_cannot_forge_a_line() -> None:
    record = make_record(Message.STATE_LOST, {"reason": "a\nb\x1b[31m{0}"})
    assert record.message == "the state on disk cannot be kept: a\\x0ab\\x1b[31m{0}"
