"""What ``routed import`` prints, loaded again, makes the same objects."""

from __future__ import annotations

import struct
from collections.abc import Set as AbstractSet
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.intent.export import Naming, export
from routed.intent.importing.statements import Leftover
from routed.intent.load import load_sources
from routed.intent.words import interface
from routed.kernel.codec.attributes import attribute
from routed.kernel.codec.unspoken import name_unspoken
from routed.model import attributes, names, net
from routed.model.entries import AddressEntry, Entry, HopSpec, Intent, RouteEntry, RuleEntry
from routed.model.facts import Facts, HostAddress, Link
from routed.model.net import DEFAULT, IPV4, IPV6, family_of, network_of, parse_address, parse_prefix
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Hop,
    Kind,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
    Standing,
)
from tests.unit.intent.intent_help import source

FACTS = Facts(links={1: Link(1, "lo", True, True), 2: Link(2, "eth0", True, True), 3: Link(3, "eth1", True, True)})
INDEX = {link.name: index for index, link in FACTS.links.items()}
NAMING = Naming({254: "main", 253: "default"})
METRIC = {IPV4: 0, IPV6: 1024}

uint32 = st.integers(0, 0xFFFFFFFF)
families = st.sampled_from([IPV4, IPV6])
devs = st.sampled_from([2, 3])


def hosts(family: int) -> st.SearchStrategy[bytes]:
    text = {IPV4: "192.0.2.", IPV6: "2001:db8::"}[family]
    return st.integers(1, 250).map(lambda number: parse_address(f"{text}{number}"))


@st.composite
def prefixes(draw: st.DrawFn, family: int) -> bytes:
    width = net.ADDRESS_LENGTH[family]
    return network_of(draw(st.binary(min_size=width, max_size=width)), draw(st.integers(0, width * 8)))


@st.composite
def routes(draw: st.DrawFn) -> list[Standing]:
    family = draw(families)
    kind = draw(st.sampled_from(sorted(names.WRITABLE_TYPES.values())))
    hops: tuple[Hop, ...] = ()
    if kind in names.ON_LINK_TYPES:
        hops = (Hop(1),)
    elif kind in {names.UNICAST, names.MULTICAST}:
        gateways = draw(st.lists(hosts(family) | hosts(IPV6), max_size=3, unique=True))
        realms = draw(st.just(b"") | st.integers(1, 0xFFFFFFFF).map(pack_realms)) if family == IPV4 else b""
        hops = tuple(
            sorted(Hop(draw(devs), one, draw(st.integers(1, 256)), draw(st.booleans()), realms) for one in gateways)
        )
        hops = hops or (Hop(draw(devs), extra=realms),)
    usual = names.HOST if kind == names.LOCAL else names.LINK if hops and not hops[0].gateway else names.UNIVERSE
    usual = names.LINK if kind in names.CAST_TYPES - {names.MULTICAST} else usual
    numbers = st.sampled_from(sorted(set(attributes.METRIC_OF) - {12, 13, 15, 16, 17}))
    metrics = draw(st.dictionaries(numbers, st.integers(1, 255), max_size=3))
    metrics |= draw(st.dictionaries(st.sampled_from([15, 17]), st.just(1)))
    metrics |= draw(st.dictionaries(st.just(12), st.sampled_from([1, 16, 17])))
    locked = draw(st.dictionaries(st.just(13), uint32.filter(bool)))  # comes with its lock
    value = RouteValue(
        kind,
        draw(st.sampled_from([0, 3, 4])),
        usual if family == IPV4 else 0,
        hops,
        draw(st.just(b"") | hosts(family)),
        tuple(sorted((metrics | locked).items())),
        sum(1 << number for number in metrics if draw(st.booleans())) + sum(1 << number for number in locked),
        draw(st.sampled_from([b"", attributes.join({20: b"\1"}), attributes.join({20: b"\3"})]))
        if family == IPV6
        else b"",
    )
    source = draw(st.just(b"") | prefixes(IPV6).filter(lambda prefix: prefix[-1] > 0)) if family == IPV6 else b""
    slot = RouteSlot(
        family, draw(st.sampled_from([254, 253, 255, 7, 4096])), draw(st.integers(1, 0xFFFFFFFF)), source=source
    )
    members = draw(st.sets(prefixes(family), min_size=1, max_size=12))
    return [Standing(slot, member, value) for member in members]


