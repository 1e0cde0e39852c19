from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from routed.cli import plan as verb
from routed.cli.arguments import parse
from routed.cli.client import ClientError
from routed.cli.exits import CommandError, Exit
from routed.cli.plan import judge
from routed.cli.plan_text import COLORS, NOTHING, TOTALS, render_plan
from routed.intent.load import load

EMPTY: dict[str, Any] = {"schema": "routed.plan/1", "steps": [], "refusals": [], "waiting": [], "notes": []}


def step(symbol: str, **others: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "verb": "add",
        "kind": "route",
        "entry": "route/a",
        "origin": "/etc/routed.toml:12",
        "reason": "missing",
        "object": "10.0.0.0/8",
        "count": 1,
        "before": "",
        "after": "10.0.0.0/8 via 10.20.0.1 dev eth1 proto routed",
        "ip": {},
    } | others


REFUSAL = {
    "entry": "",
    "origin": "",
    "kind": "route",
    "object": "10.1.0.0/16 and 39 more",
    "count": 40,
    "reason": "40 of 50 owned objects would go at once",
    "by_guard": True,
    "standing": "blackhole 10.1.0.0/16 proto routed",
}
HELD = {
    "entry": "route/pods",
    "origin": "/etc/routed.toml:40",
    "reason": "6 of 8 members would go within a minute",
    "since": "2026-11-30T10:00:00+00:00",
    "members": [f"node{number}" for number in range(1, 7)],
}
WHOLE = EMPTY | {
    "steps": [
        step("+"),
        step("~", before="10.0.0.0/8 via 10.20.0.9 dev eth1 proto routed", reason="hops differ"),
        step("!", before="10.0.0.0/8 via 10.20.0.9 dev eth1 proto static", reason="foreign, hops"),
        step("+", object="10.4.0.0/16 and 999 more", count=1000, after="blackhole 10.4.0.0/16 proto routed"),
        step("-", entry="", origin="", before="blackhole 10.9.0.0/16 proto routed", after="", reason="unwanted"),
        step("=", kind="rule", object="9: from all lookup 7", before="9: from all lookup 7 proto boot"),
        step("=", kind="rule", object="9: from all lookup 7", before="9: from all lookup 7 proto boot", after=""),
    ],
    "refusals": [REFUSAL],
    "waiting": [{"entry": "route/c", "origin": "/etc/routed.toml:30", "reason": "link eth9 is not there"}],
    "notes": [
        REFUSAL | {"entry": "route/d", "origin": "/etc/routed.toml:40", "reason": "a stranger", "by_guard": False}
    ],
}
TEXT = """\
+ route/a  10.0.0.0/8 via 10.20.0.1 dev eth1 proto routed
      /etc/routed.toml:12: missing
~ route/a  10.0.0.0/8 via 10.20.0.1 dev eth1 proto routed
      was: 10.0.0.0/8 via 10.20.0.9 dev eth1 proto routed
      /etc/routed.toml:12: hops differ
! route/a  10.0.0.0/8 via 10.20.0.1 dev eth1 proto routed
      was: 10.0.0.0/8 via 10.20.0.9 dev eth1 proto static
      /etc/routed.toml:12: foreign, hops
+ route/a  1000 routes: 10.4.0.0/16 and 999 more, such as blackhole 10.4.0.0/16 proto routed
      /etc/routed.toml:12: missing
- route  blackhole 10.9.0.0/16 proto routed
      unwanted
Left alone:
  route 10.1.0.0/16 and 39 more: 40 of 50 owned objects would go at once
      there now: blackhole 10.1.0.0/16 proto routed
Worth knowing:
  route/d 10.1.0.0/16 and 39 more (/etc/routed.toml:40): a stranger
      there now: blackhole 10.1.0.0/16 proto routed
Waiting:
  route/c (/etc/routed.toml:30): link eth9 is not there
Plan: 1001 to add, 1 to change, 1 to repair, 1 to remove, 1 to mark, 40 left alone, 1 waiting."""


def test_a_plan_reads_line_by_line_and_ends_with_its_counts() -> None:
    assert "\n".join(render_plan(WHOLE, is_colored=False)) == TEXT  # type: ignore[arg-type]


def test_colour_changes_no_word() -> None:
    colored = "\n".join(render_plan(WHOLE, is_colored=True))  # type: ignore[arg-type]
    assert colored != TEXT
    assert re.sub(r"\x1b\[\d*m", "", colored) == TEXT


