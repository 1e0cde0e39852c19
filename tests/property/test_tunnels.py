"""A tunnel of the file and the routes over it, whatever strangers do to it, in any order and with lost events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routed.core.linux.link_requests import FALLBACK, change_tunnel, make_tunnel
from routed.daemon.peers import SshSessions
from routed.daemon.status import describe_entries
from routed.model.change import Verb
from routed.model.entries import Enforce, HeldVipEntry, HopSpec, Intent, LinkEntry, OnConflict, TunnelEntry
from routed.model.events import Event
from routed.model.net import parse_address
from routed.model.objects import Hop, Ipip, Key, Kind, LinkMember, LinkSlot, LinkValue
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import ORIGIN, OURS, Rig, a_host, a_route, address_key, give_address, route_key, route_value
from tests.property.test_invariants import WITH_RESYNC

HERE, ELSEWHERE = parse_address("192.0.2.1"), parse_address("198.51.100.1")  # both are addresses of the host
TUNNEL = TunnelEntry(
    name="tunnel/overlay", origin=ORIGIN, on_conflict=OnConflict.REFUSE, link="routed-ipip", kind="ipip", local=HERE
)
PEER = parse_address("203.0.113.7")
PODS = a_route("pods", "10.244.3.0/24", (HopSpec(PEER, "routed-ipip", onlink=True),))
ENTRIES = (TUNNEL, PODS)
NAME, DATA = LinkMember("routed-ipip"), Ipip(HERE, 1480)
MADE = LinkValue(OURS, "ipip", is_up=True, data=DATA)
FALLBACK_NAME = LinkMember("tunl0")
IN_SYNC = ("in-sync", "")


def a_host_with_the_module() -> FakeKernel:
    """With the device that the module makes for itself."""
    kernel = a_host()
    make_tunnel(kernel, FALLBACK_NAME.name, FALLBACK, is_up=False)
    return kernel


def started(kernel: FakeKernel, *entries: LinkEntry) -> Rig:
    rig = Rig(kernel)
    rig.start(*(entries or ENTRIES), settings=WITH_RESYNC)
    return rig


def tunnels(kernel: FakeKernel) -> dict[LinkMember, LinkValue]:
    """But for the fallback device."""
    return {
        member: value  # type: ignore[misc]
        for _, member, value in kernel.list_links()
        if value.kind == "ipip" and member != FALLBACK_NAME
    }


def index_of(kernel: FakeKernel, name: str = NAME.name) -> int:
    return next(link.ifindex for link in kernel.links.values() if link.name == name)


def state_of(rig: Rig, name: str = TUNNEL.name) -> tuple[str, str]:
    """What status says of an entry, and why."""
    (entry,) = [one for one in describe_entries(rig.host, str) if one["entry"] == name]
    return entry["state"], entry["reason"]


def _on(deed: Callable[[FakeKernel, int], object]) -> Callable[[FakeKernel], None]:
    def do(kernel: FakeKernel) -> None:
        for member in tunnels(kernel):
            deed(kernel, index_of(kernel, member.name))

    return do


def _replace_by_another_kind(kernel: FakeKernel, ifindex: int) -> None:
    kernel.delete_link(ifindex)
    kernel.delete_link(kernel.make_link(NAME.name, kind="gre"))


def _take_its_address_for_a_moment(kernel: FakeKernel) -> None:
    key = address_key("192.0.2.1/24", 1)
    kernel.request(Verb.DELETE, key, kernel.standing(key)[0])
    give_address(kernel, "192.0.2.1/24", 1, "v0")


DEEDS: dict[str, Callable[[FakeKernel], None]] = {
    "delete": _on(lambda kernel, ifindex: kernel.delete_link(ifindex)),
    "down": _on(lambda kernel, ifindex: kernel.set_down(ifindex)),
    "up": _on(lambda kernel, ifindex: kernel.set_up(ifindex)),
    "rename": _on(lambda kernel, ifindex: kernel.change_link(ifindex, name="other")),
    "local": _on(lambda kernel, ifindex: change_tunnel(kernel, ifindex, local=ELSEWHERE)),
    "ttl": _on(lambda kernel, ifindex: change_tunnel(kernel, ifindex, ttl=7)),
    "mtu": _on(lambda kernel, ifindex: change_tunnel(kernel, ifindex, mtu=1300)),
    "more": _on(lambda kernel, ifindex: change_tunnel(kernel, ifindex, extra=b"tos")),
    "another kind": _on(_replace_by_another_kind),
    "its address": _take_its_address_for_a_moment,
}


@given(st.lists(st.sampled_from(sorted(DEEDS))), st.lists(st.booleans()))
@settings(max_examples=100)
def test_it_is_there_again_with_the_routes_over_it(deeds: list[str], losses: list[bool]) -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel)
    fates = iter(losses)

    def lose(events: list[Event]) -> list[Event]:
        return [event for event in events if not next(fates, False)]

    kernel.mischief.deliver = lose
    for deed in deeds:
        DEEDS[deed](kernel)
        rig.run()
    kernel.mischief.deliver = list
    rig.resync()
    assert tunnels(kernel) == {NAME: MADE}
    (route,) = kernel.standing(route_key("10.244.3.0/24"))
    assert [(leg.dev, leg.gateway, leg.onlink) for leg in route.hops] == [(index_of(kernel), PEER, True)]
    writes = kernel.writes
    rig.resync()
    assert kernel.writes == writes


@pytest.mark.parametrize("deed", ["down", "local", "ttl", "mtu", "more"])
def test_what_can_be_changed_in_place_is_never_made_anew(deed: str) -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel)
    before = index_of(kernel)
    kernel.requested.clear()
    DEEDS[deed](kernel)
    rig.run()
    assert tunnels(kernel) == {NAME: MADE}
    assert index_of(kernel) == before
    assert {(verb, key.kind) for verb, key, _ in kernel.requested if key.kind is Kind.LINK} == {
        (Verb.REPLACE, Kind.LINK)
    }


def test_a_change_of_its_address_leaves_the_routes_over_it_alone() -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel)
    kernel.requested.clear()
    rig.enforce(Intent(WITH_RESYNC, (replace(TUNNEL, local=ELSEWHERE, mtu=1400), PODS)))
    assert tunnels(kernel) == {NAME: MADE._replace(data=Ipip(ELSEWHERE, 1400))}
    assert [(verb, key.kind) for verb, key, _ in kernel.requested] == [(Verb.REPLACE, Kind.LINK)]


@pytest.mark.parametrize(
    "data", [DATA._replace(remote=PEER), DATA._replace(is_external=True), DATA._replace(carries=0)]
)
def test_ours_that_no_request_can_change_is_made_anew(data: Ipip) -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel)
    kernel.delete_link(index_of(kernel))
    ifindex = make_tunnel(kernel, NAME.name, data)
    kernel.marks[ifindex] = OURS
    kernel.change_link(ifindex)
    rig.run()
    assert tunnels(kernel) == {NAME: MADE}
    assert kernel.standing(route_key("10.244.3.0/24"))


def test_another_name_for_it_in_the_file_takes_effect_at_once_though_no_two_may_have_one_local_address() -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel)
    renamed = replace(TUNNEL, link="ipip9")
    reports = rig.enforce(Intent(WITH_RESYNC, (renamed, replace(PODS, hops=(HopSpec(PEER, "ipip9", onlink=True),)))))
    assert tunnels(kernel) == {LinkMember("ipip9"): MADE}
    assert kernel.standing(route_key("10.244.3.0/24"))
    assert [failure for report in reports for one in report.outcomes for failure in one.failures] == []


def test_a_tunnel_that_was_renamed_while_nobody_ran_is_back_under_its_name() -> None:
    kernel = a_host_with_the_module()
    started(kernel)
    DEEDS["rename"](kernel)
    rig = started(kernel)
    assert tunnels(kernel) == {NAME: MADE}
    assert rig.plan_is_empty()


def test_a_start_that_finds_all_as_it_should_be_writes_nothing() -> None:
    kernel = a_host_with_the_module()
    started(kernel)
    writes = kernel.writes
    started(kernel)
    assert kernel.writes == writes


def test_it_goes_with_its_entry_and_the_fallback_device_of_the_module_stays() -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel)
    rig.enforce(Intent(WITH_RESYNC))
    assert tunnels(kernel) == {}
    assert kernel.standing(Key(Kind.LINK, LinkSlot(), FALLBACK_NAME))


def test_a_strangers_that_is_as_wanted_is_used_brought_up_and_stays() -> None:
    kernel = a_host_with_the_module()
    make_tunnel(kernel, NAME.name, DATA, is_up=False)
    rig = started(kernel)
    assert tunnels(kernel) == {NAME: MADE._replace(protocol=0)}
    assert kernel.standing(route_key("10.244.3.0/24"))
    rig.enforce(Intent(WITH_RESYNC))
    assert tunnels(kernel) == {NAME: MADE._replace(protocol=0)}


@pytest.mark.parametrize("data", [DATA._replace(local=ELSEWHERE), DATA._replace(remote=PEER), FALLBACK])
def test_a_strangers_that_differs_is_left_as_it_is_and_that_is_a_conflict(data: Ipip) -> None:
    kernel = a_host()
    make_tunnel(kernel, NAME.name, data)
    rig = started(kernel, TUNNEL)
    assert tunnels(kernel) == {NAME: LinkValue(0, "ipip", is_up=True, data=data)}
    assert state_of(rig)[0] == "conflict"
    kernel.delete_link(index_of(kernel))
    rig.run()
    assert tunnels(kernel) == {NAME: MADE}
    assert state_of(rig) == IN_SYNC


def test_a_strangers_with_the_same_local_address_is_named_by_the_failure_and_ours_comes_when_it_goes() -> None:
    kernel = a_host_with_the_module()
    theirs = make_tunnel(kernel, "flannel.ipip", DATA)
    rig = started(kernel)
    assert NAME not in tunnels(kernel)
    assert state_of(rig)[0] == "failed"
    kernel.delete_link(theirs)
    rig.run(60.0)
    assert tunnels(kernel) == {NAME: MADE}


def test_without_the_address_of_local_it_waits_and_what_stands_stays() -> None:
    kernel = a_host_with_the_module()
    key = address_key("192.0.2.1/24", 1)
    rig = started(kernel)
    kernel.requested.clear()
    kernel.request(Verb.DELETE, key, kernel.standing(key)[0])
    rig.run()
    assert tunnels(kernel) == {NAME: MADE}
    assert state_of(rig)[0] == "waiting"
    change_tunnel(kernel, index_of(kernel), ttl=9)
    rig.run()
    assert not any(key.kind is Kind.LINK for _, key, _ in kernel.requested)
    give_address(kernel, "192.0.2.1/24", 1, "v0")
    rig.run()
    assert tunnels(kernel) == {NAME: MADE}
    assert state_of(rig) == IN_SYNC


def test_it_is_not_made_before_this_host_has_the_address() -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel, replace(TUNNEL, local=parse_address("192.0.2.77")))
    assert tunnels(kernel) == {}
    give_address(kernel, "192.0.2.77/24", 1, "v0")
    rig.run()
    assert tunnels(kernel) == {NAME: MADE._replace(data=DATA._replace(local=parse_address("192.0.2.77")))}


def test_without_the_module_it_fails_and_comes_when_that_is_there() -> None:
    kernel = a_host()
    kernel.missing_drivers.add("ipip")
    rig = started(kernel)
    assert state_of(rig)[0] == "failed"
    kernel.missing_drivers.clear()
    rig.run(60.0)
    assert tunnels(kernel) == {NAME: MADE}
    assert kernel.standing(route_key("10.244.3.0/24"))


def test_a_dummy_of_ours_gives_its_name_to_a_tunnel() -> None:
    kernel = a_host_with_the_module()
    rig = Rig(kernel)
    vip = HeldVipEntry(
        name="vip/web", origin=ORIGIN, address=parse_address("192.0.2.80"), prefixlen=32, dev=NAME.name, create="dummy"
    )
    made = LinkEntry(name=f"link/{NAME.name}", origin=ORIGIN, link=NAME.name, kind="dummy")
    rig.start(made, vip, settings=WITH_RESYNC)
    assert [value.kind for _, member, value in kernel.list_links() if member == NAME] == ["dummy"]
    rig.enforce(Intent(WITH_RESYNC, ENTRIES))
    assert [value for _, member, value in kernel.list_links() if member == NAME] == [MADE]


def test_observed_it_is_only_reported() -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel, replace(TUNNEL, enforce=Enforce.OBSERVE))
    assert tunnels(kernel) == {}
    assert state_of(rig)[0] == "drift"


def test_another_protocol_number_of_the_daemon_marks_it_again() -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel)
    rig.enforce(Intent(replace(WITH_RESYNC, protocol=115), ENTRIES))
    assert tunnels(kernel) == {NAME: MADE._replace(protocol=115)}
    writes = kernel.writes
    rig.resync()
    assert kernel.writes == writes


def test_over_which_the_operator_is_logged_in_it_does_not_go_unless_forced() -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel)
    rig.reconciler.find_ssh_sessions = lambda: SshSessions(frozenset({parse_address("10.244.3.9")}))
    rig.enforce(Intent(WITH_RESYNC))
    assert tunnels(kernel) == {NAME: MADE}
    assert kernel.standing(route_key("10.244.3.0/24"))
    rig.enforce(Intent(WITH_RESYNC), is_forced=True)
    assert tunnels(kernel) == {}


def test_a_route_of_somebody_else_over_it_keeps_it_while_the_operator_is_logged_in_by_that() -> None:
    kernel = a_host_with_the_module()
    rig = started(kernel, TUNNEL)
    theirs = route_value(Hop(index_of(kernel), PEER, onlink=True))
    assert kernel.request(Verb.ADD, route_key("10.244.9.0/24"), theirs) == 0
    rig.reconciler.find_ssh_sessions = lambda: SshSessions(frozenset({parse_address("10.244.9.9")}))
    rig.enforce(Intent(WITH_RESYNC))
    assert tunnels(kernel) == {NAME: MADE}
    rig.reconciler.find_ssh_sessions = SshSessions
    rig.enforce(Intent(WITH_RESYNC))
    assert tunnels(kernel) == {}
