"""Notifications: what the kernel says, as events; lost ones as an Overrun."""

from __future__ import annotations

import select
from pathlib import Path

import pytest

from routed.kernel.kernel import Kernel
from routed.model.change import Verb
from routed.model.events import KERNEL, AddressEvent, Event, Interest, LinkEvent, ObjectEvent, Overrun, place_of
from routed.model.net import parse_prefix
from routed.model.objects import AddressMember, Hop, Kind, Scope, Standing
from tests.kernel.conftest import Network
from tests.kernel.netns import ip, ip_batch, ip_json, veth
from tests.kernel.objects import TABLE, V4, V6, address, do, packed, read, route, rule

TO, TO6 = "192.0.2.0/24", "2001:db8::/48"


@pytest.fixture
def listening(kernel: Kernel) -> Kernel:
    kernel.open_events()
    return kernel


def of_objects(events: list[Event]) -> list[ObjectEvent]:
    """Without what the kernel does on its own time to new links and their link-local addresses."""
    objects = [event for event in events if isinstance(event, ObjectEvent) and event.kind is not Kind.LINK]
    singles = [event._replace(members=(member,)) for event in objects for member in event.members]
    return [event for event in singles if event.port != KERNEL or not _is_link_local(event)]


def standing_of(event: ObjectEvent) -> Standing:
    (member,) = event.members
    return Standing(event.slot, member, event.value)


def _is_link_local(event: ObjectEvent) -> bool:
    (member,) = event.members
    packed_address = member.address if isinstance(member, AddressMember) else member
    return isinstance(packed_address, bytes) and packed_address[:1] in {b"\xfe", b"\xff"}


@pytest.mark.parametrize(
    ("kind", "thing"),
    [(Kind.ROUTE, route(TO, type=6)), (Kind.ROUTE, route(TO6, type=6)), (Kind.RULE, rule(V4)), (Kind.RULE, rule(V6))],
    ids=str,
)
def test_our_own_change_comes_back_with_our_port(listening: Kernel, kind: Kind, thing: object) -> None:
    do(listening, Verb.ADD, thing)  # type: ignore[arg-type]
    do(listening, Verb.DELETE, thing)  # type: ignore[arg-type]
    added, removed = of_objects(listening.read_events())
    assert (added.kind, standing_of(added)) == (kind, thing)
    assert standing_of(removed) == thing
    assert [added.is_removal, removed.is_removal] == [False, True]
    assert {added.port, removed.port} == {listening.port}


def test_an_event_of_a_route_equals_what_a_dump_shows(network: Network, listening: Kernel) -> None:
    wide = route(TO6, Hop(network.v0, packed("fd00::2")), Hop(network.v1, packed("fd01::2")))
    do(listening, Verb.ADD, wide)
    (event,) = of_objects(listening.read_events())
    assert read(listening, Scope(Kind.ROUTE, V6, TABLE)) == [standing_of(event)] == [wide]


def test_an_event_of_a_route_has_its_source_as_a_dump_has(listening: Kernel) -> None:
    for to in (TO6, "default"):
        ip(f"-6 route add {to} from 2001:db8:a::/48 dev v0 table {TABLE} metric 50")
        ip(f"-6 route del {to} from 2001:db8:a::/48 dev v0 table {TABLE} metric 50")
        ip(f"-6 route add {to} from 2001:db8:a::/48 dev v0 table {TABLE} metric 50")
    events = of_objects(listening.read_events())
    assert [event.is_removal for event in events] == [False, True, False] * 2
    stands = read(listening, Scope(Kind.ROUTE, V6, TABLE))
    assert sorted({standing_of(event) for event in events}) == sorted(stands)


