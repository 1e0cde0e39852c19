"""``[[neighbour]]``: what it may say."""

from __future__ import annotations

import pytest

from routed.model.entries import NeighbourEntry
from routed.model.net import parse_address
from tests.unit.intent.intent_help import complaint, read

PLAIN = '[[neighbour]]\nto = "192.0.2.7"\ndev = "eth0"\n'
MAC = 'lladdr = "2:00:00:00:00:7f"\n'


def test_it_has_a_link_address_or_is_a_proxy() -> None:
    one, proxy = read(PLAIN + MAC + PLAIN + "proxy = true").entries
    assert isinstance(one, NeighbourEntry)
    assert isinstance(proxy, NeighbourEntry)
    assert (one.name, proxy.name) == ("neighbour/192.0.2.7:eth0", "neighbour/192.0.2.7:eth0:proxy")
    assert (one.to, one.lladdr, one.proxy) == (parse_address("192.0.2.7"), bytes.fromhex("02000000007f"), False)
    assert (proxy.lladdr, proxy.proxy) == (b"", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAIN, "`lladdr` is missing"),
        (PLAIN + MAC + "proxy = true", "`lladdr`: of a proxy it is that of the interface"),
        (PLAIN + MAC + "router = true", "`router` is for IPv6 only"),
        (PLAIN + 'lladdr = "eth0"', '"eth0" is no link address'),
        (PLAIN + 'lladdr = "02:000:1"', '"02:000:1" is no link address'),
        (PLAIN.replace("192.0.2.7", "224.0.0.7") + MAC, "224.0.0.7 is not the address of a host"),
        ("[[neighbour]]\n" + MAC + 'dev = "eth0"', "`to` is missing"),
        (PLAIN + MAC + PLAIN + MAC + 'name = "b"', "192.0.2.7 on eth0 is also neighbour/"),
    ],
)
def test_what_cannot_be_is_said(text: str, said: str) -> None:
    assert said in complaint(text)