@st.composite
def rules(draw: st.DrawFn) -> Standing:
    family = draw(families)
    some = st.just(b"") | prefixes(family).filter(lambda prefix: prefix[-1] > 0)
    action = draw(st.sampled_from(sorted(set(names.ACTIONS) - {names.GOTO})))
    l3mdev = action == names.TO_TABLE and draw(st.booleans())
    mark, mask = draw(st.just((0, 0)) | st.tuples(uint32, st.integers(1, 0xFFFFFFFF)))
    ports = st.just((0, 0)) | st.lists(st.integers(1, 65534), min_size=2, max_size=2).map(lambda p: (min(p), max(p)))
    uids = st.none() | st.lists(st.integers(0, 0xFFFFFFFE), min_size=2, max_size=2).map(lambda p: (min(p), max(p)))
    member = RuleMember(
        draw(st.integers(1, 32765)), action,
        draw(st.sampled_from([254, 7, 255])) if action == 1 and not l3mdev else 0, 0,
        draw(st.booleans()), draw(some), draw(some), draw(st.sampled_from([0, 4, 0x10])),
        draw(st.sampled_from(["", "eth0"])), draw(st.sampled_from(["", "eth9"])), mark, mask,
        draw(st.sampled_from([0, 6, 17])), draw(ports), draw(ports), draw(uids), l3mdev,
        draw(st.integers(-1, 32)), draw(st.integers(-1, 5)),
    )  # fmt: skip
    member = member._replace(extra=attributes.join(draw(attributes_of(member, family))))
    return Standing(RuleSlot(family), member, RuleValue(3))


@st.composite
def attributes_of(draw: st.DrawFn, rule: RuleMember, family: int) -> dict[int, bytes]:
    """Words that are attributes of their own, as the kernel would have them."""
    found: dict[int, bytes] = {}
    if not rule.tos and draw(st.booleans()):
        mask = draw(st.integers(1, 0x3F))
        found |= {25: bytes((draw(st.integers(0, 0x3F)) & mask,))} | ({30: bytes((mask,))} if mask != 0x3F else {})
    if family == IPV6 and draw(st.booleans()):
        mask = draw(st.integers(1, 0xFFFFF))
        found |= {26: (draw(uint32) & mask).to_bytes(4, "big"), 27: mask.to_bytes(4, "big")}
    for number, (first, last) in ((28, rule.sport), (29, rule.dport)):
        if first and first == last and draw(st.booleans()):
            found[number] = struct.pack("=H", first | draw(st.integers(0, 0xFFFE)) & ~1 & 0xFFFF | first)
    return {number: mask for number, mask in found.items() if mask != b"\xff\xff"}


def pack_realms(both: int) -> bytes:
    return attributes.join({11: struct.pack("=I", both)})


@st.composite
def addresses(draw: st.DrawFn) -> Standing:
    family = draw(families)
    host = draw(hosts(family))
    value = AddressValue(
        0,
        draw(st.sampled_from([0, 253, 254])) if family == IPV4 else 0,
        draw(st.sampled_from([0, names.IFA_NOPREFIXROUTE]))
        | (draw(st.sampled_from([0, names.IFA_NODAD, names.IFA_HOMEADDRESS])) if family == IPV6 else 0),
        draw(st.booleans()),
        False,
        draw(st.just(b"") | hosts(family)),
        draw(st.just(b"") | hosts(family)) if family == IPV4 else b"",
        "",
        draw(st.integers(0, 9)),
    )
    return Standing(AddressSlot(family), AddressMember(draw(devs), host, draw(st.integers(8, 30))), value)


