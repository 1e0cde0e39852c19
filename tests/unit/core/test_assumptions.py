"""What may be assumed for a plan, and that it stands in place of whatever is known."""

from __future__ import annotations

import pytest

from routed.audit.reasons import describe_reason
from routed.audit.suppositions import describe_assumption
from routed.core.assumptions import ASSUMABLE, AssumptionError, check_facts, lay, read_assumptions, split_assumption
from routed.core.linux.suppose import HAPPENS
from routed.core.sources import deliver
from routed.daemon.world import World
from routed.model import members
from routed.model.assumption import Happening
from routed.model.checks import CHECK, Check, CheckType, Ruling, Target, key_of
from routed.model.entries import Intent, Origin
from routed.model.facts import Fact, FactKey, Facts, Freshness
from routed.model.members import Member, Present, Roster
from routed.model.reasons import Assumed, Misfit


def a_check(name: str, *targets: Target) -> Check:
    return Check(name=name, origin=Origin("f", 1), type=CheckType.TCP, targets=targets)


INTENT = Intent(
    checks=(a_check("wan1", Target(b"\1\2\3\4", 5)), a_check("v1.2_a-b", Target(b"\1\2\3\4", 6)), a_check("t"))
)
DOWN = Fact(Ruling(is_up=False, why=Assumed.IN_PLAN), Freshness.LIVE)
UP = Fact(Ruling(is_up=True), Freshness.LIVE)


def test_an_assumption_is_a_fact() -> None:
    assert read_assumptions(["check:wan1=down", "check:v1.2_a-b=up"], INTENT).facts == {
        key_of("wan1"): DOWN,
        key_of("v1.2_a-b"): Fact(Ruling(is_up=True, why=Assumed.IN_PLAN), Freshness.LIVE),
    }


@pytest.mark.parametrize(
    ("texts", "misfit", "said"),
    [
        (["check:wan9=down"], Misfit.NAME, "there is v1.2_a-b or wan1"),
        (["check:t=down"], Misfit.NAME, "there is v1.2_a-b or wan1"),  # a template is asked by nobody
        (["check:wan1=gone"], Misfit.WORD, "it is up or down"),
        (["check:wan1"], Misfit.FORM, "write check:NAME=up or check:NAME=down"),
        (["link:wan0=sideways"], Misfit.WORD, "it is down or up or no-carrier or gone"),
        (["link:wan0"], Misfit.FORM, "write link:NAME=down or link:NAME=up"),
        (["address:192.0.2.1=down"], Misfit.WORD, "it is gone"),
        (["file:"], Misfit.FORM, "write file:PATH"),
        (["file:/a", "file:/b"], Misfit.CONTRADICTION, "the opposite"),
        (["wan1=down"], Misfit.FORM, "write"),
        (["check:=down"], Misfit.FORM, "write"),
        ([""], Misfit.FORM, "write"),
        (["check:wan1=down", "check:wan1=up"], Misfit.CONTRADICTION, "the opposite is assumed as well"),
    ],
)
def test_what_cannot_be_assumed_is_said_with_what_can(texts: list[str], misfit: Misfit, said: str) -> None:
    with pytest.raises(AssumptionError) as raised:
        read_assumptions(texts, INTENT)
    assert raised.value.why.misfit is misfit
    assert describe_reason(raised.value.why).startswith(f'"{texts[-1]}" cannot be assumed: ')
    assert said in describe_reason(raised.value.why)


def test_what_happens_to_the_host_is_kept_in_its_order_and_once() -> None:
    given = [
        "link:eth0=down",
        "address:fd00::1=gone",
        "link:eth0=down",
        "member:west/node3=gone",
        "file:/etc/other.toml",
    ]
    assumed = read_assumptions(given, INTENT)
    assert assumed.happenings == (Happening("link", "eth0", "down"), Happening("address", "fd00::1", "gone"))
    assert list(assumed.facts) == [FactKey("member", "west/node3")]
    assert assumed.file == "/etc/other.toml"
    assert assumed.given == tuple(given)


def test_every_kind_of_assumption_has_words_and_what_happens_to_the_host_is_done() -> None:
    for kind, row in ASSUMABLE.items():
        for word in row.choices or ("",):
            given = f"{kind}:it={word}" if word else f"{kind}:it"
            assert describe_assumption(given) != given
        assert (kind in HAPPENS) is (row.lay is None and bool(row.choices))
        assert kind not in HAPPENS or set(HAPPENS[kind].words) == set(row.choices)


def test_a_member_that_is_assumed_to_be_gone_is_left_out_of_what_its_sources_told() -> None:
    rosters = {
        source: Roster(present={name: Present(Member(name), 0) for name in ("a", "b")}) for source in ("east", "west")
    }
    facts = Facts(told={members.key_of(source): Fact(one, Freshness.LIVE) for source, one in rosters.items()})
    gone = read_assumptions(["member:west/b=gone"], INTENT).facts
    left = lay(facts, gone)
    assert {key.which: list(fact.value.present) for key, fact in left.told.items()} == {
        "east": ["a", "b"],
        "west": ["a"],
    }
    check_facts(facts, gone)
    everywhere = lay(facts, read_assumptions(["member:b=gone"], INTENT).facts)
    assert {key.which: list(fact.value.present) for key, fact in everywhere.told.items()} == {
        "east": ["a"],
        "west": ["a"],
    }
    with pytest.raises(AssumptionError) as raised:
        check_facts(facts, read_assumptions(["member:c=gone"], INTENT).facts)
    assert "there is a or b" in describe_reason(raised.value.why)


def test_without_checks_nothing_can_be_assumed_of_one() -> None:
    with pytest.raises(AssumptionError) as raised:
        read_assumptions(["check:wan1=up"], Intent())
    assert "there is none" in describe_reason(raised.value.why)
    assert split_assumption("check:wan1=up") == ("check", "wan1", "up")


def test_what_is_assumed_stays_whatever_is_told_and_what_was_known_is_untouched() -> None:
    known = Facts(told={key_of("wan1"): UP})
    assumed = {key_of("wan1"): DOWN}
    assert lay(known, {}) is known
    world = World(known)
    world.assume(assumed)
    world.note(told={key_of("wan1"): UP})
    world.deliver({key_of("wan1"): UP}, now=1.0)
    assert world.facts.find(key_of("wan1")) == DOWN
    assert known.find(key_of("wan1")) == UP
    assert deliver(known, {key_of("wan1"): UP}, 1.0).find(key_of("wan1")).value == UP.value
    assert world.copy().assumed == {}


def test_the_checks_of_the_files_are_listed_once_for_all_that_is_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    intent = Intent(checks=tuple(a_check(f"wan{n}", Target(b"\x0a\0\0\1")) for n in range(20)))
    listed: list[Intent] = []
    row = ASSUMABLE[CHECK]

    def list_names(intent: Intent) -> list[str]:
        listed.append(intent)
        return [check.name for check in intent.checks]

    monkeypatch.setitem(ASSUMABLE, CHECK, row._replace(list_names=list_names))
    assumed = read_assumptions([f"check:wan{n}=down" for n in range(20)], intent).facts
    assert len(listed) == 1
    assert {key.which for key in assumed} == {f"wan{n}" for n in range(20)}
    assert lay(Facts(), assumed).told == assumed
