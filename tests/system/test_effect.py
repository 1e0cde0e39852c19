"""What is in sync is in effect, on the real kernel: what decides in place of ours is seen, said once, and left alone.

``ip route get`` is the judge.
"""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import Any, NamedTuple

import pytest

from tests.kernel.netns import ip, ip_batch, ip_json, wait_until
from tests.system.daemon import Daemon

QUIET = 'resync = "1h"'  # only events tell


class Family(NamedTuple):
    """The same case in a family of addresses."""

    option: str
    network: str
    inside: str
    gateway: str
    default: str
    halves: tuple[str, str]
    host: str

    @property
    def network_file(self) -> str:
        return f'[[route]]\nname = "lan"\nto = "{self.network}"\nvia = "{self.gateway}"\ndev = "v0"\nmetric = 50\n'

    @property
    def default_file(self) -> str:
        return f'[[route]]\nname = "out"\nto = "{self.default}"\nvia = "{self.gateway}"\ndev = "v0"\nmetric = 100\n'

    def ip(self, command: str) -> None:
        ip(f"{self.option}{command}")

    def dev_to(self, address: str, how: str = "") -> str:
        """The link by which the kernel sends a packet."""
        return str(ip_json(f"{self.option}route get {address} {how}")[0]["dev"])


FAMILIES = [
    pytest.param(
        Family("", "10.30.0.0/16", "10.30.48.1", "10.0.0.2", "0.0.0.0/0", ("0.0.0.0/1", "128.0.0.0/1"), "10.30.0.7"),
        id="IPv4",
    ),
    pytest.param(
        Family("-6 ", "fd30::/16", "fd30::1", "fd00::2", "::/0", ("::/1", "8000::/1"), "fd30::7"),
        id="IPv6",
    ),
]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


def wait_for_state(daemon: Daemon, entry: str, state: str) -> dict[str, Any]:
    """What status says of an entry, as soon as it is in this state."""
    wait_until(lambda: daemon.entry(entry)["state"] == state)
    return daemon.entry(entry)


def test_a_tunnel_whose_rule_takes_everything_shadows_and_goes_again(daemon: Daemon, family: Family) -> None:
    daemon.start(family.network_file, daemon=QUIET)
    assert daemon.entry("route/lan")["state"] == "in-sync"
    family.ip("route add default dev v1 table 52")
    family.ip("rule add pref 5270 lookup 52")
    shown = wait_for_state(daemon, "route/lan", "shadowed")
    assert family.dev_to(family.inside) == "v1"
    assert "default dev v1 table 52" in shown["reason"]
    assert "by rule 5270: from all lookup 52" in shown["reason"]
    assert shown["objects"][0]["state"] == "shadowed"
    record = daemon.wait_for("shadowed", "route/lan")
    assert record["message"].endswith(shown["reason"])
    document = daemon.ask_json("status")
    assert document["counts"] == {"in-sync": 0, "shadowed": 1}
    assert "1 shadowed" in document["state"]
    daemon.ask("apply")
    assert len(daemon.records("shadowed")) == 1  # said once
    assert len(ip_json(f"{family.option}rule show pref 5270")) == 1  # and left alone
    family.ip("rule del pref 5270")
    wait_for_state(daemon, "route/lan", "in-sync")
    assert family.dev_to(family.inside) == "v0"
    family.ip("rule add pref 5270 lookup 52")
    wait_until(lambda: len(daemon.records("shadowed")) == 2)  # again, since it was over


def test_apply_says_it_and_ends_with_1_and_so_does_a_plan_say_it(daemon: Daemon, family: Family) -> None:
    family.ip(f"route add {family.network} dev v1 metric 7")
    daemon.start(family.network_file)
    applied = daemon.ask("apply")
    assert applied.code == 1
    assert f"Shadowed:\n  route/lan {family.network} metric 50" in applied.out
    assert "1 shadowed" in applied.out
    (told,) = json.loads(daemon.ask("--json", "apply").out)["shadowed"]
    assert told["entry"] == "route/lan"
    assert told["origin"].endswith("routed.toml:4")
    planned = daemon.ask("plan")
    assert planned.code == 0
    assert "Nothing to do: 1 shadowed." in planned.out
    family.ip(f"route del {family.network} dev v1 metric 7")
    wait_for_state(daemon, "route/lan", "in-sync")
    assert daemon.ask("apply").code == 0


