"""The keys below a prefix as members: each is good or broken by itself."""

from __future__ import annotations

import json

import pytest

from routed.members.keys import MOST_VALUE, Keys
from routed.model import net
from routed.model.etcd import Format
from routed.model.members import Broken, Member


def read(part: str, value: object, format_: Format = Format.MEMBER) -> Member | Broken:
    keys = Keys(b"/p/", format_)
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    assert keys.put(b"/p/" + part.encode(), text)
    snapshot = keys.show(1)
    told: list[Member | Broken] = [*snapshot.members, *snapshot.broken]
    return told[0]


def test_the_last_part_of_a_key_is_the_name() -> None:
    assert read("node1", {"port": 80}) == Member("node1", port=80)
    assert read("node1", {"name": "node1"}) == Member("node1")


@pytest.mark.parametrize(
    ("part", "value", "why"),
    [
        ("a", {"name": "b"}, "its key ends in another name than its value has"),
        ("a/b", {}, "its key does not end in a name of letters, digits, dots, dashes and underscores"),
        ("", {}, "its key does not end in a name of letters, digits, dots, dashes and underscores"),
        ("a", b"\xff", "its value is no JSON"),
        ("a", b"[" * 100_00, "its value is no JSON"),
        ("a", [], "its value is no table"),
        ("a", {"port": 70000}, "`port` is no number from 0 to 65535"),
        ("a", b"1" * (MOST_VALUE + 1), f"it has {MOST_VALUE + 1} bytes, and at most {MOST_VALUE} are read"),
        ("a", b'{"port": NaN}', "`port` is no number from 0 to 65535"),
    ],
)
def test_what_is_broken_says_why(part: str, value: object, why: str) -> None:
    assert read(part, value) == Broken(part, why)


def test_a_lease_of_flannel_of_both_families_is_one_member() -> None:
    value = {"PublicIP": "192.0.2.1", "PublicIPv6": "2001:db8::1", "BackendType": "vxlan", "BackendData": {"VNI": 1}}
    addresses = (net.parse_address("192.0.2.1"), net.parse_address("2001:db8::1"))
    prefixes = (net.parse_prefix("10.5.1.0/24"), net.parse_prefix("fd00:5:1::/64"))
    assert read("10.5.1.0-24&fd00:5:1::-64", value, Format.FLANNEL) == Member(
        "10.5.1.0-24_fd00.5.1..-64", addresses=addresses, prefixes=prefixes, labels=(("backend", "vxlan"),)
    )


def test_a_lease_of_flannel_of_ipv6_alone_has_no_address_or_prefix_of_ipv4() -> None:
    value = {"PublicIP": net.format_address(bytes(4)), "PublicIPv6": "2001:db8::1"}
    member = read("0.0.0.0-0&fd00:5:1::-64", value, Format.FLANNEL)
    assert isinstance(member, Member)
    assert member.addresses == (net.parse_address("2001:db8::1"),)
    assert member.prefixes == (net.parse_prefix("fd00:5:1::/64"),)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("10.5.1.0", {"PublicIP": "192.0.2.1"}),
        ("10.5.1.1-24", {"PublicIP": "192.0.2.1"}),
        ("10.5.1.0-33", {"PublicIP": "192.0.2.1"}),
        ("10.5.1.0-24", {"PublicIP": "none"}),
        ("10.5.1.0-24", {"PublicIP": 7}),
        ("10.5.1.0-24", {"PublicIP": "192.0.2.1", "BackendType": []}),
        ("config", {"Network": "10.5.0.0/16"}),
    ],
)
def test_what_is_no_lease_of_flannel_is_broken(part: str, value: object) -> None:
    assert isinstance(read(part, value, Format.FLANNEL), Broken)


def test_members_stay_in_the_order_of_their_names_whatever_comes_and_goes() -> None:
    keys = Keys(b"/p/", Format.MEMBER)
    for name in "dbca":
        keys.put(b"/p/" + name.encode(), b"{}")
    keys.put(b"/p/c", b"broken")
    keys.delete(b"/p/b")
    keys.put(b"/p/e", b"{}")
    assert [one.name for one in keys.show(1).members] == ["a", "d", "e"]
    assert keys.show(7).revision == "7"
    assert len(keys) == 4


def test_the_same_value_again_is_no_news() -> None:
    keys = Keys(b"/p/", Format.MEMBER)
    assert keys.put(b"/p/a", b'{"port": 1}')
    assert not keys.put(b"/p/a", b'{"port":   1}')
    assert keys.put(b"/p/a", b"{}")
    assert not keys.delete(b"/p/b")
