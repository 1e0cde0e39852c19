"""What stood in our place is put back as it stood, with what was left of its lifetime; what cannot be is said."""

from __future__ import annotations

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon

RA = "2001:db8:7::/48"
RA_ENTRY = f'[[route]]\nname = "lan"\nto = "{RA}"\nvia = "fd00::2"\n'


def lifetimes(address: str) -> tuple[int, int]:
    (found,) = (
        one for link in ip_json("address show dev v0") for one in link["addr_info"] if one.get("local") == address
    )
    return found["valid_life_time"], found["preferred_life_time"]


@pytest.mark.parametrize(("address", "nodad"), [("10.0.0.77/24", ""), ("fd00::77/64", " nodad")])
def test_an_address_of_a_lease_is_put_back_with_what_was_left_of_it(daemon: Daemon, address: str, nodad: str) -> None:
    ip(f"address add {address} dev v0 valid_lft 900 preferred_lft 600{nodad}")
    daemon.start(f'[[address]]\naddress = "{address}"\ndev = "v0"\n')
    only = address.partition("/")[0]
    assert lifetimes(only) == (0xFFFFFFFF, 0xFFFFFFFF)
    daemon.kill()
    daemon.start()
    daemon.apply("")
    valid, preferred = lifetimes(only)
    assert 800 <= valid <= 900
    assert 500 <= preferred <= 600
    told = daemon.wait_for("put-back")["message"]
    assert "left of its lifetime" in told
    assert "as it stood" not in told


def test_a_route_of_a_router_advertisement_is_put_back_with_what_was_left_of_it(daemon: Daemon) -> None:
    ip(f"-6 route add {RA} via fd00::9 dev v0 proto ra metric 1024 expires 900")
    daemon.start(RA_ENTRY + 'on_conflict = "replace"\n')
    (ours,) = ip_json(f"-6 route show {RA}")
    assert "expires" not in ours
    daemon.apply("")
    (back,) = ip_json(f"-6 route show {RA}")
    assert back["gateway"] == "fd00::9"
    assert 800 <= back["expires"] <= 900


def test_a_lease_that_is_over_is_not_put_back(daemon: Daemon) -> None:
    ip("address add 10.0.0.77/24 dev v0 valid_lft 1 preferred_lft 1")
    daemon.start('[[address]]\naddress = "10.0.0.77/24"\ndev = "v0"\n')
    ip("address add 10.1.0.77/24 dev v1 valid_lft 2 preferred_lft 2")  # when it has gone, so would have the other
    wait_until(lambda: "10.1.0.77" not in ip("address show dev v1"), 10.0)
    assert daemon.apply("")["leftovers"] == 0
    assert "10.0.0.77" not in ip("address show dev v0")
    assert not daemon.records("put-back")


def test_a_route_that_cannot_be_put_back_lets_ours_go_at_a_stop_and_the_stop_says_what_was_removed(
    daemon: Daemon,
) -> None:
    ip("route add 10.30.0.0/16 via 10.1.0.9 proto static")
    daemon.start('[[route]]\nto = "10.30.0.0/16"\nvia = "10.0.0.2"\n', daemon='on_stop = "remove"')
    ip("link set v1 down")
    assert daemon.stop() == 0
    assert ip_json("route show 10.30.0.0/16") == []
    assert daemon.records("stopped")[-1]["message"] == "routed stopped; its objects were removed"
