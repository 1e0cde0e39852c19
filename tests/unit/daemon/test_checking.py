"""What is done with the turns of checks: told each, and kept for the next start."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from routed.core.health import Health
from routed.core.timetable import Deadline
from routed.daemon import healths, prober
from routed.daemon.checking import Checking
from routed.daemon.host import Host
from routed.daemon.wanted import Wanted
from routed.model.checks import Check, CheckState, CheckType, Ruling, Target
from routed.model.documents import CheckDocument
from routed.model.entries import Intent, Origin, Requirement
from routed.model.reasons import Finding, Probed
from routed.probes.ask import Answered
from tests.property.rig import a_route

MANY = 60


def test_very_many_checks_that_turn_at_once_are_told_each_and_kept_by_few_writings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = (Target(bytes((192, 0, 2, 1)), 80),)
    checks = tuple(
        Check(name=f"c{number}", origin=Origin("f", 1), type=CheckType.TCP, targets=targets) for number in range(MANY)
    )
    entry = replace(a_route(), requires=tuple(Requirement(check.name) for check in checks))
    intent = Intent(entries=(entry,), checks=checks)
    file, told, writings = tmp_path / "checks.json", list[str](), list[int]()
    save = healths.save_healths

    async def ask(check: Check, _target: Target, _path: object) -> Answered:
        await asyncio.sleep(0)
        return Answered(Probed(check.type, Finding.GOOD), 0.001)

    def count(path: Path, kept: healths.Healths, now: float) -> None:
        writings.append(len(kept))
        save(path, kept, now)

    def tell(check: Check, _found: Ruling | Probed) -> None:
        told.append(check.name)

    async def play() -> None:
        host = Host(Wanted(intent))
        checking = Checking(file, host, lambda _: None, tell)
        checking.follow(intent)
        while len(told) < MANY:
            checking.advance()
            await asyncio.sleep(0.001)
        assert host.timetable.find(Deadline.HEALTHS) is not None
        await checking.stop()

    monkeypatch.setattr(prober, "ask", ask)
    monkeypatch.setattr(prober, "FIRST", 0.0)
    monkeypatch.setattr(healths, "save_healths", count)
    asyncio.run(play())
    assert sorted(told) == sorted(check.name for check in checks)
    assert len(writings) == 2  # the first turn, and the stop
    assert len(healths.load_healths(file, 1000.0)) == MANY


def test_where_what_was_found_cannot_be_kept_or_is_of_a_newer_routed_the_checks_go_on(tmp_path: Path) -> None:
    file = tmp_path / "checks.json"
    file.write_text('{"version": 99, "boot": "", "healths": []}')
    assert healths.load_healths(file, 0.0) == {}
    healths.save_healths(file, {}, 0.0)
    assert '"version": 99' in file.read_text()
    healths.save_healths(tmp_path / "nowhere" / "checks.json", {}, 0.0)
    file.write_text('{"version": 1, "healths": 7')
    assert healths.load_healths(file, 0.0) == {}


def test_a_template_is_shown_as_one_and_nobody_asks_it(tmp_path: Path) -> None:
    check = Check(name="ready", origin=Origin("f", 1), type=CheckType.HTTPS, targets=())
    intent = Intent(checks=(check,))

    async def play() -> None:
        host = Host(Wanted(intent))
        checking = Checking(tmp_path / "checks.json", host, lambda _: None, lambda _check, _ruling: None)
        checking.follow(intent)
        checking.advance()
        assert host.timetable.find(Deadline.PROBE) is None
        (shown,) = checking.describe(str)
        assert (shown["state"], shown["reason"]) == ("unknown", "it has no target, so it is a template")
        assert shown["targets"] == []

    asyncio.run(play())


def test_what_cannot_be_made_any_more_is_shown_since_then_and_with_what_it_counts_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = Check(name="web", origin=Origin("f", 1), type=CheckType.TCP, targets=(Target(b"abcd", 80),), every=0.001)
    entry = replace(a_route(), requires=(Requirement("web"),))
    intent, findings = Intent(entries=(entry,), checks=(check,)), [Finding.GOOD]

    async def ask(check: Check, _target: Target, _path: object) -> Answered:
        await asyncio.sleep(0)
        return Answered(Probed(check.type, findings[-1]), 0.001)

    async def play() -> None:
        checking = Checking(tmp_path / "checks.json", Host(Wanted(intent)), lambda _: None, lambda *_: None)
        checking.follow(intent)

        async def show(state: str) -> CheckDocument:
            while (shown := checking.describe(str)[0])["state"] != state:
                checking.advance()
                await asyncio.sleep(0.001)
            return shown

        up = await show("up")
        assert up["counts_as"] == ""
        findings.append(Finding.NO_COMMAND)
        failed = await show("failed")
        assert failed["counts_as"] == "up"
        assert float(failed["since"]) > float(up["since"])
        assert failed["targets"][0]["seconds"] == 0.0  # nobody answered
        await checking.stop()

    monkeypatch.setattr(prober, "ask", ask)
    monkeypatch.setattr(prober, "FIRST", 0.0)
    asyncio.run(play())


def test_that_a_line_was_too_lossy_is_kept_for_the_next_start(tmp_path: Path) -> None:
    file, target = tmp_path / "checks.json", Target(bytes((192, 0, 2, 1)))
    healths.save_healths(file, {"wan1": {target: Health(CheckState.DOWN, since=5.0, is_poor=True)}}, 10.0)
    (kept,) = healths.load_healths(file, 10.0)["wan1"].values()
    assert kept.is_poor
    file.write_text(file.read_text().replace('"is_poor": true', '"is_sad": true'))  # of a version before
    (kept,) = healths.load_healths(file, 10.0)["wan1"].values()
    assert (kept.verdict, kept.is_poor) == (CheckState.DOWN, False)


def test_what_an_agent_said_is_kept_and_words_that_are_none_are_not_read(tmp_path: Path) -> None:
    file, target = tmp_path / "checks.json", Target(bytes((10, 0, 0, 1)), 9707)
    healths.save_healths(file, {"agent:a": {target: Health(CheckState.UP, words="up 30%")}}, 0.0)
    assert healths.load_healths(file, 0.0)["agent:a"][target].words == "up 30%"
    file.write_text(file.read_text().replace("up 30%", "what"))
    assert healths.load_healths(file, 0.0) == {}
