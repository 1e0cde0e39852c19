"""Whoever reads no changed fact comes to the same as before: so only the others need to be resolved again."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from routed.core.entries import resolve
from routed.core.sources import find_changed_facts
from routed.model import names
from routed.model.entries import (
    AddressEntry,
    Entry,
    HeldVipEntry,
    HopSpec,
    LinkEntry,
    RouteEntry,
    RuleEntry,
    VipEntry,
    When,
)
from routed.model.facts import Choice, Facts, GatewayLink, HostAddress, Link, Way, WayWithoutOurs
from routed.model.net import IPV4, IPV6, parse_address, parse_prefix
from routed.model.objects import AddressMember, RouteSlot, RuleMember, Standing
from routed.model.reasons import Unchosen
from tests.property.rig import ORIGIN, OURS, a_route, a_rule, an_address, hop, route_value, via

DEVS = (1, 2, 3)
VIP, OTHER_VIP = parse_prefix("203.0.113.1"), parse_prefix("2001:db8::1")
GATEWAY = parse_address("192.0.2.9")
POOL = tuple(map(parse_address, ("192.0.2.1", "192.0.2.2", "198.51.100.1", "192.0.2.80", "2001:db8:1::1")))
SERVICE = frozenset({parse_address("192.0.2.80")})


@st.composite
def links(draw: st.DrawFn) -> dict[int, Link]:
    called = draw(st.permutations(("lo", "v0", "v1")))
    return {
        dev: Link(dev, name, is_up=draw(st.booleans()), has_carrier=True)
        for dev, name in zip(DEVS, called, strict=True)
        if draw(st.integers(0, 3))
    }


@st.composite
def host_addresses(draw: st.DrawFn) -> dict[AddressMember, HostAddress]:
    held = draw(st.lists(st.tuples(st.sampled_from(DEVS), st.sampled_from(POOL)), max_size=5, unique=True))
    return {
        AddressMember(dev, address, 24): HostAddress(dev, address, 24, 0, is_tentative=not draw(st.integers(0, 4)))
        for dev, address in held
    }


def default_route(dev: int, metric: int) -> Standing:
    return Standing(RouteSlot(IPV4, names.TABLE_MAIN, metric), parse_prefix("0.0.0.0/0"), route_value(hop(dev)))


@st.composite
def a_way(draw: st.DrawFn, devs: st.SearchStrategy[int]) -> Way | None:
    return Way(draw(devs), b"", draw(st.sampled_from(POOL)), names.UNICAST) if draw(st.booleans()) else None


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    there = draw(links())
    devs = st.sampled_from(sorted(there) or [1])
    dev = draw(st.sampled_from(DEVS))
    name = there[dev].name if dev in there else "v9"
    near = GatewayLink(draw(devs), is_onlink=draw(st.booleans()))
    return Facts(
        links=there,
        addresses=draw(host_addresses()),
        gateways=draw(st.sampled_from([{}, {GATEWAY: near}])),
        default_routes=tuple(default_route(one, 0) for one in draw(st.lists(st.sampled_from(DEVS), max_size=2))),
        ways_without_ours={VIP: WayWithoutOurs(draw(a_way(devs)), None, draw(st.booleans()))},
        chosen=draw(st.sampled_from([{}, {"in": Choice(reason=Unchosen.NOTHING_FITS)}, {"in": Choice(dev, name)}])),
        service_addresses=SERVICE,
    )


def a_vip(when: When, prefix: bytes = VIP, **node: Any) -> VipEntry:
    return VipEntry(name="vip/a", origin=ORIGIN, prefix=prefix, when=when, **node)


def a_held_vip(length: int, dev: str) -> HeldVipEntry:
    return HeldVipEntry(name="vip/b", origin=ORIGIN, address=parse_address("192.0.2.80"), prefixlen=length, dev=dev)


def a_route_from(selector: str) -> RouteEntry:
    plain = a_route(hops=(HopSpec(parse_address("192.0.2.9"), "v0"),))
    return RouteEntry(name=plain.name, origin=ORIGIN, prefixes=plain.prefixes, hops=plain.hops, src_of=selector)


def a_rule_from(selector: str) -> RuleEntry:
    member = RuleMember(1200, table=120, iif="@in")
    return RuleEntry(name="rule/a", origin=ORIGIN, families=(IPV4, IPV6), rule=member, source_of=selector)


AN_ADDRESS: AddressEntry = an_address(dev="@in")
ENTRIES_OF_ALL_KINDS: tuple[Entry, ...] = (
    a_route(),
    a_route(hops=(HopSpec(dev="@in"),)),
    a_route(hops=(via("192.0.2.9"),)),
    a_route(hops=(via("192.0.2.9"), HopSpec(dev="v1"))),
    a_route(src="192.0.2.1"),
    a_route_from("in"),
    a_rule(),
    a_rule_from("in"),
    an_address(),
    AN_ADDRESS,
    LinkEntry(name="link/v1", origin=ORIGIN, link="v1", kind="dummy"),
    *(a_held_vip(length, dev) for length in (24, 32) for dev in ("v0", "@in")),
    *(a_vip(when, node=node) for when in When for node in POOL[:4]),
    *(a_vip(when, node_of="in") for when in When),
    a_vip(When.NOT_DEFAULT, OTHER_VIP, node_of="in"),
)


@st.composite
def a_change(draw: st.DrawFn, before: Facts, other: Facts) -> Facts:
    """The least that happens to a host: to one link, one address, the order of two, or one answer of the kernel."""
    what = draw(
        st.sampled_from(["link", "address", "order", "gateways", "default_routes", "ways_without_ours", "chosen"])
    )
    after = before.copy()
    match what:
        case "link":
            dev = draw(st.sampled_from(DEVS))
            _exchange(after.links, dev, other.links.get(dev))
        case "address":
            member = draw(st.sampled_from([*before.addresses, *other.addresses] or [AddressMember(1, POOL[0], 24)]))
            _exchange(after.addresses, member, other.addresses.get(member))
        case "order":
            return before.put(addresses=dict(draw(st.permutations(list(before.addresses.items())))))
        case _:
            return before.put(**{what: getattr(other, what)})
    return after


def _exchange(there: dict[Any, Any], key: Any, value: Any) -> None:
    there.pop(key, None)
    if value is not None:
        there[key] = value


@settings(max_examples=300)
@given(st.data(), facts(), facts())
def test_an_entry_that_read_no_changed_fact_comes_to_the_same(data: st.DataObject, before: Facts, other: Facts) -> None:
    after = data.draw(a_change(before, other))
    changed = find_changed_facts(before, after)
    for entry in ENTRIES_OF_ALL_KINDS:
        former = resolve(entry, before, OURS)
        if former.reads.isdisjoint(changed):
            again = resolve(entry, after, OURS)
            assert (again.sets, again.note, len(again.waiting)) == (former.sets, former.note, len(former.waiting))
            assert again.reads == former.reads
