"""Packed prefixes are sets, and a comparison that uses them is one that does not."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from routed.core.desired import Desired
from routed.core.diff import Comparer, Differences
from routed.core.entries import resolve
from routed.kernel.codec.attributes import message
from routed.kernel.codec.route import RouteDecoder, encode_route
from routed.model import names
from routed.model.change import Drift
from routed.model.facts import Facts, Link
from routed.model.net import IPV4, network_of, parse_prefix
from routed.model.objects import AlikeRoutes, Chunk, Kind, RouteSlot, Standing
from routed.model.prefixes import Packed, PrefixSet
from tests.property.rig import OURS, OWNERS, THEIRS, a_route, hop, route_value

# Few addresses and all lengths, so that one prefix lies in another and many share an address.
v4 = st.builds(
    lambda n, length: network_of(bytes((10, n >> 4, n << 4 & 255, 0)), length), st.integers(0, 255), st.integers(0, 32)
)
v6 = st.builds(
    lambda n, length: network_of(bytes((32, 1, n, *bytes(13))), length), st.integers(0, 255), st.integers(0, 128)
)
sets = st.sets(v4, min_size=1, max_size=600) | st.sets(v6, min_size=1, max_size=300)


@given(sets, sets)
def test_a_packed_set_is_a_set(first: set[bytes], second: set[bytes]) -> None:
    one, other = PrefixSet.of(first), PrefixSet.of(second)
    assert one == first
    assert len(one) == len(first)
    assert {prefix for prefix in first | second if prefix in one} == first
    assert one & other == first & second
    assert one & second == first & second
    assert set(one - other) == first - second
    assert set(one - frozenset(second)) == first - second
    assert (one == other) == (first == second)


@given(sets, sets)
def test_members_come_and_go_at_the_price_of_a_copy(first: set[bytes], second: set[bytes]) -> None:
    packed, width = PrefixSet.of(first), len(next(iter(first)))
    others = {prefix for prefix in second if len(prefix) == width}
    assert list(packed.including(others)) == list(PrefixSet.of(first | others))
    assert list(packed.without(second)) == list(PrefixSet.of(first - second))


@given(sets, st.randoms())
def test_a_set_is_the_same_from_one_string_of_bytes(members: set[bytes], shuffler: Random) -> None:
    each = [*members, *members]
    shuffler.shuffle(each)
    assert list(PrefixSet.of(Packed(b"".join(each), len(each[0])))) == list(PrefixSet.of(members))


@given(sets, sets)
def test_members_are_found_at_their_places(members: set[bytes], others: set[bytes]) -> None:
    packed = PrefixSet.of(members)
    each = list(packed)
    assert [packed.find(member) for member in each] == list(range(len(each)))
    asked = [prefix for prefix in members | others if len(prefix) == packed.width]
    assert packed.locate(asked) == {prefix: each.index(prefix) for prefix in asked if prefix in members}
    start, stop = packed.window(each[0], each[0])
    assert set(packed.take(start, stop)) == {member for member in members if member[:-1] == each[0][:-1]}


@given(sets)
def test_the_order_is_by_address_and_of_one_the_longest_first_for_ipv4(members: set[bytes]) -> None:
    for one, other in pairwise(PrefixSet.of(members)):
        assert one[:-1] <= other[:-1]
        if one[:-1] == other[:-1]:
            assert one[-1] > other[-1] if len(one) == 5 else one[-1] < other[-1]


@given(st.lists(v4, min_size=1, max_size=50), st.integers(0, 50), st.integers(0, 50))
def test_packed_prefixes_are_a_sequence(members: list[bytes], start: int, stop: int) -> None:
    packed = Packed(b"".join(members), 5)
    assert list(packed) == members
    assert list(packed[start:stop]) == members[start:stop]
    assert packed[0] == members[0]
    assert packed[-1] == members[-1]


WANTED = route_value(type_=names.BLACKHOLE, protocol=OURS)
VALUES = (WANTED, WANTED, WANTED, route_value(hop(1), protocol=THEIRS), route_value(hop(1), protocol=OURS))
SLOTS = (RouteSlot(IPV4, 254, 0), RouteSlot(IPV4, 77, 0))
FACTS = Facts(links={1: Link(1, "v0", is_up=True, has_carrier=True)})
TEXTS = tuple(f"10.{n}.0.0/{length}" for n in range(4) for length in (16, 17, 24))


@given(
    st.sets(st.sampled_from(TEXTS), min_size=1),
    st.sets(st.sampled_from(TEXTS)),
    st.lists(
        st.tuples(
            st.sampled_from(SLOTS), st.sampled_from(VALUES), st.lists(st.sampled_from(TEXTS), min_size=1, max_size=12)
        )
    ),
    st.booleans(),
)
def test_a_file_of_prefixes_is_compared_as_a_list_of_them(
    listed: set[str], single: set[str], shown: list[tuple[object, object, list[str]]], is_covered: bool
) -> None:
    chunks = [AlikeRoutes(slot, pack(texts), value) for slot, value, texts in shown]  # type: ignore[arg-type]
    packed, plain = (
        compare(listed, single - listed, cut, is_file=is_file, is_covered=is_covered)
        for is_file, cut in ((True, chunks), (False, [chunk.spread() for chunk in chunks]))
    )
    assert flatten(packed.drifts) == flatten(plain.drifts)
    assert flatten(packed.notes) == flatten(plain.notes)


def pack(texts: list[str]) -> Packed:
    return Packed(b"".join(map(parse_prefix, texts)), 5)


def compare(
    listed: set[str],
    single: set[str],
    chunks: list[AlikeRoutes] | list[list[Standing]],
    *,
    is_file: bool,
    is_covered: bool,
) -> Differences:
    desired = Desired()
    desired.put(resolve(a_route("listed", tuple(listed), type_=names.BLACKHOLE, is_file=is_file), FACTS, OURS))
    for text in single:
        desired.put(resolve(a_route(text, text, type_=names.BLACKHOLE), FACTS, OURS))
    comparer = Comparer(Kind.ROUTE, desired.wants[Kind.ROUTE], SLOTS[:1] if is_covered else (), OWNERS[Kind.ROUTE])
    chunk: Chunk
    for chunk in chunks:
        comparer.feed(chunk)
    return comparer.finish()


def flatten(drifts: tuple[Drift, ...]) -> set[tuple[object, ...]]:
    return {
        (drift.nature, drift.slot, member, drift.want.entry.name if drift.want else "", drift.standing)
        for drift in drifts
        for member in drift.members
    }


@given(
    st.lists(st.sampled_from(TEXTS), min_size=1, max_size=40, unique=True),
    st.lists(st.tuples(st.integers(0, 39), st.sampled_from(VALUES)), max_size=2),
    st.integers(0, 8),
)
def test_a_stretch_says_what_a_decoding_one_by_one_says(
    texts: list[str], others: list[tuple[int, object]], cut: int
) -> None:
    values = [WANTED] * len(texts)
    for at, value in others:
        values[at % len(texts)] = value  # type: ignore[call-overload]
    datagram = b"".join(
        message(24, 2, 1, encode_route(SLOTS[0], parse_prefix(text), value))
        for text, value in zip(texts, values, strict=True)
    )
    datagram = datagram[: len(datagram) - cut]
    alike = RouteDecoder().decode_alike(datagram, 2)
    if alike is not None:
        assert alike.spread() == RouteDecoder().decode_all(datagram, 2)
    assert (alike is not None) == (len(texts) >= 8 and not cut and set(values) == {values[0]})
