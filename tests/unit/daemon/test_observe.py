"""Comparing: which dumps are read of which dataplane, and what becomes of one that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EBUSY, ECONNREFUSED, ENOBUFS
from pathlib import Path

import pytest

from routed.core.dirt import Dirt
from routed.core.entries import resolve
from routed.core.kinds import KINDS
from routed.daemon.dataplane import Dataplanes
from routed.daemon.host import Host
from routed.daemon.observe import Comparison, find_all_scopes, find_scopes, observe
from routed.daemon.wanted import Wanted
from routed.kernel.dump import finish
from routed.model.change import Cause, Nature, Verb
from routed.model.entries import Entry, Intent, Settings
from routed.model.facts import Facts, Link
from routed.model.net import FAMILIES, IPV4
from routed.model.objects import Kind, Scope
from routed.model.reasons import Look
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import (
    OURS,
    THEIRS,
    a_host,
    a_route,
    address_key,
    an_address,
    give_address,
    hop,
    route_key,
    route_value,
)
from tests.property.toy import LAMP, Lamps, a_lamp, lamps_known

FACTS = Facts(links={1: Link(1, "v0", is_up=True, has_carrier=True)})
EVERYTHING = Cause(None, Look.PLAN)
LAMPS = Scope(LAMP, 0)


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with lamps_known():
        yield


@pytest.fixture
def lamps(tmp_path: Path) -> Lamps:
    return Lamps(tmp_path / "claims.json")


@pytest.fixture
def kernel() -> FakeKernel:
    return a_host()


@pytest.fixture
def dataplanes(kernel: FakeKernel, lamps: Lamps) -> Dataplanes:
    return Dataplanes(kernel, lamps)


def a_state(*entries: Entry) -> Host:
    host = Host(Wanted(Intent(Settings(protocol=OURS))))
    for entry in entries:
        host.wanted.desired.put(resolve(entry, FACTS, OURS))
    return host


def look(dataplanes: Dataplanes, host: Host, *scopes: Scope) -> Comparison:
    return finish(observe(dataplanes, host, Dirt(scopes=dict.fromkeys(scopes, EVERYTHING))))


def test_a_full_pass_reads_what_is_wanted_and_of_each_kind_what_may_be_ours(dataplanes: Dataplanes) -> None:
    host = a_state(a_route(table=77))
    host.wanted.former_protocols = frozenset({113})
    scopes = find_scopes(dataplanes, Dirt(everything=EVERYTHING), host)
    by_number = {Scope(Kind.ROUTE, family, 0, number) for family in FAMILIES for number in (OURS, 113)}
    both = (Kind.ADDRESS, Kind.NEIGHBOUR, Kind.PROXY, Kind.RULE)
    whole = {Scope(kind, family) for kind in both for family in FAMILIES}
    whole |= {Scope(Kind.LINK, 0), Scope(Kind.NEXTHOP, 0), LAMPS}
    assert set(scopes) == by_number | whole | {Scope(Kind.ROUTE, IPV4, 77)}
    assert [scope.kind for scope in scopes] == sorted((scope.kind for scope in scopes), key=[*KINDS, LAMP].index)


def test_of_some_kinds_only_their_dumps_are_named(dataplanes: Dataplanes) -> None:
    assert find_all_scopes(dataplanes, a_state(a_route(), a_lamp("a")), [LAMP]) == {LAMPS}


def test_single_keys_need_no_dump(dataplanes: Dataplanes, lamps: Lamps) -> None:
    dirt = Dirt()
    key = route_key()
    dirt.add_keys(key.kind, key.slot, (key.member,), (), EVERYTHING)
    assert find_scopes(dataplanes, dirt, a_state(a_route())) == []
    found = finish(observe(dataplanes, a_state(a_route()), dirt))
    assert [drift.nature for drift in found.drifts] == [Nature.MISSING]
    assert lamps.dumps == 0


def test_a_dump_that_is_as_it_was_when_it_showed_no_drift_is_not_compared(dataplanes: Dataplanes, lamps: Lamps) -> None:
    host = a_state()
    lamps.put("theirs", 40)
    assert look(dataplanes, host, LAMPS).unchanged == set()
    assert look(dataplanes, host, LAMPS).unchanged == {LAMPS}
    lamps.put("theirs", 60)
    assert look(dataplanes, host, LAMPS).unchanged == set()


def test_each_dataplane_says_whose_what_it_shows_is(dataplanes: Dataplanes, lamps: Lamps, kernel: FakeKernel) -> None:
    lamps.put("ours", 40)
    lamps.put("theirs", 40)
    lamps.claims.write_text('["ours"]')
    for to, protocol in (("10.1.0.0/16", OURS), ("10.2.0.0/16", THEIRS)):
        kernel.request(Verb.ADD, route_key(to), route_value(hop(1), protocol=protocol))
    found = look(dataplanes, a_state(), LAMPS, Scope(Kind.ROUTE, IPV4, 254))
    assert [(drift.nature, drift.kind, len(drift.members)) for drift in found.drifts] == [
        (Nature.SURPLUS, Kind.ROUTE, 1),
        (Nature.SURPLUS, LAMP, 1),
    ]


def test_marks_of_before_are_found_where_they_are_in_the_way(dataplanes: Dataplanes, kernel: FakeKernel) -> None:
    host = a_state()
    host.wanted.former_protocols = frozenset({113})
    kernel.request(Verb.ADD, route_key(), route_value(hop(1), protocol=113))
    assert look(dataplanes, host, Scope(Kind.ROUTE, IPV4, 254)).former == {113}


@pytest.mark.parametrize("can_mark", [True, False])
def test_a_mark_that_cannot_be_changed_is_no_drift(dataplanes: Dataplanes, kernel: FakeKernel, can_mark: bool) -> None:
    kernel.can_mark_again = can_mark
    give_address(kernel, "10.20.0.11/21", 1, "v0", protocol=THEIRS)
    found = look(dataplanes, a_state(an_address()), Scope(Kind.ADDRESS, IPV4))
    members = [member for drift in found.drifts for member in drift.members]
    assert members == ([address_key("10.20.0.11/21", 1).member] if can_mark else [])


def test_a_table_that_never_holds_still_is_looked_at_again_at_once(dataplanes: Dataplanes, kernel: FakeKernel) -> None:
    kernel.mischief.interrupt = lambda _: True
    host, scope = a_state(), Scope(Kind.ROUTE, IPV4, 254)
    found = look(dataplanes, host, scope)
    assert (found.scopes, found.unread) == (set(), {scope: Look.RESTLESS})
    assert host.schedule.dirt.scopes.keys() == {scope}


@pytest.mark.parametrize("error", [EBUSY, ECONNREFUSED])
def test_what_is_polled_and_cannot_be_read_waits_for_the_next_poll(
    dataplanes: Dataplanes, lamps: Lamps, error: int
) -> None:
    lamps.unreadable = error
    host = a_state()
    found = look(dataplanes, host, LAMPS)
    assert (found.scopes, set(found.unread)) == (set(), {LAMPS})
    assert not host.schedule.dirt


def test_an_error_of_a_dataplane_with_events_ends_the_pass(dataplanes: Dataplanes, kernel: FakeKernel) -> None:
    def fail(call: str) -> None:
        if call == "read_dump":
            raise OSError(ENOBUFS, "no buffer space")

    kernel.mischief.fail = fail
    with pytest.raises(OSError, match="no buffer space"):
        look(dataplanes, a_state(), Scope(Kind.ROUTE, IPV4, 254))