def test_an_ipv6_leg_that_is_appended_is_announced_with_the_whole_route(network: Network, listening: Kernel) -> None:
    do(listening, Verb.ADD, route(TO6, Hop(network.v0, packed("fd00::2"))))
    ip(f"-6 route append {TO6} via fd01::2 dev v1 table {TABLE} metric 50 proto 114")
    *_, event = of_objects(listening.read_events())
    legs = (Hop(network.v1, packed("fd01::2")), Hop(network.v0, packed("fd00::2")))
    assert event.value.hops == legs  # the new one first, which stands last in a dump
    (stands,) = read(listening, Scope(Kind.ROUTE, V6, TABLE))
    assert stands.value.hops == legs[::-1]
    assert not event.is_addition


def test_events_tell_an_addition_a_replacement_and_a_further_alias_apart(listening: Kernel) -> None:
    for verb in ("add", "replace", "append", "prepend"):
        kind = (
            "blackhole" if verb == "add" else {"replace": "prohibit", "append": "throw", "prepend": "unreachable"}[verb]
        )
        ip(f"route {verb} {kind} {TO} table {TABLE}")
    told = [(event.is_addition, event.is_replacement) for event in of_objects(listening.read_events())]
    assert told == [(True, False), (False, True), (False, False), (False, False)]


def test_a_change_by_another_process_carries_another_port(listening: Kernel) -> None:
    ip(f"route add blackhole {TO} table {TABLE}")
    (event,) = of_objects(listening.read_events())
    assert event.port not in {KERNEL, listening.port}


def test_a_change_by_the_kernel_carries_port_0(network: Network, listening: Kernel) -> None:
    do(listening, Verb.ADD, route(TO6, Hop(network.v0, packed("fd00::2"))))
    listening.read_events()
    ip("link set v0 down")
    gone = [event for event in of_objects(listening.read_events()) if event.members == (route(TO6).member,)]
    assert [(event.is_removal, event.port) for event in gone] == [(True, KERNEL)]


def test_the_fact_of_an_address_comes_before_the_object(network: Network, listening: Kernel) -> None:
    wanted = address(network.v0, "198.51.100.1/32")
    do(listening, Verb.ADD, wanted)
    fact, thing, *_ = listening.read_events()
    assert isinstance(fact, AddressEvent)
    assert isinstance(thing, ObjectEvent)
    assert (fact.member,) == thing.members == (wanted.member,)
    assert (fact.address.protocol, fact.is_removal) == (114, False)


def test_links_are_followed_through_their_life(network: Network, listening: Kernel) -> None:
    made = veth("late")
    ip("link set late down")
    ip("link del late")
    links = [event for event in listening.read_events() if isinstance(event, LinkEvent) and event.link.ifindex == made]
    assert links[0].link.kind == "veth"
    assert [event.is_removal for event in links] == [False] * (len(links) - 1) + [True]
    assert {event.link.is_up for event in links} == {True, False}


def test_a_port_that_leaves_its_bridge_is_not_a_link_that_went_away(network: Network, listening: Kernel) -> None:
    ip("link add br0 type bridge")
    ip("link set v1 master br0")
    ip("link set v1 nomaster")
    links = [event for event in listening.read_events() if isinstance(event, LinkEvent)]
    assert any(event.link.master for event in links)
    assert not any(event.is_removal for event in links)


def test_what_the_kernel_does_in_table_local_is_not_told_but_what_others_do_is(
    network: Network, listening: Kernel
) -> None:
    ip("addr add 198.51.100.1/32 dev v0")
    assert [event.kind for event in of_objects(listening.read_events())] == [Kind.ADDRESS]
    ip("route add local 198.51.100.2 dev v0 table local")
    assert [event.kind for event in of_objects(listening.read_events())] == [Kind.ROUTE]


def test_reading_without_news_gives_nothing_and_does_not_block(listening: Kernel) -> None:
    listening.read_events()
    assert listening.read_events() == []


def test_the_descriptor_is_readable_when_there_is_news(listening: Kernel) -> None:
    listening.read_events()
    waiting = select.poll()
    waiting.register(listening.events_fileno(), select.POLLIN)
    assert waiting.poll(0) == []
    ip(f"route add blackhole {TO} table {TABLE}")
    assert waiting.poll(1000)


