"""Memberships: what is followed, until when, and what a start waits for. The sources are played."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from routed.daemon import followers, member_etcd, memberships
from routed.daemon.followers import FOLLOWERS, Deliver, Provided
from routed.daemon.memberships import Memberships
from routed.model.entries import EachEntry, Fill, Intent, Origin
from routed.model.etcd import Endpoint, EtcdSettings, EtcdSource, RegisterSpec
from routed.model.facts import Fact, FactKey, Facts, Freshness
from routed.model.members import FileSource, Member, MemberSource, Roster, Snapshot, SourceType, key_of
from routed.model.reasons import SourceFailed
from tests.property.rig import a_route

KEY = key_of("fleet")
TOLD = Snapshot((Member("a"),))


def a_source(path: str = "/x", line: int = 1) -> MemberSource:
    return MemberSource("fleet", Origin("f", line), SourceType.FILE, FileSource(path))


def files(source: MemberSource) -> Intent:
    fills = (Fill("via", "{address}"),)
    each = EachEntry(name="pods", origin=source.origin, source="fleet", body=a_route(), fills=fills)
    return Intent(entries=(each,), member_sources=(source,))


def no_helpers() -> Any:
    raise AssertionError("no command is run")


class Stage:
    """Sources that say what a test has them say, and what is delivered of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.facts: dict[FactKey, Fact] = {}
        self.followed: list[str] = []
        self.ended: list[str] = []
        self.deliver: Deliver = lambda _: None
        self.plays: Callable[[], Coroutine[Any, Any, None]] = asyncio.Event().wait  # type: ignore[assignment]
        monkeypatch.setattr(memberships, "FOLLOWERS", {SourceType.FILE: lambda _around: self._follow})
        self.it = Memberships(folder / "members", self._take, lambda *_: None, lambda: 0.0, lease_helpers=no_helpers)

    def _take(self, told: Mapping[FactKey, Fact]) -> None:
        self.facts.update(told)

    async def _follow(self, options: FileSource, deliver: Deliver) -> None:
        self.followed.append(options.path)
        self.deliver = deliver
        try:
            await self.plays()
        finally:
            self.ended.append(options.path)

    @property
    def names(self) -> list[str]:
        value = self.facts[KEY].value
        assert isinstance(value, Roster)
        return list(value.present)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_a_source_that_is_as_before_goes_on_and_another_one_is_followed_anew(stage: Stage) -> None:
    async def play() -> None:
        stage.it.follow(files(a_source()))
        await turn()
        stage.it.follow(files(a_source(line=7)))
        await turn()
        assert (stage.followed, stage.ended) == (["/x"], [])
        stage.it.follow(files(a_source("/y")))
        await turn()
        assert (stage.followed, stage.ended) == (["/x", "/y"], ["/x"])
        stage.it.follow(Intent())
        await turn()
        assert stage.ended == ["/x", "/y"]
        await stage.it.stop()

    asyncio.run(play())


def test_what_a_source_says_that_is_not_followed_any_more_counts_no_more(stage: Stage) -> None:
    async def play() -> None:
        stage.it.follow(files(a_source()))
        await turn()
        late = stage.deliver
        stage.it.follow(files(a_source("/y")))
        await turn()
        late(TOLD)
        assert stage.names == []
        stage.deliver(TOLD)
        assert stage.names == ["a"]
        await stage.it.stop()

    asyncio.run(play())


def test_a_start_waits_until_each_source_spoke_be_it_to_say_why_not(stage: Stage) -> None:
    async def play() -> None:
        stage.it.follow(files(a_source()))
        waiting = asyncio.create_task(stage.it.settle())
        await turn()
        assert not waiting.done()
        stage.deliver(SourceFailed("it", "it is away"))
        await waiting
        assert stage.facts[KEY].state is Freshness.LOADING
        await stage.it.stop()

    asyncio.run(play())


