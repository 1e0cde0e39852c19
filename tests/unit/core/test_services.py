"""What a ``[[service]]`` comes to: its services and servers, by the host's addresses and by what the checks say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routed.core.desired import Resolution
from routed.core.entries import find_needs, resolve
from routed.core.requirements import START_WITHIN, find_unmet, list_requirement_reads
from routed.model import ipvs, names
from routed.model.checks import Ruling, key_of
from routed.model.entries import (
    Intent,
    Listen,
    OnConflict,
    OnFail,
    Origin,
    Requirement,
    ServerSpec,
    ServiceEntry,
    WhenAllDown,
)
from routed.model.facts import Fact, Facts, Freshness, HostAddress, Link
from routed.model.ipvs import ServerMember, ServerSlot, ServerValue, ServiceMember, ServiceSlot, ServiceValue
from routed.model.net import IPV4, IPV6, parse_address
from routed.model.objects import AddressMember, Kind, Value
from routed.model.reasons import NoHostAddress, NotTold, Outdated, Required, ServerOut, Several, TooFewServers

OURS = 114
VIP = Listen(ipvs.TCP, parse_address("10.0.0.1"), 443)
KEY = ServiceMember(ipvs.TCP, parse_address("10.0.0.1"), 443)
ONE, TWO = parse_address("10.0.0.11"), parse_address("10.0.0.12")
UP = Fact(Ruling(is_up=True), Freshness.LIVE)
NOT_YET = Fact(since=10.0)


def down(since: float = 0.0) -> Fact:
    return Fact(Ruling(is_up=False, since=since), Freshness.LIVE)


def server(address: bytes, *checks: str, port: int = 0, **value: Any) -> ServerSpec:
    return ServerSpec(address, port, ServerValue(0, **value), tuple(map(Requirement, checks)))


def a_service(*servers: ServerSpec, listen: Listen = VIP, **more: Any) -> ServiceEntry:
    return ServiceEntry(
        name="service/a", origin=Origin("f", 1), listens=(listen,), scheduler="rr", servers=servers, **more
    )


CHECKED = a_service(server(ONE, "one"), server(TWO, "two", weight=3))


def come_to(entry: ServiceEntry, moment: float = 0.0, facts: Facts | None = None, **told: Fact) -> Resolution:
    known = replace(facts or Facts(), told={key_of(name): fact for name, fact in told.items()}, moment=moment)
    return resolve(entry, known, OURS)


def weights(found: Resolution) -> dict[bytes, int | None]:
    """Server → its weight; None where it is left as it is."""
    return {
        member.address: None if group.value is None else group.value.weight
        for group in found.sets
        if group.kind is Kind.SERVER
        for member in group.members
        if isinstance(member, ServerMember)
    }


def objects(found: Resolution) -> dict[tuple[Kind, object, object], Value]:
    return {(group.kind, group.slot, member): group.value for group in found.sets for member in group.members}


def test_a_service_comes_to_itself_and_its_servers() -> None:
    entry = a_service(server(ONE, port=6443), server(TWO, weight=3), flags=ipvs.PERSISTENT, timeout=60, prefixlen=24)
    slot = ServerSlot(IPV4, KEY)
    assert objects(come_to(entry)) == {
        (Kind.SERVICE, ServiceSlot(IPV4), KEY): ServiceValue(OURS, "rr", ipvs.PERSISTENT, 60, 24),
        (Kind.SERVER, slot, ServerMember(ONE, 6443)): ServerValue(OURS),
        (Kind.SERVER, slot, ServerMember(TWO, 443)): ServerValue(OURS, weight=3),
    }


def test_behind_a_mark_a_server_has_the_port_of_the_packet() -> None:
    entry = a_service(server(ONE), listen=Listen(fwmark=7, family=IPV6))
    key = ServiceMember(fwmark=7)
    assert objects(come_to(entry)).keys() == {
        (Kind.SERVICE, ServiceSlot(IPV6), key),
        (Kind.SERVER, ServerSlot(IPV6, key), ServerMember(ONE, 0)),
    }


@pytest.mark.parametrize("word", [None, OnConflict.REFUSE, OnConflict.REPLACE])
def test_what_somebody_else_made_just_so_is_as_good_unless_it_is_to_be_taken_over(word: OnConflict | None) -> None:
    found = come_to(a_service(server(ONE), on_conflict=word, is_shared=True))
    also = [group.also for group in found.sets]
    theirs = [(ServiceValue(0, "rr", prefixlen=32),), (ServerValue(0),)]
    assert also == ([(), ()] if word is OnConflict.REPLACE else theirs)


def held(*texts: str, scope: int = names.UNIVERSE, dev: int = 2, **more: bool) -> dict[AddressMember, HostAddress]:
    found = [HostAddress(dev, parse_address(text), 24, scope, **more) for text in texts]
    return {AddressMember(fact.dev, fact.address, fact.prefixlen): fact for fact in found}


def test_a_service_at_local_is_at_each_address_of_the_host_and_at_no_other() -> None:
    entry = a_service(server(ONE, port=53), listen=Listen(ipvs.UDP, port=53, own="@local"))
    addresses = (
        held("192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.80")
        | held("127.0.0.1", scope=names.HOST, dev=1)
        | held("192.0.2.9", is_deprecated=True)
    )
    facts = Facts(addresses=addresses, service_addresses=frozenset({parse_address("192.0.2.80")}))
    found = come_to(entry, facts=facts)
    places = {group.slot.service.address for group in found.sets if isinstance(group.slot, ServerSlot)}
    assert places == {parse_address("192.0.2.1"), parse_address("192.0.2.2")}
    assert find_needs(Intent(entries=(entry,))).has_addresses
    assert [one.reason for one in come_to(entry).waiting] == [NoHostAddress.NONE_AT_ALL]


def test_a_service_at_an_interface_is_at_its_addresses() -> None:
    from routed.model.facts import Choice  # noqa: PLC0415

    entry = a_service(server(ONE), listen=Listen(ipvs.TCP, port=80, own="@lan"))
    facts = Facts(
        links={2: Link(2, "eth0", is_up=True, has_carrier=True)},
        addresses=held("192.0.2.1") | held("198.51.100.1", dev=3),
        chosen={"lan": Choice(2, "eth0")},
    )
    (service, _) = come_to(entry, facts=facts).sets
    assert service.members == {ServiceMember(ipvs.TCP, parse_address("192.0.2.1"), 80)}


def test_a_server_that_is_down_gets_no_new_connections_and_goes_later() -> None:
    found = come_to(CHECKED, 20.0, one=down(10.0), two=UP)
    assert weights(found) == {ONE: 0, TWO: 3}
    assert found.note == ServerOut(ONE, 0, Required("one", is_up=False, why=None))
    assert found.again == 10.0 + CHECKED.remove_after
    assert weights(come_to(CHECKED, found.again, one=down(10.0), two=UP)) == {TWO: 3}
    assert weights(come_to(CHECKED, found.again, one=UP, two=UP)) == {ONE: 1, TWO: 3}


def test_on_fail_remove_takes_it_at_once() -> None:
    entry = replace(CHECKED, on_fail=OnFail.REMOVE)
    assert weights(come_to(entry, 10.0, one=down(10.0), two=UP)) == {TWO: 3}


@pytest.mark.parametrize(
    ("scheduler", "flags", "is_drained"),
    [
        ("sh", 0, False),
        ("mh", ipvs.SCHEDULER_2, False),
        ("dh", 0, False),
        ("sh", ipvs.SCHEDULER_1, True),
        ("lc", 0, True),
    ],
)
def test_a_scheduler_that_sends_clients_to_a_drained_server_has_it_taken_out_at_once(
    scheduler: str, flags: int, is_drained: bool
) -> None:
    entry = replace(CHECKED, scheduler=scheduler, flags=flags)
    assert weights(come_to(entry, 10.0, one=down(10.0), two=UP)) == ({ONE: 0} if is_drained else {}) | {TWO: 3}


def test_a_server_of_which_nothing_is_known_is_left_as_it_is_for_a_while_and_then_counts_as_up() -> None:
    found = come_to(CHECKED, 10.0, one=NOT_YET, two=UP)
    assert weights(found) == {ONE: None, TWO: 3}
    assert found.again == 10.0 + START_WITHIN
    assert [one.reason for one in found.waiting] == [NotTold("check", "one")]
    assert weights(come_to(CHECKED, found.again, one=NOT_YET, two=UP)) == {ONE: 1, TWO: 3}


@pytest.mark.parametrize("word", list(WhenAllDown))
def test_without_a_server_that_is_up_the_file_says_what_then(word: WhenAllDown) -> None:
    found = come_to(replace(CHECKED, when_all_down=word), 20.0, one=down(10.0), two=down(10.0))
    out = Several(tuple(ServerOut(one, 0, Required(name, False, None)) for one, name in ((ONE, "one"), (TWO, "two"))))
    if word is WhenAllDown.KEEP:
        assert (weights(found), found.degraded, found.note) == ({ONE: 1, TWO: 3}, out, None)
    elif word is WhenAllDown.REFUSE:
        assert (weights(found), found.degraded, found.note) == ({ONE: 0, TWO: 0}, None, out)
    else:
        assert (found.sets, found.withheld) == ((), out)


def test_a_service_that_requires_a_check_goes_whole() -> None:
    entry = replace(a_service(server(ONE)), requires=(Requirement("site"),))
    assert len(come_to(entry, site=UP).sets) == 2
    assert come_to(entry, site=down()).withheld == Required("site", is_up=False, why=None)


def test_a_service_that_requires_a_check_waits_whole_until_its_answer_is_known() -> None:
    found = come_to(replace(CHECKED, requires=(Requirement("site"),)), 100.0, site=NOT_YET, one=UP, two=UP)
    assert {group.value for group in found.sets} == {None}
    assert [one.reason for one in found.waiting] == [NotTold("check", "site")]


def test_what_is_known_of_a_server_from_before_the_start_only_is_said_so() -> None:
    old = Fact(Ruling(is_up=True), Freshness.CACHED)
    found = come_to(CHECKED, one=old, two=UP)
    assert (weights(found), found.note) == ({ONE: 1, TWO: 3}, Outdated("check", "one", Freshness.CACHED))


SORRY = parse_address("10.0.0.99")


def test_a_server_stands_in_where_all_are_down_and_goes_again() -> None:
    entry = replace(CHECKED, sorry=server(SORRY))
    found = come_to(entry, 20.0, one=down(10.0), two=down(10.0))
    assert weights(found) == {ONE: 0, TWO: 0, SORRY: 1}
    assert found.degraded is not None
    assert weights(come_to(entry, 20.0, one=UP, two=down(10.0))) == {ONE: 1, TWO: 0}
    itself = replace(CHECKED, sorry=server(ONE))
    assert weights(come_to(itself, 20.0, one=down(10.0), two=down(10.0))) == {ONE: 1, TWO: 0}


def test_with_too_few_servers_up_they_count_as_all_down() -> None:
    entry = replace(CHECKED, min_healthy=2)
    found = come_to(entry, 20.0, one=UP, two=down(10.0))
    assert (weights(found), bool(found.degraded)) == ({ONE: 1, TWO: 3}, True)


def test_who_stands_in_may_be_a_server_whose_port_is_that_of_the_service() -> None:
    entry = replace(CHECKED, on_fail=OnFail.REMOVE, sorry=server(ONE, port=443))
    found = come_to(entry, 20.0, one=down(10.0), two=down(10.0))
    assert weights(found) == {ONE: 1}
    assert [key.member.address for key, _ in found.withdrawn if isinstance(key.member, ServerMember)] == [TWO]


def test_a_server_that_is_written_with_weight_0_is_no_server_that_is_up() -> None:
    entry = a_service(server(ONE, "one"), server(TWO, weight=0))
    found = come_to(entry, 20.0, one=down(10.0))
    assert (weights(found), bool(found.degraded)) == ({ONE: 1, TWO: 0}, True)


def test_since_when_a_server_is_out_only_those_checks_tell_that_are_down() -> None:
    entry = a_service(server(ONE, "one", "other"), server(TWO))
    up_for_long = Fact(Ruling(is_up=True, since=1.0), Freshness.LIVE)
    assert weights(come_to(entry, 1000.0, one=up_for_long, other=down(999.0))) == {ONE: 0, TWO: 1}


OF_SERVICE = Requirement("service/a", servers=tuple(spec.requires for spec in CHECKED.servers), need=1)


@pytest.mark.parametrize(
    ("told", "need", "is_up"),
    [
        ({"one": UP, "two": down()}, 1, True),
        ({"one": UP, "two": down()}, 2, False),
        ({"one": down(), "two": down()}, 1, False),
        ({"one": NOT_YET, "two": down()}, 1, None),
        ({"one": NOT_YET, "two": UP}, 1, True),
    ],
)
def test_a_service_is_up_while_enough_of_its_servers_are(told: dict[str, Fact], need: int, is_up: bool | None) -> None:
    known = Facts(told={key_of(name): fact for name, fact in told.items()})
    requirement = OF_SERVICE._replace(need=need)
    why = find_unmet(requirement, known)
    assert (why is not None) is (is_up is False)
    if why is not None:
        up = sum(fact == UP for fact in told.values())
        first = Required("two", is_up=False, why=None) if up else Required("one", is_up=False, why=None)
        assert why == Required("service/a", is_up=False, why=TooFewServers(up, need, 2, first))
    assert (find_unmet(requirement._replace(is_inverted=True), known) is not None) is (is_up is True)
    assert list_requirement_reads([requirement], known) == {key_of("one"), key_of("two")}
