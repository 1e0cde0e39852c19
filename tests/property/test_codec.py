"""The codec against every value there can be, and against bytes that are none."""

from __future__ import annotations

from contextlib import suppress
from socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, socketpair
from struct import pack, unpack_from
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.kernel import dump
from routed.kernel.codec import CODECS, Decoder
from routed.kernel.codec.address import decode_address
from routed.kernel.codec.attributes import CREATE, DONE, DUMP_INTERRUPTED, ERROR, REQUEST, MalformedMessage, message
from routed.kernel.codec.link import decode_link
from routed.kernel.codec.route import RouteDecoder, decode_route, encode_route, route_requests
from routed.kernel.codec.rule import decode_rule, encode_rule
from routed.kernel.events import EventReader
from routed.model import attributes, encap, names
from routed.model.net import ADDRESS_LENGTH, network_of
from routed.model.objects import Hop, Kind, RouteSlot, RouteValue, RuleMember, RuleSlot, RuleValue

u8, u32 = st.integers(0, 0xFF), st.integers(0, 0xFFFFFFFF)
ifindexes = st.integers(1, 0x7FFFFFFF)
families = st.sampled_from((AF_INET, AF_INET6)).map(int)
NO_REALMS = attributes.join({11: bytes(4)})
realms = st.just(b"") | u32.map(lambda both: attributes.join({11: pack("=I", both)}))
# Encapsulations, with and without a word for them
nested = st.dictionaries(st.integers(1, 12), st.binary(max_size=60), max_size=6)
encaps: st.SearchStrategy[dict[int, bytes]] = st.just({}) | st.builds(
    lambda kind, parts: {21: pack("=H", kind), 22: attributes.join(parts)}, st.integers(0, 12), nested
)
extras = st.builds(lambda one, other: attributes.join(attributes.split(one) | other), realms, encaps)
link_names = st.text("abcdefgh0123456789.-_@", min_size=1, max_size=15)


def addresses(family: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=ADDRESS_LENGTH[family], max_size=ADDRESS_LENGTH[family])


@st.composite
def prefixes(draw: st.DrawFn, family: int, shortest: int = 0) -> bytes:
    return network_of(draw(addresses(family)), draw(st.integers(shortest, ADDRESS_LENGTH[family] * 8)))


@st.composite
def routes(draw: st.DrawFn) -> tuple[RouteSlot, list[bytes], RouteValue]:
    family = draw(families)
    type_ = draw(st.sampled_from(sorted(names.WRITABLE_TYPES.values())))
    legs = st.builds(
        Hop, ifindexes, st.one_of(st.just(b""), addresses(family)), st.integers(1, 256), st.booleans(), extras
    )
    hops = () if type_ in names.TYPES_WITHOUT_HOP else tuple(sorted(draw(st.lists(legs, min_size=1, max_size=4))))
    if len(hops) == 1:
        hops = (hops[0]._replace(weight=1),)
    numbers = sorted(draw(st.sets(st.sampled_from(sorted(set(attributes.METRICS.values()) - {16})))))
    metrics: list[tuple[int, int | str]] = [(n, draw(u32)) for n in numbers]
    if draw(st.booleans()):
        metrics.append((16, draw(st.text("abc", min_size=1, max_size=15))))
    value = RouteValue(
        type=type_,
        protocol=draw(u8),
        scope=draw(u8) if family == AF_INET else 0,
        hops=hops,
        src=draw(st.one_of(st.just(b""), addresses(family))),
        metrics=tuple(sorted(metrics, key=lambda metric: metric[0])),
        lock=draw(u32),
        extra=draw(st.sampled_from((b"", attributes.join({20: b"\1"})))),
    )
    source = draw(st.one_of(st.just(b""), prefixes(family, 1)))
    slot = RouteSlot(family, draw(u32), draw(u32), draw(u8), source)
    return slot, draw(st.lists(prefixes(family), min_size=1, max_size=20)), value


@given(routes())
def test_a_route_survives_the_way_out_and_back(route: tuple[RouteSlot, list[bytes], RouteValue]) -> None:
    slot, members, value = route
    encoded = message(24, 0, 0, encode_route(slot, members[0], value))
    assert decode_route(encoded, 0, len(encoded)) == (slot, members[0], value)


@given(routes(), st.integers(1, 1 << 30))
def test_requests_for_many_are_those_for_each(route: tuple[RouteSlot, list[bytes], RouteValue], base: int) -> None:
    slot, members, value = route
    many = bytes(route_requests(24, REQUEST | CREATE, slot, value, members, base))
    last = base + len(members) - 1
    each = [
        message(24, REQUEST | CREATE | (4 if n == last else 0), n, encode_route(slot, member, value))
        for n, member in enumerate(members, base)
    ]
    assert many == b"".join(each)


