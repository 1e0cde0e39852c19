"""A plan under an assumption is what comes when the assumption comes true, and making it leaves no trace."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from routed.core.assumptions import ASSUMABLE, read_assumptions, split_assumption
from routed.core.dirt import Dirt
from routed.core.linux.state import LinuxState
from routed.core.linux.suppose import HAPPENS
from routed.daemon.engine import Inquiry
from routed.model import names
from routed.model.checks import Check, CheckType, Ruling, Target, key_of
from routed.model.entries import Entry, HopSpec, Intent, Origin, Requirement, Settings, WhenDown
from routed.model.facts import Fact, FactKey, Freshness
from routed.model.objects import Key, Kind, Value
from tests.property import worlds
from tests.property.rig import Rig, a_host, a_route, a_rule, an_address
from tests.property.test_one_plan import expand
from tests.property.worlds import all_that_stands

CHECKS = tuple(
    Check(name=name, origin=Origin("f", 1), type=CheckType.TCP, targets=(Target(bytes(4), 1),))
    for name in ("a", "b", "c")
)
WORDS = ASSUMABLE["check"].choices


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
    tell(rig, dict(facts.facts))
    assert sorted(rig.kernel.requested[asked:], key=repr) == sorted(expand(inquiry.proposal.plan.operations), key=repr)


def tell(rig: Rig, facts: dict[FactKey, Fact]) -> None:
    rig.engine.deliver(facts)
    rig.run()


HAPPENINGS = (
    "link:v0=down", "link:v1=down", "link:v0=gone", "link:v0=up", "link:v1=up", "link:v1=no-carrier",
    "address:192.0.2.1=gone", "address:fd00::1=gone", "address:198.51.100.1=gone", "address:10.88.0.1=gone",
)  # fmt: skip


def do(rig: Rig, given: str) -> None:
    """The same to the kernel that the daemon has."""
    kind, name, word = split_assumption(given)
    HAPPENS[kind].words[word](rig.kernel, name)


def can_happen(rig: Rig, given: str) -> bool:
    kind, name, _ = split_assumption(given)
    return name in HAPPENS[kind].list_names(rig.kernel)


def show(state: LinuxState) -> dict[Key, tuple[Value, ...]]:
    """What stands, but the kernel's routes to single addresses, which the kernel of these tests does not keep."""
    found: dict[Key, tuple[Value, ...]] = {}
    for kind in (Kind.ADDRESS, Kind.ROUTE, Kind.RULE):
        for slot, member, value in state.stand(kind):
            is_own = value.protocol == names.PROTOCOL_KERNEL and isinstance(member, bytes) and member[-1] in {32, 128}
            if not is_own:
                key = Key(kind, slot, member)
                found[key] = (*found.get(key, ()), value)
    return found


@given(
    worlds.files(),
    st.lists(worlds.acts(), max_size=4),
    st.lists(st.sampled_from(HAPPENINGS), max_size=2),
    st.lists(st.sampled_from(HAPPENINGS), min_size=1, max_size=2, unique_by=lambda given: given.partition("=")[0]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_foretold_of_links_and_addresses_comes_true(
    entries: tuple[Entry, ...], history: list[worlds.Act], before: list[str], assumed: list[str]
) -> None:
    rig = Rig(a_host())
    rig.start(*entries, settings=Settings(fight_limit=None, resync=1e9))
    for act in history:
        act.do(rig.kernel)
        rig.run()
    for one in before:
        if can_happen(rig, one):
            do(rig, one)
            rig.run()
    rig.run(60.0)
    assume(all(can_happen(rig, one) for one in assumed))
    host, standing = deepcopy(rig.host), all_that_stands(rig.kernel)
    inquiry = rig.engine.inquire(Inquiry(rig.host.wanted.intent, read_assumptions(assumed, rig.host.wanted.intent)))
    rig.run()
    assert inquiry.proposal is not None, inquiry.error
    assert inquiry.proposal.supposed is not None
    assert rig.host == host, "the plan changed the daemon's state"
    assert all_that_stands(rig.kernel) == standing
    for one in assumed:
        do(rig, one)
    rig.run(60.0)
    assert show(inquiry.proposal.supposed.settled) == show(rig.kernel)


def test_a_plan_under_an_assumption_takes_in_nothing_of_what_others_asked_for() -> None:
    heard: list[str] = []
    rig = Rig(a_host())
    rig.start(a_route())

    def hear() -> Dirt:
        heard.append("others")
        return Dirt()

    rig.reconciler.hear_others = hear
    facts = read_assumptions(["link:v0=down"], rig.host.wanted.intent)
    inquiry = rig.engine.inquire(Inquiry(rig.host.wanted.intent, facts))
    rig.run()
    assert inquiry.proposal is not None, inquiry.error
    assert heard == []
