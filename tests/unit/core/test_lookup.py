"""The way of a packet, as Linux takes it: which rules it passes and why, and what decides."""

from __future__ import annotations

from dataclasses import replace
from errno import EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH
from struct import pack
from typing import Any

import pytest

from routed.core.in_front import Contender, find_behind
from routed.core.lookup import explain
from routed.model.attributes import join
from routed.model.fib import Entrance, Explanation, Fib, FibLink, FibRoute
from routed.model.lookup import Question
from routed.model.net import parse_address
from routed.model.reasons import Aside, AtRule, InTheWay, NotFor, NotForwarded, SourceRefused
from tests.unit.core.fib import IPV6, LINKS, fib, hop, packet, route, rule

DEFAULT = route("default", "10.0.0.1 eth0")


def whys(explained: Explanation) -> dict[int, object]:
    return {step.rule.member.priority: step.why for step in explained.steps}


def test_a_packet_goes_by_the_longest_prefix_and_then_by_the_lowest_metric() -> None:
    narrow = route("203.0.113.0/24", "10.0.0.2 eth0", metric=50)
    lower = route("203.0.113.0/24", "10.0.0.3 eth0", metric=5)
    explained = explain(fib(DEFAULT, narrow, lower), packet("203.0.113.7"))
    assert (explained.route, explained.hops, explained.errno) == (lower, (hop("10.0.0.3 eth0"),), 0)
    assert whys(explained) == {0: AtRule.NO_ROUTE, 32766: AtRule.DECIDES}
    assert explain(fib(DEFAULT, narrow, lower), packet("198.51.100.1")).route == DEFAULT


@pytest.mark.parametrize(
    ("selector", "word", "fitting", "other"),
    [
        ({"source": "10.0.0.0/24"}, "from", {"source": "10.0.0.9"}, {"source": "10.0.1.9"}),
        ({"destination": "203.0.113.0/24"}, "to", {}, {"to": "198.51.100.1"}),
        ({"iif": "eth0"}, "iif", {"iif": "eth0", "source": "10.9.9.9"}, {}),
        ({"iif": "lo"}, "iif", {}, {"iif": "eth0", "source": "10.9.9.9"}),
        ({"oif": "eth1"}, "oif", {"oif": "eth1"}, {"oif": "eth0"}),
        ({"oif": "gone"}, "oif", None, {}),
        ({"fwmark": 0x10, "fwmask": 0x30}, "fwmark", {"mark": 0x17}, {"mark": 0x27}),
        ({"tos": 0x10}, "tos", {"tos": 0x10}, {"tos": 8}),
        ({"uidrange": (55, 60)}, "uidrange", {"uid": 57}, {"uid": 0}),
        ({"ipproto": 6}, "ipproto", {"ipproto": 6}, {}),
        ({"sport": (50, 60)}, "sport", {"sport": 53}, {"sport": 0}),
        ({"dport": (53, 53)}, "dport", {"dport": 53}, {"dport": 54}),
        ({"l3mdev": True}, "l3mdev", None, {}),
        ({"extra": join({25: b"\x08"})}, "dscp", {"tos": 0x20}, {"tos": 0x28}),
        ({"extra": join({25: b"\x08", 30: b"\x38"})}, "dscp", {"tos": 0x28}, {"tos": 0x40}),
        ({"extra": join({25: b"\x00"})}, "dscp", {}, {"tos": 4}),
        ({"extra": join({26: b"\0\0\0\7", 27: b"\0\0\0\xff"})}, "flowlabel", None, {}),
        ({"dport": (80, 80), "extra": join({29: pack("=H", 0xFFF0)})}, "dport", {"dport": 95}, {"dport": 96}),
    ],
)
def test_a_rule_is_passed_where_a_selector_does_not_fit_and_the_first_such_is_told(
    selector: dict[str, Any], word: str, fitting: dict[str, Any] | None, other: dict[str, Any]
) -> None:
    table = route("default", "10.0.0.9 eth0", "10.1.0.9 eth1", table=77)
    world = fib(DEFAULT, table, rule(100, 77, **selector))

    def ask(given: dict[str, Any]) -> Explanation:
        return explain(world, packet(**({"to": "203.0.113.7"} | given)))

    assert whys(ask(other))[100] == NotFor(word)
    if fitting is not None:
        assert ask(fitting).route == table
    if "l3mdev" in selector:
        return  # that is where to look as well
    inverted = fib(DEFAULT, table, rule(100, 77, inverted=True, **selector))
    assert explain(inverted, packet(**({"to": "203.0.113.7"} | other))).route == table
    if fitting is not None:
        assert whys(explain(inverted, packet(**({"to": "203.0.113.7"} | fitting))))[100] is AtRule.EXCLUDED