def test_without_a_daemon_apply_and_plan_tell_it_as_well(daemon: Daemon, family: Family) -> None:
    family.ip(f"route add {family.network} dev v1 metric 7")
    daemon.write(family.network_file)
    planned = daemon.ask("plan")
    assert "Plan: 1 to add, 1 shadowed." in planned.out
    applied = daemon.ask("apply", "--direct")
    assert applied.code == 1
    assert "Shadowed:" in applied.out


def test_two_halves_over_the_default_route_shadow_it_as_soon_as_both_are_there(daemon: Daemon, family: Family) -> None:
    daemon.start(family.default_file, daemon=QUIET)
    first, second = family.halves
    family.ip(f"route add {first} dev v1")
    family.ip("route add 203.0.113.0/24 dev v1" if not family.option else "route add fd99::/64 dev v1")
    assert daemon.entry("route/out")["state"] == "in-sync"
    family.ip(f"route add {second} dev v1")
    shown = wait_for_state(daemon, "route/out", "shadowed")
    assert shown["reason"].startswith(first)
    family.ip(f"route del {first} dev v1")
    wait_for_state(daemon, "route/out", "in-sync")


def test_a_default_route_with_a_lower_metric_shadows_ours_even_behind_many_more_specific_ones(
    daemon: Daemon, family: Family
) -> None:
    daemon.start(family.default_file, daemon=QUIET)
    if family.option:
        pieces = [f"{n << 8:x}::/8" for n in range(256) if n not in {0xFD, 0xFE, 0xFF}]
    else:
        pieces = [f"{n}.0.0.0/8" for n in range(1, 224) if n not in {10, 127}]
    ip_batch("".join(f"route add {piece} dev v1\n" for piece in pieces))
    assert daemon.entry("route/out")["state"] == "in-sync"
    family.ip("route add default dev v1 metric 5")
    assert "default dev v1" in wait_for_state(daemon, "route/out", "shadowed")["reason"]


def test_an_address_that_moved_here_shadows_the_route_to_it_and_names_who_put_it(
    daemon: Daemon, family: Family
) -> None:
    daemon.start(
        f'[[route]]\nname = "there"\nto = "{family.host}"\nvia = "{family.gateway}"\ndev = "v0"\n', daemon=QUIET
    )
    family.ip(f"addr add {family.host} dev v1" + (" nodad" if family.option else ""))
    shown = wait_for_state(daemon, "route/there", "shadowed")
    assert "table local" in shown["reason"]
    assert daemon.ask("apply").code == 1


def test_a_connected_route_shadows_the_same_prefix(daemon: Daemon, family: Family) -> None:
    daemon.start(family.network_file.replace("50", "500"), daemon=QUIET)
    length = family.network.partition("/")[2]
    family.ip(f"addr add {family.host}/{length} dev v1" + (" nodad" if family.option else ""))
    assert "proto kernel" in wait_for_state(daemon, "route/lan", "shadowed")["reason"]


def test_what_stands_by_what_a_rule_alone_reaches_and_what_is_partly_covered_is_in_sync(
    daemon: Daemon, family: Family
) -> None:
    standby = family.network_file.replace('"lan"', '"standby"').replace("50", "90")
    own = "10.0.0.1" if not family.option else "fd00::1"
    inner = family.network_file.replace('"lan"', '"inner"').replace("metric = 50", "table = 100")
    rule = f'[[rule]]\nname = "own"\npriority = 1000\nfrom = "{own}"\ntable = 100\n'
    family.ip(f"route add {family.inside} dev v1")
    daemon.start(family.network_file + standby + inner + rule)
    assert {one["entry"]: one["state"] for one in daemon.ask_json("status")["entries"]} == dict.fromkeys(
        ["route/lan", "route/standby", "route/inner", "rule/own"], "in-sync"
    )
    assert daemon.ask("apply").code == 0


