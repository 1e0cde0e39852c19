"""The order of the files, in each line, whatever happens: on the fake kernel, which puts a new object at one end."""

from __future__ import annotations

from dataclasses import replace
from errno import ENOBUFS

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.core.troubles import State
from routed.daemon.peers import SshSessions
from routed.model.change import Nature, Verb
from routed.model.entries import AddressEntry, Enforce, Entry, Intent, OnConflict, RuleEntry
from routed.model.net import IPV4, IPV6, format_address, parse_address
from routed.model.objects import AddressMember, AddressSlot, AddressValue, Key, Kind, RuleMember, RuleSlot, RuleValue
from routed.model.reasons import CarriesSession, Flaw, WouldFall
from tests.property.fake_kernel import STRANGER, FakeKernel
from tests.property.rig import OURS, THEIRS, Rig, a_host, a_rule, a_rule_value, an_address, rule_key

FAMILIES = pytest.mark.parametrize("family", [IPV4, IPV6], ids=["IPv4", "IPv6"])


def in_turn(*entries: Entry) -> tuple[Entry, ...]:
    return tuple(replace(entry, place=place) for place, entry in enumerate(entries))


def some_rules(count: int, family: int = IPV4) -> tuple[RuleEntry, ...]:
    """Rules of one priority, each for all packets: only their order tells them apart."""
    rules = (a_rule(f"r{place}", 1000, 200 - place, (family,)) for place in range(count))
    return tuple(replace(rule, place=place) for place, rule in enumerate(rules))


def some_addresses(count: int, family: int = IPV4) -> tuple[AddressEntry, ...]:
    """Addresses of one network of v0, the highest first, so that no order of theirs is that of the file."""
    text = "203.0.113.{}/24" if family == IPV4 else "2001:db8::{}/64"
    return tuple(replace(an_address(text.format(9 - place)), place=place) for place in range(count))


def tables(kernel: FakeKernel, family: int = IPV4, priority: int = 1000) -> list[int]:
    return [
        one.member.table
        for one in kernel.stand(Kind.RULE)
        if isinstance(one.member, RuleMember) and (one.slot.family, one.member.priority) == (family, priority)
    ]


def in_network(kernel: FakeKernel, family: int = IPV4) -> list[str]:
    start = "203.0.113." if family == IPV4 else "2001:db8::"
    shown = [
        format_address(one.member.address)
        for one in kernel.stand(Kind.ADDRESS)
        if isinstance(one.member, AddressMember)
    ]
    return [text for text in shown if text.startswith(start)]


def expected(addresses: tuple[AddressEntry, ...]) -> list[str]:
    return [format_address(entry.address) for entry in addresses]


def key_of(entry: RuleEntry | AddressEntry, family: int = IPV4) -> Key:
    if isinstance(entry, RuleEntry):
        return Key(Kind.RULE, RuleSlot(family), entry.rule)
    return Key(Kind.ADDRESS, AddressSlot(family), AddressMember(1, entry.address, entry.prefixlen))


def delete(kernel: FakeKernel, key: Key) -> None:
    for value in kernel.standing(key):
        assert kernel.request(Verb.DELETE, key, value, STRANGER) == 0


@FAMILIES
def test_rules_of_one_priority_are_put_in_the_order_of_the_file(family: int) -> None:
    rig = Rig(a_host())
    rig.start(*some_rules(5, family))
    assert tables(rig.kernel, family) == [200, 199, 198, 197, 196]
    assert rig.plan_is_empty()


@FAMILIES
@pytest.mark.parametrize("promotes", [False, True], ids=["alone", "promoted"])
def test_addresses_of_one_network_are_put_in_the_order_of_the_file(family: int, promotes: bool) -> None:
    rig = Rig(a_host())
    rig.kernel.promotes_secondaries = promotes
    addresses = some_addresses(4, family)
    rig.start(*addresses)
    assert in_network(rig.kernel, family) == expected(addresses)
    assert rig.plan_is_empty()