def test_ipv4_takes_a_source_that_is_not_chosen_yet_for_zero_and_ipv6_for_none() -> None:
    zero = fib(DEFAULT, route("default", "eth1", table=77), rule(100, 77, source="0.0.0.0/8"))
    assert whys(explain(zero, packet("203.0.113.7")))[100] is AtRule.DECIDES
    six = fib(route("default", "eth1", family=IPV6, table=77), rule(100, 77, IPV6, source="::/8"), family=IPV6)
    assert whys(explain(six, packet("2001:db8::1")))[100] == NotFor("from")


def test_ipv4_of_which_nothing_else_is_said_counts_as_udp() -> None:
    world = fib(DEFAULT, route("default", "eth1", table=77), rule(100, 77, ipproto=17))
    assert whys(explain(world, packet("203.0.113.7")))[100] is AtRule.DECIDES
    assert whys(explain(world, packet("203.0.113.7", ipproto=6)))[100] == NotFor("ipproto")


@pytest.mark.parametrize(
    ("action", "errno"), [("blackhole", EINVAL), ("unreachable", ENETUNREACH), ("prohibit", EACCES)]
)
def test_a_rule_may_drop_a_packet_by_itself(action: str, errno: int) -> None:
    number = {"blackhole": 6, "unreachable": 7, "prohibit": 8}[action]
    explained = explain(fib(DEFAULT, rule(100, action=number)), packet("203.0.113.7"))
    assert (explained.errno, explained.route, explained.steps[-1].why) == (errno, None, AtRule.DROPS)
    assert explained.rule == explained.steps[-1].rule


@pytest.mark.parametrize(
    ("type_", "errno"), [("blackhole", EINVAL), ("unreachable", EHOSTUNREACH), ("prohibit", EACCES)]
)
def test_so_may_a_route(type_: str, errno: int) -> None:
    dead_end = route("203.0.113.0/24", type=type_)
    explained = explain(fib(DEFAULT, dead_end), packet("203.0.113.7"))
    assert (explained.errno, explained.route, explained.hops) == (errno, dead_end, ())


def test_a_throw_route_sends_the_packet_to_the_next_rule() -> None:
    throw = route("203.0.113.0/24", type="throw", table=77)
    explained = explain(fib(DEFAULT, throw, rule(100, 77)), packet("203.0.113.7"))
    assert explained.route == DEFAULT
    assert next(step for step in explained.steps if step.why is AtRule.THROWN).route == throw


def test_where_no_rule_has_a_way_the_network_is_not_reached() -> None:
    explained = explain(fib(), packet("203.0.113.7"))
    assert (explained.errno, explained.rule, explained.route) == (ENETUNREACH, None, None)
    assert set(whys(explained).values()) == {AtRule.NO_ROUTE}