def test_a_rule_in_front_of_ours_shadows_it_and_the_routes_that_only_it_reaches(daemon: Daemon, family: Family) -> None:
    own = "10.0.0.1" if not family.option else "fd00::1"
    inner = family.default_file.replace("metric = 100", "table = 100")
    rule = f'[[rule]]\nname = "own"\npriority = 1000\nfrom = "{own}"\ntable = 100\n'
    daemon.start(inner + rule, daemon=QUIET)
    family.ip("route add default dev v1 table 52")
    family.ip("rule add pref 900 from all lookup 52")
    reason = wait_for_state(daemon, "rule/own", "shadowed")["reason"]
    assert "rule 900" in reason
    assert daemon.entry("route/out")["state"] == "shadowed"
    assert family.dev_to(family.inside, f"from {own}") == "v1"
    family.ip("route del default table 52")  # an empty table decides nothing
    wait_for_state(daemon, "rule/own", "in-sync")
    family.ip("rule add pref 800 from all blackhole")
    assert "rule 800" in wait_for_state(daemon, "rule/own", "shadowed")["reason"]


def test_what_events_do_not_tell_of_is_seen_within_one_resync(daemon: Daemon, family: Family) -> None:
    family.ip("rule add pref 5270 lookup 52")
    daemon.start(family.network_file, daemon='resync = "1s"')
    wide = "10.0.0.0/8" if not family.option else "fc00::/7"
    family.ip(f"route add {wide} dev v1 table 52")
    assert wide in wait_for_state(daemon, "route/lan", "shadowed")["reason"]


def test_a_dead_end_of_another_is_named_though_the_kernel_names_it_not(daemon: Daemon, family: Family) -> None:
    daemon.start(family.network_file, daemon=QUIET)
    family.ip(f"route add unreachable {family.network} metric 7")
    assert f"unreachable {family.network}" in wait_for_state(daemon, "route/lan", "shadowed")["reason"]


def test_dead_ends_of_another_that_leave_a_hole_do_not_shadow(daemon: Daemon, family: Family) -> None:
    pieces = list(ip_network(family.network).subnets(prefixlen_diff=2))
    for piece in (pieces[0], pieces[2], pieces[3]):  # every address that is asked about lies in one
        family.ip(f"route add blackhole {piece}")
    daemon.start(family.network_file, daemon=QUIET)
    assert daemon.entry("route/lan")["state"] == "in-sync"
    family.ip(f"route add blackhole {family.network} metric 7")
    assert "blackhole" in wait_for_state(daemon, "route/lan", "shadowed")["reason"]


def test_what_is_shadowed_stays_so_over_a_repair_and_a_restart(daemon: Daemon, family: Family) -> None:
    family.ip(f"route add {family.network} dev v1 metric 7")
    daemon.start(family.network_file, daemon=QUIET)
    assert daemon.entry("route/lan")["state"] == "shadowed"
    family.ip(f"route del {family.network} dev v0 metric 50")
    daemon.wait_for("repaired", "route/lan")
    assert daemon.entry("route/lan")["state"] == "shadowed"
    daemon.kill()
    daemon.start()
    assert daemon.entry("route/lan")["state"] == "shadowed"


def test_a_list_of_very_many_is_asked_about_in_parts(daemon: Daemon, family: Family) -> None:
    listed = [f"20.{n >> 8}.{n & 255}.0/24" if not family.option else f"fd20:{n:x}::/48" for n in range(2000)]
    prefixes = daemon.folder / "list.txt"
    prefixes.write_text("\n".join(listed))
    file = f'[[route]]\nname = "list"\nprefixes_file = "{prefixes}"\ntype = "blackhole"\nmetric = 50\n'
    daemon.start(file, daemon=QUIET)
    assert daemon.entry("route/list")["state"] == "in-sync"
    family.ip(f"route add {listed[1234]} dev v1 metric 7")  # an event names it
    shown = wait_for_state(daemon, "route/list", "shadowed")
    assert daemon.ask_json("status")["counts"] == {"in-sync": 1999, "shadowed": 1}
    assert listed[1234] in shown["reason"]
