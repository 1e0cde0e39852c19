"""Flags and lifetimes of addresses, with the daemon as a process; `ip -j` is the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kernel.netns import ip, ip_json, wait_until, wait_until_usable
from tests.system.daemon import Daemon

FOREVER = 0xFFFFFFFF


def held(address: str) -> dict[str, Any]:
    """The address as `ip` shows it; nothing where it is not there."""
    every = (one for link in ip_json("addr show") for one in link["addr_info"])
    return next((one for one in every if one.get("local") == address.partition("/")[0]), {})


def lifetimes(address: str) -> tuple[int, int]:
    shown = held(address)
    return shown["valid_life_time"], shown["preferred_life_time"]


def optimistic(link: str = "v0") -> None:
    for end, setting in ((link, "optimistic_dad"), (link, "use_optimistic"), (link, "accept_dad")):
        Path(f"/proc/sys/net/ipv6/conf/{end}/{setting}").write_text("1")


def test_an_optimistic_address_may_be_a_source_while_duplicates_are_looked_for(daemon: Daemon) -> None:
    optimistic()
    Path("/proc/sys/net/ipv6/conf/v0/dad_transmits").write_text("20")
    own = '[[address]]\nname = "own"\naddress = "2001:db8::7/64"\ndev = "v0"\noptimistic = true\n'
    daemon.start(own + '[[route]]\nname = "far"\nto = "2001:db8:9::/48"\nvia = "fd00::2"\nsrc = "2001:db8::7"\n')
    shown = held("2001:db8::7")
    assert (shown.get("tentative"), shown.get("optimistic")) == (True, True)
    assert [one["prefsrc"] for one in ip_json("-6 route show proto 114")] == ["2001:db8::7"]
    assert {one["state"] for one in daemon.status()["entries"]} == {"in-sync"}
    daemon.kill()
    daemon.start()
    assert daemon.ask_json("plan")["steps"] == []
    assert daemon.records("repaired") == []


def test_an_optimistic_address_that_is_known_to_be_alone_is_like_any_other(daemon: Daemon) -> None:
    optimistic()
    daemon.start('[[address]]\nname = "own"\naddress = "2001:db8::7/64"\ndev = "v0"\noptimistic = true\n')
    wait_until_usable()
    assert daemon.status()["entries"][0]["state"] == "in-sync"
    assert daemon.ask_json("plan")["steps"] == []
    ip("-6 addr change 2001:db8::7/64 dev v0 preferred_lft 0 valid_lft forever")
    wait_until(lambda: "deprecated" not in held("2001:db8::7"))
    assert "optimistic" not in held("2001:db8::7")


@pytest.mark.parametrize(("address", "family"), [("10.0.9.7/24", "-4"), ("2001:db8::7/64", "-6")])
def test_a_lifetime_that_somebody_gave_our_address_is_taken_off(daemon: Daemon, address: str, family: str) -> None:
    daemon.start(f'[[address]]\nname = "own"\naddress = "{address}"\ndev = "v0"\n')
    ip(f"{family} addr change {address} dev v0 valid_lft 60 preferred_lft 30")
    wait_until(lambda: lifetimes(address) == (FOREVER, FOREVER))


@pytest.mark.parametrize(("address", "family"), [("10.0.9.7/24", "-4"), ("2001:db8::7/64", "-6")])
def test_what_is_written_as_deprecated_is_kept_so(daemon: Daemon, address: str, family: str) -> None:
    daemon.start(f'[[address]]\nname = "own"\naddress = "{address}"\ndev = "v0"\npreferred_lft = 0\n')
    assert held(address)["deprecated"]
    ip(f"{family} addr change {address} dev v0 valid_lft forever preferred_lft forever")
    wait_until(lambda: "deprecated" in held(address))
    assert daemon.status()["entries"][0]["state"] == "in-sync"
    assert [one["fields"]["ROUTED_EVENT"] for one in daemon.records(entry="address/own")] == ["added", "repaired"]


RULE = '[[rule]]\nname = "twin"\npriority = 77\nfrom = "10.9.0.0/16"\ntable = 9\n'


def realms() -> list[tuple[str, str]]:
    """Of each rule, in the kernel's order: its protocol and its realms."""
    rules = [one for one in ip_json("rule show") if one["priority"] == 77]
    return [(one["protocol"], one.get("flow_from", "") + "/" + one.get("flow_to", "")) for one in rules]


def test_realms_of_a_rule_change_and_a_strangers_twin_is_left_alone(daemon: Daemon) -> None:
    ip("rule add from 10.9.0.0/16 lookup 9 priority 77 realms 5 proto static")
    daemon.start(RULE)
    assert realms() == [("4", "/5"), ("114", "/")]
    daemon.apply(RULE + 'realms = "1/2"\n')
    assert realms() == [("4", "/5"), ("114", "1/2")]
    assert daemon.ask_json("plan")["steps"] == []
    daemon.apply(RULE + "realms = 5\n")
    assert realms() == [("4", "/5"), ("114", "/5")]
    ip("rule del from 10.9.0.0/16 lookup 9 priority 77 realms 5 proto 114")
    daemon.wait_for("repaired", entry="rule/twin")
    daemon.apply("")
    assert realms() == [("4", "/5")]


def test_realms_of_a_rule_are_imported(daemon: Daemon) -> None:
    ip("rule add from 10.9.0.0/16 lookup 9 priority 77 realms 1/2 proto static")
    assert 'realms = "1/2"' in daemon.ask("import").out


SHARED = """
[[check]]
name = "taken"
type = "arp"
target = "10.0.0.77"
dev = "v0"
every = "300ms"
fall = 2
rise = 1

[[address]]
name = "own"
address = "10.0.0.77/24"
dev = "v0"
requires = "!@taken"
"""


def test_an_ipv4_address_that_another_host_has_waits_until_it_is_free_and_gives_way(daemon: Daemon) -> None:
    for end in ("v0", "v0p"):  # each answers for what it has itself, as two hosts do
        Path(f"/proc/sys/net/ipv4/conf/{end}/arp_ignore").write_text("1")
    ip("addr add 10.0.0.77/32 dev v0p")
    daemon.start(SHARED)
    wait_until(lambda: daemon.entry("address/own")["state"] == "withheld")
    assert [link["ifname"] for link in ip_json("addr show") if holds(link)] == ["v0p"]
    ip("addr del 10.0.0.77/32 dev v0p")
    wait_until(lambda: daemon.entry("address/own")["state"] == "in-sync")
    assert [link["ifname"] for link in ip_json("addr show") if holds(link)] == ["v0"]
    ip("addr add 10.0.0.77/32 dev v0p")
    wait_until(lambda: daemon.entry("address/own")["state"] == "withheld")
    assert [link["ifname"] for link in ip_json("addr show") if holds(link)] == ["v0p"]


def holds(link: dict[str, Any]) -> bool:
    return any(one.get("local") == "10.0.0.77" for one in link["addr_info"])
