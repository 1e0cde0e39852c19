"""The turns of a source that is followed: what is kept, and when a source that says nothing has no members any more."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from routed.core.membership import find_roster
from routed.daemon.memberships import Memberships
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey, Facts, Freshness
from routed.model.members import MemberSource, Roster, key_of
from tests.unit.intent.intent_help import read

ENTRY = '[[route]]\nname = "pods"\nfor_each = "@fleet"\nto = "{prefixes}"\nvia = "{address}"\n'
FLEET = key_of("fleet")


@dataclass
class Fleet:
    """The sources of a daemon, and what was delivered of them."""

    folder: Path
    told: dict[FactKey, Fact] = field(default_factory=dict)
    turns: list[tuple[Roster, Fact]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0  # how often somebody looked at the clock

    def make(self) -> Memberships:
        return Memberships(self.folder / "kept", self.deliver, self.tell, self.clock)

    def intent(self, options: str = "") -> Intent:
        return read(
            f'[[source]]\nname = "fleet"\ntype = "file"\npath = "{self.folder}/fleet.json"\n'
            f'prefixes_within = ["10.244.0.0/16"]\naddresses_within = ["10.0.0.0/8"]\n{options}\n{ENTRY}'
        )

    def write(self, *names: str) -> None:
        members = [{"name": one, "addresses": ["10.0.0.2"], "prefixes": ["10.244.1.0/24"]} for one in names]
        (self.folder / "fleet.json").write_text(json.dumps({"members": members}))

    def spoil(self) -> None:
        (self.folder / "fleet.json").write_text("{")

    def deliver(self, told: Mapping[FactKey, Fact]) -> None:
        self.told |= told
        self.news.set()

    def tell(self, _source: MemberSource, before: Roster, fact: Fact) -> None:
        self.turns.append((before, fact))

    def clock(self) -> float:
        self.asked += 1
        return time.monotonic()

    @property
    def shown(self) -> str:
        fact = self.told[FLEET]
        return f"{fact.state}: {' '.join(sorted(find_roster(fact).present))}"

    async def wait_for(self, shown: str) -> None:
        async with asyncio.timeout(10):
            while self.shown != shown:
                self.news.clear()
                await self.news.wait()


def run(tmp_path: Path, story: Callable[[Fleet], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story(Fleet(tmp_path)))


def test_a_source_that_says_nothing_has_no_members_after_the_time_of_the_file_and_that_is_looked_at_once(
    tmp_path: Path,
) -> None:
    async def story(fleet: Fleet) -> None:
        fleet.write("a")
        memberships = fleet.make()
        await memberships.prepare(fleet.intent('on_stale = "200ms"'))
        assert fleet.shown == "live: a"
        fleet.spoil()
        memberships.look()
        await fleet.wait_for("stale: a")
        await fleet.wait_for("stale: ")
        fleet.asked = 0
        for _ in range(100):
            await asyncio.sleep(0)
        assert fleet.asked == 0
        fleet.write("a")
        memberships.look()
        await fleet.wait_for("live: a")
        await memberships.stop()

    run(tmp_path, story)


def test_a_source_that_says_nothing_from_the_start_has_no_members_after_that_time_either(tmp_path: Path) -> None:
    async def story(fleet: Fleet) -> None:
        fleet.write("a")
        memberships = fleet.make()
        await memberships.prepare(fleet.intent())
        await memberships.stop()
        fleet.spoil()
        again = fleet.make()
        await again.prepare(fleet.intent('on_stale = "200ms"'))
        assert fleet.shown == "cached: a"
        await fleet.wait_for("cached: ")
        await again.stop()

    run(tmp_path, story)


def test_without_a_word_of_the_file_they_stay(tmp_path: Path) -> None:
    async def story(fleet: Fleet) -> None:
        fleet.write("a")
        memberships = fleet.make()
        await memberships.prepare(fleet.intent())
        fleet.spoil()
        memberships.look()
        await fleet.wait_for("stale: a")
        assert find_roster(fleet.told[FLEET]).failure is not None
        await memberships.stop()

    run(tmp_path, story)


@pytest.mark.parametrize("options", ["cache = false", ""])
def test_a_source_that_is_written_otherwise_keeps_its_members_until_it_has_spoken(tmp_path: Path, options: str) -> None:
    async def story(fleet: Fleet) -> None:
        fleet.write("a")
        memberships = fleet.make()
        await memberships.prepare(fleet.intent(options))
        fleet.spoil()
        told = await memberships.prepare(fleet.intent(f'{options}\ngone_after = "1s"'))
        assert told[FLEET].state is Freshness.CACHED
        assert fleet.shown == "cached: a"
        await memberships.stop()

    run(tmp_path, story)


def test_what_would_be_is_told_without_anything_being_so(tmp_path: Path) -> None:
    async def story(fleet: Fleet) -> None:
        fleet.write("a")
        memberships = fleet.make()
        found = await memberships.foretell(fleet.intent())
        assert sorted(find_roster(found[FLEET]).present) == ["a"]
        assert (fleet.told, fleet.turns) == ({}, [])
        assert memberships.describe(Facts(), str) == []
        await memberships.stop()
        assert not (tmp_path / "kept").exists()

    run(tmp_path, story)


def test_a_member_whose_time_is_over_goes_by_itself(tmp_path: Path) -> None:
    async def story(fleet: Fleet) -> None:
        fleet.write("a", "b")
        memberships = fleet.make()
        await memberships.prepare(fleet.intent('gone_after = "200ms"'))
        fleet.write("a")
        memberships.look()
        await memberships.settle()
        assert fleet.shown == "live: a b"
        await fleet.wait_for("live: a")
        await memberships.stop()

    run(tmp_path, story)


def test_what_is_kept_cannot_be_understood_and_nobody_was_known(tmp_path: Path) -> None:
    async def story(fleet: Fleet) -> None:
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept/fleet.json").write_text("{")
        memberships = fleet.make()
        await memberships.prepare(fleet.intent())
        assert fleet.shown == "loading: "
        await memberships.stop()

    run(tmp_path, story)


def test_a_daemon_whose_files_have_no_source_imports_nothing_of_them() -> None:
    code = (
        "import sys, routed.daemon.service\n"
        "print({'routed.daemon.memberships', 'routed.members', 'routed.audit.members'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_first_document_of_a_source_tells_who_came_and_the_same_again_tells_nothing(tmp_path: Path) -> None:
    async def story(fleet: Fleet) -> None:
        fleet.write("a", "b")
        memberships = fleet.make()
        await memberships.prepare(fleet.intent())
        (turn,) = fleet.turns
        assert (sorted(turn[0].present), sorted(find_roster(turn[1]).present)) == ([], ["a", "b"])
        for _ in range(3):
            memberships.look()
            await memberships.settle()
        assert len(fleet.turns) == 1
        await memberships.stop()

    run(tmp_path, story)


def test_a_change_is_kept_as_a_line_until_the_lines_are_longer_than_the_document(tmp_path: Path) -> None:
    async def story(fleet: Fleet) -> None:
        kept = tmp_path / "kept/fleet.json"
        memberships = fleet.make()
        fleet.write(*(f"n{number}" for number in range(40)))
        await memberships.prepare(fleet.intent('max_loss = "off"\n'))
        await memberships.stop()
        whole = kept.read_bytes()
        memberships = fleet.make()
        await memberships.prepare(fleet.intent('max_loss = "off"\n'))
        for last in (40, 41):
            fleet.write(*(f"n{number}" for number in range(1, last)))
            memberships.look()
            await memberships.settle()
            memberships._save(memberships._followed["fleet"])
        await memberships.stop()
        assert kept.read_bytes().count(b"\n") == 2
        assert len(kept.read_bytes()) < 2 * len(whole)
        fresh = fleet.make()
        fleet.spoil()
        await fresh.prepare(fleet.intent())
        assert fleet.shown == f"cached: {' '.join(sorted(f'n{number}' for number in range(1, 41)))}"
        await fresh.stop()

    run(tmp_path, story)


def test_a_line_that_was_not_written_whole_costs_no_more_than_itself(tmp_path: Path) -> None:
    async def story(fleet: Fleet) -> None:
        memberships = fleet.make()
        fleet.write("a", "b")
        await memberships.prepare(fleet.intent())
        await memberships.stop()
        kept = tmp_path / "kept/fleet.json"
        kept.write_bytes(kept.read_bytes() + b'{"schema": "routed.members/1", "memb')
        fleet.spoil()
        memberships = fleet.make()
        await memberships.prepare(fleet.intent())
        assert fleet.shown == "cached: a b"
        fleet.write("a", "b", "c")
        memberships.look()
        await memberships.settle()
        await memberships.stop()
        assert [json.loads(line)["complete"] for line in kept.read_bytes().splitlines()] == [True]

    run(tmp_path, story)