def test_a_goto_jumps_over_rules_and_one_without_a_target_does_nothing() -> None:
    there = route("default", "eth1", table=77)
    world = fib(DEFAULT, there, rule(100, action=2, target=300), rule(200, 77), rule(300, action=3))
    explained = explain(world, packet("203.0.113.7"))
    told = {0: AtRule.NO_ROUTE, 100: AtRule.JUMPS, 200: AtRule.JUMPED_OVER, 300: AtRule.NOTHING}
    assert whys(explained) == told | {32766: AtRule.DECIDES}
    stays = fib(DEFAULT, there, rule(100, action=2, target=250), rule(200, 77))
    assert whys(explain(stays, packet("203.0.113.7")))[100] is AtRule.NO_TARGET
    assert explain(stays, packet("203.0.113.7")).route == there


def test_a_rule_may_leave_out_short_prefixes_and_links_of_a_group() -> None:
    wide, narrow = route("default", "10.0.0.9 eth0", table=77), route("203.0.113.0/24", "eth1", table=77)
    short = fib(DEFAULT, wide, narrow, rule(100, 77, suppress_prefixlength=0))
    assert explain(short, packet("203.0.113.7")).route == narrow
    passed = explain(short, packet("198.51.100.1"))
    assert (whys(passed)[100], passed.route) == (AtRule.TOO_WIDE, DEFAULT)
    group = fib(DEFAULT, wide, narrow, rule(100, 77, suppress_ifgroup=5))
    passed = explain(group, packet("203.0.113.7"))
    assert (whys(passed)[100], passed.route) == (AtRule.OF_GROUP, DEFAULT)


def test_a_dead_end_is_never_left_out() -> None:
    world = fib(DEFAULT, route("default", type="blackhole", table=77), rule(100, 77, suppress_prefixlength=0))
    assert explain(world, packet("203.0.113.7")).errno == EINVAL


def test_ipv4_tells_routes_by_the_tos_and_the_one_that_names_it_comes_first() -> None:
    plain, special = route("default", "10.0.0.9 eth0"), route("default", "10.1.0.9 eth1", tos=0x10, metric=99)
    world = fib(plain, special)
    assert explain(world, packet("203.0.113.7")).route == plain
    assert explain(world, packet("203.0.113.7", tos=0x10)).route == special
    assert explain(world, packet("203.0.113.7", tos=0xF0)).route == special  # three bits of it count


def test_what_is_dead_is_passed_over_and_a_route_goes_by_its_other_hops() -> None:
    gone = route("203.0.113.0/24", "10.1.0.9 eth1", dead=frozenset({0}))
    explained = explain(fib(DEFAULT, gone), packet("203.0.113.7"))
    assert explained.route == DEFAULT
    half = route("203.0.113.0/24", "10.1.0.9 eth1", "10.0.0.9 eth0", dead=frozenset({0}))
    assert explain(fib(DEFAULT, half), packet("203.0.113.7")).hops == (hop("10.0.0.9 eth0"),)
    alone = explain(fib(gone), packet("203.0.113.7"))
    assert (whys(alone)[32766], alone.errno) == (AtRule.NOT_USABLE, ENETUNREACH)


def test_a_packet_of_ipv4_that_is_bound_to_a_link_goes_there_even_where_no_table_has_a_way() -> None:
    explained = explain(fib(DEFAULT), packet("203.0.113.7", oif="eth1"))
    assert (explained.aside, explained.hops, explained.errno) == (Aside.ON_LINK, (hop("eth1"),), 0)
    down = fib(DEFAULT)
    down = Fib(down.rules, down.tables, {**LINKS, "eth1": FibLink(3, is_up=False)})
    assert explain(down, packet("203.0.113.7", oif="eth1")).aside is Aside.LINK_DOWN


def test_of_default_routes_that_are_equal_the_one_whose_gateway_answers_may_be_taken() -> None:
    other = route("default", "10.0.0.2 eth0")
    assert explain(fib(DEFAULT, other), packet("203.0.113.7")).equals == (DEFAULT, other)
    assert explain(fib(DEFAULT, other), packet("203.0.113.7", "10.9.9.9", iif="eth1")).equals == ()


