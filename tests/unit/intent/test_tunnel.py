"""``[[tunnel]]``: what it may say, and what the kernel would refuse."""

from __future__ import annotations

import pytest

from routed.intent.export import export
from routed.intent.load import load_kept
from routed.model.entries import OnConflict, TunnelEntry
from routed.model.facts import Facts
from routed.model.net import parse_address
from routed.model.objects import Ipip, Kind, LinkMember, LinkSlot, LinkValue, Standing
from tests.unit.intent.intent_help import HEAD, complaint, entry, read, source

PLAIN = '[[tunnel]]\ndev = "routed-ipip"\nlocal = "192.0.2.10"\n'
LOCAL = parse_address("192.0.2.10")


def tunnel(text: str) -> TunnelEntry:
    found = entry(text)
    assert isinstance(found, TunnelEntry)
    return found


def test_it_needs_a_name_and_an_address() -> None:
    found = tunnel(PLAIN)
    assert (found.name, found.link, found.kind) == ("tunnel/routed-ipip", "routed-ipip", "ipip")
    assert (found.local, found.local_of, found.mtu, found.ttl, found.pmtudisc) == (LOCAL, "", 1480, 0, True)
    assert found.on_conflict is OnConflict.REFUSE


def test_it_says_what_ip_link_says() -> None:
    found = tunnel(f'{PLAIN}name = "overlay"\nmode = "ipip"\nmtu = 1400\nttl = 64')
    assert (found.name, found.mtu, found.ttl) == ("tunnel/overlay", 1400, 64)
    assert not tunnel(f"{PLAIN}nopmtudisc = true").pmtudisc


def test_its_address_may_be_that_of_an_interface() -> None:
    interface = '[[interface]]\nname = "internal"\nmatch = [{ name = "eth0" }]\n'
    found = tunnel(interface + PLAIN.replace('"192.0.2.10"', '"@internal"'))
    assert (found.local, found.local_of) == (b"", "internal")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[tunnel]]\nlocal = "192.0.2.10"', "`dev` is missing"),
        ('[[tunnel]]\ndev = "t0"', "`local` is missing"),
        (
            PLAIN.replace("routed-ipip", "tunl0"),
            "`dev`: tunl0 is the kernel's own, which cannot be changed / choose another name, such as routed-ipip",
        ),
        (PLAIN.replace("192.0.2.10", "2001:db8::1"), "`local`: packets of ipip leave from an IPv4 address"),
        (PLAIN.replace("192.0.2.10", "224.0.0.1"), "`local`: 224.0.0.1 is not the address of a host"),
        (
            PLAIN.replace("192.0.2.10", "@lan"),
            '`local`: no [[interface]] is named "lan" / the files have no [[interface]]',
        ),
        (
            f"{PLAIN}ttl = 64\nnopmtudisc = true",
            "`nopmtudisc`: with `ttl` the kernel lets nobody fragment outer packets",
        ),
        (
            f'{PLAIN}on_conflict = "replace"',
            (
                "`on_conflict`: an interface of somebody else is never taken over"
                " / choose another `dev`, or delete that interface"
            ),
        ),
        (
            PLAIN + PLAIN.replace("192.0.2.10", "192.0.2.11"),
            "routed-ipip is also made by tunnel/routed-ipip at /etc/routed.toml:2",
        ),
        (
            PLAIN + PLAIN.replace("routed-ipip", "other"),
            "tunnel/routed-ipip at /etc/routed.toml:2 has this `local` too, and the kernel takes one of them only",
        ),
        (
            f'[[vip]]\naddress = "192.0.2.80"\ndev = "routed-ipip"\ncreate = "dummy"\n{PLAIN}',
            "routed-ipip is also made by link/routed-ipip at /etc/routed.toml:2",
        ),
    ],
)
def test_what_cannot_be_is_told_with_its_place(text: str, said: str) -> None:
    assert complaint(text) == said


@pytest.mark.parametrize("line", ["mtu = 67", "mtu = 65516", "ttl = 0", "ttl = 256", 'mode = "gre"', 'dev = "@lan"'])
def test_what_the_kernel_has_no_place_for_is_an_error(line: str) -> None:
    key = line.split(maxsplit=1)[0]
    kept = [one for one in PLAIN.splitlines() if not one.startswith(f"{key} ")]
    assert complaint("\n".join([*kept, line]))


def test_a_vip_may_stand_on_it() -> None:
    read(PLAIN + '[[vip]]\naddress = "192.0.2.80"\ndev = "routed-ipip"')


def notices(text: str) -> list[str]:
    return [one.message for one in load_kept((source(HEAD + PLAIN + text),)).notices]


OVER = '[[route]]\nname = "{name}"\nto = "{to}"\nvia = "198.51.100.7"\ndev = "routed-ipip"\nonlink = true\n'


def test_a_gateway_whose_outer_packets_would_go_into_the_tunnel_again_is_told() -> None:
    wide = OVER.format(name="wide", to="198.51.0.0/16")
    told = (
        "packets within packets to 198.51.100.7 would go into routed-ipip again, by 198.51.0.0/16 of route/wide at"
        " /etc/routed.toml:5, and be lost: it takes a narrower route to that gateway"
    )
    assert notices(wide) == [told]
    assert notices(wide + OVER.format(name="pods", to="10.244.3.0/24")) == [told, told]


def test_a_narrower_route_to_the_gateway_makes_it_right() -> None:
    underlay = '[[route]]\nto = "198.51.100.0/24"\nvia = "192.0.2.1"\n'
    assert notices(OVER.format(name="wide", to="default") + underlay) == []
    assert notices(OVER.format(name="pods", to="10.244.3.0/24")) == []


# --- import -------------------------------------------------------------------------------------------------------


def exported(name: str, value: LinkValue) -> tuple[str, tuple[str, ...]]:
    standing = Standing(LinkSlot(), LinkMember(name), value)
    text, left_out = export([(Kind.LINK, standing)], Facts())
    return text, tuple(map(str, left_out))


@pytest.mark.parametrize("data", [Ipip(LOCAL, 1480), Ipip(LOCAL, 1400, ttl=64), Ipip(LOCAL, 1480, pmtudisc=False)])
def test_what_is_imported_makes_the_same_tunnel(data: Ipip) -> None:
    text, left_out = exported("routed-ipip", LinkValue(0, "ipip", data=data))
    assert left_out == ()
    found = tunnel(text.removeprefix(HEAD))
    assert (found.link, Ipip(found.local, found.mtu, found.ttl, found.pmtudisc)) == ("routed-ipip", data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tunl0", LinkValue(0, "ipip", data=Ipip(b"", 1480))),
        ("lan", LinkValue(0, "bridge")),
        ("d0", LinkValue(0, "dummy")),
    ],
)
def test_other_links_are_nobodys_business(name: str, value: LinkValue) -> None:
    assert exported(name, value) == (HEAD, ())


@pytest.mark.parametrize("change", [{"remote": LOCAL}, {"is_external": True}, {"extra": b"x"}, {"local": b""}])
def test_a_tunnel_that_the_file_has_no_words_for_is_told(change: dict[str, object]) -> None:
    data = Ipip(LOCAL, 1480)._replace(**change)  # type: ignore[arg-type]
    text, left_out = exported("t0", LinkValue(0, "ipip", data=data))
    assert text == HEAD
    assert left_out == ("tunnel t0: it has a far end, or something else that the file has no word for",)
