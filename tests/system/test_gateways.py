"""A route without ``dev`` stays on the link that was found for its gateway, as long as the gateway can be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.daemon import Daemon
from tests.system.host import shown
from tests.system.monitor import Monitor

FAMILIES = {
    "IPv4": ('to = "192.0.2.0/24"\nvia = "10.0.0.2"', "192.0.2.0/24", "10.0.0.9/25"),
    "IPv6": ('to = "2001:db8::/48"\nvia = "fd00::2"', "2001:db8::/48", "fd00::9/96"),
}


@pytest.mark.parametrize(("keys", "to", "nearer"), FAMILIES.values(), ids=FAMILIES)
def test_another_link_in_whose_network_the_gateway_lies_as_well_moves_nothing(
    daemon: Daemon, monitor: Monitor, keys: str, to: str, nearer: str
) -> None:
    daemon.start(f"[[route]]\n{keys}\n")
    assert shown(to)[0]["dev"] == "v0"
    monitor.heard()
    ip(f"address add {nearer} dev v1 nodad")
    daemon.ask("apply")
    assert [change for change in monitor.heard() if change.to == to] == []
    assert shown(to)[0]["dev"] == "v0"


@pytest.mark.parametrize(("keys", "to", "nearer"), FAMILIES.values(), ids=FAMILIES)
def test_a_gateway_whose_link_lost_its_network_is_looked_for_anew(
    daemon: Daemon, keys: str, to: str, nearer: str
) -> None:
    daemon.start(f"[[route]]\n{keys}\n")
    ip(f"address add {nearer} dev v1 nodad")
    ip("address flush dev v0 scope global")
    wait_until(lambda: [one["dev"] for one in shown(to)] == ["v1"])


@pytest.mark.parametrize("is_at_start", [False, True])
def test_a_leg_whose_link_has_no_carrier_stays_where_the_kernel_looks_past_such_links(
    daemon: Daemon, is_at_start: bool
) -> None:
    Path("/proc/sys/net/ipv4/conf/all/ignore_routes_with_linkdown").write_text("1")
    Path("/proc/sys/net/ipv4/conf/v1/ignore_routes_with_linkdown").write_text("1")
    two = '[[route]]\nto = "192.0.2.0/24"\nhops = [{ via = "10.0.0.2" }, { via = "10.1.0.2" }]\n'
    if not is_at_start:
        daemon.start(two)
    ip("link set v1p down")
    wait_until(lambda: "NO-CARRIER" in ip("link show v1"))
    if is_at_start:
        daemon.start(two)
    daemon.ask("apply")
    assert [leg["dev"] for leg in shown("192.0.2.0/24")[0]["nexthops"]] == ["v0", "v1"]
    assert {one["state"] for one in daemon.ask_json("status")["entries"]} == {"in-sync"}