@given(st.lists(routes(), max_size=5))
def test_the_memo_of_shapes_gives_what_a_full_decode_gives(
    tables: list[tuple[RouteSlot, list[bytes], RouteValue]],
) -> None:
    decoder = RouteDecoder()
    for slot, members, value in tables * 2:
        datagram = b"".join(message(24, 0, 0, encode_route(slot, member, value)) for member in members)
        expected = [(slot, member, value) for member in members]
        assert decoder.decode_all(datagram, slot.family) == expected
    assert decoder.malformed == 0


@st.composite
def said_encaps(draw: st.DrawFn) -> dict[str, Any]:
    """Any encapsulation that the file may say."""
    row = encap.ENCAPS[draw(st.sampled_from(sorted(encap.ENCAPS)))]
    v6 = addresses(AF_INET6)
    content: dict[str, st.SearchStrategy[Any]] = {
        "labels": st.lists(st.integers(0, encap.MAXIMUM_LABEL), min_size=1, max_size=encap.MAXIMUM_LABELS).map(tuple),
        "ttl": st.integers(1, 255), "hoplimit": st.integers(1, 255), "tos": u8, "tc": u8, "id": st.integers(0, 1 << 63),
        "dst": addresses(AF_INET6 if row.name == "ip6" else AF_INET), "nh4": addresses(AF_INET), "nh6": v6,
        "segs": st.lists(v6, min_size=1, max_size=encap.MAXIMUM_SEGMENTS), "mode": st.sampled_from(sorted(encap.MODES)),
        "action": st.sampled_from(sorted(encap.ACTIONS)), "table": u32, "vrftable": u32,
        **dict.fromkeys(("key", "csum", "seq"), st.just(True)),
    }  # fmt: skip
    content["src"] = content["dst"]
    needs = {word: content[word] for word in row.needs}
    more = {word: content[word] for word in row.words if word not in needs}
    return {"type": row.name, **draw(st.fixed_dictionaries(needs, optional=more))}


@given(said_encaps())
def test_what_is_shown_of_an_encapsulation_makes_the_same_attributes_again(said: dict[str, Any]) -> None:
    packed = encap.pack(said)
    shown = encap.show(*packed)
    assert shown is not None
    assert encap.pack(shown) == packed
    assert shown.items() <= ({"mode": "encap"} | said).items()


@given(st.integers(0, 12) | u32, nested)
def test_an_encapsulation_without_a_word_is_none_and_no_error(kind: int, parts: dict[int, bytes]) -> None:
    packed = (pack("=H", kind & 0xFFFF), attributes.join(parts))
    shown = encap.show(*packed)
    assert shown is None or encap.pack(shown) == packed
    encap.explain_refusals(*packed)
    assert encap.show(b"", packed[1]) is None


# Words that are attributes of their own, in any combination
attributes_of_rules = st.fixed_dictionaries(
    {},
    optional={
        25: st.binary(min_size=1, max_size=1), 26: st.binary(min_size=4, max_size=4),
        27: st.binary(min_size=4, max_size=4), 28: st.integers(1, 0xFFFE).map(lambda mask: pack("=H", mask)),
        29: st.integers(1, 0xFFFE).map(lambda mask: pack("=H", mask)),
        30: st.integers(0, 0x3E).map(lambda mask: bytes((mask,))),
    },
).map(attributes.join)  # fmt: skip


@st.composite
def rules(draw: st.DrawFn) -> tuple[RuleSlot, RuleMember, RuleValue]:
    family = draw(families)
    action = draw(st.sampled_from(sorted(names.ACTIONS)))
    name = st.one_of(st.just(""), link_names)
    selector = st.one_of(st.just(b""), prefixes(family, 1))
    ports = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
    limit = st.integers(-1, 0x7FFFFFFF)
    member = RuleMember(
        priority=draw(u32), action=action, table=draw(u32) if action == names.TO_TABLE else 0, target=draw(u32),
        inverted=draw(st.booleans()), source=draw(selector), destination=draw(selector), tos=draw(u8),
        iif=draw(name), oif=draw(name), fwmark=draw(u32), fwmask=draw(u32), ipproto=draw(u8), sport=draw(ports),
        dport=draw(ports), uidrange=draw(st.one_of(st.none(), st.tuples(u32, u32))), l3mdev=draw(st.booleans()),
        suppress_prefixlength=draw(limit), suppress_ifgroup=draw(limit), extra=draw(attributes_of_rules),
    )  # fmt: skip
    return RuleSlot(family), member, RuleValue(draw(u8), draw(realms.filter(lambda one: one != NO_REALMS)))


@given(rules())
def test_a_rule_survives_the_way_out_and_back(rule: tuple[RuleSlot, RuleMember, RuleValue]) -> None:
    encoded = message(32, 0, 0, encode_rule(*rule))
    assert decode_rule(encoded, 0, len(encoded)) == rule