def test_lost_events_are_an_overrun_and_the_socket_goes_on(network: Network) -> None:
    with Kernel(event_buffer=2048) as kernel:
        kernel.open_events()
        ip_batch("".join(f"route add blackhole 11.0.{n >> 8}.{n & 255} table {TABLE}\n" for n in range(1000)))
        events = kernel.read_events()
        assert Overrun() in events
        assert kernel.overruns == events.count(Overrun()) == 1
        ip(f"route add blackhole {TO} table {TABLE}")
        assert [event.members for event in of_objects(kernel.read_events())] == [(route(TO).member,)]
        assert len(ip_json(f"route show table {TABLE}")) == 1001


def test_without_echo_our_own_routes_are_silent_and_all_else_is_heard(network: Network, listening: Kernel) -> None:
    listening.hear_echo(wanted=False)
    do(listening, Verb.ADD, route(TO, type=6))
    do(listening, Verb.ADD, route(TO6, type=6))
    do(listening, Verb.ADD, address(network.v0, "192.0.2.7/32"))
    do(listening, Verb.ADD, rule(V4))
    ip(f"route add blackhole 198.51.100.0/24 table {TABLE}")
    heard = [event for event in of_objects(listening.read_events()) if event.port != KERNEL]
    assert [event.kind for event in heard] == [Kind.ADDRESS, Kind.RULE, Kind.ROUTE]
    listening.hear_echo(wanted=True)
    do(listening, Verb.DELETE, route(TO, type=6))
    assert [event.is_removal for event in of_objects(listening.read_events())] == [True]


def test_only_what_is_of_interest_is_delivered_and_the_filter_judges_as_the_interest_does(listening: Kernel) -> None:
    heads = ("10.0.0", "10.0.1", "10.0.255", "10.1.0", "192.0.2", "223.255.255")
    v4 = [f"{head}.{low}/{length}" for head in heads for low, length in ((0, 24), (0, 30), (4, 30), (255, 32))]
    v6 = [f"2001:{head}:{low}::/{length}" for head in ("0", "db8", "ffff") for low, length in ((0, 32), (1, 48))]
    prefixes, protocols = (*v4, *v6, "0.0.0.0/0", "::/0"), (4, 7, 114)
    interest = Interest(
        frozenset({114, 7}),
        {
            V4: ((place("10.0.0.0"), place("10.0.0.4")), (place("10.0.255.255"), place("192.0.2.0"))),
            V6: ((place("2001:db8::"), place("2001:db8::")),),
        },
    )
    wanted = [
        (prefix, protocol)
        for prefix in prefixes
        for protocol in protocols
        if interest.covers(parse_prefix(prefix), protocol)
    ]
    assert wanted
    listening.listen_for(interest)
    for verb in ("add", "del"):
        ip_batch(
            "".join(
                f"route {verb} blackhole {prefix} metric {protocol} proto {protocol}\n"
                for prefix in prefixes
                for protocol in protocols
            )
        )
        heard = of_objects(listening.read_events())
        assert [(*event.members, event.value.protocol) for event in heard] == [
            (parse_prefix(prefix), protocol) for prefix, protocol in wanted
        ]


def test_a_replacement_by_a_stranger_is_heard_where_only_its_key_is_of_interest(listening: Kernel) -> None:
    listening.listen_for(Interest(frozenset({114}), {V4: ((place("192.0.2.0"), place("192.0.2.0")),), V6: ()}))
    do(listening, Verb.ADD, route(TO, type=6))
    ip(f"route replace prohibit {TO} table {TABLE} metric 50 proto static")
    ip(f"route replace prohibit 198.51.100.0/24 table {TABLE} metric 50 proto static")
    assert [event.port == listening.port for event in of_objects(listening.read_events())] == [True, False]


