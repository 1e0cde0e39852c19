"""Servers that members make: what holds for a written server holds for them, whatever their source says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from routed.core import membership
from routed.core.desired import Resolution
from routed.core.entries import list_parts, resolve
from routed.core.troubles import State
from routed.daemon import wanted
from routed.daemon.status import count_states, describe_entries
from routed.daemon.wanted import make_whole
from routed.members.document import parse_document
from routed.model.checks import Ruling
from routed.model.checks import key_of as check_of
from routed.model.entries import Entry, Intent
from routed.model.facts import Fact, Facts, Freshness
from routed.model.members import Roster, key_of
from routed.model.net import format_address, parse_address
from routed.model.reasons import SourceFailed
from tests.property.test_services import Scene as Services
from tests.unit.intent.intent_help import read

SOURCE = """
[[source]]
name = "web"
type = "file"
path = "web.json"
addresses_within = ["10.0.0.0/24"]
"""
SERVICE = '[[service]]\nname = "a"\nlisten = "10.0.0.1:443"\nscheduler = "wrr"\n'
SERVERS = 'servers = { for_each = "@web", address = "{address}:443", weight = "{weight}"%s }\n'
PLAIN = SERVERS % ""
CHECKED = SERVERS % ', check = { type = "tcp" }'


class Scene(Services):
    """A daemon with a service whose servers are members."""

    def read(self, text: str = PLAIN, options: str = "") -> None:
        self.intent = read(SOURCE + options + SERVICE + text)
        self.source = self.intent.member_sources[0]
        self.roster: Roster = membership.NOBODY
        self.rig.kernel.read_events()
        self.rig.host.wanted.intent = self.intent
        self.rig.reconciler.begin()
        self.rig.enforce(self.intent)

    def name(self, *members: dict[str, Any], is_complete: bool = True) -> None:
        document = json.dumps({"members": members, "complete": is_complete})
        self.become(membership.take(self.roster, parse_document(document.encode()), self.source, self.rig.now))

    def become(self, roster: Roster, state: Freshness = Freshness.LIVE) -> None:
        self.roster = roster
        self.deliver(Fact(roster, state))

    def deliver(self, fact: Fact) -> None:
        self.rig.engine.deliver({key_of("web"): fact})
        self.rig.run(0.5)

    def find(self, **states: bool) -> None:
        """Checks find this, by the last number of an address."""
        told = {
            check_of(f"a[10.0.0.{number[1:]}:443]"): Fact(Ruling(is_up, None, self.rig.now), Freshness.LIVE)
            for number, is_up in states.items()
        }
        self.rig.engine.deliver(told)
        self.rig.run(0.5)

    def servers(self) -> dict[str, int]:
        return {format_address(address): weight for address, weight in self.weights().items()}

    def status(self) -> Any:
        return describe_entries(self.rig.host, str, "service/a")[0]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def node(number: int, **more: Any) -> dict[str, Any]:
    return {"name": f"n{number}", "addresses": [f"10.0.0.{number}"]} | more


def test_members_are_the_servers_of_the_service_and_their_weights_are_told_by_them(scene: Scene) -> None:
    scene.read()
    scene.name(node(11, weight=3), node(12))
    assert scene.servers() == {"10.0.0.11": 3, "10.0.0.12": 1}
    scene.name(node(11, weight=5), node(12), node(13))
    assert scene.servers() == {"10.0.0.11": 5, "10.0.0.12": 1, "10.0.0.13": 1}
    assert scene.rig.plan_is_empty()


def test_a_change_of_a_member_resolves_its_service_once_and_asks_no_other_entry(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.read(PLAIN, 'max_loss = "off"\n')
    scene.name(node(11), node(12))
    done: list[str] = []

    def note(entry: Entry, facts: Facts, protocol: int) -> Resolution:
        done.append(entry.name)
        return resolve(entry, facts, protocol)

    def note_all(*words: Any) -> Intent:
        done.append("all entries")
        return make_whole(*words)

    monkeypatch.setattr(wanted, "resolve", note)
    monkeypatch.setattr(wanted, "make_whole", note_all)
    scene.name(node(11, weight=3), node(12))
    assert scene.servers() == {"10.0.0.11": 3, "10.0.0.12": 1}
    assert done == ["service/a"]


def test_a_member_that_goes_drains_as_a_written_server_that_left_the_files_does(scene: Scene) -> None:
    scene.read('drain = "20s"\n' + PLAIN, 'max_loss = "off"\n')
    scene.name(node(11), node(12))
    scene.connect(parse_address("10.0.0.12"), active=1)
    scene.name(node(11))
    assert scene.servers() == {"10.0.0.11": 1, "10.0.0.12": 0}
    assert count_states(scene.rig.host)[State.DRAINING] == 1
    scene.name(node(11), node(12))
    assert scene.servers() == {"10.0.0.11": 1, "10.0.0.12": 1}
    scene.name(node(11))
    scene.rig.run(21.0)
    assert scene.servers() == {"10.0.0.11": 1}


def test_who_has_no_connections_goes_at_once(scene: Scene) -> None:
    scene.read(PLAIN, 'max_loss = "off"\n')
    scene.name(node(11), node(12))
    scene.name(node(12))
    assert scene.servers() == {"10.0.0.12": 1}


def test_too_many_that_would_go_at_once_stay_and_the_service_says_so(scene: Scene) -> None:
    scene.read()
    scene.name(*(node(number) for number in range(11, 21)))
    scene.name(node(11))
    assert len(scene.servers()) == 10
    assert scene.status()["state"] == State.HELD
    scene.become(membership.let_go(scene.roster, scene.source, scene.rig.now))
    assert scene.servers() == {"10.0.0.11": 1}


def test_a_source_that_says_nothing_takes_no_server_away(scene: Scene) -> None:
    scene.read()
    scene.name(node(11), node(12))
    failed = scene.roster._replace(failure=SourceFailed("web.json", "it is empty"))
    scene.become(failed, Freshness.STALE)
    assert scene.servers() == {"10.0.0.11": 1, "10.0.0.12": 1}
    assert "it is empty" in scene.status()["reason"]


@pytest.mark.parametrize("state", [Freshness.LOADING, Freshness.CACHED])
def test_after_a_start_what_stands_stays_until_the_source_has_spoken(scene: Scene, state: Freshness) -> None:
    scene.read()
    scene.name(node(11), node(12))
    scene.begin()
    scene.peer.changes.clear() if hasattr(scene.peer, "changes") else None
    scene.read()
    scene.become(membership.NOBODY, state)
    assert scene.servers() == {"10.0.0.11": 1, "10.0.0.12": 1}
    scene.name(node(11))
    assert scene.servers() == {"10.0.0.11": 1}


def test_each_member_has_a_check_of_its_own(scene: Scene) -> None:
    scene.read('on_fail = "remove"\n' + CHECKED)
    scene.name(node(11), node(12))
    whole = scene.rig.host.wanted.find_whole()
    assert [check.name for check in whole.checks] == ["a[10.0.0.11:443]", "a[10.0.0.12:443]"]
    scene.find(n11=True, n12=False)
    assert scene.servers() == {"10.0.0.11": 1}
    scene.find(n12=True)
    assert scene.servers() == {"10.0.0.11": 1, "10.0.0.12": 1}
    scene.name(node(11), node(12), node(13))
    assert len(scene.rig.host.wanted.find_whole().checks) == 3
    scene.find(n13=False)
    assert scene.servers() == {"10.0.0.11": 1, "10.0.0.12": 1}


def test_a_member_that_comes_begins_slowly(scene: Scene) -> None:
    scene.read('slow_start = "50s"\n' + PLAIN)
    scene.name(node(11, weight=100))
    scene.name(node(11, weight=100), node(12, weight=100))
    assert scene.servers() == {"10.0.0.11": 100, "10.0.0.12": 20}
    scene.rig.run(51.0)
    assert scene.servers() == {"10.0.0.11": 100, "10.0.0.12": 100}


def test_the_operator_drains_a_member_by_its_name(scene: Scene) -> None:
    scene.read()
    scene.name(node(11), node(12))
    name = "service/a[10.0.0.12:443]"
    assert name in list_parts(scene.rig.host.wanted.desired.resolutions["service/a"].entry)
    holds = scene.rig.host.ledger.holds
    holds.pause(name, "work", scene.rig.now + 60.0, scene.rig.now, "me", is_drain=True)
    scene.rig.host.ask_again("drain")
    scene.rig.run(0.5)
    assert scene.servers() == {"10.0.0.11": 1, "10.0.0.12": 0}
    scene.name(node(11), node(12), node(13))
    assert scene.servers() == {"10.0.0.11": 1, "10.0.0.12": 0, "10.0.0.13": 1}


def test_two_members_with_one_server_are_one_and_the_second_is_named(scene: Scene) -> None:
    scene.read()
    scene.name(node(11))
    scene.name(node(11), {"name": "a", "addresses": ["10.0.0.11"], "weight": 9})
    assert scene.servers() == {"10.0.0.11": 1}
    assert "member a tells 10.0.0.11:443, as member n11 did before it" in scene.status()["reason"]
    scene.name({"name": "a", "addresses": ["10.0.0.11"], "weight": 9})
    assert scene.servers() == {"10.0.0.11": 9}


def test_without_any_member_the_stand_in_is_there(scene: Scene) -> None:
    scene.read('sorry = "10.0.0.99:443"\n' + PLAIN, 'max_loss = "off"\non_empty = "apply"\n')
    assert scene.servers() == {}
    scene.name(node(11))
    assert scene.servers() == {"10.0.0.11": 1}
    scene.name()
    assert scene.servers() == {"10.0.0.99": 1}
    assert scene.status()["state"] == State.DEGRADED


def test_a_route_that_requires_the_service_follows_its_members(scene: Scene) -> None:
    scene.read(CHECKED + '[[route]]\nname = "r"\nto = "10.8.0.0/16"\nvia = "192.0.2.9"\nrequires = "@service/a"\n'
               'when_all_down = "withdraw"\n', 'max_loss = "off"\non_empty = "apply"\n')  # fmt: skip

    def state() -> str:
        return str(describe_entries(scene.rig.host, str, "route/r")[0]["state"])

    assert state() == State.WAITING
    scene.name(node(11))
    scene.find(n11=True)
    assert state() == State.IN_SYNC
    scene.find(n11=False)
    assert state() == State.WITHHELD
    scene.name(node(11), node(12))
    scene.find(n12=True)
    assert state() == State.IN_SYNC
    scene.name()
    assert state() == State.WITHHELD


def test_what_a_member_tells_beyond_its_bounds_is_no_server(scene: Scene) -> None:
    scene.read()
    scene.name(node(11), {"name": "x", "addresses": ["10.0.7.1"]}, {"name": "y", "addresses": ["fd00::1"]})
    assert scene.servers() == {"10.0.0.11": 1}


def test_files_that_are_others_keep_the_members(scene: Scene) -> None:
    scene.read()
    scene.name(node(11), node(12))
    other = read(SOURCE + SERVICE + PLAIN.replace('"{weight}"', "7"))
    scene.rig.enforce(other)
    assert scene.servers() == {"10.0.0.11": 7, "10.0.0.12": 7}
    scene.rig.enforce(replace(other, entries=()))
    assert scene.servers() == {}
