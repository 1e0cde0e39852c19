"""What would change it: each reason for which an entry waits, is held or is withheld has a way out."""

from __future__ import annotations

from typing import Any

import pytest

from routed.audit.ways_out import OF_DETAILED, OF_PLAIN, find_way_out
from routed.model import reasons
from routed.model.reasons import (
    Detailed,
    Fought,
    Lack,
    LinkDown,
    NoLink,
    Paused,
    Required,
    Several,
    TooMany,
    Unusable,
    waiting,
)

WAITS = [one for one in vars(waiting).values() if isinstance(one, type) and one.__module__ == waiting.__name__]


@pytest.mark.parametrize("one", [one for one in WAITS if issubclass(one, Detailed)], ids=lambda one: one.__name__)
def test_every_reason_to_wait_says_what_ends_that(one: type[Any]) -> None:
    assert one in OF_DETAILED


@pytest.mark.parametrize("lack", Lack)
def test_every_lack_of_an_address_does(lack: Lack) -> None:
    assert find_way_out(Unusable(bytes(4), "src", lack))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (NoLink("eth9"), "link eth9 appears"),
        (LinkDown("eth1"), "ip link set eth1 up"),
        (Paused("works"), "routed resume route/lan"),
        (Required("wan1", is_up=False, why=None), "check/wan1 is up, or is said to be: routed override check/wan1 up"),
        (
            Required("wan1", is_up=True, why=None),
            "check/wan1 is down, or is said to be: routed override check/wan1 down",
        ),
        (Required("service/api", is_up=False, why=None), "service/api is up"),
        (TooMany(3, 4, 2), "routed apply --force"),
        (Fought(30, 60), "the other process leaves it alone; any routed apply tries again at once"),
        (None, ""),
    ],
)
def test_a_way_out_is_said_in_these_words(reason: Any, words: str) -> None:
    assert find_way_out(reason, "route/lan") == words


def test_what_has_no_way_out_says_nothing() -> None:
    assert find_way_out(Several(())) == ""
    assert find_way_out(reasons.Flaw.MISSING) == ""


def test_no_way_out_is_a_sentence_with_a_full_stop() -> None:
    assert [words for words in OF_PLAIN.values() if not words or words.endswith(".")] == []