def test_as_long_as_nobody_touched_a_rule_a_longer_prefix_in_main_comes_before_table_local() -> None:
    local, longer = route("127.0.0.0/8", "lo", type="local", table=255), route("127.0.0.0/24", "eth0")
    merged = explain(fib(local, longer, is_merged=True), packet("127.0.0.5"))
    assert (whys(merged)[0], merged.steps[0].route, merged.route) == (AtRule.MERGED, local, longer)
    assert explain(fib(local, longer), packet("127.0.0.5")).route == local
    assert explain(fib(local, longer, is_merged=True).add_rule(rule(100, 77)), packet("127.0.0.5")).route == local


# --- what comes in ----------------------------------------------------------------------------------------------------


def comes_in(world: Fib, source: str = "198.51.100.9", **entrance: Any) -> Explanation:
    with_entrance = Fib(world.rules, world.tables, world.links, world.own, entrances={"eth1": Entrance(**entrance)})
    return explain(with_entrance, packet("203.0.113.7", source, iif="eth1"))


def test_what_comes_in_goes_on_only_where_this_host_forwards() -> None:
    assert comes_in(fib(DEFAULT)).errno == 0
    stopped = comes_in(fib(DEFAULT), forwards=False)
    assert (stopped.errno, stopped.route) == (EHOSTUNREACH, DEFAULT)
    assert isinstance(stopped.aside, NotForwarded)


def test_a_source_is_not_believed_where_the_way_back_leads_elsewhere_and_rp_filter_is_strict() -> None:
    assert isinstance(comes_in(fib(DEFAULT), rp_filter=1).aside, SourceRefused)
    assert comes_in(fib(DEFAULT), rp_filter=2).aside is None
    back = route("198.51.100.0/24", "10.1.0.9 eth1")
    assert comes_in(fib(DEFAULT, back), rp_filter=1).aside is None
    assert isinstance(
        comes_in(fib(back, route("203.0.113.0/24", "eth0")), "192.0.2.1", rp_filter=2).aside, SourceRefused
    )


def test_a_source_that_is_this_hosts_own_is_not_believed() -> None:
    own = route("10.0.0.1", "lo", type="local", table=255)
    assert comes_in(fib(DEFAULT, own), "10.0.0.1").errno == EINVAL
    assert comes_in(fib(DEFAULT, own), "10.0.0.1", accepts_local=True).errno == 0


# --- VRFs -------------------------------------------------------------------------------------------------------------


IN_VRF = {**LINKS, "blue": FibLink(9, table=10), "eth1": FibLink(3, master=9)}
BLUE = rule(1000, l3mdev=True)


def test_packets_of_a_vrf_are_looked_up_in_its_table() -> None:
    inside = route("default", "10.1.0.9 eth1", table=10)
    world = replace(fib(DEFAULT, inside, BLUE), links=IN_VRF)
    assert explain(world, packet("203.0.113.7", oif="blue")).route == inside
    assert explain(world, packet("203.0.113.7", oif="eth1")).route == inside
    assert explain(world, packet("203.0.113.7", "198.51.100.9", iif="eth1")).route == inside
    assert explain(world, packet("203.0.113.7")).route == DEFAULT


def test_what_is_bound_to_a_link_of_a_vrf_is_not_taken_to_be_on_it_where_no_table_has_a_way() -> None:
    world = replace(fib(BLUE), links=IN_VRF)
    assert explain(world, packet("203.0.113.7", oif="eth0")).aside is Aside.ON_LINK
    assert explain(world, packet("203.0.113.7", oif="eth1")).errno == ENETUNREACH
    assert explain(world, packet("203.0.113.7", oif="blue")).errno == ENETUNREACH