def test_a_plan_reads_in_the_order_of_the_files_and_what_no_entry_wants_comes_last() -> None:
    places = ["", "/etc/a.toml:9", "/etc/b.toml:2", "/etc/c.toml:1", "/etc/a.toml:10"]
    plan: Any = EMPTY | {"steps": [step("+") | {"origin": place, "reason": "why"} for place in places]}
    lines = render_plan(plan, is_colored=False, files=["/etc/b.toml", "/etc/a.toml"])
    told = [line.strip() for line in lines if line.endswith("why")]
    assert told == [
        f"{place}: why" for place in ("/etc/b.toml:2", "/etc/a.toml:9", "/etc/a.toml:10", "/etc/c.toml:1")
    ] + ["why"]


def test_each_symbol_has_a_colour_of_its_own_in_its_steps_and_in_the_count() -> None:
    assert len({*COLORS.values()}) == len(COLORS)
    *_, total = render_plan(WHOLE, is_colored=True)  # type: ignore[arg-type]
    for symbol, words in TOTALS.items():
        assert re.search(rf"\x1b\[{COLORS[symbol]}m\d+ {words}\x1b\[0m", total)


def test_a_repair_that_takes_something_away_says_so() -> None:
    taken = step("!") | {"before": "2001:db8::/32 via fd00::3", "after": ""}
    first, *_ = render_plan(EMPTY | {"steps": [taken]}, is_colored=False)  # type: ignore[arg-type]
    assert first == "! route/a  delete 2001:db8::/32 via fd00::3"


def test_a_plan_with_nothing_to_do_says_so() -> None:
    assert render_plan(EMPTY, is_colored=False) == [NOTHING]  # type: ignore[arg-type]
    waiting = render_plan(EMPTY | {"waiting": WHOLE["waiting"]}, is_colored=False)  # type: ignore[arg-type]
    assert waiting[-1] == "Nothing to do: 1 waiting."


def test_of_members_that_are_held_it_is_said_who_since_when_and_what_goes_with_them() -> None:
    gone = step("-", entry="route/pods[node1]", before="10.5.1.0/24 via 192.0.2.1", after="", reason="unwanted")
    plan: Any = EMPTY | {"held": [HELD], "held_steps": [gone]}
    assert render_plan(plan, is_colored=False, now=datetime(2026, 11, 30, 12, 0, tzinfo=UTC)) == [
        "Held, until routed apply --force lets them go:",
        f"  route/pods (/etc/routed.toml:40): {HELD['reason']}: node1 node2 node3 node4 node5 and 1 more for 2 h",
        "Then this is done:",
        "- route/pods[node1]  10.5.1.0/24 via 192.0.2.1",
        "      /etc/routed.toml:12: unwanted",
        "Nothing to do: 1 held.",
    ]


def test_to_mark_what_stands_as_the_files_say_is_counted_and_verbose_shown() -> None:
    marked = step("=", before="10.0.0.0/8 via 10.20.0.1 dev eth1 proto boot", reason="the same under another protocol")
    plan: Any = EMPTY | {"steps": [marked, marked | {"object": "10.4.0.0/16 and 9 more", "count": 10}]}
    total = "Nothing to do: 11 objects get routed's mark (-v lists them)."
    assert render_plan(plan, is_colored=False) == [total]
    first, was, why, *_, last = render_plan(plan, is_colored=False, is_verbose=True)
    assert first.startswith("= route/a  10.0.0.0/8 via")
    assert (was.split()[0], why.split(": ")[1], last) == ("was:", "the same under another protocol", total)


@pytest.mark.parametrize(
    ("plan", "tells_drift", "code"),
    [
        (EMPTY, True, Exit.DONE),
        (EMPTY | {"steps": [step("+")]}, False, Exit.DONE),
        (EMPTY | {"steps": [step("+")]}, True, Exit.DRIFT),
        (EMPTY | {"steps": [step("=")]}, True, Exit.DONE),
        (EMPTY | {"steps": [step("="), step("-")]}, True, Exit.DRIFT),
        (WHOLE, True, Exit.REFUSED),
        (EMPTY | {"refusals": [REFUSAL | {"by_guard": False}]}, True, Exit.DONE),
        (EMPTY | {"steps": [step("+")], "held": [HELD]}, True, Exit.REFUSED),
    ],
)
def test_the_exit_code_tells_drift_on_demand_and_the_guard_always(plan: Any, tells_drift: bool, code: Exit) -> None:
    assert judge(plan, tells_drift=tells_drift) is code


