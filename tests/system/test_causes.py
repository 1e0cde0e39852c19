"""Who did it is said of whoever did it, and of nobody else."""

from __future__ import annotations

import signal

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import PATIENCE, Daemon


def addresses() -> list[str]:
    return [one["local"] for link in ip_json("address show dev v0") for one in link["addr_info"] if "local" in one]


def test_a_vip_that_goes_for_want_of_its_place_names_its_entry_and_comes_back_as_news(daemon: Daemon) -> None:
    daemon.start('[[vip]]\nname = "a"\naddress = "10.0.0.80"\ndev = "v0"\n')
    ip("address del 10.0.0.1/24 dev v0")
    told = daemon.wait_for("removed")["message"]
    assert "(vip/a waits: link v0 has no address of its own" in told
    assert "no entry wants it" not in told
    daemon.forget()
    ip("address add 10.0.0.1/24 dev v0")
    wait_until(lambda: "10.0.0.80" in addresses(), PATIENCE)
    assert "added in" in daemon.wait_for("added", "vip/a")["message"]
    assert daemon.records("repaired") == []


def test_a_route_of_a_vip_that_is_not_needed_any_more_says_so(daemon: Daemon) -> None:
    ip("route add default via 10.1.0.2")
    daemon.start('[[vip]]\nname = "a"\naddress = "10.103.97.2"\nnode = "10.0.0.1"\n')
    assert daemon.entry("vip/a")["total"] == 1
    ip("route replace default via 10.0.0.2")
    told = daemon.wait_for("removed")["message"]
    assert "(vip/a is not needed: 10.0.0.1 is the default-route address)" in told


@pytest.mark.parametrize(
    ("family", "one", "other", "gateways"),
    [
        ("-4", "192.0.2.0/24", "198.51.100.0/24", ("10.0.0.2", "10.0.0.9")),
        ("-6", "2001:db8:1::/48", "2001:db8:2::/48", ("fd00::2", "fd00::9")),
    ],
)
def test_what_is_found_in_a_dump_that_is_read_for_another_reason_has_not_that_cause(
    daemon: Daemon, family: str, one: str, other: str, gateways: tuple[str, str]
) -> None:
    right, wrong = gateways
    daemon.start("".join(f'[[route]]\nto = "{to}"\nvia = "{right}"\n' for to in (one, other)))
    daemon.signal(signal.SIGSTOP)  # so that both are seen at once
    ip(f"{family} route {'prepend' if family == '-4' else 'append'} {one} via {wrong} proto static")
    ip(f"{family} route replace {other} via {wrong} proto static")
    daemon.signal(signal.SIGCONT)
    told = daemon.wait_for("repaired", f"route/{other}")["message"]
    assert "replaced by" in told
    assert "alias" not in told


def test_a_flush_of_rules_is_the_deed_of_one_program(daemon: Daemon) -> None:
    rules = "".join(f'[[rule]]\npriority = {number}\nfamily = "ipv4"\ntable = {number}\n' for number in range(10, 40))
    daemon.start(rules)
    ip("-4 rule flush")
    wait_until(lambda: len(daemon.records("repaired")) >= 30, PATIENCE)
    named = {record["fields"].get("ROUTED_ACTOR_CMDLINE", "") for record in daemon.records("repaired")}
    assert named in ({"ip -4 rule flush"}, {""})  # it may be gone before anybody could look, and then nobody is named