def objects_of(entry: Entry) -> set[tuple[object, ...]]:
    """What the entry makes, told with this test's own simple words; owners are left out."""
    if isinstance(entry, RuleEntry):
        return {(RuleSlot(family), entry.rule, entry.extra) for family in entry.families}
    if isinstance(entry, AddressEntry):
        member = AddressMember(INDEX[entry.dev], entry.address, entry.prefixlen)
        value = AddressValue(
            0,
            entry.scope or 0,
            entry.flags,
            entry.deprecated,
            False,
            entry.peer,
            entry.broadcast,
            entry.label,
            entry.metric,
        )
        return {(AddressSlot(family_of(entry.address)), member, value)}
    assert isinstance(entry, RouteEntry)
    return {one for family, members in entry.prefixes.items() for one in route_objects(entry, family, members)}


def route_objects(entry: RouteEntry, family: int, members: AbstractSet[bytes]) -> set[tuple[object, ...]]:
    hops = tuple(sorted(Hop(INDEX[hop.dev], hop.via, hop.weight, hop.onlink, hop.extra) for hop in entry.hops))
    usual = {names.LOCAL: names.HOST, names.UNICAST: names.LINK if len(hops) == 1 and not hops[0].gateway else 0}
    usual |= dict.fromkeys(names.CAST_TYPES, names.LINK)
    scope = usual.get(entry.type, 0) if entry.scope is None else entry.scope
    value = RouteValue(
        entry.type, 0, scope if family == IPV4 else 0, hops, entry.src, entry.metrics, entry.lock, entry.extra
    )
    metric = METRIC[family] if entry.metric is None else entry.metric
    return {(RouteSlot(family, entry.table, metric, entry.tos, entry.source), member, value) for member in members}


def seen(standing: Standing) -> tuple[object, ...]:
    if isinstance(standing.member, RuleMember):
        return (standing.slot, standing.member, standing.value.extra)
    return (standing.slot, standing.member, standing.value._replace(protocol=0))


def loaded(text: str) -> Intent:
    return load_sources((source(text),))


@given(routes() | rules().map(lambda one: [one]) | addresses().map(lambda one: [one]))
def test_what_is_exported_and_loaded_again_makes_the_same_objects(standings: list[Standing]) -> None:
    kinds = {RouteSlot: Kind.ROUTE, RuleSlot: Kind.RULE, AddressSlot: Kind.ADDRESS}
    exported = export([(kinds[type(one.slot)], one) for one in standings], FACTS, NAMING)
    assert exported.left_out == ()
    made = {one for entry in loaded(exported.text).entries for one in objects_of(entry)}
    assert made == set(map(seen, standings))


def route(
    protocol: int, table: int = 254, kind: int = names.UNICAST, dev: int = 2, **value: Any
) -> tuple[Kind, Standing]:
    known = RouteValue(kind, protocol, 253, (Hop(dev),))._replace(**value)
    return Kind.ROUTE, Standing(RouteSlot(IPV4, table, 0), parse_prefix("10.0.0.0/8"), known)


def rule(priority: int) -> tuple[Kind, Standing]:
    return Kind.RULE, Standing(RuleSlot(IPV4), RuleMember(priority, table=254), RuleValue(names.PROTOCOL_KERNEL))