@FAMILIES
@given(gone=st.lists(st.integers(0, 4), min_size=1, max_size=5), at_once=st.booleans())
def test_rules_that_come_back_stand_in_the_order_of_the_file_again(family: int, gone: list[int], at_once: bool) -> None:
    rig, rules = Rig(a_host()), some_rules(5, family)
    rig.start(*rules)
    for place in gone:
        delete(rig.kernel, key_of(rules[place], family))
        if not at_once:
            rig.run()
    rig.run(1.0)
    assert tables(rig.kernel, family) == [200, 199, 198, 197, 196]
    writes = rig.kernel.writes
    rig.resync()
    assert rig.kernel.writes == writes


@FAMILIES
@given(gone=st.lists(st.integers(0, 3), min_size=1, max_size=4), at_once=st.booleans(), promotes=st.booleans())
def test_addresses_that_come_back_stand_in_the_order_of_the_file_again(
    family: int, gone: list[int], at_once: bool, promotes: bool
) -> None:
    rig, addresses = Rig(a_host()), some_addresses(4, family)
    rig.kernel.promotes_secondaries = promotes
    rig.start(*addresses)
    for place in gone:
        delete(rig.kernel, key_of(addresses[place], family))
        if not at_once:
            rig.run()
    rig.run(1.0)
    assert in_network(rig.kernel, family) == expected(addresses)
    writes = rig.kernel.writes
    rig.resync()
    assert rig.kernel.writes == writes


def test_one_rule_that_comes_back_moves_those_behind_it_and_no_other() -> None:
    rig, rules = Rig(a_host()), some_rules(4)
    rig.start(*rules)
    rig.kernel.requested.clear()
    delete(rig.kernel, key_of(rules[1]))
    rig.run(1.0)
    moved = [key.member for verb, key, _ in rig.kernel.requested if verb is Verb.DELETE]
    assert moved == [rules[2].rule, rules[3].rule]
    assert tables(rig.kernel) == [200, 199, 198, 197]


def test_rules_whose_order_nobody_told_us_of_are_put_in_order_by_the_regular_comparison() -> None:
    rig, rules = Rig(a_host()), some_rules(3)
    rig.start(*rules)
    rig.kernel.mischief.deliver = lambda _events: []
    delete(rig.kernel, key_of(rules[0]))
    assert rig.kernel.request(Verb.ADD, key_of(rules[0]), RuleValue(OURS), STRANGER) == 0
    rig.run(1.0)
    assert tables(rig.kernel) == [199, 198, 200]
    rig.kernel.mischief.deliver = lambda events: events
    rig.resync()
    assert tables(rig.kernel) == [200, 199, 198]
    natures = [outcome.operation.nature for report in rig.reports for outcome in report.outcomes]
    assert natures.count(Nature.OUT_OF_ORDER) == 2


def test_files_in_another_order_put_what_stands_in_that_order() -> None:
    rig, rules = Rig(a_host()), some_rules(3)
    rig.start(*rules)
    rig.enforce(Intent(entries=in_turn(*reversed(rules))))
    assert tables(rig.kernel) == [198, 199, 200]
    assert rig.plan_is_empty()


def test_a_plan_has_the_steps_that_make_the_order() -> None:
    rig, rules = Rig(a_host()), some_rules(3)
    rig.start(*rules)
    steps = rig.plan(Intent(entries=in_turn(*reversed(rules)))).operations
    assert [(step.verb, step.members) for step in steps] == [
        (Verb.CHANGE, (rules[1].rule,)),
        (Verb.CHANGE, (rules[0].rule,)),
    ]
    assert {step.reason for step in steps} == {Flaw.OUT_OF_ORDER}


def test_a_line_with_an_entry_that_is_only_observed_stays_as_it_is_and_says_so() -> None:
    rig, rules = Rig(a_host()), some_rules(3)
    rig.start(*rules)
    observed = replace(rules[0], enforce=Enforce.OBSERVE)
    rig.enforce(Intent(entries=in_turn(*reversed((observed, *rules[1:])))))
    assert tables(rig.kernel) == [200, 199, 198]
    writes = rig.kernel.writes
    rig.resync()
    assert rig.kernel.writes == writes
    troubles = {one.trouble.entry: one.trouble for one in rig.host.ledger.troubles}
    assert {trouble.state for trouble in troubles.values()} == {State.DRIFT}
    assert troubles["rule/r1"].reason is Flaw.OUT_OF_ORDER