def test_a_defect_in_a_follower_is_told_and_the_members_stay(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def speak_and_fail() -> None:
        stage.deliver(TOLD)
        raise ZeroDivisionError("by nothing")

    async def play() -> None:
        stage.plays = speak_and_fail
        stage.it.follow(files(a_source()))
        await turn()
        assert (stage.names, stage.facts[KEY].state) == (["a"], Freshness.STALE)
        assert stage.followed == ["/x"]  # and not again and again at once
        await stage.it.stop()
        monkeypatch.setattr(memberships, "AGAIN", 0.0)
        stage.it.follow(Intent())
        stage.it.follow(files(a_source()))
        for _ in range(9):
            await turn()
        assert len(stage.followed) > 2
        await stage.it.stop()

    asyncio.run(play())
    assert "source/fleet is not followed for a while, by a defect in routed" in caplog.text


def test_only_what_a_source_needs_is_imported() -> None:
    code = (
        "import sys; from routed.daemon.memberships import FOLLOWERS; from routed.model.members import SourceType;"
        " anything = type('Anything', (), {'__getattr__': lambda *_: None})();"
        " FOLLOWERS[SourceType(sys.argv[1])](anything); print(*sys.modules)"
    )
    needed = {
        "file": {"routed.daemon.member_files"},
        "exec": {"routed.daemon.member_programs", "routed.daemon.helpers", "routed.probes.command"},
        "etcd": {"routed.daemon.member_etcd", "routed.members.etcd", "routed.members.gateway"},
        "dns": {"routed.members.dns", "routed.members.dns_wire"},
    }
    every = set().union(*needed.values())
    for kind, modules in needed.items():
        command = [sys.executable, "-S", "-c", code, kind]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
        )
        loaded = set(done.stdout.split())
        assert loaded & every == modules, kind


def test_every_type_has_a_follower_that_can_be_imported() -> None:
    async def choose() -> None:
        folder, tell = Path("members"), no_helpers
        provided = Provided(asyncio.Event(), no_helpers, folder, Facts, asyncio.Event(), may_register=True, tell=tell)  # type: ignore[arg-type]
        assert all(callable(row(provided)) for row in FOLLOWERS.values())

    assert FOLLOWERS.keys() == set(SourceType)
    assert followers.FOLLOWERS is FOLLOWERS
    asyncio.run(choose())


def test_who_applies_waits_for_what_a_file_says_now(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def play() -> None:
        stage = Stage(monkeypatch, tmp_path)
        stage.it.follow(files(a_source()))
        await turn()
        stage.deliver(TOLD)
        await stage.it.settle()
        stage.it.look()
        waiting = asyncio.create_task(stage.it.settle())
        await turn()
        assert not waiting.done()
        stage.deliver(TOLD)
        await waiting
        await stage.it.stop()

    asyncio.run(play())


def test_a_plan_asks_no_source_again_that_stands_on_another_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def play() -> None:
        stage = Stage(monkeypatch, tmp_path)
        stage.it.follow(files(a_source()))
        await turn()
        stage.deliver(TOLD)
        told = await stage.it.foretell(files(a_source(line=7)))
        assert list(told[KEY].value.present) == ["a"]
        assert stage.followed == ["/x"]
        await stage.it.stop()

    asyncio.run(play())


def test_who_cannot_keep_who_he_is_follows_the_others_and_says_it_when_he_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[bool] = []
    told: list[object] = []

    async def follow_etcd(settings: EtcdSettings, *_: object) -> None:
        asked.append(settings.register is not None)
        await asyncio.Event().wait()

    async def play() -> None:
        folder, changed = tmp_path / "members", asyncio.Event()
        folder.write_text("no folder")
        monkeypatch.setattr(member_etcd, "follow_etcd", follow_etcd)
        source = EtcdSource(EtcdSettings((Endpoint("a"),), "/f/"), RegisterSpec("node1", (b"\x0a\0\0\1",)))
        task = asyncio.create_task(member_etcd.follow(folder, Facts, changed, told.append, source, lambda _: None))
        await turn()
        await turn()
        assert (asked, len(told) > 0) == ([False], True)
        folder.unlink()
        changed.set()
        for _ in range(9):
            await turn()
        assert asked == [False, True]
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(play())