def test_the_rule_of_what_is_in_no_vrf_leads_to_table_main() -> None:
    """`ip rule add not from all l3mdev`: it has no table, and 0 is main to the kernel."""
    outside = rule(900, l3mdev=True, inverted=True)
    world = replace(fib(DEFAULT, outside), links=IN_VRF)
    assert explain(world, packet("203.0.113.7")).rule == outside
    assert whys(explain(world, packet("203.0.113.7", oif="blue")))[900] is AtRule.EXCLUDED


@pytest.mark.parametrize(("came_by", "is_believed"), [("eth1", True), ("eth0", False)])
def test_a_source_is_believed_by_the_tables_of_the_vrf_that_it_came_in_by(came_by: str, *, is_believed: bool) -> None:
    """Also where the packet is for this host, and leaves by no link."""
    inside = route("198.51.100.0/24", "10.1.0.9 eth1", table=10)
    own = [route("10.1.0.1", "lo", type="local", table=table) for table in (10, 255)]
    world = replace(fib(inside, *own, BLUE), links=IN_VRF, entrances={came_by: Entrance(rp_filter=1)})
    explained = explain(world, packet("10.1.0.1", "198.51.100.9", iif=came_by))
    assert (explained.errno == 0) is is_believed


def test_what_comes_in_by_a_vrf_itself_is_believed_where_the_way_back_leaves_by_one_of_its_links() -> None:
    inside, out = (route(to, "10.1.0.9 eth1", table=10) for to in ("198.51.100.0/24", "203.0.113.0/24"))
    world = replace(fib(inside, out, BLUE), links=IN_VRF, entrances={"blue": Entrance(rp_filter=1)})
    assert explain(world, packet("203.0.113.7", "198.51.100.9", iif="blue")).errno == 0


def test_a_link_without_an_address_believes_no_other_way_back_however_loose_rp_filter_is() -> None:
    back = route("198.51.100.0/24", "10.0.0.9 eth0")
    out = route("203.0.113.0/24", "10.0.0.9 eth2")
    for has_address in (True, False):
        entrance = Entrance(rp_filter=2, has_address=has_address)
        world = replace(fib(back, out), entrances={"eth1": entrance})
        assert (explain(world, packet("203.0.113.7", "198.51.100.9", iif="eth1")).errno == 0) is has_address


def test_an_address_of_one_link_is_looked_up_in_the_table_of_its_vrf_whatever_the_rules_say() -> None:
    near = route("fe80::/64", "eth1", family=IPV6, table=10, metric=256)
    world = replace(fib(near, rule(5, 99, IPV6), family=IPV6), links=IN_VRF)
    found = explain(world, packet("fe80::7", oif="eth1"))
    assert (found.route, found.steps, found.aside) == (near, (), Aside.VRF_TABLE)
    itself = explain(world, packet("fe80::7", oif="blue"))
    assert (itself.errno, itself.aside) == (ENETUNREACH, Aside.VRF_ITSELF)


def test_of_a_route_in_a_vrf_the_rule_is_told_that_leads_other_packets_there() -> None:
    inside = route("203.0.113.0/24", "10.1.0.9 eth1", table=10)
    world = replace(fib(DEFAULT, inside, BLUE), links=IN_VRF)
    (behind,) = find_behind(world, explain(world, packet("203.0.113.7")), [Contender(inside)])
    assert [(step.rule, step.why) for step in behind.passed] == [(BLUE, NotFor("l3mdev"))]


# --- IPv6 -------------------------------------------------------------------------------------------------------------


def six(to: str, *hops: str, **more: Any) -> FibRoute:
    return route(to, *hops, family=IPV6, **{"metric": 1024, **more})


def ask6(*objects: Any, to: str = "2001:db8:1::5", source: str = "", **more: Any) -> Explanation:
    flow = {name: more.pop(name) for name in ("iif", "oif") if name in more}
    return explain(fib(*objects, family=IPV6, **more), packet(to, source, **flow))


