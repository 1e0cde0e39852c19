"""``[[address]]`` and ``[[vip]]``: what they may say, and what the kernel would refuse."""

from __future__ import annotations

import pytest

from routed.model import names
from routed.model.entries import AddressEntry, Enforce, HeldVipEntry, LinkEntry, VipEntry, When
from routed.model.net import parse_address
from tests.unit.intent.intent_help import complaint, entry, read


def address(text: str) -> AddressEntry:
    found = entry(text)
    assert isinstance(found, AddressEntry)
    return found


def test_an_address_says_all_that_ip_address_says() -> None:
    found = address("""[[address]]
        address = "10.20.0.11/21"
        dev = "eth0"
        peer = "10.20.0.12"
        broadcast = "+"
        label = "eth0:web"
        scope = "link"
        metric = 70
        noprefixroute = true
        preferred_lft = 0
    """)
    assert (found.name, found.address, found.prefixlen) == ("address/10.20.0.11/21", parse_address("10.20.0.11"), 21)
    assert (found.dev, found.label, found.metric, found.scope) == ("eth0", "eth0:web", 70, names.LINK)
    assert (found.peer, found.broadcast) == (parse_address("10.20.0.12"), parse_address("10.20.7.255"))
    assert (found.flags, found.deprecated) == (names.IFA_NOPREFIXROUTE, True)


@pytest.mark.parametrize("word", sorted(names.ADDRESS_FLAGS))
def test_every_flag_exists(word: str) -> None:
    text = "ff05::1/64" if word == "autojoin" else "2001:db8::1/64"
    found = address(f'[[address]]\naddress = "{text}"\ndev = "eth0"\n{word} = true')
    assert found.flags == names.ADDRESS_FLAGS[word]


def test_an_ipv4_vip_is_a_plain_host_address() -> None:
    found = address('[[vip]]\nname = "ingress"\naddress = "192.0.2.80"\ndev = "lo"')
    assert (found.name, found.prefixlen, found.flags, found.deprecated) == ("vip/ingress", 32, 0, False)


def test_an_ipv6_vip_is_never_a_source_and_waits_for_no_duplicate_check() -> None:
    found = address('[[vip]]\naddress = "2001:db8::80"\ndev = "lo"')
    assert (found.name, found.prefixlen) == ("vip/2001:db8::80", 128)
    assert (found.flags, found.deprecated) == (names.IFA_NODAD, True)


def test_a_label_is_any_text_and_needs_no_name_of_the_link() -> None:
    assert address('[[address]]\naddress = "10.20.0.11/21"\ndev = "eth0"\nlabel = "web"').label == "web"


def test_a_held_vip_says_how_it_stands() -> None:
    words = 'label = "web"\nscope = "link"\nbroadcast = "+"'
    found = address(f'[[vip]]\naddress = "192.0.2.80/24"\ndev = "eth0"\n{words}')
    assert (found.label, found.scope, found.broadcast) == ("web", names.LINK, parse_address("192.0.2.255"))


def test_a_vip_is_announced_three_times_a_second_apart_unless_told() -> None:
    vip = '[[vip]]\nname = "web"\naddress = "192.0.2.80"\ndev = "eth0"\n'
    plain, told = address(vip), address(vip + 'announce = { count = 5, interval = "200ms" }')
    assert isinstance(plain, HeldVipEntry)
    assert isinstance(told, HeldVipEntry)
    assert (plain.announcements, plain.interval) == (3, 1.0)
    assert (told.announcements, told.interval) == (5, 0.2)


def test_the_link_that_vips_share_is_an_entry_of_its_own() -> None:
    vip = '[[vip]]\naddress = "192.0.2.{}"\ndev = "routed0"\ncreate = "dummy"\n{}'
    observed = 'enforce = "observe"\n'
    link, *vips = read(vip.format(1, observed) + vip.format(2, "") + vip.format(3, "")).entries
    assert isinstance(link, LinkEntry)
    assert (link.name, link.kind, link.enforce, str(link.origin)) == (
        "link/routed0", "dummy", Enforce.REPAIR, str(vips[0].origin),
    )  # fmt: skip
    assert len(vips) == 3
    assert read(vip.format(1, observed)).entries[0].enforce is Enforce.OBSERVE


