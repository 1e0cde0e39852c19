"""Agents: which words count, what they mean, and what becomes of the weight of a server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.core.agents import choose_words, find_share_of
from routed.core.health import Health, judge, note
from routed.core.requirements import START_WITHIN
from routed.core.services import need_for_service
from routed.model.agent import find_share, read_words
from routed.model.checks import Check, CheckType, Ruling, Target, key_of
from routed.model.entries import Origin, Requirement, ServerSpec, ServiceEntry, WhenAllDown
from routed.model.facts import Fact, Facts, Freshness
from routed.model.ipvs import ServerValue
from routed.model.reasons import Finding, Paused, Probed, ServerOut
from tests.unit.core.test_services import ONE, TWO, a_service, come_to, down, weights

TARGET = Target(ONE, 9707)
CHECK = Check(name="a", origin=Origin("f", 1), type=CheckType.AGENT, targets=(TARGET,), rise=1, step=10)
SAYS_DRAIN = Probed(CheckType.AGENT, Finding.SAYS, "drain")
NOT_YET = Fact(since=10.0)


@pytest.mark.parametrize(
    ("line", "words", "share"),
    [
        ("75%\n", "75%", 75),
        ("up 75%\r\n", "up 75%", 75),
        ("ready,up\t5%", "ready up 5%", 5),
        ("up", "up", 100),
        ("UP maxconn:30", "UP maxconn:30", 100),
        ("0%", "0%", 0),
        ("drain 50%", "drain 50%", 0),
        ("up maint", "up maint", 0),
        ("down # too hot", "down", 0),
        *((word, word, 0) for word in ("stopped", "fail", "down", "maint", "drain")),
    ],
)
def test_a_line_of_an_agent_says_a_share(line: str, words: str, share: int) -> None:
    assert read_words(line) == words
    assert find_share(words) == share


@pytest.mark.parametrize("line", ["", "#up", "101%", "-5%", "7.5%", "75", "maxconn:5", "hello", "up hello", "up " * 99])
def test_anything_else_is_no_word(line: str) -> None:
    with pytest.raises(ValueError, match="no word"):
        read_words(line)


@given(st.text(max_size=300))
def test_whatever_is_said_is_a_share_or_an_error(line: str) -> None:
    try:
        words = read_words(line)
    except ValueError:
        return
    assert 0 <= find_share(words) <= 100
    assert read_words(words) == words


@pytest.mark.parametrize(
    ("before", "now", "counts"),
    [
        ("", "3%", "3%"),
        ("75%", "70%", "75%"),
        ("75%", "65%", "65%"),
        ("75%", "85%", "85%"),
        ("5%", "0%", "0%"),
        ("drain", "1%", "1%"),
        ("drain", "maint", "maint"),
        ("up", "95%", "up"),
    ],
)
def test_a_share_that_differs_by_less_than_the_step_waits_and_none_at_all_never(
    before: str, now: str, counts: str
) -> None:
    assert choose_words(before, now, 10) == counts


@given(st.integers(0, 0x7FFFFFFF), st.integers(0, 100))
def test_a_share_makes_no_weight_of_nothing_and_nothing_of_a_weight_by_its_word_alone(weight: int, share: int) -> None:
    found = find_share_of(weight, share)
    assert 0 <= found <= weight
    assert (found == 0) is (weight == 0 or share == 0)
    assert find_share_of(weight, None) == find_share_of(weight, 100) == weight


def hear(said: Iterable[str | Finding]) -> list[Ruling | None]:
    """What each answer, or lack of one, comes to."""
    health, found = Health(), []
    for now, one in enumerate(said):
        finding, detail = (Finding.GOOD, one) if not isinstance(one, Finding) else (one, "")
        health = note(health, Probed(CheckType.AGENT, finding, detail), CHECK, float(now))
        found.append(judge(CHECK, {TARGET: health}))
    return found


def shares(*said: str | Finding) -> list[int | None]:
    return [ruling and ruling.share for ruling in hear(said)]


def test_an_agent_that_is_silent_says_nothing_after_three_times_and_counts_again_at_once() -> None:
    gone = Finding.REFUSED
    assert shares("50%", gone, gone, gone, gone, "45%") == [50, 50, 50, None, None, 45]
    assert shares("drain", gone, "55%", gone, Finding.MALFORMED, "50%") == [0, 0, 55, 55, 55, 55]
    assert shares(gone) == [None]
    last = hear(["drain", gone, gone, gone])[-1]
    assert last is not None
    assert (last.is_up, last.is_unanswered) == (True, True)


def test_what_this_host_could_not_ask_changes_nothing() -> None:
    assert shares("50%", *[Finding.LOCAL] * 9) == [50] * 10
    assert hear([Finding.LOCAL]) == [None]


def test_no_share_is_told_with_the_word_that_says_so() -> None:
    assert hear(["up", "drain"]) == [Ruling(True, share=100), Ruling(False, SAYS_DRAIN, share=0)]


# --- what becomes of servers --------------------------------------------------------------------------------------


def server(address: bytes, agent: str = "", weight: int = 100, **more: Any) -> ServerSpec:
    return ServerSpec(address, 0, ServerValue(0, weight=weight), agent=agent, **more)


def says(share: int | None) -> Fact:
    why = None if share else SAYS_DRAIN if share == 0 else Probed(CheckType.AGENT, Finding.REFUSED)
    return Fact(Ruling(share != 0, why, share=share), Freshness.LIVE)


BOTH = a_service(server(ONE, "one"), server(TWO, "two", weight=3))


@pytest.mark.parametrize(
    ("share", "one"), [(100, 100), (75, 75), (1, 1), (0, 0), (None, 100)]
)  # fmt: skip
def test_a_server_has_the_share_of_its_weight_that_its_agent_says(share: int | None, one: int) -> None:
    assert weights(come_to(BOTH, one=says(share), two=says(1))) == {ONE: one, TWO: 1}


def test_a_server_without_weight_by_its_agent_stays_and_is_said_to_be_out() -> None:
    found = come_to(BOTH, one=says(0), two=says(50))
    assert weights(found) == {ONE: 0, TWO: 2}
    assert found.note == ServerOut(ONE, 0, SAYS_DRAIN)
    later = come_to(BOTH, 1e6, one=says(0), two=says(50))
    assert weights(later) == {ONE: 0, TWO: 2}
    assert later.again is None


def test_with_a_scheduler_that_would_refuse_its_clients_it_goes() -> None:
    assert weights(come_to(replace(BOTH, scheduler="sh"), one=says(0), two=says(50))) == {TWO: 2}


def test_until_an_agent_has_spoken_its_server_is_as_it_is_for_a_while_and_then_as_written() -> None:
    found = come_to(BOTH, 10.0, one=NOT_YET, two=says(50))
    assert weights(found) == {ONE: None, TWO: 2}
    assert [one.reason.which for one in found.waiting] == ["one"]  # type: ignore[union-attr]
    assert found.again == 10.0 + START_WITHIN
    assert weights(come_to(BOTH, 10.0 + START_WITHIN, one=NOT_YET, two=says(50))) == {ONE: 100, TWO: 2}


def test_after_a_start_a_server_is_as_it_is_until_its_agent_speaks_whatever_was_kept() -> None:
    kept = says(30)._replace(state=Freshness.CACHED, since=10.0)
    assert weights(come_to(BOTH, 10.0, one=kept, two=says(100))) == {ONE: None, TWO: 3}
    assert weights(come_to(BOTH, 10.0 + START_WITHIN, one=kept, two=says(100))) == {ONE: 30, TWO: 3}


def test_a_check_that_is_down_and_the_operators_drain_win() -> None:
    checked = a_service(replace_requires(BOTH, "up"), server(TWO))
    assert weights(come_to(checked, one=says(50), up=down()))[ONE] == 0
    facts = Facts(drained={"service/a": {"10.0.0.11": Paused("", is_drain=True)}})
    assert weights(come_to(BOTH, facts=facts, one=says(50), two=says(100))) == {ONE: 0, TWO: 3}


def replace_requires(entry: ServiceEntry, check: str) -> ServerSpec:
    return entry.servers[0]._replace(requires=(Requirement(check),))


def test_a_server_that_comes_slowly_takes_steps_of_its_share() -> None:
    facts = Facts(risen={"service/a": {"10.0.0.11": 0.0}})
    slow = replace(BOTH, slow_start=50.0)
    assert weights(come_to(slow, 0.0, facts, one=says(50), two=says(100)))[ONE] == 10
    assert weights(come_to(slow, 50.0, facts, one=says(50), two=says(100)))[ONE] == 50


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ({}, {ONE: 100, TWO: 3}),
        ({"when_all_down": WhenAllDown.REFUSE}, {ONE: 0, TWO: 0}),
        ({"when_all_down": WhenAllDown.REMOVE}, {}),
        ({"sorry": ServerSpec(bytes((10, 0, 0, 9)), 0, ServerValue(0))}, {ONE: 0, TWO: 0, bytes((10, 0, 0, 9)): 1}),
    ],
)
def test_all_agents_that_say_none_are_as_many_checks_that_are_down(what: dict[str, Any], found: object) -> None:
    result = come_to(replace(BOTH, **what), one=says(0), two=says(0))
    assert weights(result) == found
    assert (result.degraded or result.withheld or result.note) is not None


def test_the_needs_of_a_service_name_its_agents() -> None:
    assert need_for_service(BOTH).facts == {key_of("one"), key_of("two")}
    assert BOTH.asked == {"one", "two"}