def test_whatever_the_interest_our_own_changes_and_all_but_routes_are_heard(
    network: Network, listening: Kernel
) -> None:
    listening.listen_for(Interest(frozenset(), {V4: (), V6: ()}))
    do(listening, Verb.ADD, route(TO, type=6, protocol=4))
    ip("rule add priority 900 table 77")
    ip("addr add 198.51.100.1/32 dev v0")
    ip("link set v1 mtu 1400")
    events = listening.read_events()
    assert [event.kind for event in of_objects(events)] == [Kind.ROUTE, Kind.RULE, Kind.ADDRESS]
    assert [event.link.name for event in events if isinstance(event, LinkEvent)][:1] == ["v1"]
    listening.hear_echo(wanted=False)
    listening.read_events()
    do(listening, Verb.DELETE, route(TO, type=6, protocol=4))
    assert of_objects(listening.read_events()) == []


def test_with_spans_as_many_as_there_may_be_the_kernel_takes_the_filter(listening: Kernel) -> None:
    spans = tuple((n << 20, n << 20) for n in range(1, 65))
    listening.listen_for(Interest(frozenset({114}), {V4: spans, V6: spans}))
    for n in (1, 32, 64):
        ip(f"route add blackhole {n >> 4}.{(n & 15) << 4}.0.0/32 table {TABLE}")
    ip(f"route add blackhole 4.0.0.1/32 table {TABLE}")
    assert len(of_objects(listening.read_events())) == 3


def test_where_the_kernel_has_no_room_for_the_filter_everything_is_heard(listening: Kernel) -> None:
    limit = Path("/proc/sys/net/core/optmem_max")  # of this network namespace since Linux 6.8
    if not limit.exists():
        pytest.skip("net.core.optmem_max is that of the host here")
    before = limit.read_text()
    spans = tuple((n << 20, n << 20) for n in range(1, 65))
    try:
        limit.write_text("2048")
        listening.listen_for(Interest(frozenset({114}), {V4: spans, V6: spans}))
    finally:
        limit.write_text(before)
    ip(f"route add blackhole {TO} table {TABLE}")
    assert len(of_objects(listening.read_events())) == 1


@pytest.mark.parametrize("pattern", ["10.{}.0.0/16", "2001:db8:{}::/48"], ids=["IPv4", "IPv6"])
def test_a_storm_of_routes_is_told_of_in_few_events_and_each_prefix_at_its_place(
    network: Network, listening: Kernel, pattern: str
) -> None:
    prefixes = [pattern.format(number) for number in range(10, 60)]
    listening.read_events()
    ip_batch("\n".join(f"route add {prefix} dev v0 table {TABLE}" for prefix in prefixes))
    ip(f"route change {prefixes[3]} dev v1 table {TABLE}")
    ip(f"route add blackhole default table {TABLE}")
    ip_batch("\n".join(f"route del {prefix} table {TABLE}" for prefix in prefixes))
    events = [event for event in listening.read_events() if isinstance(event, ObjectEvent) and event.port]
    came, changed, default, *gone = events
    assert came.members == [parse_prefix(prefix) for prefix in prefixes]
    assert changed.members == (parse_prefix(prefixes[3]),)
    assert default.members == (bytes(5),)
    assert [event.value.hops[0].dev for event in gone] == [network.v0, network.v1, network.v0]
    assert [parse_prefix(prefix) for prefix in prefixes] == [member for event in gone for member in event.members]
    assert {event.is_removal for event in gone} == {True}


def test_of_a_storm_of_rules_each_is_told_of_by_itself(listening: Kernel) -> None:
    ip_batch("\n".join(f"rule add priority 900 from 10.0.0.{number} table 77" for number in range(1, 9)))
    events = [event for event in listening.read_events() if isinstance(event, ObjectEvent)]
    assert [len(event.members) for event in events] == [1] * 8
    assert len({event.members for event in events}) == 8


def place(text: str) -> int:
    return place_of(packed(text))
