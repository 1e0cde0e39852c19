"""The story of agents: what servers say of their load, over a peer that behaves as IPVS in the kernel does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.audit.catalogue import Message
from routed.audit.records import Context, record_pass
from routed.core.agents import find_share_of, judge_agent
from routed.model.checks import CheckType, Ruling, key_of
from routed.model.entries import ServerSpec, ServiceEntry, WhenAllDown
from routed.model.facts import Fact, Freshness
from routed.model.ipvs import ServerValue
from routed.model.reasons import Finding, Probed
from routed.model.text import Vocabulary
from tests.property.test_services import DEL_DEST, ONE, PORT, SET_DEST, TWO, Scene, a_service

SILENT = Probed(CheckType.AGENT, Finding.REFUSED)


def server(address: bytes, agent: str, weight: int = 100) -> ServerSpec:
    return ServerSpec(address, PORT, ServerValue(0, weight=weight), agent=agent)


def a_loaded(**more: Any) -> ServiceEntry:
    return a_service(server(ONE, "one"), server(TWO, "two", weight=40), **more)


def tell(scene: Scene, **words: str) -> None:
    """What each agent says that counts; nothing: it is silent."""
    told = {
        key_of(name): Fact(replace_since(judge_agent(said, SILENT), scene), Freshness.LIVE)
        for name, said in words.items()
    }
    scene.rig.engine.deliver(told)
    scene.rig.run()


def replace_since(ruling: Ruling, scene: Scene) -> Ruling:
    return ruling._replace(since=scene.rig.now)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_server_has_its_share_and_an_equal_one_is_never_sent(scene: Scene) -> None:
    scene.rig.start(a_loaded())
    tell(scene, one="75%", two="up")
    assert scene.weights() == {ONE: 75, TWO: 40}
    scene.take_changes()
    tell(scene, one="up 75%")
    tell(scene, two="100%")
    assert scene.take_changes() == []
    tell(scene, one="drain")
    assert scene.weights() == {ONE: 0, TWO: 40}
    tell(scene, one="maint")
    assert scene.take_changes() == [SET_DEST]
    tell(scene, one="")
    assert scene.weights() == {ONE: 100, TWO: 40}
    scene.rig.run(60.0)
    assert scene.take_changes() == [SET_DEST]
    assert scene.states() == ["in-sync"]


def test_a_server_that_its_agent_drains_is_never_removed(scene: Scene) -> None:
    scene.rig.start(a_loaded())
    tell(scene, one="drain", two="up")
    scene.rig.run(3600.0)
    assert scene.weights() == {ONE: 0, TWO: 40}


def test_before_the_first_word_after_a_restart_everything_stays_and_after_the_word_too(scene: Scene) -> None:
    scene.rig.start(a_loaded())
    tell(scene, one="30%", two="drain")
    scene.take_changes()
    scene.begin()
    scene.rig.start(a_loaded())
    scene.rig.run(4.0)
    assert scene.weights() == {ONE: 30, TWO: 0}
    tell(scene, one="30%", two="drain")
    scene.rig.run(30.0)
    assert scene.take_changes() == []
    scene.begin()
    scene.rig.start(a_loaded())
    scene.rig.run(6.0)  # nobody answers for so long that nobody will
    assert scene.weights() == {ONE: 100, TWO: 40}


def test_a_load_that_wobbles_is_no_fight_and_its_changes_are_told_as_such(scene: Scene) -> None:
    scene.rig.start(a_loaded())
    tell(scene, one="up", two="up")
    scene.rig.reports.clear()
    for number in range(100):
        tell(scene, one=f"{30 + number % 2 * 20}%")
        assert scene.weights() == {ONE: 30 + number % 2 * 20, TWO: 40}
        scene.rig.run(0.7 if number % 3 else 5.1)
    assert scene.states() == ["in-sync"]
    assert not scene.rig.host.ledger.holds.repairs
    told = [
        record.fields["ROUTED_EVENT"]
        for report in scene.rig.reports
        for record in record_pass(report.plan, report.outcomes, Context(Vocabulary()))
    ]
    assert set(told) == {Message.WEIGHED}


def test_who_changes_such_a_weight_is_put_right_to_the_share(scene: Scene) -> None:
    scene.rig.start(a_loaded())
    tell(scene, one="30%", two="up")
    scene.set_weight(ONE, 100)
    scene.rig.run(5.1)
    assert scene.weights() == {ONE: 30, TWO: 40}


@pytest.mark.parametrize(
    ("word", "found", "state"),
    [
        (WhenAllDown.KEEP, {ONE: 100, TWO: 40}, "degraded"),
        (WhenAllDown.REFUSE, {ONE: 0, TWO: 0}, "in-sync"),
        (WhenAllDown.REMOVE, {}, "withheld"),
    ],
)
def test_where_all_agents_say_none_the_file_says_what_then(
    scene: Scene, word: WhenAllDown, found: dict[bytes, int], state: str
) -> None:
    scene.rig.start(a_loaded(when_all_down=word))
    tell(scene, one="drain", two="0%")
    assert scene.weights() == found
    assert scene.states() == [state]
    tell(scene, one="50%")
    assert scene.weights() == {ONE: 50, TWO: 0}


def test_with_a_hash_that_would_refuse_its_clients_it_goes_and_comes_back(scene: Scene) -> None:
    scene.rig.start(a_loaded(scheduler="sh"))
    tell(scene, one="up", two="up")
    scene.take_changes()
    tell(scene, one="drain")
    assert scene.take_changes() == [DEL_DEST]
    tell(scene, one="20%")
    assert scene.weights() == {ONE: 20, TWO: 40}


WORDS = st.sampled_from(["", "up", "drain", "down", "0%", "1%", "50%", "99%", "ready 20%"])


@given(
    st.lists(st.tuples(st.sampled_from(["one", "two"]), WORDS, st.sampled_from(["", "restart", "edit"])), max_size=12)
)
def test_whatever_agents_say_servers_come_to_that_and_nothing_is_sent_that_stands(
    story: list[tuple[str, str, str]],
) -> None:
    with TemporaryDirectory() as folder:
        scene, said = Scene(Path(folder)), {"one": "up", "two": "up"}
        entry = replace(a_loaded(), when_all_down=WhenAllDown.REFUSE)
        scene.rig.start(entry)
        tell(scene, **said)
        for name, words, event in story:
            scene.take_changes()
            before, said = scene.weights(), said | {name: words}
            if event == "restart":
                scene.begin()
                scene.rig.start(entry)
                assert scene.take_changes() == []
            elif event == "edit":
                scene.set_weight(ONE, 77)
                scene.rig.run(20.0)  # so seldom that it is no fight
                scene.take_changes()
            tell(scene, **said)
            one, two = (judge_agent(said[each], SILENT).share for each in ("one", "two"))
            assert scene.weights() == {ONE: find_share_of(100, one), TWO: find_share_of(40, two)}
            changed = sum(before[each] != weight for each, weight in scene.weights().items())
            assert scene.take_changes() == [SET_DEST] * changed
