"""How `why` reads: from the documents alone, in eighty columns."""

from __future__ import annotations

from typing import Any

import pytest

from routed.cli.why_entry import render_entry
from routed.cli.why_text import find_width, render_way

ORIGIN = "/etc/routed.d/a-drop-in-with-quite-a-long-name.toml:123"
WIDTH = 80


def owned(thing: str, kind: str = "route", owner: str = "foreign", **more: Any) -> dict[str, Any]:
    ours = {"entry": "route/storage-lan-of-the-second-hall", "origin": ORIGIN} if owner == "ours" else {}
    given = {"kind": kind, "object": thing, "owner": owner, "protocol": "bird", "who": "", "entry": "", "origin": ""}
    return given | {"ip": {}} | ours | more


MAIN = owned("32766: from all lookup main", "rule", "kernel")
LONG_RULE = owned(
    "1200: from 10.20.0.0/21 to 10.30.0.0/16 tos 0x10 fwmark 0x10/0x30 ipproto tcp dport 1000-2000 lookup storage",
    "rule",
    "ours",
)
RIVAL = owned(
    "10.30.4.0/24 via 10.1.0.7 dev eth1 proto bird metric 3", who='"bird -c /etc/bird.conf" (pid 4242, uid 0)'
)


def step(rule: dict[str, Any], why: str, reason: str, **more: Any) -> dict[str, Any]:
    return {"rule": rule, "why": why, "selector": "", "reason": reason, **more}


def way(**more: Any) -> Any:
    decision = {
        "outcome": "sent",
        "error": "",
        "aside": "",
        "source": "",
        "route": RIVAL,
        "rule": MAIN,
        "hops": [{"dev": "eth1", "gateway": "10.1.0.7"}],
        "equals": [],
        "unseen": [],
    }
    given = {
        "schema": "routed.why/1",
        "address": "10.30.4.4",
        "packet": {},
        "decision": decision | more.pop("decision", {}),
        "steps": [step(LONG_RULE, "not-for", "not for it: fwmark"), step(MAIN, "decides", "decides", route=RIVAL)],
        "outranked": [],
        "kernel": {"agrees": True, "reason": "", "error": "", "route": "", "source": "10.1.0.1"},
        "unknown": [],
    }
    return given | more


def outranked(**more: Any) -> dict[str, Any]:
    thing = owned("10.30.0.0/16 via 10.20.0.1 dev eth0 table storage proto routed metric 50", owner="ours")
    given = {"object": thing, "stands": True, "state": "in-sync", "since": "", "why": "more-specific", "reason": ""}
    hindrance = {"hindrance": "a more specific route is in front", "in_front": [RIVAL], "passed": []}
    return given | hindrance | more


def read(document: Any) -> str:
    """The text on one line, however it was folded."""
    return " ".join(" ".join(render_way(document, is_colored=False, width=WIDTH)).split())


@pytest.mark.parametrize(
    "document",
    [
        way(),
        way(outranked=[outranked(), outranked(stands=False, state="withheld", since="2026-11-30T10:00:00+00:00")]),
        way(
            decision={"equals": [RIVAL, RIVAL], "unseen": [RIVAL], "hops": [{"dev": "eth1", "gateway": "10.1.0.7"}] * 4}
        ),
        way(unknown=["the daemon does not run: what failed or is held, what checks found, and much more than that"]),
        way(kernel={"agrees": False, "reason": "the kernel itself takes another route", "route": RIVAL["object"] * 2}),
    ],
)
def test_no_line_is_longer_than_eighty_columns(document: Any) -> None:
    document["kernel"] = {"error": "", "source": "", "route": "", **document["kernel"]}
    long = [line for line in render_way(document, is_colored=False, width=WIDTH) if len(line) > WIDTH]
    assert [line for line in long if len(line.split()) > 1] == []


