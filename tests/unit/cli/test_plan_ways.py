"""How `plan --why` reads: what decides now, what would then, and that nothing changes where nothing does."""

from __future__ import annotations

from typing import Any

import pytest

from routed.cli.arguments import parse
from routed.cli.exits import CommandError, Exit
from routed.cli.plan_text import render_plan
from routed.cli.plan_ways import list_addresses, read_questions
from routed.cli.plan_ways_text import render_ways
from routed.daemon.way_then import list_differences
from routed.model.lookup import Flow, Question
from routed.model.net import parse_address
from tests.unit.cli.test_why import RIVAL, owned, way

WIDTH = 80
OURS = owned("default via 10.0.0.2 dev eth0 proto routed metric 50", owner="ours")
NOW = way(decision={"route": OURS, "hops": [{"dev": "eth0", "gateway": "10.0.0.2"}]})
THEN = way(kernel={"agrees": None, "reason": "it is not so yet", "error": "", "route": "", "source": ""})
EMPTY: dict[str, Any] = {"schema": "routed.plan/1", "steps": [], "refusals": [], "waiting": [], "notes": []}


def change(**more: Any) -> Any:
    given = {"address": "10.30.4.4", "packet": {}, "differs": ["hops", "route"], "now": NOW, "then": THEN}
    return {word: one for word, one in (given | more).items() if one is not None}


def read(*changes: Any) -> str:
    """The text on one line, however it was folded."""
    return " ".join(" ".join(render_ways(changes, is_colored=False, width=WIDTH)).split())


def test_what_decides_now_and_then_is_told_and_whose_it_is() -> None:
    text = read(change())
    assert text.startswith(
        "10.30.4.4 goes another way then: now it goes via 10.0.0.2 dev eth0 from 10.1.0.1 by default"
    )
    now, _, then = text.partition(" then it ")
    assert "route/storage-lan-of-the-second-hall" in now
    assert then.startswith("goes via 10.1.0.7 dev eth1 by 10.30.4.0/24 via 10.1.0.7 dev eth1 proto bird metric 3")
    assert "led there by rule 32766: from all lookup main: the kernel's own" in then


def test_where_nothing_changes_that_is_said_and_what_decides_is_told_once() -> None:
    text = read(change(differs=[], then=NOW))
    assert text.startswith("10.30.4.4 goes via 10.0.0.2 dev eth0 from 10.1.0.1, then as now: by default via 10.0.0.2")
    assert text.count("led there") == 1


def test_the_same_way_by_something_else_is_no_other_way() -> None:
    same = way(decision={"route": RIVAL, "hops": [{"dev": "eth0", "gateway": "10.0.0.2"}]})
    assert "goes the same way, and something else decides then:" in read(change(differs=["route", "owner"], then=same))


def test_the_source_that_the_kernel_would_choose_is_told() -> None:
    hops = [{"dev": "eth0", "gateway": "10.0.0.2"}]
    kernel = THEN["kernel"]
    then = way(decision={"route": OURS, "hops": hops, "source": "10.1.0.9"}, kernel=kernel)
    text = read(change(differs=["source"], then=then))
    assert text.startswith("10.30.4.4 goes the same way, from another address then: now it goes via 10.0.0.2 dev eth0")
    assert "then it goes via 10.0.0.2 dev eth0 from 10.1.0.9 by default" in text


@pytest.mark.parametrize(("sources", "differs"), [(("10.0.0.1", "10.0.0.2"), ["source"]), (("10.0.0.1", ""), [])])
def test_a_source_that_is_not_known_is_no_other_one(sources: tuple[str, str], differs: list[str]) -> None:
    now, then = (way(decision={"source": source}) for source in sources)
    assert list_differences(now, then) == differs


def test_what_was_said_of_the_packet_is_said_again() -> None:
    assert read(change(packet={"from": "10.1.0.9", "mark": 7})).startswith(
        "10.30.4.4 from 10.1.0.9 mark 7 goes another"
    )


@pytest.mark.parametrize("lacks", ["link eth1", "address 10.1.0.9"])
def test_a_packet_that_there_cannot_be_then_is_told_as_none(lacks: str) -> None:
    text = read(change(differs=["packet"], then=None, lacks=lacks))
    assert text.startswith("10.30.4.4 is no packet then: now it goes")
    assert text.endswith(f"then this host has no {lacks}")


def test_a_kernel_that_answers_otherwise_now_is_told_as_well() -> None:
    kernel = {
        "agrees": False,
        "reason": "the kernel itself takes another route",
        "route": "",
        "error": "",
        "source": "",
    }
    assert "believe the kernel" in read(change(now=NOW | {"kernel": kernel}))
    assert "not so yet" not in read(change())


def test_what_is_not_known_is_told_once() -> None:
    unknown = ["the daemon does not run: what failed"]
    assert read(*[change(now=NOW | {"unknown": unknown})] * 3).count("not known, since the daemon") == 1


def test_no_line_is_longer_than_eighty_columns() -> None:
    wide = change(
        packet={"from": "2001:db8:1111:2222:3333:4444:5555:6666", "iif": "a-long-link-nam", "mark": 4294967295}
    )
    lines = list(render_ways([wide, change(differs=[])], is_colored=False, width=WIDTH))
    assert max(map(len, lines)) <= WIDTH


def test_the_ways_stand_before_the_line_that_counts() -> None:
    plan: Any = EMPTY | {"ways": [change()]}
    *lines, total = render_plan(plan, is_colored=False)
    assert total.startswith("Nothing to do")
    assert lines[0] == "10.30.4.4 goes another way then:"


def test_each_address_is_asked_about_once_and_with_what_is_said_of_the_packet() -> None:
    options = parse(["plan", "--why", "10.0.0.9,10.1.0.9", "--why", "10.0.0.9", "--from", "10.2.0.1", "--mark", "7"])
    flow = Flow(parse_address("10.2.0.1"), mark=7, uid=0)
    questions = read_questions(options)
    assert questions == tuple(Question(parse_address(one), flow) for one in ("10.0.0.9", "10.1.0.9"))
    assert list_addresses(questions) == tuple(map(parse_address, ("10.0.0.9", "10.1.0.9", "10.2.0.1")))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--why", "eth0"], "eth0 is no address"),
        (["--why", "10.0.0.0/8"], "is a prefix"),
        (["--why", "10.0.0.9,"], "is no address"),
        (["--why", "10.0.0.9,fd00::1", "--from", "10.2.0.1"], "another family"),
        (["--why", "10.0.0.9", "--iif", "eth0"], "say --from"),
        (["--mark", "7"], "--mark is said of a packet: say --why ADDRESS"),
        (["--from", "10.2.0.1", "--if", "link:eth0=down"], "--from is said of a packet"),
    ],
)
def test_what_is_no_packet_is_wrong_usage(given: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said) as caught:
        read_questions(parse(["plan", *given]))
    assert caught.value.code is Exit.USAGE
