"""A plan under an assumption is what comes when the assumption comes true, and making it leaves no trace."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routed.core.assumptions import ASSUMABLE, read_assumptions
from routed.daemon.engine import Inquiry
from routed.model.checks import Check, CheckType, Ruling, Target, key_of
from routed.model.entries import Entry, HopSpec, Intent, Origin, Requirement, WhenDown
from routed.model.facts import Fact, FactKey, Freshness
from tests.property.rig import Rig, a_host, a_route, a_rule, an_address
from tests.property.test_one_plan import expand
from tests.property.worlds import all_that_stands

CHECKS = tuple(
    Check(name=name, origin=Origin("f", 1), type=CheckType.TCP, targets=(Target(bytes(4), 1),))
    for name in ("a", "b", "c")
)
WORDS = tuple(ASSUMABLE["check"].values)


def requirements() -> st.SearchStrategy[tuple[Requirement, ...]]:
    names = st.sampled_from([check.name for check in CHECKS])
    one = st.tuples(names, st.booleans()).map(lambda it: Requirement(*it))
    return st.lists(one, max_size=2, unique_by=lambda it: it.check).map(tuple)


@st.composite
def files(draw: st.DrawFn) -> Intent:
    """Two routes to one place, a route of two legs, a rule and an address, each with requirements of its own."""
    needs = [draw(requirements()) for _ in range(6)]
    downs = st.sampled_from((None, 900))
    keeps = st.sampled_from((True, False))
    when = [WhenDown(draw(downs), (needs[1 - number],), draw(keeps), number == 0) for number in range(2)]
    legs = (HopSpec(dev="v0", requires=needs[2]), HopSpec(dev="v1"))
    entries: list[Entry] = [
        replace(a_route("first", metric=10), requires=needs[0], when_down=when[0] if needs[0] else None),
        replace(a_route("second", metric=20), requires=needs[1], when_down=when[1] if needs[1] else None),
        replace(a_route("legs", "10.40.0.0/16", legs), when_down=WhenDown(keeps=False)),
        replace(a_rule(), requires=needs[3]),
        replace(an_address(), requires=needs[4]),
    ]
    return Intent(entries=tuple(entries), checks=CHECKS)


@given(
    files(),
    st.dictionaries(st.sampled_from([check.name for check in CHECKS]), st.booleans()),
    st.dictionaries(st.sampled_from([check.name for check in CHECKS]), st.sampled_from(WORDS), min_size=1),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_plan_under_an_assumption_is_what_comes_when_it_comes_true(
    intent: Intent, known: dict[str, bool], assumed: dict[str, str]
) -> None:
    rig = Rig(a_host())
    rig.start(*intent.entries)
    tell(rig, {key_of(name): Fact(Ruling(is_up), Freshness.LIVE) for name, is_up in known.items()})
    facts = read_assumptions([f"check:{name}={word}" for name, word in assumed.items()], intent)
    host, standing = deepcopy(rig.host), all_that_stands(rig.kernel)
    inquiry = rig.engine.inquire(Inquiry(replace(rig.host.wanted.intent, checks=CHECKS), facts))
    rig.run()
    assert inquiry.proposal is not None, inquiry.error
    assert rig.host == host, "the plan changed the daemon's state"
    assert all_that_stands(rig.kernel) == standing
    asked = len(rig.kernel.requested)
    tell(rig, facts)
    assert sorted(rig.kernel.requested[asked:], key=repr) == sorted(expand(inquiry.proposal.plan.operations), key=repr)


def tell(rig: Rig, facts: dict[FactKey, Fact]) -> None:
    rig.engine.deliver(facts)
    rig.run()
