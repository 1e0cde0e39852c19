"""The way of a question, and what keeps it from being asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from routed.daemon.prober import find_path
from routed.model.checks import Check, CheckType, Target
from routed.model.entries import Origin
from routed.model.facts import Facts, GatewayLink, HostAddress, Link
from routed.model.names import UNIVERSE
from routed.model.net import parse_address
from routed.model.objects import AddressMember
from routed.model.reasons import Finding, Probed
from routed.probes.sockets import Path

HERE, FAR, GATEWAY = (parse_address(text) for text in ("10.0.0.1", "198.51.100.9", "10.0.0.2"))
V0, V1 = Link(1, "v0", True, True), Link(2, "v1", True, False)
FACTS = Facts(
    {1: V0, 2: V1},
    {AddressMember(1, HERE, 24): HostAddress(1, HERE, 24, UNIVERSE)},
    gateways={GATEWAY: GatewayLink(1, is_onlink=True)},
)
CHECK = Check(name="it", origin=Origin("f", 1), type=CheckType.ICMP, targets=(Target(FAR),))
HANDED_OVER = Path("v0", 1, HERE, gateway=GATEWAY)


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({}, Path()),
        ({"dev": "v0"}, Path("v0", 1)),
        ({"dev": "v0", "via": GATEWAY}, HANDED_OVER),
        ({"via": GATEWAY}, HANDED_OVER),
        ({"via": GATEWAY, "src": HERE}, HANDED_OVER),
        ({"dev": "v0", "via": GATEWAY, "mark": 7, "type": CheckType.TCP}, Path("v0", 1, mark=7)),
        ({"via": GATEWAY, "mark": 7, "type": CheckType.TCP}, Path(mark=7)),
    ],
)
def test_an_echo_with_a_gateway_is_handed_to_it_and_all_else_goes_by_routes(keys: dict[str, Any], path: Path) -> None:
    assert find_path(replace(CHECK, **keys), FACTS) == path


@pytest.mark.parametrize(
    ("keys", "finding", "detail"),
    [
        ({"dev": "v9", "via": GATEWAY}, Finding.NO_LINK, "v9"),
        ({"dev": "v1", "via": GATEWAY}, Finding.NO_CARRIER, "v1"),
        ({"via": FAR}, Finding.LOCAL, "gateway 198.51.100.9 is on no network of this host"),
        ({"dev": "v0", "via": GATEWAY, "src": FAR}, Finding.LOCAL, "198.51.100.9 is not on this host"),
    ],
)
def test_what_cannot_be_asked_says_why(keys: dict[str, Any], finding: Finding, detail: str) -> None:
    assert find_path(replace(CHECK, **keys), FACTS) == Probed("icmp", finding, detail)


def test_where_the_line_has_no_address_yet_nothing_is_known() -> None:
    bare = Facts({1: V0})
    found = find_path(replace(CHECK, dev="v0", via=GATEWAY), bare)
    assert found == Probed("icmp", Finding.LOCAL, "no address to ask from by link v0")