def test_a_rule_that_cannot_be_put_moves_nothing() -> None:
    rig, rules = Rig(a_host()), some_rules(3)
    rig.start(*rules)
    rig.kernel.mischief.refuse = lambda operation, member: (
        ENOBUFS if operation.verb is not Verb.DELETE and member == rules[0].rule else 0
    )
    delete(rig.kernel, key_of(rules[0]))
    rig.run(1.0)
    writes = [key.member for _, key, _ in rig.kernel.requested if key.kind is Kind.RULE]
    rig.resync()
    after = [key.member for _, key, _ in rig.kernel.requested if key.kind is Kind.RULE]
    assert set(after[len(writes) :]) <= {rules[0].rule}
    rig.kernel.mischief.refuse = lambda _operation, _member: 0
    rig.resync()
    assert tables(rig.kernel) == [200, 199, 198]


def a_stranger_beside(rig: Rig) -> None:
    key = key_of(an_address("203.0.113.77/24"))
    assert rig.kernel.request(Verb.ADD, key, AddressValue(THEIRS, label="v0"), STRANGER) == 0


def test_an_order_that_would_take_a_strangers_address_along_is_made_when_it_is_asked_for_by_force() -> None:
    rig, addresses = Rig(a_host()), some_addresses(3)
    rig.kernel.promotes_secondaries = False
    rig.start(*addresses)
    a_stranger_beside(rig)
    rig.enforce(Intent(entries=in_turn(*reversed(addresses))))
    assert in_network(rig.kernel) == [*expected(addresses), "203.0.113.77"]
    trouble = next(iter(rig.host.ledger.troubles)).trouble
    assert (trouble.state, trouble.reason) == (State.DRIFT, WouldFall((parse_address("203.0.113.77"),)))
    rig.enforce(Intent(entries=in_turn(*reversed(addresses))), is_forced=True)
    assert in_network(rig.kernel) == expected(addresses)[::-1]


def test_secondaries_change_places_beside_a_stranger_since_nothing_goes_with_them() -> None:
    rig, addresses = Rig(a_host()), some_addresses(3)
    rig.kernel.promotes_secondaries = False
    rig.start(*addresses)
    a_stranger_beside(rig)
    delete(rig.kernel, key_of(addresses[1]))
    rig.run(1.0)
    ours = [text for text in in_network(rig.kernel) if text != "203.0.113.77"]
    assert ours == expected(addresses)
    assert "203.0.113.77" in in_network(rig.kernel)


@FAMILIES
def test_an_address_to_which_an_ssh_session_goes_is_not_moved_unasked(family: int) -> None:
    rig, addresses = Rig(a_host()), some_addresses(2, family)
    rig.start(*addresses)
    ours = frozenset(one.address for one in addresses)
    rig.reconciler.find_ssh_sessions = lambda: SshSessions(addresses=ours)
    swapped = Intent(entries=in_turn(*reversed(addresses)))
    rig.enforce(swapped)
    assert in_network(rig.kernel, family) == expected(addresses)
    trouble = next(iter(rig.host.ledger.troubles)).trouble
    assert isinstance(trouble.reason, CarriesSession)
    rig.enforce(swapped, is_forced=True)
    assert in_network(rig.kernel, family) == expected(addresses)[::-1]


def put(kernel: FakeKernel, rule: RuleMember, family: int = IPV4) -> Key:
    key = Key(Kind.RULE, RuleSlot(family), rule)
    assert kernel.request(Verb.ADD, key, a_rule_value(THEIRS), STRANGER) == 0
    return key


@FAMILIES
def test_a_rule_of_others_in_our_place_gives_way_is_recorded_and_put_back(family: int) -> None:
    rig, rule = Rig(a_host()), a_rule("a", 1000, 100, (family,))
    stranger = put(rig.kernel, RuleMember(1000, table=900), family)
    rig.start(rule)
    assert tables(rig.kernel, family) == [100]
    assert rig.host.ledger.displaced == {stranger: a_rule_value(THEIRS)}
    rig.enforce(Intent(entries=(replace(rule, rule=rule.rule._replace(table=101)),)))
    assert tables(rig.kernel, family) == [101]
    rig.enforce(Intent())
    assert tables(rig.kernel, family) == [900]
    assert not rig.host.ledger.displaced


