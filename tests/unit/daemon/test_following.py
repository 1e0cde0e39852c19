"""Following requests of others: made when it is needed, looked at twice, and told where it is lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from errno import ENETDOWN, EPERM
from pathlib import Path
from typing import Any

from routed.audit.records import Record
from routed.core.timetable import Deadline
from routed.daemon.following import MOST, SETTLED, Following
from routed.daemon.ipvs import SeldomIpvs
from routed.model.entries import Intent, Settings
from routed.model.events import RequestEvent, Touched
from routed.model.ipvs import TCP, ServerMember, ServerSlot, ServiceMember, ServiceSlot
from routed.model.net import IPV4
from routed.model.objects import Key, Kind
from routed.model.reasons import Deed
from tests.property.fake_kernel import STRANGER
from tests.property.rig import Rig
from tests.property.test_services import BOTH, MEMBER, ONE, PORT, Scene

OURS = Key(Kind.SERVICE, ServiceSlot(IPV4), MEMBER)
SERVER = Key(Kind.SERVER, ServerSlot(IPV4, MEMBER), ServerMember(ONE, PORT))
THEIRS = Key(Kind.SERVICE, ServiceSlot(IPV4), ServiceMember(TCP, bytes((10, 9, 9, 9)), 80))


async def until(is_so: Callable[[], object]) -> None:
    for _ in range(1000):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


class FakeTap:
    """A tap whose requests a test gives."""

    link = "routed-tap-114"

    def __init__(self, protocol: int) -> None:
        self.protocol = protocol
        self.families: list[int] = []
        self.is_closed = False
        self.error: OSError | None = None
        self._waiting: list[RequestEvent] = []
        self._bell = os.eventfd(0, os.EFD_NONBLOCK)

    def fileno(self) -> int:
        return self._bell

    def follow(self, family: int) -> None:
        self.families.append(family)

    def close(self) -> None:
        self.is_closed = True

    def give(self, *events: RequestEvent) -> None:
        self._waiting += events
        os.eventfd_write(self._bell, 1)

    def lose(self) -> None:
        self.error = OSError(ENETDOWN, "the link is gone")
        os.eventfd_write(self._bell, 1)

    def read(self) -> list[RequestEvent]:
        with suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        if self.error:
            raise self.error
        events, self._waiting = self._waiting, []
        return events


class Stage:
    """One daemon's worth of it, beside a kernel that has IPVS."""

    def __init__(self, folder: Path) -> None:
        self.scene = Scene(folder)
        self.taps: list[FakeTap] = []
        self.said: list[Record] = []
        self.pumped = 0
        self.refusal: OSError | None = None
        self.following = Following(self.scene.rig.reconciler, self._pump, self.said.append, self._make)  # type: ignore[arg-type]

    def _pump(self) -> None:
        self.pumped += 1

    def _make(self, protocol: int) -> FakeTap:
        if self.refusal:
            raise self.refusal
        self.taps.append(FakeTap(protocol))
        return self.taps[-1]

    async def follow(self) -> None:
        """As after each full pass."""
        self.following.follow()
        await until(lambda: not self.following._opening)

    def events(self) -> list[str]:
        return [record.fields["ROUTED_EVENT"] for record in self.said]


def is_dirty(rig: Rig) -> bool:
    return rig.host.schedule.dirt.needs_dump


def request(key: Key | None = OURS) -> RequestEvent:
    return RequestEvent((Touched(*key),) if key else (), key, Deed.CHANGED, 4242)


