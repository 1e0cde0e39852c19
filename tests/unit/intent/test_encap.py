"""``encap`` of a file: what becomes of it, and what is said of one that cannot be."""

from __future__ import annotations

from struct import pack

import pytest

from routed.model.attributes import NEXTHOP_WORDS, join, list_words, split
from routed.model.entries import NexthopEntry, RouteEntry
from tests.unit.intent.intent_help import complaint, entry, problems, read

V4, V6 = 'to = "10.0.0.0/8"\nvia = "192.0.2.1"\n', 'to = "2001:db8::/32"\nvia = "fe80::1"\ndev = "a"\n'


def extra(keys: str, way: str = V4) -> dict[int, bytes]:
    found = entry(f"[[route]]\n{way}encap = {{ {keys} }}\n")
    assert isinstance(found, RouteEntry)
    (hop,) = found.hops
    return split(hop.extra)


def test_labels_are_a_stack_whose_last_one_says_so() -> None:
    assert extra('type = "mpls", labels = "100/200", ttl = 9') == {
        21: pack("=H", 1),
        22: join({1: pack(">II", 100 << 12, 200 << 12 | 0x100), 2: b"\t"}),
    }
    assert extra('type = "mpls", labels = 17')[22] == join({1: pack(">I", 17 << 12 | 0x100)})


def test_a_tunnel_has_what_the_kernel_shows_where_nothing_is_said() -> None:
    assert extra('type = "ip", dst = "10.9.9.9"')[22] == join(
        {1: bytes(8), 2: b"\n\t\t\t", 3: bytes(4), 4: b"\0", 5: b"\0", 6: b"\0\0"}
    )


def test_segments_stand_the_last_one_first() -> None:
    first, last = bytes.fromhex("fd00" + "00" * 13 + "0a"), bytes.fromhex("fd00" + "00" * 13 + "0b")
    segments = 'type = "seg6", segs = ["fd00::a", "fd00::b"]'
    head = pack("=i", 1) + bytes((0, 4, 4, 1, 1, 0, 0, 0))
    assert extra(segments) == {21: pack("=H", 5), 22: join({1: head + last + first})}
    inline = pack("=i", 0) + bytes((0, 6, 4, 2, 2, 0, 0, 0))
    assert extra(segments + ', mode = "inline"', V6)[22] == join({1: inline + bytes(16) + last + first})


def test_tables_go_by_their_names() -> None:
    named = '[[table]]\nname = "blue"\nid = 77\n'
    (found,) = read(
        named + f'[[route]]\n{V6}encap = {{ type = "seg6local", action = "End.DT6", vrftable = "blue" }}\n'
    ).entries
    assert isinstance(found, RouteEntry)
    assert split(split(found.hops[0].extra)[22]) == {1: pack("=I", 7), 9: pack("=I", 77)}
    hop = '{ via = "fe80::1", dev = "a", encap = { type = "seg6local", action = "End.T", table = "main" } }'
    found = entry(f'[[route]]\nto = "2001:db8::/32"\nhops = [{hop}]\n')
    assert isinstance(found, RouteEntry)
    assert split(split(found.hops[0].extra)[22]) == {1: pack("=I", 3), 3: pack("=I", 254)}


def test_a_next_hop_says_it_in_attributes_of_its_own() -> None:
    found = entry('[[nexthop]]\nid = 1\nvia = "192.0.2.1"\nencap = { type = "mpls", labels = "100" }\n')
    assert isinstance(found, NexthopEntry)
    (hop,) = found.hops
    assert dict(list_words(NEXTHOP_WORDS, hop.extra)) == {"encap": {"type": "mpls", "labels": "100"}}


