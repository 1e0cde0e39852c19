"""What two states of the kernel differ in, as a change of what was read from it."""

from __future__ import annotations

from routed.core.linux.fib import change_fib, find_fib_change
from routed.core.linux.links import add_link, lose_carrier, remove_link, set_down
from routed.core.linux.requests import request
from routed.core.linux.state import LinuxState
from routed.core.lookup import explain
from routed.model import names
from routed.model.change import Verb
from routed.model.fib import Fib, FibLink, FibRoute, FibRule, index_routes
from routed.model.link_sysctls import DEFAULT_SYSCTLS
from routed.model.net import IPV4, IPV6, format_address, parse_address, parse_prefix
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Hop,
    Key,
    Kind,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
)
from tests.unit.core.fib import packet

FAR = parse_address("198.51.100.7")
LAN = parse_prefix("198.51.100.0/24")
ELSEWHERE = parse_prefix("203.0.113.0/24")


def host() -> LinuxState:
    """Two links, and the kernel's rules."""
    state = LinuxState()
    for number in range(2):
        add_link(state, f"eth{number}")
    for family in (IPV4, IPV6):
        for priority, table in names.DEFAULT_RULES[family].items():
            put_rule(state, priority, table, family)
    return state


def put_rule(state: LinuxState, priority: int, table: int, family: int = IPV4) -> None:
    state.put(Key(Kind.RULE, RuleSlot(family), RuleMember(priority, table=table)), [RuleValue(2)])


def put_route(
    state: LinuxState, prefix: bytes, *devs: int, metric: int = 0, table: int = 254, scope: int = 0, type_: int = 1
) -> Key:
    key = Key(Kind.ROUTE, RouteSlot(IPV4, table, metric), prefix)
    value = RouteValue(type_, 4, scope, tuple(Hop(dev, parse_address(f"10.{dev}.0.2")) for dev in devs))
    state.put(key, [*state.standing(key), value])
    return key


def put_address(state: LinuxState, text: str, dev: int) -> None:
    state.put(Key(Kind.ADDRESS, AddressSlot(IPV4), AddressMember(dev, parse_address(text), 24)), [AddressValue(4, 0)])


def read(state: LinuxState) -> Fib:
    """As the kernel would be read if it stood so."""
    routes = [FibRoute(*one) for one in state.stand(Kind.ROUTE)]  # type: ignore[arg-type]
    rules = tuple(FibRule(*one) for one in state.stand(Kind.RULE))  # type: ignore[arg-type]
    links = {link.name: FibLink(link.ifindex, is_up=link.is_up) for link in state.links.values()}
    own = frozenset(member.address for _, member, _ in state.stand(Kind.ADDRESS) if isinstance(member, AddressMember))
    return Fib(rules, index_routes(routes), links, own)


def foretell(before: LinuxState, after: LinuxState, fib: Fib | None = None) -> Fib:
    return change_fib(fib or read(before), find_fib_change(before, after, [FAR]))


def test_what_is_the_same_changes_nothing() -> None:
    state = host()
    put_route(state, LAN, 1)
    assert foretell(state, state.copy()) == read(state)


def test_a_route_that_comes_goes_or_changes_does_so_and_others_stay() -> None:
    before = host()
    put_route(before, LAN, 1, metric=5)
    changed = put_route(before, LAN, 1, metric=9)
    after = before.copy()
    put_route(after, LAN, 2, metric=1)
    after.put(changed, [RouteValue(names.BLACKHOLE, 4)])
    assert foretell(before, after) == read(after)
    assert foretell(after, before).tables[IPV4, 254][LAN] == read(before).tables[IPV4, 254][LAN]
    assert explain(foretell(before, after), packet("198.51.100.7")).hops == (Hop(2, parse_address("10.2.0.2")),)


def test_of_two_under_one_key_the_first_comes_first_then_too() -> None:
    before = host()
    key = put_route(before, LAN, 1)
    after = before.copy()
    (old,) = after.standing(key)
    new = old._replace(hops=(Hop(2),))
    after.put(key, [new, old])
    assert [route.value for route in foretell(before, after).tables[IPV4, 254][LAN]] == [new, old]


def test_what_is_for_other_addresses_is_not_told() -> None:
    before = host()
    after = before.copy()
    put_route(after, ELSEWHERE, 1)
    assert find_fib_change(before, after, [FAR]).routes == ()
    assert find_fib_change(before, after, [FAR, parse_address("203.0.113.9")]).routes


def test_a_rule_that_comes_is_asked_in_its_turn_and_parts_tables_local_and_main() -> None:
    before = host()
    after = before.copy()
    put_rule(after, 1200, 120)
    put_route(after, LAN, 2, table=120)
    then = change_fib(
        Fib(read(before).rules, is_merged=True, links=read(before).links), find_fib_change(before, after, [FAR])
    )
    assert not then.is_merged
    assert [rule.member.priority for rule in then.list_rules(IPV4)] == [0, 1200, 32766, 32767]
    found = explain(then, packet("198.51.100.7"))
    assert found.rule is not None
    assert found.rule.member.priority == 1200


def test_a_reading_of_one_family_gets_no_rules_of_the_other() -> None:
    before = host()
    after = before.copy()
    put_rule(after, 1200, 120)
    fib = Fib(tuple(read(before).list_rules(IPV4)))
    assert {rule.slot.family for rule in foretell(before, after, fib).rules} == {IPV4}


