"""Changes: verbs, failures by name, exact removals, batches."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENETUNREACH

import pytest

from routed.kernel.apply import LEAST, WAIT, Pace, batches
from routed.kernel.dump import finish
from routed.kernel.kernel import Kernel
from routed.kernel.requests import RequestSocket
from routed.model.change import Verb
from routed.model.objects import Hop, Kind, Scope
from tests.kernel.conftest import Network
from tests.kernel.netns import ip, ip_json
from tests.kernel.objects import TABLE, V4, V6, address, do, operation, packed, read, route, rule, scope_of

GW, GW1 = packed("10.0.0.2"), packed("10.0.0.3")
GW6, GW61 = packed("fd00::2"), packed("fd00::3")
TO, TO6 = "192.0.2.0/24", "2001:db8::/48"


def prefixes(count: int) -> list[bytes]:
    return [bytes((11 + (n >> 16), n >> 8 & 255, n & 255, 0, 24)) for n in range(count)]


def test_one_impossible_route_among_100000_is_named_and_the_others_stand(network: Network, kernel: Kernel) -> None:
    members = prefixes(100_000)
    bad = bytes((99, 0, 0, 1, 24))  # host bits set: the kernel refuses it
    members[50_000] = bad
    (failure,) = do(kernel, Verb.ADD, route(TO, Hop(network.v0, GW)), members)
    assert failure.member == bad
    assert failure.errno == EINVAL
    assert failure.text == "Invalid prefix for given prefix length"
    standing = [member for _, member, _ in read(kernel, Scope(Kind.ROUTE, V4, TABLE))]
    assert len(standing) == 99_999
    assert set(standing) == set(members) - {bad}
    assert kernel.writes == 100_000


def test_when_every_message_of_a_big_operation_fails_each_is_named(network: Network) -> None:
    with Kernel(request_buffer=8192) as kernel:
        members = prefixes(3000)
        failures = do(kernel, Verb.ADD, route(TO, Hop(network.v0, packed("203.0.113.1"))), members)
    assert [failure.member for failure in failures] == members
    assert {failure.errno for failure in failures} == {ENETUNREACH}
    assert {failure.text for failure in failures} == {"Nexthop has invalid gateway"}


def test_a_batch_is_an_item_so_that_the_caller_can_breathe(kernel: Kernel) -> None:
    batches = list(kernel.apply(operation(Verb.ADD, route(TO, type=6), prefixes(5000))))
    assert len(batches) >= 3
    assert set(batches) == {()}


def test_where_the_kernel_takes_long_batches_become_small_and_grow_again_step_by_step() -> None:
    pace = Pace()
    pace.note(512, 1.0)
    assert pace.count == LEAST
    sizes = []
    for _ in range(8):
        pace.note(pace.count, pace.count * 1e-6)
        sizes.append(pace.count)
    assert sizes == [32, 64, 128, 256, 512, 1024, 2048, 2048]


def test_a_batch_takes_no_longer_than_a_caller_can_wait_where_the_kernel_keeps_its_speed() -> None:
    pace = Pace()
    pace.note(pace.count, pace.count * 40e-6)
    assert pace.count * 40e-6 <= WAIT


def test_batches_follow_the_pace_and_leave_no_member_out() -> None:
    pace, sizes, sent = Pace(), [], list[object]()
    with RequestSocket() as requests:
        for members, _ in batches(operation(Verb.ADD, route(TO, type=6), prefixes(2000)), requests, pace):
            sizes.append(len(members))
            sent += members
            pace.note(len(members), 1.0 if len(sizes) == 1 else 0.0)
    assert sizes[:4] == [512, LEAST, 2 * LEAST, 4 * LEAST]
    assert sent == prefixes(2000)


def test_routes_with_hundreds_of_legs_fit_through_the_socket(network: Network, kernel: Kernel) -> None:
    legs = tuple(Hop(network.v0, bytes((10, 0, 0, 2 + n))) for n in range(200))
    members = prefixes(600)
    wide = route(TO, *legs)
    assert do(kernel, Verb.ADD, wide, members) == []
    assert {standing.value for standing in read(kernel, scope_of(wide))} == {wide.value}


@pytest.mark.parametrize("thing", [route(TO, type=6), route(TO6, type=6), rule(V4), rule(V6)], ids=str)
def test_add_refuses_what_stands_and_delete_accepts_what_is_gone(kernel: Kernel, thing: object) -> None:
    assert do(kernel, Verb.ADD, thing) == []  # type: ignore[arg-type]
    (failure,) = do(kernel, Verb.ADD, thing)  # type: ignore[arg-type]
    assert failure.errno == EEXIST
    assert do(kernel, Verb.DELETE, thing) == []  # type: ignore[arg-type]
    assert do(kernel, Verb.DELETE, thing) == []  # type: ignore[arg-type]


def test_deleting_an_address_that_is_gone_is_no_failure(network: Network, kernel: Kernel) -> None:
    for text in ("198.51.100.1/32", "2001:db8::1/128"):
        assert do(kernel, Verb.DELETE, address(network.v0, text)) == []


def test_replace_puts_the_new_content_in_the_place_of_the_old(network: Network, kernel: Kernel) -> None:
    for to, was, becomes in ((TO, GW, GW1), (TO6, GW6, GW61)):
        assert do(kernel, Verb.ADD, route(to, Hop(network.v0, was))) == []
        wanted = route(to, Hop(network.v0, becomes), metrics=((2, 1400),))
        assert do(kernel, Verb.REPLACE, wanted) == []
        assert read(kernel, scope_of(wanted)) == [wanted]


def test_prepend_comes_first_and_a_delete_takes_only_the_alias_it_names(network: Network, kernel: Kernel) -> None:
    theirs = route(TO, Hop(network.v0, GW1), protocol=4)
    ours = route(TO, Hop(network.v0, GW))
    assert do(kernel, Verb.ADD, ours) == []
    assert do(kernel, Verb.PREPEND, theirs) == []
    assert read(kernel, scope_of(ours)) == [theirs, ours]
    for stranger in (
        route(TO, Hop(network.v0, GW), protocol=4),
        route(TO, Hop(network.v0, packed("10.0.0.9"))),
        route(TO, Hop(network.v0, GW), metrics=((2, 1400),)),
        route(TO, Hop(network.v0, GW), src=packed("10.1.0.1")),
        route(TO, Hop(network.v0, GW), tos=16),
        route(TO, Hop(network.v0, GW), metric=51),
        route(TO, type=6),
    ):
        assert do(kernel, Verb.DELETE, stranger) == []
        assert read(kernel, scope_of(ours)) == [theirs, ours]
    assert do(kernel, Verb.DELETE, ours) == []
    assert read(kernel, scope_of(ours)) == [theirs]


def test_a_leg_merged_into_an_ipv6_route_goes_alone(network: Network, kernel: Kernel) -> None:
    ours = route(TO6, Hop(network.v0, GW6))
    assert do(kernel, Verb.ADD, ours) == []
    ip(f"-6 route append {TO6} via fd01::2 dev v1 table {TABLE} metric 50 proto 114")
    (merged,) = read(kernel, scope_of(ours))
    assert len(merged.value.hops) == 2
    assert do(kernel, Verb.DELETE, route(TO6, Hop(network.v1, packed("fd01::2")))) == []
    assert read(kernel, scope_of(ours)) == [ours]


def test_an_ipv6_blackhole_is_removed_without_its_gateway_sibling(network: Network, kernel: Kernel) -> None:
    gateway = route(TO6, Hop(network.v0, GW6))
    assert do(kernel, Verb.ADD, gateway) == []
    assert do(kernel, Verb.DELETE, route(TO6, type=6)) == []
    assert read(kernel, scope_of(gateway)) == [gateway]


def test_change_gives_an_address_another_label(network: Network, kernel: Kernel) -> None:
    old, new = (address(network.v0, "198.51.100.1/24", label=label) for label in ("v0", "v0:vip"))
    assert do(kernel, Verb.ADD, old) == []
    assert do(kernel, Verb.CHANGE, new, before=old.value) == []
    assert new in read(kernel, scope_of(new))
    (link,) = ip_json("-4 addr show dev v0")
    assert [a["label"] for a in link["addr_info"] if a["local"] == "198.51.100.1"] == ["v0:vip"]


def test_a_foreign_route_with_an_encapsulation_or_realms_can_be_put_back(network: Network, kernel: Kernel) -> None:
    ip(f"route add {TO} via 10.0.0.2 dev v0 table {TABLE} realm 5/7 proto static")
    (displaced,) = read(kernel, Scope(Kind.ROUTE, V4, TABLE))
    shown = ip_json(f"route show table {TABLE}")
    assert do(kernel, Verb.DELETE, displaced) == []
    assert read(kernel, Scope(Kind.ROUTE, V4, TABLE)) == []
    assert do(kernel, Verb.ADD, displaced) == []
    assert ip_json(f"route show table {TABLE}") == shown


def test_a_route_over_a_nexthop_object_can_be_put_back(network: Network, kernel: Kernel) -> None:
    ip("nexthop add id 7 via 10.0.0.2 dev v0")
    ip(f"route add {TO} nhid 7 table {TABLE} proto static")
    (displaced,) = read(kernel, Scope(Kind.ROUTE, V4, TABLE))
    assert displaced != route(TO, Hop(network.v0, GW), protocol=4, metric=0)
    assert do(kernel, Verb.DELETE, displaced) == []
    assert do(kernel, Verb.ADD, displaced) == []
    assert read(kernel, Scope(Kind.ROUTE, V4, TABLE)) == [displaced]


def test_the_writes_are_counted(kernel: Kernel) -> None:
    list(kernel.dump(Scope(Kind.ROUTE, V6, TABLE)))
    finish(kernel.read_links())
    assert kernel.writes == 0
    do(kernel, Verb.ADD, route(TO6, type=6))
    assert kernel.writes == 1


def test_nothing_is_sent_for_no_members(kernel: Kernel) -> None:
    assert do(kernel, Verb.ADD, route(TO, type=6), []) == []
    assert kernel.writes == 0


def test_a_multipath_route_goes_in_whatever_order_its_legs_were_written(network: Network, kernel: Kernel) -> None:
    legs = "nexthop via 10.1.0.2 dev v1 nexthop via 10.0.0.2 dev v0 nexthop via 10.0.0.3 dev v0"
    ip(f"route add {TO} table {TABLE} metric 50 proto 114 {legs}")
    (standing,) = read(kernel, Scope(Kind.ROUTE, V4, TABLE))
    assert do(kernel, Verb.DELETE, standing) == []
    assert read(kernel, Scope(Kind.ROUTE, V4, TABLE)) == []


@pytest.mark.parametrize("change", [{"protocol": 114}, {"metric": 5}], ids=str)
@pytest.mark.parametrize("text", ["198.51.100.1/24", "2001:db8::1/64"])
def test_replace_changes_the_owner_and_the_metric_of_an_address_in_place(
    network: Network, kernel: Kernel, text: str, change: dict[str, int]
) -> None:
    assert do(kernel, Verb.ADD, address(network.v0, text, protocol=4)) == []
    wanted = address(network.v0, text, **({"protocol": 4} | change))
    assert do(kernel, Verb.REPLACE, wanted) == []
    is_kept = "protocol" in change and wanted.slot.family == V4 and not kernel._can_mark_again
    assert (wanted in read(kernel, scope_of(wanted))) is not is_kept


def test_the_kernel_takes_a_general_rule_for_a_copy_of_a_narrower_one_of_its_priority(kernel: Kernel) -> None:
    narrow, general = rule(V4, source=packed("10.0.0.0") + b"\x08"), rule(V4)
    assert do(kernel, Verb.ADD, narrow) == []
    assert [failure.errno for failure in do(kernel, Verb.ADD, general)] == [EEXIST]
    assert do(kernel, Verb.DELETE, narrow) == []
    assert [do(kernel, Verb.ADD, each) for each in (general, narrow)] == [[], []]
