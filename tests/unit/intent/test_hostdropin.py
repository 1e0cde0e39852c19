"""The drop-in that `routed route add` writes, and what it takes for its own."""

from __future__ import annotations

import tomllib

import pytest

from routed.intent.hostdropin import (
    EditedError,
    HostRoute,
    exchange_drop_in,
    find_declared,
    name_drop_in,
    read_drop_in,
    write_drop_in,
)
from routed.intent.load import load_kept
from routed.intent.problems import IntentError
from routed.model.entries import Source
from routed.model.net import parse_address

VIP = parse_address("10.103.97.2")
GATEWAY = parse_address("192.168.253.1")
EVERY = [
    HostRoute(VIP, GATEWAY),
    HostRoute(VIP, GATEWAY, is_own=True),
    HostRoute(parse_address("fd00::2"), parse_address("fd00::1")),
    HostRoute(parse_address("fd00::2"), parse_address("fd00::1"), is_own=True),
]


def source_of(content: bytes | str) -> Source:
    return Source(
        "/etc/routed.toml.d/50-route-x.toml", content if isinstance(content, bytes) else content.encode(), "drop-in"
    )


@pytest.mark.parametrize("text", ["2001:DB8::1", "2001:db8:0:0::1"])
def test_one_address_has_one_name_however_it_is_written(text: str) -> None:
    assert name_drop_in(parse_address(text)) == "50-route-2001:db8::1.toml"


def test_a_gateway_becomes_a_route() -> None:
    content = write_drop_in(EVERY[0])
    assert tomllib.loads(content.decode()) == {"route": [{"to": "10.103.97.2", "via": "192.168.253.1"}]}
    assert content.decode().splitlines()[1] == "[[route]]"


def test_an_address_of_this_host_becomes_a_vip_without_a_condition() -> None:
    written = tomllib.loads(write_drop_in(EVERY[1]).decode())
    assert written == {"vip": [{"address": "10.103.97.2", "node": "192.168.253.1", "when": "always"}]}


@pytest.mark.parametrize("route", EVERY, ids=str)
def test_what_is_written_is_read_again(route: HostRoute) -> None:
    assert read_drop_in(source_of(write_drop_in(route)), route.host) == route


def test_a_file_that_says_the_same_in_other_words_of_toml_is_ours() -> None:
    assert read_drop_in(source_of('route = [{ via = "192.168.253.1", to = "10.103.97.2" }]'), VIP) == EVERY[0]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('[[route]]\nto = "10.103.97.2"\nvia = "192.168.253.1"\nmetric = 50\n', 4),
        ('[[route]]\nto = "10.103.97.3"\nvia = "192.168.253.1"\n', 2),
        ('[[route]]\nto = "10.103.97.2"\nvia = "192.168.253.1"\n[[route]]\nto = "10.0.0.0/8"\nvia = "192.0.2.1"\n', 4),
        ('[[route]]\nto = "10.103.97.2"\nvia = "192.168.253.1"\n[[rule]]\npriority = 5\n', 4),
        ('[[vip]]\naddress = "10.103.97.2"\nnode = "192.168.253.1"\nwhen = "not-default"\n', 4),
        ('[[route]]\nto = "10.103.97.2"\nvia = 5\n', 1),
        ("", 1),
    ],
)
def test_a_file_that_was_edited_by_hand_is_not_ours_and_the_line_is_named(content: str, line: int) -> None:
    with pytest.raises(EditedError) as raised:
        read_drop_in(source_of(content), VIP)
    assert raised.value.problems[0].line == line


def test_nonsense_is_a_problem_of_its_line() -> None:
    with pytest.raises(IntentError) as raised:
        read_drop_in(source_of("[[route]]\nto = nonsense\n"), VIP)
    assert not isinstance(raised.value, EditedError)
    assert raised.value.problems[0].line == 2


def test_a_drop_in_takes_its_place_by_its_name() -> None:
    main = Source("/etc/routed.toml", b"version = 1", "main")
    early, late = (
        Source(f"/{folder}/routed.toml.d/{name}.toml", b"", "drop-in")
        for folder, name in (("run", "10-a"), ("etc", "90-z"))
    )
    names = Source("/etc/iproute2/rt_tables", b"", "names")
    path = "/etc/routed.toml.d/50-route-10.103.97.2.toml"
    own = Source(path, b"x", "drop-in")
    without = (main, early, late, names)
    assert exchange_drop_in(without, path, b"x") == (main, early, own, late, names)
    assert exchange_drop_in((main, early, own, late, names), path, b"y")[2].content == b"y"
    assert exchange_drop_in((main, early, own, late, names), path, None) == without


@pytest.mark.parametrize(
    ("route", "is_found"),
    [
        ('to = "10.103.97.2"\nvia = "192.0.2.1"', True),
        ('prefixes = ["10.0.0.0/8", "10.103.97.2/32"]\ntype = "blackhole"', True),
        ('to = "10.103.97.2"\nvia = "192.0.2.1"\nmetric = 50', False),
        ('to = "10.103.97.2"\nvia = "192.0.2.1"\ntable = 120', False),
        ('to = "10.103.97.2"\nvia = "192.0.2.1"\ntos = "0x10"', False),
        ('to = "10.103.97.0/24"\nvia = "192.0.2.1"', False),
    ],
)
def test_a_route_is_declared_already_where_another_entry_has_its_key(route: str, is_found: bool) -> None:
    intent = load_kept((Source("/etc/routed.toml", f"version = 1\n[[route]]\n{route}\n".encode(), "main"),)).intent
    assert (find_declared(intent, VIP) is not None) is is_found