def test_a_link_that_is_down_is_so_and_what_only_the_kernel_tells_of_it_stays() -> None:
    before = host()
    fib = Fib(links={"eth0": FibLink(1, group=5, table=9), "eth1": FibLink(2)})
    after = before.copy()
    set_down(after, 1)
    assert foretell(before, after, fib).links["eth0"] == FibLink(1, group=5, table=9, is_up=False)
    remove_link(after, 1)
    assert set(foretell(before, after, fib).links) == {"eth1"}
    new = add_link(after, "tun0")
    assert foretell(before, after, fib).links["tun0"] == FibLink(new)


def test_by_a_leg_without_carrier_nothing_goes_where_that_counts() -> None:
    before = host()
    before.sysctls[1] = DEFAULT_SYSCTLS._replace(ignores_linkdown=frozenset({IPV4}))
    put_route(before, LAN, 1, 2)
    after = before.copy()
    lose_carrier(after, 1)
    (route,) = foretell(before, after).tables[IPV4, 254][LAN]
    assert route.dead == {0}
    before.sysctls.clear()
    after.sysctls.clear()
    assert foretell(before, after).tables[IPV4, 254][LAN][0].dead == frozenset()


def test_what_is_for_this_host_stays_so_while_its_link_is_down() -> None:
    before = host()
    local = put_route(before, parse_prefix("198.51.100.7/32"), 1, table=255, scope=names.HOST, type_=names.LOCAL)
    after = before.copy()
    set_down(after, 1)
    assert after.standing(local)
    found = explain(foretell(before, after), packet("198.51.100.7"))
    assert found.route is not None
    assert found.route.value.type == names.LOCAL


def test_the_addresses_are_those_that_the_host_has_then() -> None:
    before = host()
    put_address(before, "10.1.0.1", 1)
    put_address(before, "10.2.0.1", 2)
    after = before.copy()
    after.objects[Kind.ADDRESS].clear()
    put_address(after, "10.2.0.1", 2)
    put_address(after, "10.3.0.1", 2)
    assert foretell(before, after).own == frozenset(map(parse_address, ("10.2.0.1", "10.3.0.1")))


def test_what_only_the_kernel_knows_of_a_route_outlives_a_change_beside_it() -> None:
    before = host()
    key = put_route(before, LAN, 1)
    (old,) = before.standing(key)
    assert isinstance(old, RouteValue)
    assert isinstance(key.slot, RouteSlot)
    told = FibRoute(key.slot, LAN, old, preference=1)
    after = before.copy()
    after.put(key, [old, old._replace(hops=(Hop(2),))])
    there = foretell(before, after, Fib(tables=index_routes([told]))).tables[IPV4, 254][LAN]
    assert [route.preference for route in there] == [1, 0]


# --- addresses --------------------------------------------------------------------------------------------------------


def list_ipv4(state: LinuxState) -> list[str]:
    return [format_address(one.address) for one in find_fib_change(LinuxState(), state, []).addresses or ()]


def give(state: LinuxState, text: str, scope: int = 0) -> Key:
    key = Key(Kind.ADDRESS, AddressSlot(IPV4), AddressMember(2, parse_address(text), 24))
    assert request(state, Verb.ADD, key, AddressValue(4, scope), 0) == 0
    return key


def test_an_address_stands_behind_the_last_primary_of_no_lower_scope_and_a_secondary_at_the_end() -> None:
    state = host()
    give(state, "10.1.0.1")
    give(state, "10.1.0.2")  # secondary
    give(state, "10.2.0.1")
    give(state, "10.3.0.1", names.LINK)
    give(state, "10.4.0.1", names.HOST)
    assert list_ipv4(state) == ["10.4.0.1", "10.3.0.1", "10.1.0.1", "10.2.0.1", "10.1.0.2"]


def test_an_address_that_becomes_primary_stands_behind_those_that_are_already() -> None:
    state = host()
    first, _, _, _ = (give(state, text) for text in ("10.1.0.1", "10.2.0.1", "10.1.0.2", "10.3.0.1"))
    assert request(state, Verb.DELETE, first, AddressValue(4), 0) == 0
    assert list_ipv4(state) == ["10.2.0.1", "10.3.0.1", "10.1.0.2"]


def test_the_addresses_are_told_only_where_they_are_others() -> None:
    before = host()
    give(before, "10.1.0.1")
    assert find_fib_change(before, before.copy(), []).addresses is None
    after = before.copy()
    give(after, "10.2.0.1")
    assert [one.address for one in foretell(before, after).addresses] == list(
        map(parse_address, ("10.1.0.1", "10.2.0.1"))
    )


def test_what_the_kernel_makes_for_an_address_on_a_link_of_a_vrf_is_in_its_table() -> None:
    state = host()
    add_link(state, "red")
    red = state.find_link("red")
    assert red is not None
    state.put_link(red._replace(kind="vrf", table=700))
    state.put_link(state.links[2]._replace(master=red.ifindex))
    give(state, "10.1.0.1")
    assert {slot.table for slot in state.objects[Kind.ROUTE] if isinstance(slot, RouteSlot)} == {700}