def play(tmp_path: Path, story: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        stage = Stage(tmp_path)
        await story(stage)
        await stage.following.stop()
        assert all(tap.is_closed for tap in stage.taps)

    asyncio.run(run())


def test_without_services_nothing_is_made(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.scene.rig.start()
        await stage.follow()
        assert (stage.taps, stage.said) == ([], [])

    play(tmp_path, story)


def test_it_comes_with_the_first_service_and_goes_with_the_last(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        rig = stage.scene.rig
        rig.start(BOTH)
        for _ in range(2):
            await stage.follow()
        [tap] = stage.taps
        assert tap.protocol == 114
        assert tap.families == [stage.scene.peer.family]
        stage.scene.peer.reload()
        rig.run(6.0)  # a poll finds that all is gone
        assert tap.families[-1] == stage.scene.peer.family
        rig.enforce(Intent(Settings(), ()))
        await stage.follow()
        assert tap.is_closed
        assert stage.events() == ["following"]

    play(tmp_path, story)


def test_another_protocol_number_takes_another_tap(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        rig = stage.scene.rig
        rig.start(BOTH)
        await stage.follow()
        rig.enforce(Intent(Settings(protocol=115), (BOTH,)))
        await stage.follow()
        assert [(tap.protocol, tap.is_closed) for tap in stage.taps] == [(114, True), (115, False)]

    play(tmp_path, story)


def test_a_request_is_looked_at_at_once_and_again_when_it_is_done_and_when_it_surely_is(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        rig = stage.scene.rig
        rig.start(BOTH)
        await stage.follow()
        stage.taps[0].give(request(), request(THEIRS))
        await until(lambda: stage.pumped > 0)
        assert is_dirty(rig)
        assert rig.host.timetable.find(Deadline.SETTLED) is not None
        rig.run(0.05)
        assert not is_dirty(rig)
        for after in SETTLED:  # the second on a host that was not given its processor
            rig.now += after
            stage.following.settle()
            assert is_dirty(rig)
            rig.run(0.05)
            assert not is_dirty(rig)
        pumped = stage.pumped
        stage.following.settle()
        assert stage.pumped == pumped  # there is nothing left

    play(tmp_path, story)


def test_a_poll_that_finds_it_before_the_tap_was_read_knows_who_did_it(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        rig = stage.scene.rig
        rig.start(BOTH)
        await stage.follow()
        stage.scene.set_weight(ONE, 7)
        stage.taps[0].give(RequestEvent((Touched(*SERVER),), OURS, Deed.CHANGED, STRANGER))
        [report] = [report for report in rig.run(6.0) if report.outcomes]  # the loop had no time to read it
        [outcome] = report.outcomes
        assert outcome.cause.process is not None
        assert (outcome.cause.port, outcome.cause.process.comm) == (STRANGER, "stranger")

    play(tmp_path, story)


def test_a_poll_that_finds_it_after_a_look_that_came_too_early_knows_who_did_it(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        rig = stage.scene.rig
        rig.start(BOTH)
        await stage.follow()
        stage.taps[0].give(RequestEvent((Touched(*SERVER),), OURS, Deed.CHANGED, STRANGER))
        await until(lambda: stage.pumped > 0)
        rig.run(0.05)
        assert not is_dirty(rig)  # nothing was seen yet
        stage.scene.set_weight(ONE, 7)
        rig.engine.reconciler.host.hasten_poll("ipvs", rig.now + 0.01)
        [report] = [report for report in rig.run(0.04) if report.outcomes]
        [outcome] = report.outcomes
        assert outcome.cause.process is not None
        assert (outcome.cause.port, outcome.cause.process.comm) == (STRANGER, "stranger")

    play(tmp_path, story)


def test_of_very_many_requests_the_last_stands_for_all(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        rig = stage.scene.rig
        rig.start(BOTH)
        await stage.follow()
        stage.taps[0].give(*[request()] * (MOST + 1))
        await until(lambda: stage.pumped > 0)
        for [(_, last)] in stage.following._recent:
            assert {touched.kind for touched in last.touched} == set(SeldomIpvs.kinds)
            assert last.under is None

    play(tmp_path, story)


def test_while_somebody_asks_without_end_nothing_is_read_until_what_he_asked_for_is_settled(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        rig = stage.scene.rig
        rig.start(BOTH)
        await stage.follow()
        stage.taps[0].give(*[request()] * (MOST + 1))
        await until(lambda: stage.pumped > 0)
        pumped = stage.pumped
        stage.taps[0].give(request())
        await asyncio.sleep(0.05)
        assert stage.pumped == pumped
        rig.now += SETTLED[0]
        stage.following.settle()
        pumped = stage.pumped
        await until(lambda: stage.pumped > pumped)

    play(tmp_path, story)


def test_a_loss_is_told_once_and_the_next_full_pass_makes_it_anew(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.scene.rig.start(BOTH)
        assert stage.following.describe() is None
        await stage.follow()
        assert stage.following.describe() == {"link": stage.taps[0].link, "reason": ""}
        stage.taps[0].lose()
        await until(lambda: stage.taps[0].is_closed)
        assert stage.following.describe() == {"link": "", "reason": "the link is gone"}
        assert stage.said[-1].message == (
            "what others ask of IPVS is not seen: the link is gone; what they change is found within 5 s"
        )
        stage.refusal = OSError(EPERM, "not permitted")
        await stage.follow()
        stage.refusal = None
        await stage.follow()
        assert stage.events() == ["following", "not-following", "not-following", "following"]
        stage.scene.rig.start()
        await stage.follow()
        assert stage.following.describe() is None

    play(tmp_path, story)


def test_a_stop_waits_for_a_tap_that_is_being_made(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.scene.rig.start(BOTH)
        stage.following.follow()

    play(tmp_path, story)


def test_who_does_not_ask_for_it_imports_nothing_of_it() -> None:
    code = (
        "import sys, routed.cli.run, routed.daemon.run\n"
        "assert not [one for one in sys.modules if 'kernel.ipvs' in one or 'following' in one]\n"
        "import routed.daemon.following\n"
        "assert not [one for one in sys.modules if 'kernel.ipvs' in one]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