def address(text: str, dev: int = 2, **value: object) -> tuple[Kind, Standing]:
    packed = parse_address(text)
    known = AddressValue(0)._replace(**value)  # type: ignore[arg-type]
    return Kind.ADDRESS, Standing(AddressSlot(family_of(packed)), AddressMember(dev, packed, 8), known)


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (route(1), "a router redirected packets there (proto redirect)"),
        (route(2), "the kernel made it by itself"),
        (route(9), "router advertisements made it (proto ra)"),
        (route(16), "DHCP made it (proto dhcp)"),
        (route(12), "a program keeps it under this number (proto bird)"),
        (route(186), "a program keeps it under this number (proto bgp)"),
        (route(80), "a program keeps it under this number (proto 80)"),
        (route(3, dev=4), "it stands on br-0123456789ab, which Docker makes"),
        (rule(0), "the kernel made it by itself"),
        (rule(32766), "the kernel made it by itself"),
        (address("192.0.2.1", dynamic=True), "it has a lifetime: DHCP or a router advertisement made it"),
        (address("fe80::1"), "the kernel made it by itself"),
        (address("127.0.0.1", dev=1), "the kernel made it by itself"),
        (address("2001:db8::1", protocol=2), "the kernel made it by itself"),
        (address("192.0.2.1", protocol=18), "a program keeps it under this number (proto keepalived)"),
        (address("172.17.0.1", dev=4), "it stands on br-0123456789ab, which Docker makes"),
    ],
)
def test_what_something_else_keeps_is_left_out_with_the_reason(kept: tuple[Kind, Standing], reason: str) -> None:
    facts = Facts(links=FACTS.links | {4: Link(4, "br-0123456789ab", True, True, "bridge")})
    text, (told,) = export([kept], facts, NAMING)
    assert (text, told.reason) == ("version = 1\n", reason)


def test_what_carries_a_number_that_counts_as_ours_is_taken() -> None:
    text, left_out = export([route(12)], FACTS, NAMING, frozenset({12}))
    assert ("[[route]]" in text, left_out) == (True, ())


def test_a_link_local_address_that_somebody_chose_is_taken_where_the_kernel_marks_its_own() -> None:
    kernels = HostAddress(2, parse_address("fe80::1234:5678:9abc:def0"), 64, 253, protocol=3)
    facts = Facts(links=FACTS.links, addresses={AddressMember(2, kernels.address, 64): kernels})
    text, left_out = export([address("fe80::1"), address("fe80::211:22ff:fe33:4455")], facts, NAMING)
    assert 'address = "fe80::1/8"' in text
    assert [one.origin for one in left_out] == ["address fe80::211:22ff:fe33:4455/8"]


@pytest.mark.parametrize(
    ("strange", "reason"),
    [
        (route(3, kind=11), "its type is xresolve, which the file has no word for"),
        (route(3, dev=99), "its interface 99 is not known"),
        (route(3, metrics=((13, 200),)), "its rto_min is not locked, so that it does nothing"),
        (route(3, metrics=((18, 1),)), "it carries the metric 18, which the file has no word for"),
        (
            route(3, extra=attribute(30, b"1234") + attribute(23, b"")),
            "it carries expires and nhid, which the file has no word for",
        ),
    ],
)
def test_what_the_file_has_no_word_for_is_told(strange: tuple[Kind, Standing], reason: str) -> None:
    naming = NAMING._replace(name_extra=name_unspoken)
    assert export([strange], FACTS, naming) == ("version = 1\n", (Leftover("route 10.0.0.0/8", reason),))


def test_what_the_file_does_not_take_is_told_with_its_complaint() -> None:
    kind, standing = route(3)
    text, (told,) = export([(kind, standing), (kind, standing._replace(value=standing.value._replace(protocol=4)))],
                           FACTS, NAMING)  # fmt: skip
    assert text.count("[[route]]") == 1
    assert told.origin == "route 10.0.0.0/8"
    assert told.reason.startswith("the file does not take it: ")