CHOSEN = '[[interface]]\nname = "a"\nmatch = [ { name = "eth0" } ]\n'
V4 = '[[address]]\ndev = "eth0"\naddress = "10.0.0.1/24"\n'
V6 = '[[address]]\ndev = "eth0"\naddress = "2001:db8::1/65"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[address]]\naddress = "10.0.0.1/24"', "`dev` is missing"),
        ('[[address]]\ndev = "a"', "`address` is missing"),
        ('[[address]]\ndev = "a"\naddress = "10.0.0.1"', 'write "10.0.0.1/32"'),
        ('[[address]]\ndev = "a"\naddress = "10.0.0.1/33"', "from 0 to 32"),
        ('[[address]]\ndev = "a"\naddress = "0.0.0.0/8"', "not the address of a host"),
        ('[[address]]\ndev = "a"\naddress = "224.0.0.5/32"', "multicast"),
        ('[[vip]]\ndev = "a"\naddress = "ff05::1"', "multicast"),
        (CHOSEN + '[[vip]]\ndev = "@a"\naddress = "10.0.0.1"\ncreate = "dummy"', "needs a name of its own"),
        ('[[vip]]\nnode = "10.0.0.9"\naddress = "10.0.0.1"\ncreate = "dummy"', "`create` goes with `dev` only"),
        ('[[vip]]\nnode = "10.0.0.9"\naddress = "10.0.0.1"\nannounce = {}', "`announce` goes with `dev` only"),
        ('[[vip]]\ndev = "a"\naddress = "10.0.0.1"\ncreate = "bridge"', "dummy"),
        ('[[vip]]\ndev = "a"\naddress = "10.0.0.1"\nannounce = { count = 101 }', "100"),
        ('[[vip]]\ndev = "a"\naddress = "10.0.0.1"\nannounce = { interval = 1 }', "unit"),
        ('[[vip]]\nnode = "10.0.0.9"\naddress = "10.0.0.1"\nlabel = "web"', "`label` goes with `dev` only"),
        ('[[vip]]\ndev = "a"\naddress = "2001:db8::1"\nscope = "link"', "`scope` is for IPv4 only"),
        ('[[vip]]\ndev = "a"\naddress = "10.0.0.1"\nbroadcast = "+"', "a /32 has no broadcast address"),
        (V4 + 'label = "eth0:a-long-label"', "1 to 15"),
        (V4 + "nodad = true", "IPv6 only"),
        (V4 + "optimistic = true", "IPv6 only"),
        (V6 + "nodad = true\noptimistic = true", "exclude each other"),
        (V6 + 'valid_lft = "1h"', "stands for good"),
        (V6 + 'preferred_lft = "1h"', "must be 0"),
        (V4 + "autojoin = true", "multicast"),
        (V4 + 'peer = "2001:db8::2"', "family"),
        (V4 + "preferred_lft = 60", "must be 0"),
        (V6 + 'label = "eth0:1"', "IPv4 only"),
        (V6 + 'broadcast = "-"', "IPv4 only"),
        (V6 + 'scope = "link"', "IPv4 only"),
        (V6 + "mngtmpaddr = true", "64"),
    ],
)  # fmt: skip
def test_what_the_kernel_would_refuse_is_refused_before(text: str, said: str) -> None:
    assert said in complaint(text)


def test_a_vip_that_is_answered_for_is_routed_in_table_local_and_always_unless_told() -> None:
    text = '[[vip]]\naddress = "10.103.97.2"\nnode = "192.0.2.1"\nlocal = true\n'
    found = entry(text)
    assert isinstance(found, VipEntry)
    assert (found.is_local, found.table, found.when) == (True, names.TABLE_LOCAL, When.ALWAYS)
    told = entry(text + 'when = "not-default"\n')
    assert isinstance(told, VipEntry)
    assert told.when is When.NOT_DEFAULT
    assert "always the table local" in complaint(text + "table = 100\n")
    assert "`local` goes with `node` only" in complaint(
        '[[vip]]\naddress = "10.103.97.2"\ndev = "eth0"\nlocal = true\n'
    )