DECODERS = (decode_route, decode_rule, decode_address, decode_link, RouteDecoder().decode)
bodies = st.one_of(
    st.binary(max_size=200),
    routes().map(lambda route: encode_route(route[0], route[1][0], route[2])),
    rules().map(lambda rule: encode_rule(*rule)),
)


@given(bodies, st.data())
def test_cut_and_bent_bytes_are_malformed_or_a_value_and_nothing_else(body: bytes, data: st.DataObject) -> None:
    bent = bytearray(pack("=IHHII", 16 + len(body), 24, 0, 0, 0) + body)
    for _ in range(data.draw(st.integers(0, 4))):
        bent[data.draw(st.integers(0, len(bent) - 1))] = data.draw(u8)
    cut = bytes(bent[: data.draw(st.integers(0, len(bent)))])
    for decode in DECODERS:
        with suppress(MalformedMessage):
            decode(cut, 0, len(cut))
    decoder = Decoder()
    for kind in CODECS:
        for family in (2, 10):
            decoder.decode(kind, cut, family)


@given(st.lists(bodies.map(lambda body: message(24, 0, 0, body)) | st.binary(max_size=60), max_size=4), st.data())
def test_notifications_that_are_cut_short_are_events_or_malformed_and_nothing_else(
    datagrams: list[bytes], data: st.DataObject
) -> None:
    mine, theirs = socketpair(AF_UNIX, SOCK_DGRAM)
    with mine, theirs:
        mine.setblocking(False)
        reader = EventReader(mine, Decoder())
        for datagram in datagrams:
            cut = datagram[: data.draw(st.integers(1, 70))] or b"\0"
            for _ in range(data.draw(st.integers(1, 3))):  # some alike, which are read as one
                theirs.send(cut)
        reader.read()


@pytest.mark.parametrize("size", range(1, 60))
def test_two_equal_notifications_of_any_length_are_no_event_where_they_say_nothing(size: int) -> None:
    mine, theirs = socketpair(AF_UNIX, SOCK_DGRAM)
    with mine, theirs:
        mine.setblocking(False)
        for _ in range(2):
            theirs.send(bytes(size))
        assert EventReader(mine, Decoder()).read() == []


def test_routes_that_differ_in_their_source_alone_share_no_shape() -> None:
    value, prefix = RouteValue(1, 114, hops=(Hop(3),)), network_of(bytes.fromhex("20010db8") + bytes(12), 32)
    sources = [b"", *(network_of(bytes.fromhex("20010db8000a") + bytes(10), length) for length in (44, 48))]
    slots = [RouteSlot(AF_INET6, 254, 1024, source=source) for source in sources]
    decoder = RouteDecoder()
    for slot in slots * 2:
        (route,) = decoder.decode_all(message(24, 0, 0, encode_route(slot, prefix, value)), AF_INET6)
        assert route == (slot, prefix, value)


def test_a_malformed_message_is_skipped_counted_and_the_next_one_read() -> None:
    slot, value = RouteSlot(2, 100, 50), RouteValue(6, 114)
    good = message(24, 0, 0, encode_route(slot, b"\xc0\0\2\0\x18", value))
    bad = message(24, 0, 0, encode_route(slot, b"\xc0\0\2\0\x18", value)[:-2])
    decoder = Decoder()
    assert decoder.decode(Kind.ROUTE, bad + good, 2) == [(slot, b"\xc0\0\2\0\x18", value)]
    assert decoder.malformed == 1


messages_of_a_dump = st.lists(
    st.builds(
        lambda type_, flags, size: message(type_, flags, 1, bytes(size)),
        st.sampled_from((24, 24, 24, 25, DONE, ERROR)),
        st.sampled_from((2, 2, 2, 2 | DUMP_INTERRUPTED)),
        st.sampled_from((12, 12, 12, 16, 20)),
    ),
    max_size=6,
)


@given(messages_of_a_dump, st.binary(max_size=24))
def test_a_datagram_of_a_dump_is_read_as_if_message_by_message(messages: list[bytes], rest: bytes) -> None:
    datagram = b"".join(messages) + rest
    try:
        found = dump._scan(datagram)
    except MalformedMessage:
        found = None
    assert found == scan_one_by_one(datagram)


def scan_one_by_one(datagram: bytes) -> tuple[int, int, int | None] | None:
    start, flags = 0, 0
    while start + 16 <= len(datagram):
        length, type_, more = unpack_from("=IHH", datagram, start)
        if length < 16 or start + length > len(datagram):
            return None
        flags |= more
        if type_ in (DONE, ERROR):
            return start, flags, unpack_from("=i", datagram, start + 16)[0]
        start += (length + 3) & ~3
    return len(datagram), flags, None
