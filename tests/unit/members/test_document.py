"""The member document: what is a fault of one member, and what says nothing at all."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from routed.members.document import DocumentError, format_document, parse_document, read_document
from routed.model.members import Member, Snapshot
from routed.model.net import parse_address, parse_prefix

NODE = {
    "name": "node1", "uid": "7f", "addresses": ["10.0.0.1", "fd00::1"], "prefixes": ["10.244.1.0/24"], "port": 6443,
    "weight": 3, "labels": {"zone": "a", "example.org/rack": "7"}, "ready": False, "terminating": True,
}  # fmt: skip


def read(*members: Any, **other: Any) -> Snapshot:
    return parse_document(json.dumps({"members": list(members)} | other).encode())


def test_a_document_is_read_and_written_as_the_same() -> None:
    snapshot = read(NODE, {"name": "node2"}, revision="12")
    assert snapshot.members[0] == Member(
        "node1", "7f", (parse_address("10.0.0.1"), parse_address("fd00::1")), (parse_prefix("10.244.1.0/24"),), 6443, 3,
        (("example.org/rack", "7"), ("zone", "a")), is_ready=False, is_terminating=True,
    )  # fmt: skip
    assert read_document(format_document("fleet", snapshot)) == snapshot


def test_toml_says_the_same() -> None:
    text = '[[members]]\nname = "node1"\nprefixes = ["10.244.1.0/24"]\n'
    assert parse_document(text.encode(), tomllib.loads) == read({"name": "node1", "prefixes": ["10.244.1.0/24"]})


def test_members_are_in_the_order_of_their_names_unless_that_of_the_document_counts() -> None:
    content = json.dumps({"members": [{"name": "b"}, {"name": "x", "port": "?"}, {"name": "a"}]}).encode()
    assert [one.name for one in parse_document(content).members] == ["a", "b"]
    assert [one.name for one in parse_document(content, keeps_order=True).members] == ["b", "a"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"  \n", b"{", b"[]", b"3", b"null", b'"members"', b"\xff\xfe", b"{}", b'{"members": {}}',
        b'{"members": [3]}', b'{"members": [{}]}', b'{"members": [{"name": ""}]}', b'{"members": [{"name": "a b"}]}',
        b'{"members": [{"name": "a\\u001b[31m"}]}', b'{"members": [{"name": "n\\u00f6de"}]}',
        b'{"members": [{"name": "a"}, {"name": "a"}]}', b'{"members": [], "schema": "routed.members/2"}',
        b'{"members": [], "complete": 1}', b'{"members": [], "member": []}', b'{"members": [], "revision": {}}',
        b'{"members": [], "gone": []}', b'{"members": [], "complete": false, "gone": [1]}',
        b'{"members": [], "complete": false, "gone": ["a b"]}', b'{"members": [], "complete": false, "gone": "a"}',
        b'{"members": [], "revision": "\\u0007"}', b'{"members": [], "revision": true}', b"[" * 100_000,
        b'{"members": ' + b"[" * 100_000, b'{"members": [], "revision": ' + b"9" * 5000 + b"}",
        json.dumps({"members": [{"name": "x" * 254}]}).encode(), b" " * (17 << 20),
    ],
    ids=lambda content: ascii(content[:50]),
)  # fmt: skip
def test_a_document_that_says_nothing_is_an_error_and_never_an_empty_list(content: bytes) -> None:
    with pytest.raises(DocumentError) as said:
        parse_document(content)
    assert str(said.value).isprintable()
    assert len(str(said.value)) < 300


@pytest.mark.parametrize(
    "fault",
    [
        {"addresses": "10.0.0.1"}, {"addresses": ["10.0.0.1/24"]}, {"addresses": ["node.example"]}, {"addresses": [1]},
        {"addresses": ["10.0.0.1"] * 65}, {"addresses": ["\x1b[31m"]}, {"prefixes": ["10.244.1.0/33"]},
        {"prefixes": ["10.244.1.1/24"]}, {"prefixes": ["10.244.1.0/-1"]}, {"prefixes": [""]}, {"prefixes": None},
        {"prefixes": ["10.244.1.0/24\n"]}, {"prefixes": ["x" * 300]}, {"port": 65536}, {"port": -1}, {"port": "80"},
        {"port": True}, {"port": 1.0}, {"port": float("nan")}, {"weight": float("inf")}, {"weight": 10**300},
        {"labels": ["a"]}, {"labels": {"a": 1}}, {"labels": {"a": "\x00"}}, {"labels": {"a\nb": "c"}},
        {"labels": {"a": "x" * 300}}, {"uid": 7}, {"uid": "\x9b"}, {"ready": "yes"}, {"terminating": 1},
        {"gateway": "10.0.0.1"}, {"dev\x1b[31m": "eth0"}, {"labels": {"a": "\ud800"}},
    ],
    ids=ascii,
)  # fmt: skip
def test_what_is_wrong_with_one_member_is_a_fault_of_that_one(fault: dict[str, Any]) -> None:
    snapshot = read({"name": "good"}, {"name": "bad"} | fault)
    assert [one.name for one in snapshot.members] == ["good"]
    (broken,) = snapshot.broken
    assert broken.name == "bad"
    assert broken.why
    assert broken.why.isprintable(), ascii(broken.why)
    assert len(broken.why) < 400


def test_a_huge_document_of_good_members_is_read() -> None:
    snapshot = read(*({"name": f"node{number}", "labels": {"a": "x" * 200}} for number in range(40_000)))
    assert len(snapshot.members) == 40_000
    with pytest.raises(DocumentError, match="at most 50000"):
        read(*({"name": f"n{number}"} for number in range(50_001)))


def test_one_value_twice_is_one() -> None:
    (only,) = read({"name": "a", "prefixes": ["fd00::/64", "FD00:0::/64", "fd00::/64"]}).members
    assert only.prefixes == (parse_prefix("fd00::/64"),)


def test_a_change_names_those_who_went() -> None:
    snapshot = parse_document(b'{"members": [{"name": "a"}], "complete": false, "gone": ["b", "c"]}')
    assert (snapshot.is_complete, snapshot.gone) == (False, ("b", "c"))
    assert parse_document(b'{"members": [], "complete": false}').gone is None
    assert parse_document(json.dumps(format_document("s", snapshot)).encode()) == snapshot


def test_a_change_lacks_whom_it_names_otherwise_and_nobody_else() -> None:
    change = parse_document(b'{"members": [{"name": "a", "port": 1}], "complete": false, "gone": ["b"]}')
    assert change.lacks(Member("a"))
    assert not change.lacks(Member("a", port=1))
    assert change.lacks(Member("b"))
    assert not change.lacks(Member("c"))
    assert change._replace(is_complete=True).lacks(Member("c"))