def test_a_rule_of_others_in_our_place_stays_where_the_entry_refuses_a_conflict() -> None:
    rig = Rig(a_host())
    put(rig.kernel, RuleMember(1000, table=900))
    rig.start(replace(a_rule("a", 1000, 100), on_conflict=OnConflict.REFUSE))
    assert 900 in tables(rig.kernel)
    assert [one.trouble.state for one in rig.host.ledger.troubles] == [State.CONFLICT]


@FAMILIES
def test_a_strangers_twin_of_our_rule_goes_after_ours_came_where_the_entry_says_replace_and_comes_back(
    family: int,
) -> None:
    rig, rule = Rig(a_host()), replace(a_rule("a", 1000, 100, (family,)), on_conflict=OnConflict.REPLACE)
    twin = put(rig.kernel, RuleMember(1000, table=100), family)
    rig.start(rule)
    assert rig.kernel.standing(twin) == (a_rule_value(),)
    assert rig.host.ledger.displaced == {twin: a_rule_value(THEIRS)}
    assert not rig.host.ledger.troubles
    rig.enforce(Intent())
    assert rig.kernel.standing(twin) == (a_rule_value(THEIRS),)
    assert not rig.host.ledger.displaced


@FAMILIES
def test_a_rule_swapped_for_a_strangers_in_one_batch_decides_again(family: int) -> None:
    rig, rule = Rig(a_host()), a_rule("a", 1000, 100, (family,))
    rig.start(rule)
    delete(rig.kernel, rule_key(1000, 100, family))
    put(rig.kernel, RuleMember(1000, table=900), family)
    rig.run(1.0)
    assert tables(rig.kernel, family) == [100]
    assert not rig.host.ledger.displaced  # it is drift, and nobody wants it back


def test_a_strangers_rule_that_comes_while_ours_is_put_back_is_found_in_front_of_it() -> None:
    rig, rule = Rig(a_host()), a_rule("a", 1000, 100)
    rig.start(rule)
    came: list[bool] = []

    def meanwhile() -> None:
        if not came and not rig.kernel.standing(rule_key(1000, 100)):
            came.append(True)
            put(rig.kernel, RuleMember(1000, table=900))

    rig.kernel.mischief.meanwhile = meanwhile
    delete(rig.kernel, rule_key(1000, 100))
    rig.run(2.0)
    assert came
    assert tables(rig.kernel) == [100]


def test_nothing_of_others_goes_where_ours_could_not_be_put() -> None:
    rig = Rig(a_host())
    put(rig.kernel, RuleMember(1000, table=900))
    rig.kernel.mischief.refuse = lambda operation, _member: ENOBUFS if operation.verb is Verb.ADD else 0
    rig.start(a_rule("a", 1000, 100))
    assert tables(rig.kernel) == [900]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, int]]:
    """What strangers do, one after the other: with a rule of ours, or with one of theirs at our priority."""
    deeds = st.sampled_from(["delete", "swap", "return", "insert", "remove", "settle", "refuse", "allow"])
    return draw(st.lists(st.tuples(deeds, st.integers(0, 3)), max_size=12))


SELECTORS = ("10.0.0.0/8", "10.1.0.0/16", "", "10.2.0.0/16")


def play(rig: Rig, rules: tuple[RuleEntry, ...], deed: str, number: int) -> None:
    kernel, ours = rig.kernel, key_of(rules[number])
    theirs = Key(Kind.RULE, RuleSlot(IPV4), replace_rule(rules[number], 900 + number))
    if deed in {"delete", "swap", "return"} and kernel.standing(ours):
        delete(kernel, ours)
    if deed in {"swap", "insert"} and not kernel.standing(theirs):
        put(kernel, theirs.member)  # type: ignore[arg-type]
    if deed == "return":
        kernel.request(Verb.ADD, ours, RuleValue(OURS), STRANGER)
    if deed == "remove" and kernel.standing(theirs):
        delete(kernel, theirs)
    if deed == "settle":
        rig.run()
    if deed in {"refuse", "allow"}:
        kernel.mischief.refuse = lambda operation, _member: (
            ENOBUFS if deed == "refuse" and operation.verb is not Verb.DELETE else 0
        )