def test_ipv6_takes_the_route_for_fewer_sources_first() -> None:
    plain = six("2001:db8::/32", "fd00::9 eth0")
    wide, narrow = (
        six("2001:db8:1::/48", f"fd00::{number} eth0", source=source)
        for number, source in ((1, "fd01::/32"), (2, "fd01:0:1::/48"))
    )
    assert ask6(plain, wide, narrow, source="fd01:0:1::5").route == narrow
    assert ask6(plain, wide, narrow, source="fd01:0:2::5").route == wide
    assert ask6(plain, wide, narrow, source="fd02::5").route == plain


def test_ipv6_does_not_see_a_route_beside_which_another_is_for_other_sources() -> None:
    default, hidden = six("default", "fd00::9 eth0"), six("2001:db8:1::/48", "fd00::1 eth0")
    special = six("2001:db8:1::/48", "fd01::1 eth1", source="fd01::/64")
    explained = ask6(default, hidden, special, source="fd00::7")
    assert (explained.route, explained.unseen) == (default, (hidden,))
    assert ask6(default, hidden, special, source="fd01::7").route == special
    world = fib(default, hidden, special, family=IPV6)
    (behind,) = find_behind(world, explained, [Contender(hidden)])
    assert behind.why is InTheWay.UNSEEN


def test_of_default_routes_of_ipv6_the_one_without_a_source_is_seen_all_the_same() -> None:
    plain, special = six("default", "fd00::1 eth0"), six("default", "fd01::1 eth1", source="fd01::/64")
    assert ask6(plain, special, source="fd00::7").route == plain
    assert ask6(plain, special, source="fd01::7").route == special


def test_ipv6_prefers_what_a_router_says_of_itself_among_routes_of_one_metric() -> None:
    medium, high = six("default", "fd00::1 eth0"), six("default", "fd00::2 eth0", preference=1)
    low = six("default", "fd00::3 eth0", preference=-1)
    assert ask6(low, medium, high).route == high
    assert ask6(low, medium).route == medium
    assert ask6(six("default", "fd00::4 eth0", metric=1, preference=-1), high).route is not high


def test_ipv6_takes_the_link_that_is_named_for_a_wish_where_the_source_is_known_and_for_a_must_where_not() -> None:
    here, there = six("default", "fd00::1 eth0", metric=1), six("default", "fd01::1 eth1", metric=2)
    assert ask6(here, there, oif="eth1").route == there
    assert ask6(here, there, oif="eth1", source="fd00::7").route == here


def test_a_host_that_does_not_forward_passes_over_a_gateway_that_is_silent() -> None:
    near, far = six("2001:db8:1::/48", "fd00::1 eth0"), six("default", "fd00::2 eth0")
    silent = frozenset({(2, parse_address("fd00::1"))})
    assert ask6(near, far, silent=silent, forwards_ipv6=False).route == far
    assert ask6(near, far, silent=silent, forwards_ipv6=True).route == near
    assert ask6(near, silent=silent, forwards_ipv6=False).route == near


def test_of_hops_that_a_rule_suppresses_only_the_flows_go_on_that_would_take_them() -> None:
    default = six("default", "fd00::9 eth0")
    both = six("2001:db8:1::/48", "fd00::1 eth0", "fd01::1 eth1", table=77)
    explained = ask6(default, both, rule(100, 77, IPV6, suppress_ifgroup=5))
    assert (explained.route, explained.hops) == (both, (hop("fd00::1 eth0"),))
    assert explained.otherwise is not None
    assert explained.otherwise.route == default


# --- what stands in front ---------------------------------------------------------------------------------------------


def in_front(world: Fib, question: Question, wanted: Any, *, stands: bool = True) -> tuple[Any, tuple[Any, ...]]:
    (found,) = find_behind(world, explain(world, question), [Contender(wanted, stands)])
    return found.why, found.in_front