NOT_RUNNING = ClientError("the daemon is not running", Exit.UNAVAILABLE)
TOO_LATE = ClientError("the daemon did not answer within 90 s", Exit.TIMED_OUT)
FORBIDDEN = ClientError("you are not permitted to speak to the daemon", Exit.NOT_PERMITTED)
INVALID = ClientError("the files are invalid: routed check says where and why", Exit.INVALID)
DAEMONS = EMPTY | {"steps": [step("+")], "config": "CONFIG", "digest": "DIGEST"}
ELSEWHERE = DAEMONS | {"config": "/etc/other.toml"}


@pytest.mark.parametrize(
    ("answer", "is_daemons", "said", "code"),
    [
        (DAEMONS, True, "", Exit.DRIFT),
        (DAEMONS | {"digest": "another"}, True, "reads other files", Exit.DRIFT),
        (ELSEWHERE, False, "", Exit.DONE),
        (EMPTY, False, "of another version", Exit.DONE),
        (NOT_RUNNING, False, "", Exit.DONE),
        (TOO_LATE, False, "did not answer within 90 s; so this plan is made without the daemon", Exit.DONE),
        (FORBIDDEN, False, "not permitted to speak to the daemon; so this plan", Exit.DONE),
        (INVALID, True, "finds them invalid: routed apply would change nothing", Exit.INVALID),
    ],
)
def test_the_daemon_makes_the_plan_where_it_can_and_else_the_command_says_why_not(
    answer: Any,
    is_daemons: bool,
    said: str,
    code: Exit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = tmp_path / "routed.toml"
    config.write_text("version = 1\n")
    digest = load(config).intent.digest
    made: list[bool] = []

    def call(_folder: str, method: str, **_: Any) -> Any:
        if method == "GetStatus":
            return {"config": str(config)}
        if isinstance(answer, ClientError):
            raise answer
        filled = {"CONFIG": str(config), "DIGEST": digest}
        return {key: filled.get(value, value) if isinstance(value, str) else value for key, value in answer.items()}

    def make(*_: Any) -> Any:
        made.append(True)
        return dict(EMPTY)

    monkeypatch.setattr(verb, "call", call)
    monkeypatch.setattr(verb, "_make_plan", make)
    assert verb.run(parse(["plan", "--exit-code", "--json", str(config)])) is code
    out, err = capsys.readouterr()
    assert made == ([] if is_daemons else [True])
    assert said in err
    assert bool(said) == bool(err)
    assert "digest" not in out


def test_that_the_daemons_own_files_are_invalid_is_no_matter_of_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "candidate.toml"
    config.write_text("version = 1\n")

    def call(_folder: str, method: str, **_: Any) -> Any:
        if method == "GetStatus":
            return {"config": "/etc/routed.toml"}
        raise INVALID

    monkeypatch.setattr(verb, "call", call)
    monkeypatch.setattr(verb, "_make_plan", lambda *_: dict(EMPTY))
    assert verb.run(parse(["plan", str(config)])) is Exit.DONE
    assert capsys.readouterr() == (NOTHING + "\n", "")


CHECKED = """version = 1
[[check]]
name = "wan1"
type = "icmp"
target = "192.0.2.1"
dev = "eth1"
[[check]]
name = "wan2"
type = "icmp"
target = "192.0.2.2"
dev = "eth2"
"""


def test_what_is_assumed_is_sent_to_the_daemon_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "routed.toml"
    config.write_text(CHECKED)
    sent: list[Any] = []

    def call(_folder: str, _method: str, parameters: Any, **_: Any) -> Any:
        sent.append(parameters)
        return EMPTY | {"config": str(config), "digest": load(config).intent.digest}

    monkeypatch.setattr(verb, "call", call)
    words = ["--if", "check:wan1=down,check:wan2=up", "--if", "check:wan1=down"]
    assert verb.run(parse(["plan", *words, str(config)])) is Exit.DONE
    assumed = ["check:wan1=down", "check:wan2=up", "check:wan1=down"]
    assert sent == [{"assumed": assumed}]
    assert capsys.readouterr().out.splitlines()[0] == f"Assumed: {', '.join(assumed)}"
    assert verb.run(parse(["plan", str(config)])) is Exit.DONE
    assert sent[1:] == [{}]  # a daemon of before knows no such word
    assert capsys.readouterr().out.splitlines() == [NOTHING]


def test_a_check_that_is_not_in_the_files_is_wrong_usage_and_nobody_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "routed.toml"
    config.write_text(CHECKED)
    monkeypatch.setattr(verb, "call", lambda *_, **__: pytest.fail("the daemon was asked"))
    with pytest.raises(CommandError, match="there is wan1 or wan2") as raised:
        verb.run(parse(["plan", "--if", "check:wan9=down", str(config)]))
    assert raised.value.code is Exit.USAGE


@pytest.mark.parametrize("word", ["check:wan1", "check:wan1=gone", "wan1=down", "check:wan1=down,", "nat:x=down"])
def test_an_assumption_of_another_form_is_wrong_usage(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(["plan", "--if", word])
    assert raised.value.code == Exit.USAGE
    assert "--if" in capsys.readouterr().err


def kernel_step(symbol: str, **others: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "kind": "route",
        "entry": "",
        "object": "10.0.0.0/24",
        "count": 1,
        "before": "10.0.0.0/24 dev eth1 proto kernel scope link src 10.0.0.2",
        "after": "",
        "ip": {"table": "main"},
    } | others


CASE = EMPTY | {
    "assumed": ["link:eth1=down", "address:10.0.0.9=gone"],
    "case": "if eth1 is down and 10.0.0.9 is no address of this host",
    "kernel": [
        kernel_step("*", kind="link", before="eth1 type veth up", after="eth1 type veth down"),
        kernel_step("x"),
        kernel_step("x", entry="route/a", before="10.0.0.0/8 via 10.20.0.1 dev eth1 proto routed"),
        kernel_step("x", ip={"table": "local"}),
        kernel_step("x", ip={"table": "local"}, count=2),
    ],
    "steps": [step("+", after="10.0.0.0/8 via 10.21.0.1 dev eth2 proto routed")],
    "afterwards": [kernel_step("*", before="", after="10.0.0.0/24 dev eth1 proto kernel scope link src 10.0.0.9")],
    "changes": [
        {"entry": "route/b", "origin": "f:1", "before": "in-sync", "after": "waiting", "reason": "link eth1 is down"},
        {"entry": "route/c", "origin": "f:9", "before": "", "after": "in-sync", "reason": ""},
    ],
}
CASE_TEXT = """\
If eth1 is down and 10.0.0.9 is no address of this host:
* link  eth1 type veth down
      was: eth1 type veth up
x route  10.0.0.0/24 dev eth1 proto kernel scope link src 10.0.0.2
x route/a  10.0.0.0/8 via 10.20.0.1 dev eth1 proto routed
  and 3 routes of table local
  The kernel does that by itself: x goes, * comes or changes.
  Not told: links that go with it, such as a VLAN, or a bridge without ports.
Then routed does this:
+ route/a  10.0.0.0/8 via 10.21.0.1 dev eth2 proto routed
      /etc/routed.toml:12: missing
* route  10.0.0.0/24 dev eth1 proto kernel scope link src 10.0.0.9
  The kernel does that by itself: x goes, * comes or changes.
Other states:
  route/b: in-sync -> waiting: link eth1 is down
  route/c: not there -> in-sync
Plan: 1 to add.""".splitlines()


def test_what_the_kernel_does_by_itself_is_told_from_what_routed_does() -> None:
    lines = render_plan(CASE, is_colored=False)  # type: ignore[arg-type]
    assert lines == CASE_TEXT
    assert max(map(len, lines)) <= 80
    assert not {one["symbol"] for one in CASE["kernel"]} & {"+", "~", "-", "!"}


@pytest.mark.parametrize(("assumed", "is_told"), [("link:eth1=gone", True), ("address:10.0.0.9=gone", False)])
def test_where_a_link_is_assumed_to_fall_it_is_said_what_nobody_knows_even_if_nothing_is_to_be_done(
    assumed: str, is_told: bool
) -> None:
    lines = render_plan(EMPTY | {"assumed": [assumed], "case": "if so", "kernel": []}, is_colored=False)  # type: ignore[arg-type]
    assert any("VLAN" in line for line in lines) is is_told


def test_a_path_with_a_comma_is_one_file(tmp_path: Path) -> None:
    options = parse(["plan", "--if", f"file:{tmp_path}/a,b.toml,link:eth1=down"])
    assert getattr(options, "if") == [f"file:{tmp_path}/a,b.toml", "link:eth1=down"]


def test_assumed_files_are_read_by_the_command_itself_and_the_daemon_is_not_asked_for_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, other = tmp_path / "routed.toml", tmp_path / "other.toml"
    config.write_text("version = 1\n")
    other.write_text("version = 1\nnonsense = 3\n")
    monkeypatch.setattr(verb, "call", lambda *_, **__: pytest.fail("the daemon was asked"))
    assert verb.run(parse(["plan", "--if", f"file:{other}", str(config)])) is Exit.INVALID
    assert f"{other}:2:1" in capsys.readouterr().err
