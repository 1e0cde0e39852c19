"""The plan: order, the entries' own words, and what is held."""

from __future__ import annotations

from routed.core.plan import Policy, make_plan
from routed.model.change import Drift, Nature, Operation, Plan, Verb, Want
from routed.model.entries import Enforce, Entry
from routed.model.objects import AddressValue, Key, Kind, Value
from routed.model.reasons import Flaw, LeftAlone, Observed
from tests.property.rig import (
    OURS,
    OWNERS,
    THEIRS,
    a_route,
    a_rule,
    a_rule_value,
    address_key,
    an_address,
    hop,
    route_key,
    route_value,
    rule_key,
)

ONLINK = route_value(hop(1), protocol=OURS)
VIA = route_value(hop(1, "192.0.2.2"), protocol=OURS)
THEIR = route_value(hop(2), protocol=THEIRS)
POLICY = Policy(OWNERS, owned=100)
ADDRESS, RULE = address_key("10.20.0.11/21", 1), rule_key()
FIRST, SECOND = route_key("10.1.0.0/16"), route_key("10.2.0.0/16")


def missing(key: Key, value: Value, entry: Entry | None = None) -> Drift:
    return Drift(Nature.MISSING, key.kind, key.slot, (key.member,), Want(entry or a_route(), value))


def surplus(key: Key, value: Value) -> Drift:
    return Drift(Nature.SURPLUS, key.kind, key.slot, (key.member,), None, (value,))


def steps(plan: Plan) -> list[tuple[Verb, Kind, Value]]:
    return [(operation.verb, operation.kind, operation.value) for operation in plan.operations]


def test_what_others_stand_on_comes_first_and_deletions_come_last_in_reverse() -> None:
    held, rule = AddressValue(OURS), a_rule_value()
    drifts = [
        surplus(address_key("10.9.0.1/24", 1), held),
        surplus(SECOND, ONLINK),
        surplus(route_key("10.7.0.0/16"), VIA),
        surplus(rule_key(77), rule),
        missing(RULE, rule, a_rule()),
        missing(FIRST, VIA),
        missing(route_key("10.3.0.0/16"), ONLINK),
        missing(ADDRESS, held, an_address()),
    ]
    assert steps(make_plan(drifts, [], POLICY)) == [
        (Verb.ADD, Kind.ADDRESS, held),
        (Verb.ADD, Kind.ROUTE, ONLINK),
        (Verb.ADD, Kind.ROUTE, VIA),
        (Verb.ADD, Kind.RULE, rule),
        (Verb.DELETE, Kind.RULE, rule),
        (Verb.DELETE, Kind.ROUTE, VIA),
        (Verb.DELETE, Kind.ROUTE, ONLINK),
        (Verb.DELETE, Kind.ADDRESS, held),
    ]


def test_no_drift_gives_an_empty_plan() -> None:
    assert not make_plan([], [], POLICY).operations


def test_an_entry_that_only_observes_is_never_touched() -> None:
    plan = make_plan([missing(FIRST, ONLINK, a_route(enforce=Enforce.OBSERVE))], [], POLICY)
    assert not plan.operations
    (refusal,) = plan.refusals
    assert (refusal.reason, refusal.by_guard) == (Observed(LeftAlone.OBSERVED, Flaw.MISSING), False)


def test_an_entry_for_once_is_installed_at_a_start_and_then_left_alone() -> None:
    drift = missing(FIRST, ONLINK, a_route(enforce=Enforce.ONCE))
    at_start = Policy(OWNERS, new_entries=frozenset({a_route().name}))
    assert steps(make_plan([drift], [], at_start)) == [(Verb.ADD, Kind.ROUTE, ONLINK)]
    assert not make_plan([drift], [], POLICY).operations
    other = drift._replace(nature=Nature.DIFFERENT, standing=(VIA,))
    assert not make_plan([other], [], at_start).operations


def test_the_held_members_of_a_group_are_left_alone_and_the_others_are_cured() -> None:
    drift = missing(FIRST, ONLINK)._replace(members=(FIRST.member, SECOND.member))
    policy = Policy(OWNERS, is_held=lambda key, drift: key == FIRST and drift.want is not None)
    plan = make_plan([drift], [], policy)
    assert [operation.members for operation in plan.operations] == [(SECOND.member,)]
    assert [held.members for held in plan.held] == [(FIRST.member,)]


def test_a_surplus_stays_while_the_files_on_disk_are_not_those_in_force() -> None:
    plan = make_plan(
        [surplus(FIRST, ONLINK)],
        [],
        Policy(OWNERS, owned=1, why_surplus_stays=LeftAlone.NOT_ON_DISK),
    )
    assert not plan.operations
    assert [refusal.reason for refusal in plan.refusals] == [LeftAlone.NOT_ON_DISK]


def test_what_was_displaced_is_put_back_and_the_rest_of_the_group_goes() -> None:
    drift = surplus(FIRST, ONLINK)._replace(members=(FIRST.member, SECOND.member))
    plan = make_plan([drift], [], Policy(OWNERS, owned=2, displaced={FIRST: THEIR}))
    assert [(o.verb, o.members, o.value) for o in plan.operations] == [
        (Verb.REPLACE, (FIRST.member,), THEIR),
        (Verb.DELETE, (SECOND.member,), ONLINK),
    ]


def test_every_operation_says_why() -> None:
    drifts = [missing(FIRST, ONLINK), surplus(SECOND, ONLINK)]
    operations: tuple[Operation, ...] = make_plan(drifts, [], POLICY).operations
    assert [operation.reason for operation in operations] == [Flaw.MISSING, Flaw.UNWANTED]