def test_what_stands_in_front_of_a_route_is_named_and_how() -> None:
    ours = route("203.0.113.0/24", "10.0.0.9 eth0", metric=50)
    question = packet("203.0.113.7")
    cases: dict[InTheWay, FibRoute] = {
        InTheWay.MORE_SPECIFIC: route("203.0.113.0/25", "eth1"),
        InTheWay.LOWER_METRIC: route("203.0.113.0/24", "eth1", metric=49),
    }
    for why, rival in cases.items():
        assert in_front(fib(ours, rival), question, ours) == (why, (rival,))
    first = route("203.0.113.0/24", "eth1", metric=50)
    assert in_front(fib(first, ours), question, ours) == (InTheWay.FIRST, (first,))
    there = route("default", "eth1", table=77)
    assert in_front(fib(ours, there, rule(100, 77)), question, ours) == (InTheWay.EARLIER_RULE, (there,))
    drop = rule(100, action=6)
    assert in_front(fib(ours, drop), question, ours) == (InTheWay.EARLIER_RULE, (drop,))


def test_all_that_is_in_front_is_named_in_the_order_in_which_it_decides() -> None:
    ours = route("default", "10.0.0.9 eth0", metric=50)
    one, two = route("203.0.113.0/24", "eth1"), route("203.0.113.0/25", "eth1")
    assert in_front(fib(ours, one, two), packet("203.0.113.7"), ours) == (InTheWay.MORE_SPECIFIC, (two, one))


def test_what_does_not_stand_would_decide_if_nothing_is_in_its_way() -> None:
    ours = route("203.0.113.0/24", "10.0.0.9 eth0")
    assert in_front(fib(DEFAULT), packet("203.0.113.7"), ours, stands=False) == (None, ())
    narrow = route("203.0.113.7", "eth1")
    assert in_front(fib(narrow), packet("203.0.113.7"), ours, stands=False) == (InTheWay.MORE_SPECIFIC, (narrow,))


def test_a_route_to_which_no_rule_leads_the_packet_says_which_rules_would() -> None:
    ours = route("203.0.113.0/24", "10.0.0.9 eth0", table=77)
    world = fib(DEFAULT, ours, rule(100, 77, source="10.0.0.0/24"))
    (found,) = find_behind(world, explain(world, packet("203.0.113.7")), [Contender(ours)])
    assert found.why is InTheWay.NOT_REACHED
    assert [step.why for step in found.passed] == [NotFor("from")]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"tos": 0x10}, InTheWay.OTHER_TOS),
        ({"dead": frozenset({0})}, InTheWay.DEAD),
    ],
)
def test_a_route_that_is_not_for_the_packet_says_what_does_not_fit(more: dict[str, Any], why: InTheWay) -> None:
    ours = route("203.0.113.0/24", "10.0.0.9 eth0", **more)
    assert in_front(fib(DEFAULT, ours), packet("203.0.113.7"), ours) == (why, ())


@pytest.mark.parametrize(
    ("address", "to", "gateway", "aside"),
    [
        ("224.0.0.5", "default", "", Aside.NO_GATEWAY),
        ("224.0.0.5", "224.0.0.0/4", "10.0.0.1", None),
        ("255.255.255.255", "default", "", Aside.NO_GATEWAY),
        ("255.255.255.255", "255.255.255.255/32", "", Aside.NO_GATEWAY),
    ],
)
def test_what_is_for_several_goes_to_no_gateway_but_to_that_of_a_route_for_groups(
    address: str, to: str, gateway: str, aside: Aside | None
) -> None:
    explained = explain(fib(route(to, "10.0.0.1 eth0")), packet(address))
    assert (explained.hops, explained.aside) == ((hop(f"{gateway} eth0"),), aside)


def test_what_is_for_several_and_bound_to_a_link_goes_there() -> None:
    assert explain(fib(DEFAULT), packet("224.0.0.5", oif="eth1")).hops == (hop("eth1"),)
    assert explain(fib(DEFAULT), packet("224.0.0.5", "10.0.0.9", iif="eth1")).hops == ()