def replace_rule(entry: RuleEntry, table: int) -> RuleMember:
    return entry.rule._replace(table=table)


@given(histories())
def test_after_whatever_history_the_order_is_that_of_the_files(
    history: list[tuple[str, int]],
) -> None:
    rig = Rig(a_host())
    rules = in_turn(*(a_rule(f"r{n}", 1000, 100 + n, source=text) for n, text in enumerate(SELECTORS)))
    kept: tuple[RuleEntry, ...] = tuple(rule for rule in rules if isinstance(rule, RuleEntry))
    rig.start(*kept)
    for deed, number in history:
        play(rig, kept, deed, number)
    rig.kernel.mischief.refuse = lambda _operation, _member: 0
    rig.run(120.0)
    line = [one.member for one in rig.kernel.stand(Kind.RULE) if one.member.priority == 1000]  # type: ignore[union-attr]
    assert [member for member in line if member.table < 900] == [rule.rule for rule in kept]  # type: ignore[union-attr]
    assert not list(rig.host.ledger.troubles)  # whether ours decides is another question
    assert rig.errors == 0
    writes = rig.kernel.writes
    rig.resync()
    assert rig.kernel.writes == writes


@FAMILIES
@given(
    history=st.lists(
        st.tuples(st.sampled_from(["delete", "settle", "refuse", "allow"]), st.integers(0, 3)), max_size=8
    ),
    promotes=st.booleans(),
)
def test_addresses_are_in_order_after_whatever_history(
    family: int, history: list[tuple[str, int]], promotes: bool
) -> None:
    rig, addresses = Rig(a_host()), some_addresses(4, family)
    rig.kernel.promotes_secondaries = promotes
    rig.start(*addresses)
    for deed, number in history:
        if deed == "delete":
            delete(rig.kernel, key_of(addresses[number], family))
        elif deed == "settle":
            rig.run()
        else:
            rig.kernel.mischief.refuse = lambda operation, _member, deed=deed: (  # type: ignore[misc]
                ENOBUFS if deed == "refuse" and operation.verb is not Verb.DELETE else 0
            )
    rig.kernel.mischief.refuse = lambda _operation, _member: 0
    rig.run(120.0)
    assert in_network(rig.kernel, family) == expected(addresses)
    assert not list(rig.host.ledger.troubles)
    assert rig.errors == 0


@FAMILIES
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.booleans())
def test_a_rule_that_the_kernel_takes_for_narrower_ones_of_its_table_comes_back_in_front_of_them(
    family: int, gone: list[int], at_once: bool
) -> None:
    texts = ("10.1.0.0/16", "10.2.0.0/16", "", "") if family == IPV4 else ("fd00:1::/32", "fd00:2::/32", "", "")
    each = zip((100, 200, 300, 100), texts, strict=True)
    rules = [a_rule(f"r{n}", 1000, table, (family,), text) for n, (table, text) in enumerate(each)]
    rig = Rig(a_host())
    rig.start(*in_turn(*rules))
    order = [rules[3].rule, *(rule.rule for rule in rules[:3])]
    assert in_line(rig.kernel, family) == order
    for number in gone:
        key = key_of(rules[number], family)
        if rig.kernel.standing(key):
            delete(rig.kernel, key)
        if not at_once:
            rig.run()
    rig.run(120.0)
    assert in_line(rig.kernel, family) == order
    assert not list(rig.host.ledger.troubles)
    assert rig.errors == 0


def in_line(kernel: FakeKernel, family: int) -> list[RuleMember]:
    members = [one.member for one in kernel.stand(Kind.RULE) if one.slot.family == family]
    return [member for member in members if isinstance(member, RuleMember) and member.priority == 1000]


def test_what_moves_behind_one_that_could_not_be_put_has_not_failed() -> None:
    rig, rules = Rig(a_host()), some_rules(12)
    rig.start(*rules)
    rig.kernel.mischief.refuse = lambda operation, member: (
        ENOBUFS if operation.verb is not Verb.DELETE and member == rules[0].rule else 0
    )
    delete(rig.kernel, key_of(rules[0]))
    rig.run(0.05)
    assert {one.trouble.entry for one in rig.host.ledger.troubles} == {"rule/r0"}
