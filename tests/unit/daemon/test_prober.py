"""Who asks the checks: what is asked and when, and that no news is lost. What is found is played."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from routed.core.health import Health
from routed.core.holds import Hold, Why
from routed.daemon import prober
from routed.daemon.prober import LANES, Prober
from routed.model.checks import Check, CheckState, CheckType, Ruling, Target, find_failure, find_ruling, key_of
from routed.model.entries import Intent, Origin, Requirement, ServerSpec, ServiceEntry
from routed.model.facts import Fact, FactKey, Facts, Freshness
from routed.model.ipvs import ServerValue
from routed.model.reasons import Finding, Paused, Probed
from routed.probes.ask import Answered
from tests.property.rig import a_route

TARGETS = tuple(Target(bytes((192, 0, 2, number)), 80) for number in range(200))


def a_check(name: str = "web", count: int = 1) -> Check:
    return Check(name=name, origin=Origin("f", 1), type=CheckType.TCP, targets=TARGETS[:count], fall=1, rise=1)


def files(*checks: Check) -> Intent:
    requires = tuple(Requirement(check.name) for check in checks)
    return Intent(entries=(replace(a_route(), requires=requires),), checks=checks)


@dataclass
class Stage:
    """A prober, what it is told by the far end, and what it tells."""

    finding: Finding = Finding.GOOD
    detail: str = ""
    now: float = 100.0
    due: float | None = None
    pause: Hold | None = None
    fails: bool = False  # does whoever is told of a turn fail?
    asked: int = 0
    most: int = 0  # questions at once
    told: list[bool] = field(default_factory=list)
    failures: list[Finding] = field(default_factory=list)
    hanging: CheckType | None = None  # who never answers
    most_hanging: int = 0
    facts: dict[FactKey, Fact] = field(default_factory=dict)
    kept: dict[str, dict[Target, Health]] = field(default_factory=dict)

    def make(self) -> Prober:
        return Prober(Facts, self._deliver, self._tell, self._remind, lambda _: self.pause, lambda: self.now, self.kept)

    async def ask(self, check: Check, _target: Target, _path: Any) -> Answered:
        self.asked += 1
        if check.type is self.hanging:
            self.most_hanging += 1
            await asyncio.Event().wait()
        running = self.asked
        await asyncio.sleep(0)
        self.most = max(self.most, self.asked - running + 1)
        return Answered(Probed(check.type, self.finding, self.detail), 0.001)

    def _deliver(self, told: Mapping[FactKey, Fact]) -> None:
        self.facts.update(told)

    def _tell(self, _check: Check, found: Ruling | Probed) -> None:
        if isinstance(found, Probed):
            self.failures.append(found.finding)
        else:
            self.told.append(found.is_up)
        if self.fails:
            raise RuntimeError("nobody can be told")

    def _remind(self, moment: float | None) -> None:
        self.due = moment

    async def play(self, asking: Prober, seconds: float) -> None:
        """Let it ask whatever is due within so many seconds."""
        end = self.now + seconds
        while self.due is not None and self.due <= end:
            self.now = max(self.now, self.due)
            asking.advance()
            for _ in range(8):
                await asyncio.sleep(0)
        self.now = end

    def find(self, name: str = "web") -> tuple[bool | None, Freshness]:
        fact = self.facts[key_of(name)]
        return fact.value and fact.value.is_up, fact.state


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(prober, "ask", stage.ask)
    return stage


def playing(story: Callable[[Stage], Coroutine[None, None, None]]) -> Callable[[Stage], None]:
    """A story with a loop, as a test."""

    def test(stage: Stage) -> None:
        asyncio.run(story(stage))

    return test


@playing
async def test_a_turn_is_told_once_and_delivered(stage: Stage) -> None:
    asking = stage.make()
    asking.follow(files(a_check()))
    await stage.play(asking, 20.0)
    stage.finding = Finding.REFUSED
    await stage.play(asking, 20.0)
    assert stage.told == [True, False]
    assert stage.find() == (False, Freshness.LIVE)
    assert 6 <= stage.asked <= 10  # every five seconds


@playing
async def test_files_that_are_followed_again_get_what_is_known_again(stage: Stage) -> None:
    asking = stage.make()
    asking.follow(files(a_check()))
    await stage.play(asking, 2.0)
    stage.facts.clear()  # other files had been put in force in between, and none of their passes came to its end
    asking.follow(files(a_check()))
    assert stage.find() == (True, Freshness.LIVE)
    assert stage.told == [True]


@playing
async def test_what_the_operator_said_is_over_where_nothing_else_is_known(stage: Stage) -> None:
    stage.finding = Finding.LOCAL
    stage.pause = Hold(Why.PAUSED, 1000.0, Paused("tests", ruling=True), 100.0)
    asking = stage.make()
    asking.follow(files(a_check()))
    await stage.play(asking, 2.0)
    assert stage.find() == (True, Freshness.LIVE)
    stage.pause = None
    asking.judge_again()
    assert stage.find() == (None, Freshness.LOADING)
    assert asking.probings["web"].ruling is None


@playing
async def test_where_nobody_can_be_told_it_is_asked_on(stage: Stage) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    stage.fails = True
    asking = stage.make()
    asking.follow(files(a_check()))
    await stage.play(asking, 30.0)
    assert stage.asked >= 5


@playing
async def test_no_more_than_so_many_are_asked_at_once_and_all_of_them(stage: Stage) -> None:
    asking = stage.make()
    asking.follow(files(a_check(count=200)))
    stage.now += 1.0  # all are due
    await stage.play(asking, 0.5)
    assert stage.asked == 200
    assert stage.most <= LANES[False][0]
    assert len(asking.probings["web"].healths) == 200


@playing
async def test_what_was_known_before_the_start_is_delivered_as_such_until_it_is_asked(stage: Stage) -> None:
    stage.kept = {"web": {TARGETS[0]: Health(CheckState.DOWN, since=50.0)}}
    asking = stage.make()
    asking.follow(files(a_check()))
    assert stage.find() == (False, Freshness.CACHED)
    assert stage.facts[key_of("web")].value.since == 50.0
    stage.finding = Finding.REFUSED
    await stage.play(asking, 2.0)
    assert stage.find() == (False, Freshness.LIVE)
    assert stage.told == []


@playing
async def test_a_check_that_cannot_be_made_is_told_once_changes_nothing_and_says_why(stage: Stage) -> None:
    stage.finding = Finding.NO_HELPER
    asking = stage.make()
    asking.follow(files(a_check()))
    await stage.play(asking, 30.0)
    assert stage.failures == [Finding.NO_HELPER]
    fact = stage.facts[key_of("web")]
    assert fact.state is Freshness.LOADING
    assert find_failure(fact) == Probed(CheckType.TCP, Finding.NO_HELPER)
    stage.finding = Finding.GOOD
    await stage.play(asking, 6.0)
    assert stage.told == [True]
    stage.finding = Finding.NO_HELPER
    await stage.play(asking, 6.0)
    assert stage.failures == [Finding.NO_HELPER] * 2
    assert stage.find() == (True, Freshness.LIVE)
    stage.finding = Finding.GOOD
    await stage.play(asking, 6.0)
    assert stage.told == [True, True]  # it can be made again


@playing
async def test_commands_that_hang_keep_neither_others_waiting_nor_come_to_a_verdict(stage: Stage) -> None:
    commands = [replace(a_check(f"c{number}"), type=CheckType.EXEC, targets=TARGETS[:1]) for number in range(100)]
    stage.hanging = CheckType.EXEC
    asking = stage.make()
    asking.follow(files(*commands, a_check()))
    await stage.play(asking, 30.0)
    assert stage.most_hanging == LANES[True][0]
    assert stage.find() == (True, Freshness.LIVE)
    assert asking.probings["web"].lateness < 1.0
    assert all(asking.probings[one.name].ruling is None for one in commands)
    await asking.stop()


@playing
async def test_no_more_than_twenty_commands_begin_in_a_second(stage: Stage) -> None:
    commands = [replace(a_check(f"c{number}"), type=CheckType.EXEC, every=1.0) for number in range(100)]
    asking = stage.make()
    asking.follow(files(*commands))
    await stage.play(asking, 60.0)
    assert 1100 <= stage.asked <= 1200 + 1
    assert max(one.lateness for one in asking.probings.values()) > 3.0  # which is shown
    assert min(one.seconds[TARGETS[0]] for one in asking.probings.values()) > 0.0  # and all had their turn


@pytest.mark.parametrize("finding", [Finding.NO_HELPER, Finding.LOCAL])
@pytest.mark.parametrize("said", [True, None])
def test_to_pause_a_check_of_which_nothing_is_known_makes_nothing_of_it_known(
    stage: Stage, finding: Finding, said: bool | None
) -> None:
    async def play() -> None:
        stage.finding = finding
        asking = stage.make()
        asking.follow(files(a_check()))
        await stage.play(asking, 3.0)
        stage.pause = Hold(Why.PAUSED, 1000.0, Paused("tests", ruling=said), 100.0)
        asking.judge_again()
        assert find_ruling(stage.facts.get(key_of("web"), Fact())) == asking.probings["web"].ruling
        assert asking.probings["web"].freshness is (Freshness.LIVE if said else Freshness.LOADING)
        stage.pause = None
        asking.judge_again()
        await stage.play(asking, 10.0)
        assert stage.facts.get(key_of("web"), Fact()).state is Freshness.LOADING

    asyncio.run(play())


@playing
async def test_a_host_that_is_short_of_something_at_times_does_not_make_a_failure_news_again(stage: Stage) -> None:
    asking = stage.make()
    asking.follow(files(a_check()))
    await stage.play(asking, 6.0)
    for _ in range(5):
        for stage.finding in (Finding.NO_HELPER, Finding.LOCAL):
            await stage.play(asking, 5.3)
    assert stage.failures == [Finding.NO_HELPER]
    assert stage.told == [True]
    stage.finding = Finding.GOOD
    await stage.play(asking, 5.3)
    assert stage.told == [True, True]


@playing
async def test_a_host_that_is_out_of_descriptors_asks_on_when_it_has_some_again(stage: Stage) -> None:
    finds = [OSError(errno.EMFILE, "Too many open files")] * 3

    def lease_helpers() -> Any:
        raise finds.pop() if finds else OSError(errno.ENOENT, "nothing there")

    asking = stage.make()
    asking._lease_helpers = lease_helpers
    asking.follow(files(replace(a_check(), type=CheckType.EXEC)))
    await stage.play(asking, 11.0)
    assert finds == []
    last = asking.probings["web"].find_health(TARGETS[0]).last
    assert last == Probed(CheckType.EXEC, Finding.LOCAL, "Too many open files")
    await stage.play(asking, 5.3)
    last = asking.probings["web"].find_health(TARGETS[0]).last
    assert last == Probed(CheckType.EXEC, Finding.LOCAL, "nothing there")
    assert asking._tasks == {}


@playing
async def test_an_agent_is_asked_for_its_server_and_told_by_its_turns_alone(stage: Stage) -> None:
    agent = replace(a_check("agent"), type=CheckType.AGENT, fall=3, step=10)
    server = ServerSpec(TARGETS[0].address, 443, ServerValue(0, weight=100), agent="agent")
    service = ServiceEntry(name="service/a", origin=Origin("f", 1), listens=(), scheduler="rr", servers=(server,))
    asking = stage.make()
    asking.follow(Intent(entries=(service,), checks=(agent,)))
    counted = []
    for words in ("75%", "70%", "20%", "60%", "drain", "maint", "5%"):
        stage.detail = words
        await stage.play(asking, 5.5)
        counted.append(stage.facts[key_of("agent")].value.share)
    assert counted == [75, 75, 20, 60, 0, 0, 5]
    assert stage.told == [True, False, True]
    stage.pause = Hold(Why.PAUSED, 1000.0, Paused("tests", ruling=True), 100.0)
    asking.judge_again()
    ruling = stage.facts[key_of("agent")].value
    assert (ruling.is_up, ruling.share) == (True, None), "the written weight"
