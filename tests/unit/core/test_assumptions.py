"""What may be assumed for a plan, and that it stands in place of whatever is known."""

from __future__ import annotations

import pytest

from routed.audit.reasons import describe_reason
from routed.core.assumptions import AssumptionError, lay, read_assumptions, split_assumption
from routed.core.sources import deliver
from routed.daemon.world import World
from routed.model.checks import Check, CheckType, Ruling, Target, key_of
from routed.model.entries import Intent, Origin
from routed.model.facts import Fact, Facts, Freshness
from routed.model.reasons import Assumed, Misfit


def a_check(name: str, *targets: Target) -> Check:
    return Check(name=name, origin=Origin("f", 1), type=CheckType.TCP, targets=targets)


INTENT = Intent(
    checks=(a_check("wan1", Target(b"\1\2\3\4", 5)), a_check("v1.2_a-b", Target(b"\1\2\3\4", 6)), a_check("t"))
)
DOWN = Fact(Ruling(is_up=False, why=Assumed.IN_PLAN), Freshness.LIVE)
UP = Fact(Ruling(is_up=True), Freshness.LIVE)


def test_an_assumption_is_a_fact() -> None:
    assert read_assumptions(["check:wan1=down", "check:v1.2_a-b=up"], INTENT) == {
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
        (["link:wan0=down"], Misfit.FORM, "write check:NAME=up or check:NAME=down"),
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
