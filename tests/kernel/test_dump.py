"""Dumps: filtered by the kernel, consistent or read again, comparable without decoding."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from itertools import pairwise

import pytest

from routed.kernel import dump
from routed.kernel.codec.attributes import DUMP_INTERRUPTED, message
from routed.kernel.kernel import Kernel
from routed.kernel.requests import RequestSocket
from routed.model.change import Verb
from routed.model.net import parse_prefix
from routed.model.objects import AlikeRoutes, Hop, Key, Kind, Scope, Standing
from routed.model.text import Vocabulary, format_key, to_json
from tests.kernel.conftest import Network
from tests.kernel.netns import index_of, ip, ip_json
from tests.kernel.objects import OURS, TABLE, V4, V6, do, packed, read, route, rule, scope_of

GW, GW2 = packed("10.0.0.2"), packed("10.0.0.3")
GW6 = packed("fd00::2")
TO, TO6, FROM = "192.0.2.0/24", "2001:db8::/48", "2001:db8:a::/48"


def test_a_table_that_does_not_exist_is_empty(kernel: Kernel) -> None:
    assert read(kernel, Scope(Kind.ROUTE, V4, 4711)) == []
    assert read(kernel, Scope(Kind.ROUTE, V6, 4711)) == []


@pytest.mark.parametrize("family", [V4, V6])
def test_a_dump_holds_the_table_that_was_asked_for_and_no_other(kernel: Kernel, family: int) -> None:
    for table, host in ((101, 1), (102, 2)):
        to = f"192.0.2.{host}/32" if family == V4 else f"2001:db8::{host}/128"
        assert do(kernel, Verb.ADD, route(to, type=6, table=table)) == []
    (only,) = read(kernel, Scope(Kind.ROUTE, family, 101))
    assert only.slot.table == 101  # type: ignore[attr-defined]


def test_a_dump_by_protocol_finds_ours_in_every_table(kernel: Kernel) -> None:
    ours = [route(TO, type=6, table=table) for table in (100, 254, 255, 70000)]
    for one in ours:
        assert do(kernel, Verb.ADD, one) == []
    ip("route add blackhole 192.0.2.0/24 metric 7 table 100 proto static")
    found = read(kernel, Scope(Kind.ROUTE, V4, protocol=OURS))
    assert sorted(found) == sorted(ours)


SOURCES = ("2001:db8:a::/48", "2001:db8:b::/48", "2001:db8:a::1")


@pytest.mark.parametrize("to", [TO6, "default"])
def test_an_ipv6_route_is_read_and_said_with_its_source_as_ip_prints_it(kernel: Kernel, to: str) -> None:
    for source in SOURCES:
        ip(f"-6 route add {to} from {source} via fd00::9 dev v0 table {TABLE} proto babel")
    told = ip_json(f"-6 route show table {TABLE}")
    found = read(kernel, Scope(Kind.ROUTE, V6, TABLE))
    words = Vocabulary({index_of("v0"): "v0"})
    documents = [to_json(Key(Kind.ROUTE, slot, member), value, words) for slot, member, value in found]
    assert [(one["dst"], one["from"], one["gateway"]) for one in documents] == [
        (one["dst"], one["from"], one["gateway"]) for one in told
    ]
    assert sorted(one["from"] for one in told) == sorted(SOURCES)
    assert all(f"{to} from {one['from']} table 100" in format_key(Key(Kind.ROUTE, slot, member), words)
               for one, (slot, member, _) in zip(documents, found, strict=True))  # fmt: skip


@pytest.mark.parametrize("type_", [1, 6])
def test_a_route_is_removed_from_beside_those_of_other_sources(network: Network, kernel: Kernel, type_: int) -> None:
    hops = (Hop(network.v0, GW6),) if type_ == 1 else ()
    plain, *others = (
        route(TO6, *hops, type=type_, source=parse_prefix(source) if source else b"") for source in ("", *SOURCES)
    )
    for one in (plain, *others):
        assert do(kernel, Verb.ADD, one) == []
    assert sorted(read(kernel, scope_of(plain))) == sorted([plain, *others])
    assert do(kernel, Verb.DELETE, plain) == []
    assert sorted(one["from"] for one in ip_json(f"-6 route show table {TABLE}")) == sorted(SOURCES)
    for one in others[:2]:
        assert do(kernel, Verb.DELETE, one) == []
    assert [one["from"] for one in ip_json(f"-6 route show table {TABLE}")] == [SOURCES[2]]


def test_a_dump_of_everything_leaves_out_what_the_kernel_keeps_in_table_local(kernel: Kernel) -> None:
    everything = read(kernel, Scope(Kind.ROUTE, V4))
    assert everything
    assert {standing.slot.table for standing in everything} == {254}  # type: ignore[attr-defined]
    assert read(kernel, Scope(Kind.ROUTE, V4, 255))


CHANGES: dict[str, tuple[Callable[[Network], Standing], Callable[[Network], Standing]]] = {
    "gateway": (lambda n: route(TO, Hop(n.v0, GW)), lambda n: route(TO, Hop(n.v0, GW2))),
    "dev": (lambda n: route(TO, Hop(n.v0), scope=253), lambda n: route(TO, Hop(n.v1), scope=253)),
    "type": (lambda _: route(TO, type=6), lambda _: route(TO, type=7)),
    "protocol": (lambda _: route(TO, type=6), lambda _: route(TO, type=6, protocol=4)),
    "scope": (lambda n: route(TO, Hop(n.v0), scope=253), lambda n: route(TO, Hop(n.v0), scope=0)),
    "src": (lambda n: route(TO, Hop(n.v0, GW)), lambda n: route(TO, Hop(n.v0, GW), src=packed("10.1.0.1"))),
    "mtu": (
        lambda n: route(TO, Hop(n.v0, GW), metrics=((2, 1400),)),
        lambda n: route(TO, Hop(n.v0, GW), metrics=((2, 1401),)),
    ),
    "lock": (
        lambda n: route(TO, Hop(n.v0, GW), metrics=((2, 1400),)),
        lambda n: route(TO, Hop(n.v0, GW), metrics=((2, 1400),), lock=4),
    ),
    "weight": (
        lambda n: route(TO, Hop(n.v0, GW, 1), Hop(n.v1, packed("10.1.0.2"))),
        lambda n: route(TO, Hop(n.v0, GW, 2), Hop(n.v1, packed("10.1.0.2"))),
    ),
    "onlink": (lambda n: route(TO, Hop(n.v0, GW)), lambda n: route(TO, Hop(n.v0, GW, onlink=True))),
    "metric": (lambda _: route(TO, type=6), lambda _: route(TO, type=6, metric=51)),
    "tos": (lambda _: route(TO, type=6), lambda _: route(TO, type=6, tos=16)),
    "prefix length": (lambda _: route(TO, type=6), lambda _: route("192.0.2.0/25", type=6)),
    "prefix": (lambda _: route(TO, type=6), lambda _: route("192.0.3.0/24", type=6)),
    "gateway, IPv6": (lambda n: route(TO6, Hop(n.v0, GW6)), lambda n: route(TO6, Hop(n.v0, packed("fd00::3")))),
    "type, IPv6": (lambda _: route(TO6, type=6), lambda _: route(TO6, type=7)),
    "mtu, IPv6": (
        lambda n: route(TO6, Hop(n.v0, GW6)), lambda n: route(TO6, Hop(n.v0, GW6), metrics=((2, 1400),)),
    ),
    "src, IPv6": (
        lambda n: route(TO6, Hop(n.v0, GW6)), lambda n: route(TO6, Hop(n.v0, GW6), src=packed("fd01::1")),
    ),
    "protocol, IPv6": (lambda _: route(TO6, type=6), lambda _: route(TO6, type=6, protocol=4)),
    "source": (
        lambda n: route(TO6, Hop(n.v0, GW6)), lambda n: route(TO6, Hop(n.v0, GW6), source=parse_prefix(FROM)),
    ),
    "source length": (
        lambda n: route(TO6, Hop(n.v0, GW6), source=parse_prefix("2001:db8:a::/47")),
        lambda n: route(TO6, Hop(n.v0, GW6), source=parse_prefix(FROM)),
    ),
    "rule priority": (lambda _: rule(V4), lambda _: rule(V4, priority=1001)),
    "rule table": (lambda _: rule(V4), lambda _: rule(V4, table=101)),
    "rule suppress": (lambda _: rule(V6), lambda _: rule(V6, suppress_prefixlength=0)),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES.keys())
def test_the_fingerprint_and_the_value_tell_every_changed_attribute(
    network: Network,
    kernel: Kernel,
    before: Callable[[Network], Standing],
    after: Callable[[Network], Standing],
) -> None:
    was, is_ = before(network), after(network)
    scope = scope_of(was)
    assert do(kernel, Verb.ADD, was) == []
    first, first_read = kernel.fingerprint(scope), read(kernel, scope)
    assert kernel.fingerprint(scope) == first
    assert do(kernel, Verb.DELETE, was) == []
    assert do(kernel, Verb.ADD, is_) == []
    assert kernel.fingerprint(scope) != first
    assert read(kernel, scope) != first_read
    assert do(kernel, Verb.DELETE, is_) == []
    assert do(kernel, Verb.ADD, was) == []
    assert kernel.fingerprint(scope) == first


def test_the_fingerprint_of_a_dump_is_that_of_the_table(kernel: Kernel) -> None:
    scope = Scope(Kind.ROUTE, V4, 254)
    found = kernel.dump(scope)
    assert found.fingerprint == kernel.fingerprint(scope)
    assert list(found)


def test_a_dump_abandoned_half_way_leaves_the_socket_usable(kernel: Kernel) -> None:
    prefixes = [bytes((11, n >> 8, n & 255, 0, 24)) for n in range(3000)]
    assert do(kernel, Verb.ADD, route(TO, type=6), prefixes) == []
    scope = Scope(Kind.ROUTE, V4, TABLE)
    for chunk in kernel.dump(scope):
        assert chunk
        break
    assert [standing.member for standing in read(kernel, scope)] == prefixes


def test_a_dump_abandoned_between_two_slices_leaves_the_socket_usable(kernel: Kernel) -> None:
    prefixes = [bytes((11, n >> 8, n & 255, 0, 24)) for n in range(10_000)]
    assert do(kernel, Verb.ADD, route(TO, type=6), prefixes) == []
    scope = Scope(Kind.ROUTE, V4, TABLE)
    slices = kernel.read_dump(scope)
    next(slices)
    slices.close()
    assert [standing.member for standing in read(kernel, scope)] == prefixes


def test_between_two_slices_of_a_dump_the_kernel_takes_changes(kernel: Kernel) -> None:
    prefixes = [bytes((11, n >> 8, n & 255, 0, 24)) for n in range(10_000)]
    assert do(kernel, Verb.ADD, route(TO, type=6), prefixes) == []
    slices = kernel.read_dump(Scope(Kind.ROUTE, V4, TABLE))
    next(slices)
    assert do(kernel, Verb.DELETE, route(TO, type=6), prefixes[:1]) == []
    assert do(kernel, Verb.ADD, route(TO, type=6), prefixes[:1]) == []
    found = [standing.member for chunk in dump.finish(slices) for standing in chunk]
    assert found == prefixes


def test_routes_that_differ_in_their_prefix_only_come_in_stretches(kernel: Kernel) -> None:
    prefixes = [bytes((11, n >> 8, n & 255, 0, 24)) for n in range(3000)]
    assert do(kernel, Verb.ADD, route(TO, type=6), prefixes) == []
    chunks = list(kernel.dump(Scope(Kind.ROUTE, V4, TABLE)).chunks())
    assert all(isinstance(chunk, AlikeRoutes) for chunk in chunks)
    assert [member for chunk in chunks if isinstance(chunk, AlikeRoutes) for member in chunk.members] == prefixes


def test_a_big_dump_keeps_the_order_of_the_kernel(kernel: Kernel) -> None:
    prefixes = [bytes((11, n >> 8, n & 255, 0, 24)) for n in range(3000)]
    assert do(kernel, Verb.ADD, route(TO, type=6), prefixes[::-1]) == []
    members = [standing.member for standing in read(kernel, Scope(Kind.ROUTE, V4, TABLE))]
    assert all(one < other for one, other in pairwise(members))  # type: ignore[operator]


def test_an_interrupted_dump_is_read_again_until_the_table_holds_still(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[bool] = []
    collect = dump._collect

    def interrupted_twice(
        requests: RequestSocket, type_: int, body: bytes
    ) -> Generator[None, None, tuple[dump.Datagrams, bool]]:
        raw, _ = yield from collect(requests, type_, body)
        attempts.append(len(attempts) < 2)
        return raw, attempts[-1]

    monkeypatch.setattr(dump, "_collect", interrupted_twice)
    assert read(kernel, Scope(Kind.ROUTE, V4, 254))
    assert attempts == [True, True, False]


def test_a_table_that_never_holds_still_is_an_error_and_not_half_a_table(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(
        _requests: RequestSocket, _type: int, _body: bytes
    ) -> Generator[None, None, tuple[dump.Datagrams, bool]]:
        yield
        return dump.Datagrams(deque(), b""), True

    monkeypatch.setattr(dump, "_collect", interrupted)
    monkeypatch.setattr(dump, "_LONGEST_PAUSE", 0.0)
    with pytest.raises(dump.DumpInterrupted):
        kernel.dump(Scope(Kind.ROUTE, V4, 254))


def test_the_interrupted_flag_is_seen_on_any_message_of_a_datagram() -> None:
    quiet = message(24, 2, 1, bytes(12))
    loud = message(24, 2 | DUMP_INTERRUPTED, 1, bytes(12))
    for datagram in (loud + quiet, quiet + loud):
        _, flags, result = dump._scan(datagram)
        assert flags & DUMP_INTERRUPTED
        assert result is None


def test_dumps_beside_a_busy_writer_are_whole(network: Network, kernel: Kernel) -> None:
    steady = [bytes((11, n >> 8, n & 255, 0, 24)) for n in range(3000)]
    assert do(kernel, Verb.ADD, route(TO, type=6), steady) == []
    stop = threading.Event()

    with Kernel() as other:

        def write() -> None:
            churn = [bytes((12, 0, n, 0, 24)) for n in range(100)]
            while not stop.is_set():
                do(other, Verb.ADD, route(TO, type=7), churn)
                do(other, Verb.DELETE, route(TO, type=7), churn)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(20):
                found = {standing.member for standing in read(kernel, Scope(Kind.ROUTE, V4, TABLE))}
                assert found >= set(steady)
        finally:
            stop.set()
            writer.join()