@pytest.mark.parametrize(
    ("way", "keys", "said"),
    [
        (V4, 'labels = "100"', 'write "mpls", "ip", "ip6", "seg6" or "seg6local"'),
        (V4, 'type = "bpf"', 'must be "mpls"'),
        (V4, 'type = "mpls"', "`labels` is missing, which encap mpls needs"),
        (V4, 'type = "mpls", labels = "100/x"', '"x" is not a label'),
        (V4, 'type = "mpls", labels = 1048576', "from 0 to 1048575"),
        (V4, f'type = "mpls", labels = "{"/".join(["17"] * 31)}"', "there are 30 at most"),
        (V4, 'type = "mpls", labels = "100/3"', "3 says that there is no label"),
        (V4, 'type = "mpls", labels = "100", dst = "10.0.0.1"', "`dst` is no word of encap mpls"),
        (V4, 'type = "ip", dst = "fd00::1"', "`dst` of encap ip is an IPv4 address"),
        (V4, 'type = "ip6", src = "10.0.0.1"', "`src` of encap ip6 is an IPv6 address"),
        (V4, 'type = "ip", ttl = 0', "must be 1 or more"),
        (V4, 'type = "ip6", ttl = 5', "it has `id`, `dst`, `src`, `hoplimit`, `tc`"),
        (V4, 'type = "seg6"', "`segs` is missing"),
        (V4, 'type = "seg6", segs = []', "must not be empty"),
        (V4, 'type = "seg6", segs = ["10.0.0.1"]', "`segs` are IPv6 addresses"),
        (V4, 'type = "seg6", mode = "inline", segs = ["fd00::a"]', "mode inline is for IPv6 only"),
        (V4, 'type = "seg6local", action = "End"', "seg6local is for IPv6 only"),
        (V6, 'type = "seg6local"', "`action` is missing"),
        (V6, 'type = "seg6local", action = "End.B6"', 'must be "End"'),
        (V6, 'type = "seg6local", action = "End.X"', "action End.X needs `nh6`"),
        (V6, 'type = "seg6local", action = "End.DT6"', "action End.DT6 needs `table` or `vrftable`"),
        (V6, 'type = "seg6local", action = "End.DT6", table = 1, vrftable = 2', "exclude each other"),
        (V6, 'type = "seg6local", action = "End", nh4 = "10.0.0.1"', "action End has no `nh4`"),
        (V6, 'type = "seg6local", action = "End.X", nh6 = "10.0.0.1"', "`nh6` of encap seg6local is an IPv6 address"),
        (V6, 'type = "seg6local", action = "End.T", table = "storage"', 'unknown table "storage"'),
        (V6, 'type = "seg6local", action = "End.T", table = 0', "there is no table 0"),
    ],
)  # fmt: skip
def test_what_the_kernel_would_refuse_is_said_before(way: str, keys: str, said: str) -> None:
    assert said in complaint(f"[[route]]\n{way}encap = {{ {keys} }}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[route]]\nto = "10.0.0.0/8"\ntype = "blackhole"\nencap = { type = "ip" }', "leads nowhere"),
        ('[[route]]\nto = "10.0.0.0/8"\nencap = { type = "ip" }', "the route leads nowhere"),
        ('[[route]]\nto = "10.0.0.0/8"\nnhid = 1\nencap = { type = "ip" }', "write `encap` at the [[nexthop]]"),
        ('[[route]]\nto = "10.0.0.0/8"\nnhid = 1\nrealms = 5', "`realms` and `nhid` exclude each other"),
        (
            '[[route]]\nto = "10.0.0.0/8"\nencap = { type = "ip" }\nhops = [{dev = "a"}]',
            "write `encap` inside each hop",
        ),
        ('[[route]]\nto = "10.0.0.0/8"\ndev = "a"\nencap = "ip"', "must be a table"),
        (
            '[[nexthop]]\nid = 1\nblackhole = true\nencap = { type = "ip" }',
            "`blackhole` and `encap` exclude each other",
        ),
        (
            '[[nexthop]]\nid = 1\ndev = "a"\nencap = { type = "seg6local", action = "End" }',
            "seg6local is for IPv6 only",
        ),
    ],
)
def test_it_belongs_to_a_hop(text: str, said: str) -> None:
    assert said in complaint(text)


def test_the_place_of_a_wrong_word_is_within_the_table() -> None:
    text = '[[route]]\nto = "10.0.0.0/8"\nvia = "192.0.2.1"\nencap = { type = "ip", tll = 3, ttl = 300 }\n'
    assert [(one.line, one.column, one.message, one.hint) for one in problems(text)] == [
        (5, 24, "unknown key `tll`", "did you mean `ttl`?"),
        (5, 39, "`encap.ttl` must be 255 or less", ""),
    ]