def test_the_first_line_says_where_the_packet_goes_and_the_next_why() -> None:
    first, second, *_ = render_way(way(), is_colored=False, width=WIDTH)
    assert first == "10.30.4.4 goes via 10.1.0.7 dev eth1 from 10.1.0.1"
    assert second.startswith("  by 10.30.4.0/24 via 10.1.0.7 dev eth1 proto bird metric 3: protocol bird")
    assert 'put there by "bird -c /etc/bird.conf" (pid 4242, uid 0)' in read(way())


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ({"outcome": "here", "hops": []}, "10.30.4.4 is for this host"),
        ({"outcome": "dropped", "error": "Invalid argument"}, "10.30.4.4 is dropped: Invalid argument"),
        ({"outcome": "lost", "error": "Network is unreachable"}, "10.30.4.4 goes nowhere: Network is unreachable"),
        ({"hops": [{"dev": "eth0", "gateway": ""}, {"dev": "eth1", "gateway": "10.1.0.7"}]}, "each flow takes one"),
        ({"aside": "this host does not forward"}, "this host does not forward"),
    ],
)
def test_what_comes_of_a_packet_is_said(decision: dict[str, Any], words: str) -> None:
    assert words in read(way(decision=decision))


def test_what_was_said_of_the_packet_is_said_again() -> None:
    assert read(way(packet={"from": "10.1.0.9", "mark": 7})).startswith("10.30.4.4 from 10.1.0.9 mark 7 goes")


def test_an_entry_behind_is_told_with_what_is_in_front_of_it() -> None:
    text = read(way(outranked=[outranked()]))
    assert f"route/storage-lan-of-the-second-hall does not decide ({ORIGIN})" in text
    assert "a more specific route is in front: 10.30.4.0/24" in text


def test_one_that_does_not_stand_says_so_with_its_state_and_reason() -> None:
    one = outranked(stands=False, state="withheld", reason="check/wan is down", in_front=[], hindrance="")
    assert "it does not stand, and is withheld: check/wan is down" in read(way(outranked=[one]))


def test_what_stands_behind_another_of_ours_as_it_is_meant_to_is_only_named() -> None:
    text = read(way(outranked=[outranked(in_front=[owned("default", owner="ours")], why="lower-metric")]))
    assert "does not decide" not in text
    assert "for it as well, and behind: route/storage-lan-of-the-second-hall" in text


def test_a_difference_to_the_kernel_is_never_hidden() -> None:
    kernel = {"agrees": False, "reason": "the kernel itself takes another route", "error": "", "source": ""}
    text = read(way(kernel=kernel | {"route": "default dev eth9", "hop": {"dev": "eth9", "gateway": ""}}))
    assert "the kernel itself takes another route; believe the kernel, and report this" in text
    assert "its route: default dev eth9" in text
    assert "it sends the packet dev eth9" in text
    unasked = {"agrees": None, "reason": "no table decides", "error": "", "source": "", "route": ""}
    assert "the kernel was not asked: no table decides" in read(way(kernel=unasked))


def test_flows_that_go_another_way_are_told() -> None:
    other = way()["decision"] | {"route": owned("default via 10.0.0.9 dev eth0")}
    text = read(way(otherwise=other))
    assert "a flow that would leave by a suppressed hop goes on: by default via 10.0.0.9 dev eth0" in text


def node(what: str, state: str, reason: str = "", **more: Any) -> dict[str, Any]:
    return {"what": what, "state": state, "reason": reason, "since": "", "until": "", "change": "", "why": []} | more


def test_an_entry_is_a_tree_and_each_level_is_further_in() -> None:
    check = node(
        "check/wan", "down", "tcp: no answer in 2 s", since="2026-11-30T10:00:00+00:00", change="the next answer"
    )
    withheld = node("", "withheld", "check/wan is down", why=[check], change="check/wan is up")
    root = node("route/lan", "withheld", origin=ORIGIN, why=[withheld])
    document: Any = {"schema": "routed.why-entry/1", "entry": "lan", "entries": [root], "unknown": ["it is dark"]}
    assert list(render_entry(document, is_colored=False, width=WIDTH)) == [
        "route/lan is withheld",
        f"  {ORIGIN}",
        "  withheld: check/wan is down",
        "    what would change it: check/wan is up",
        "    check/wan is down: tcp: no answer in 2 s",
        "      since 2026-11-30T10:00:00+00:00",
        "      what would change it: the next answer",
        "not known, since it is dark",
    ]


def test_a_terminal_may_be_wider_and_is_never_taken_for_narrower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert find_width() == WIDTH
    monkeypatch.setenv("COLUMNS", "120")
    assert find_width() == 120