def test_entries_have_names_and_say_where_they_come_from() -> None:
    twice = Standing(RuleSlot(IPV4), RuleMember(7, table=254, fwmark=1, fwmask=1), RuleValue(0))
    again = Standing(RuleSlot(IPV4), RuleMember(7, table=254, fwmark=1, fwmask=1, tos=4), RuleValue(0))
    text, left_out = export([route(3), (Kind.RULE, twice), (Kind.RULE, again)], FACTS, NAMING)
    assert left_out == ()
    assert '# was: 10.0.0.0/8 dev eth0 proto boot scope link\n[[route]]\nname = "10.0.0.0-8"\n' in text
    assert [entry.name for entry in loaded(text).entries] == [
        "route/10.0.0.0-8", "rule/7-ipv4-0x1-0x1-main", "rule/7-ipv4-0x1-0x1-main-2"
    ]  # fmt: skip


def test_a_route_with_a_source_prefix_is_exported_with_it() -> None:
    slot = RouteSlot(IPV6, 254, 1024, source=parse_prefix("2001:db8:a::/48"))
    hops = (Hop(2, parse_address("fe80::1")),)
    beside = Standing(slot, DEFAULT[IPV6], RouteValue(names.UNICAST, 4, 0, hops))
    (entry,) = loaded(export([(Kind.ROUTE, beside)], FACTS, NAMING).text).entries
    assert isinstance(entry, RouteEntry)
    assert (entry.prefixes, entry.source) == ({IPV6: {DEFAULT[IPV6]}}, slot.source)


@pytest.mark.parametrize(
    ("kind", "standing"),
    [
        route(3),
        address("192.0.2.1"),
        (Kind.RULE, Standing(RuleSlot(IPV4), RuleMember(7, table=254, iif="\udcff\udcfeab"), RuleValue(0))),
    ],
    ids=["a route", "an address", "a rule"],
)
def test_what_bears_a_name_that_is_no_text_is_told(kind: Kind, standing: Standing) -> None:
    facts = Facts(links={2: Link(2, "\udcff\udcfeab", True, True)})
    text, (told,) = export([(kind, standing)], facts, NAMING)
    assert text == "version = 1\n"
    assert "it bears the name of an interface that is no UTF-8" in told.reason


@pytest.mark.parametrize("name", ["a\u202eb", "a\u2028b", "a\x85b", "a\x7f\x1b", "a\"b'\\"])
def test_a_name_that_the_kernel_takes_is_exported_and_taken_by_the_file(name: str) -> None:
    exported = export([route(3)], Facts(links={2: Link(2, name, True, True)}), NAMING)
    (entry,) = loaded(exported.text).entries
    assert getattr(entry, "hops") == (HopSpec(dev=name),)  # noqa: B009


@pytest.mark.parametrize("name", ["à", "a b", "a\u00a0b", "a\tb", "a/b", "a:b", "..", ""])
def test_a_name_that_the_kernel_refuses_is_refused_in_the_file(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of an interface"):
        interface(name)


def test_the_words_are_those_of_ip() -> None:
    hop = (Hop(2, parse_address("192.0.2.1")),)
    default = Standing(RouteSlot(IPV4, 254, 50), DEFAULT[IPV4], RouteValue(names.UNICAST, 3, 0, hop))
    told = "# was: default via 192.0.2.1 dev eth0 proto boot metric 50\n"
    words = 'to = "default"\nvia = "192.0.2.1"\ndev = "eth0"\nmetric = 50\n'
    expected = f'version = 1\n\n{told}[[route]]\nname = "default"\n{words}'
    assert export([(Kind.ROUTE, default)], FACTS, NAMING).text == expected
    assert getattr(loaded(expected).entries[0], "hops") == (HopSpec(hop[0].gateway, "eth0"),)  # noqa: B009


@pytest.mark.parametrize("name", ["ens*", "eth?", "@lan"])
def test_an_interface_whose_name_the_file_takes_for_something_else_is_told(name: str) -> None:
    facts = Facts(links={2: Link(2, name, is_up=True, has_carrier=True)})
    text, (told,) = export([route(3)], facts, NAMING)
    assert text == "version = 1\n"
    assert f'the name of an interface, "{name}", which the file takes for something else' in told.reason
