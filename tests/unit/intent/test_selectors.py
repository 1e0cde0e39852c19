"""``[[interface]]`` and ``[[vip]]`` in route mode, as they are read."""

from __future__ import annotations

import pytest

from routed.model.entries import DEFAULT_HOLD, DEFAULT_SKIP, How, Matcher, RouteEntry, RuleEntry, VipEntry, When
from routed.model.net import FAMILIES, parse_address, parse_prefix
from tests.unit.intent.intent_help import complaint, entry, problems, read

LAN = '[[interface]]\nname = "lan"\nmatch = [ { name = "ens32" } ]\n'
VIP = '[[vip]]\naddress = "10.103.97.2"\n'


def test_an_interface_is_its_matchers_in_order() -> None:
    (selector,) = read(LAN.replace('{ name = "ens32" }', '{ mac = "52:54:00:12:34:56" }, { default = true }')).selectors
    assert selector.match == (
        Matcher(How.MAC, "52:54:00:12:34:56", bytes.fromhex("525400123456")),
        Matcher(How.DEFAULT, ""),
    )
    assert (selector.skip, selector.up, selector.picks_first, selector.hold) == (
        DEFAULT_SKIP,
        True,
        False,
        DEFAULT_HOLD,
    )


def test_names_stay_names_until_the_host_is_known() -> None:
    route = entry(LAN + '[[route]]\nto = "10.0.0.0/8"\nvia = "192.0.2.1"\ndev = "@lan"\nsrc = "@lan"\n')
    assert isinstance(route, RouteEntry)
    assert (route.hops[0].dev, route.src, route.src_of) == ("@lan", b"", "lan")


def test_the_addresses_of_an_interface_tell_the_family_of_its_rules() -> None:
    rule = entry(LAN + '[[rule]]\npriority = 7\nfrom = "@lan"\ntable = 9\n')
    assert isinstance(rule, RuleEntry)
    assert (rule.source_of, rule.families) == ("lan", FAMILIES)


def test_a_vip_with_a_node_is_routed() -> None:
    vip = entry(VIP + 'node = "192.168.253.131"\n')
    assert isinstance(vip, VipEntry)
    assert vip.prefix == parse_prefix("10.103.97.2")
    assert (vip.node, vip.when, vip.metric, vip.name) == (
        parse_address("192.168.253.131"), When.NOT_DEFAULT, None, "vip/10.103.97.2",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VIP, "neither `node` nor `dev`"),
        (VIP + 'node = "192.0.2.1"\ndev = "lo"\n', "exclude each other"),
        (VIP + 'dev = "lo"\nwhen = "always"\n', "`when` goes with `node` only"),
        (VIP + 'node = "fd00::1"\n', "cannot be the source of ipv4"),
        (VIP + 'node = "10.103.97.2"\n', "not that of the VIP"),
        (VIP + 'node = "@nic"\n', 'no [[interface]] is named "nic"'),
        (VIP.replace("97.2", "97.2/24") + 'node = "192.0.2.1"\n', "write 10.103.97.0/24"),
        (VIP + 'node = "192.0.2.1"\nwhen = "never"\n', 'must be "not-default"'),
        (LAN.replace('name = "ens32"', ""), "has nothing"),
        (LAN.replace('name = "ens32"', 'name = "a", mac = "b"'), "has `name` and `mac`"),
        (LAN.replace('name = "ens32"', 'name = "a", gateway = true'), "`gateway` goes with `can_reach` only"),
        (LAN.replace('name = "ens32"', 'regex = "("'), "is not a regular expression"),
        (LAN.replace('name = "ens32"', 'cidr = "10.0.0.1/8"'), "host bits set"),
        (LAN.replace('name = "ens32"', 'can_reach = "example.org"'), "is not an IPv4 address"),
        (LAN.replace('name = "ens32"', 'mac = "525400123456"'), "is not a MAC address"),
        (LAN.replace('name = "lan"\n', ""), "`name` is missing"),
        (LAN + LAN, "stands here already"),
    ],
)
def test_what_says_nothing_clear_is_refused_with_its_reason(text: str, said: str) -> None:
    assert said in complaint(text)


def test_an_interface_with_an_error_does_not_make_its_users_wrong() -> None:
    assert len(problems(LAN.replace('name = "ens32"', "") + VIP + 'node = "@lan"\n')) == 1


def test_a_vip_and_a_route_under_one_key_are_an_error() -> None:
    text = VIP + 'node = "192.0.2.1"\n[[route]]\nto = "10.103.97.2"\ndev = "a"\n'
    assert "10.103.97.2 with metric 0 in this table is also in" in complaint(text)
