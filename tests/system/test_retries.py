"""What cannot be put is tried again when an event changes its grounds, and the reason is the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import PATIENCE, Daemon

CONF = Path("/proc/sys/net/ipv6/conf/v0")
TO6 = "2001:db8:9::/48"
ENTRIES = f"""
[[route]]
name = "six"
to = "{TO6}"
via = "fe80::9"
dev = "v0"
[[address]]
name = "six"
address = "2001:db8:5::1/64"
dev = "v0"
nodad = true
[[route]]
name = "four"
to = "192.0.2.0/24"
via = "10.0.0.2"
dev = "v0"
"""
LATE = 'resync = "1h"'  # nothing but an event


def has_both() -> bool:
    addresses = [one.get("local") for link in ip_json("-6 address show dev v0") for one in link["addr_info"]]
    return bool(ip_json(f"-6 route show {TO6}")) and "2001:db8:5::1" in addresses


def test_what_waits_for_ipv6_on_a_link_comes_as_soon_as_it_is_switched_on(daemon: Daemon) -> None:
    (CONF / "addr_gen_mode").write_text("1")  # no link-local address of the kernel's whose event could be the reason
    (CONF / "disable_ipv6").write_text("1")
    daemon.start(ENTRIES, daemon=LATE)
    for name in ("route/six", "address/six"):
        entry = daemon.entry(name)
        assert (entry["state"], entry["reason"]) == ("waiting", "there is no IPv6 on link v0: disable_ipv6 is set")
    assert daemon.entry("route/four")["state"] == "in-sync"
    assert daemon.records("failed") == []
    (CONF / "disable_ipv6").write_text("0")
    wait_until(has_both, PATIENCE)
    assert daemon.entry("route/six")["state"] == "in-sync"


def test_what_waits_for_a_larger_mtu_comes_with_it(daemon: Daemon) -> None:
    ip("link set v0 mtu 1000")
    daemon.start(ENTRIES, daemon=LATE)
    reason = "there is no IPv6 on link v0: its MTU is 1000, and IPv6 takes 1280"
    for name in ("route/six", "address/six"):
        assert (daemon.entry(name)["state"], daemon.entry(name)["reason"]) == ("waiting", reason)
    ip("link set v0 mtu 1500")
    wait_until(has_both, PATIENCE)


def test_ipv6_that_is_switched_off_while_we_run_is_named_and_comes_back(daemon: Daemon) -> None:
    daemon.start(ENTRIES, daemon=LATE)
    (CONF / "disable_ipv6").write_text("1")
    wait_until(lambda: "IPv6 is disabled" in daemon.entry("address/six")["reason"], PATIENCE)
    (CONF / "disable_ipv6").write_text("0")
    wait_until(has_both, PATIENCE)
    wait_until(lambda: daemon.entry("address/six")["state"] == "in-sync", PATIENCE)


@pytest.mark.parametrize(("family", "address"), [("-4", "10.0.0.50/32"), ("-6", "fd00::50/128")])
def test_a_route_waits_for_its_source_and_comes_with_it(daemon: Daemon, family: str, address: str) -> None:
    to, source = ("192.0.2.0/24" if family == "-4" else TO6), address.partition("/")[0]
    daemon.start(f'[[route]]\nname = "lan"\nto = "{to}"\ndev = "v0"\nsrc = "{source}"\n', daemon=LATE)
    assert daemon.entry("route/lan")["reason"] == f"address {source} (src) is not on this host"
    ip(f"address add {address} dev v0")  # of IPv6 it has to pass duplicate detection first
    wait_until(lambda: bool(ip_json(f"{family} route show {to}")), PATIENCE)
