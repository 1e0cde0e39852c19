from __future__ import annotations

from typing import Any

import pytest

from routed.audit.documents import Waits, choose_symbol, make_plan_document
from routed.model.change import Nature, Plan, Refusal, Verb
from routed.model.reasons import Differs, FirstContact, LeftAlone, NoLink, OtherMark, Paused


@pytest.mark.parametrize(
    ("verb", "nature", "before", "symbol"),
    [
        (Verb.ADD, Nature.MISSING, None, "+"),
        (Verb.REPLACE, Nature.DIFFERENT, {"gateway": "10.20.0.9"}, "~"),
        (Verb.REPLACE, Nature.FOREIGN, {"gateway": "10.20.0.9", "protocol": 4}, "!"),
        (Verb.CHANGE, Nature.BEHIND, {}, "!"),
        (Verb.DELETE, Nature.EXTRA, {}, "!"),
        (Verb.DELETE, Nature.SURPLUS, {}, "-"),
        (Verb.DELETE, Nature.DIFFERENT, {}, "-"),
    ],
)
def test_the_symbol_says_what_is_done_to_whose_object(
    story: Any, verb: Verb, nature: Nature, before: Any, symbol: str
) -> None:
    outcome = story.outcome(verb, nature, before=None if before is None else story.value(**before))
    assert choose_symbol(outcome.operation) == symbol


def test_what_only_gets_our_mark_has_a_symbol_of_its_own(story: Any) -> None:
    before = story.value(protocol=4)
    outcome = story.outcome(Verb.REPLACE, Nature.FOREIGN, before=before, reason=OtherMark("protocol"))
    assert choose_symbol(outcome.operation) == "="


def test_groups_of_more_than_three_are_one_step_with_a_count(story: Any) -> None:
    few = story.outcome(members=[f"10.{number}.0.0/16" for number in range(3)]).operation
    many = story.outcome(members=[f"10.{number}.0.0/16" for number in range(4)]).operation
    document = make_plan_document(Plan((few, many)), (), story.vocabulary)
    assert [(step["count"], step["object"]) for step in document["steps"]] == [
        (1, "10.0.0.0/16 table storage"),
        (1, "10.1.0.0/16 table storage"),
        (1, "10.2.0.0/16 table storage"),
        (4, "10.0.0.0/16 table storage and 3 more"),
    ]


def test_a_step_tells_entry_place_reason_and_both_contents(story: Any) -> None:
    operation = story.outcome(
        Verb.REPLACE, Nature.DIFFERENT, before=story.value("10.20.0.9"), reason=Differs(("hops",))
    ).operation
    (step,) = make_plan_document(Plan((operation,)), (), story.vocabulary)["steps"]
    assert step == {
        "symbol": "~",
        "verb": "replace",
        "kind": "route",
        "entry": "route/storage-lan",
        "origin": "/etc/routed.toml:12",
        "reason": "gateway 10.20.0.9 instead of 10.20.0.1",
        "object": "10.30.0.0/16 table storage",
        "count": 1,
        "before": "10.30.0.0/16 via 10.20.0.9 dev eth1 table storage proto routed",
        "after": "10.30.0.0/16 via 10.20.0.1 dev eth1 table storage proto routed",
        "ip": {
            "dst": "10.30.0.0/16",
            "table": "storage",
            "type": "unicast",
            "gateway": "10.20.0.1",
            "dev": "eth1",
            "protocol": "routed",
            "scope": "global",
        },
    }


def test_what_a_deletion_takes_away_stands_before_and_nothing_after(story: Any) -> None:
    operation = story.outcome(Verb.DELETE, Nature.SURPLUS, entry=None).operation
    (step,) = make_plan_document(Plan((operation,)), (), story.vocabulary)["steps"]
    assert (bool(step["before"]), step["after"], step["entry"]) == (True, "", "")


@pytest.mark.parametrize(("groups", "documents"), [(16, 16), (17, 1)])
def test_very_many_groups_left_alone_for_one_reason_are_one(story: Any, groups: int, documents: int) -> None:
    drifts = [story.drift(Nature.FOREIGN, story.value(f"10.20.1.{number}", 4)) for number in range(groups)]
    refusals = (
        *(Refusal(drift, LeftAlone.REFUSED, by_guard=True) for drift in drifts),
        Refusal(drifts[0], LeftAlone.ONCE, by_guard=True),
    )
    found = make_plan_document(Plan(refusals=refusals), (), story.vocabulary)["refusals"]
    assert len(found) == documents + 1
    assert sum(refusal["count"] for refusal in found) == groups + 1
    if documents == 1:
        assert (found[0]["object"], found[0]["standing"]) == ("10.30.0.0/16 table storage and 16 more", "")


def test_refusals_notes_held_and_waiting_are_all_listed(story: Any) -> None:
    foreign = story.value("10.20.0.9", 4)
    plan = Plan(
        refusals=(Refusal(story.drift(Nature.FOREIGN, foreign), FirstContact(), by_guard=True),),
        notes=(story.drift(Nature.FOREIGN, story.value(), foreign),),
    )
    waits = Waits(story.entry("later"), NoLink("eth9"))
    held = Refusal(story.drift(Nature.MISSING), Paused("a test"), by_guard=False)
    document = make_plan_document(plan, [waits], story.vocabulary, [held])
    assert [(refusal["reason"], refusal["by_guard"]) for refusal in document["refusals"]] == [
        ('first contact with a foreign default route: say on_conflict = "replace" to take it over', True),
        ("paused: a test", False),
    ]
    assert document["refusals"][0]["standing"] == "10.30.0.0/16 via 10.20.0.9 dev eth1 table storage proto static"
    assert len(document["notes"]) == 1
    assert document["waiting"] == [
        {"entry": "route/later", "origin": "/etc/routed.toml:12", "reason": "link eth9 does not exist"}
    ]
