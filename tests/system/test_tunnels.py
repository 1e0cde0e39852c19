"""``[[tunnel]]`` with the daemon as a process. Packets go through it in tests/vm/test_tunnel.py."""

from __future__ import annotations

import json

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.drivers import HAS_IPIP, needs_ipip
from tests.system.monitor import Monitor

ENTRY = "tunnel/overlay"
TUNNEL = '[[tunnel]]\nname = "overlay"\ndev = "routed-ipip"\nmode = "ipip"\nlocal = "10.0.0.1"\n'
ROUTE = '[[route]]\nname = "pods"\nto = "10.244.3.0/24"\nvia = "198.51.100.7"\ndev = "routed-ipip"\nonlink = true\n'


def stands() -> dict[str, object]:
    """What `ip -d link` says of it."""
    (link,) = ip_json("-d link show routed-ipip")
    data = link["linkinfo"]["info_data"]
    return {
        "local": data["local"], "remote": data["remote"], "mtu": link["mtu"], "is_up": "UP" in link["flags"],
        "alias": link.get("ifalias"),
    }  # fmt: skip


MADE = {"local": "10.0.0.1", "remote": "any", "mtu": 1480, "is_up": True, "alias": "routed:114"}


def is_routed() -> bool:
    return [route["gateway"] for route in ip_json("route show 10.244.3.0/24 dev routed-ipip")] == ["198.51.100.7"]


@pytest.mark.skipif(HAS_IPIP, reason="this kernel has the module: what needs it missing cannot be shown here")
def test_a_kernel_without_the_module_is_told_with_its_name(daemon: Daemon) -> None:
    daemon.start(TUNNEL + ROUTE)
    entry = daemon.entry(ENTRY)
    why = "Unknown device type: this kernel has no driver for links of kind ipip (modprobe ipip says more)"
    assert (entry["state"], entry["reason"]) == ("failed", why)
    assert daemon.entry("route/pods")["reason"] == "link routed-ipip does not exist"
    assert daemon.ask("apply").code == 1
    (record,) = daemon.records("failed", ENTRY)
    assert record["message"] == f"{ENTRY} routed-ipip could not be added: {why}"


def test_before_the_host_has_the_address_it_waits_and_nothing_is_asked_of_the_kernel(daemon: Daemon) -> None:
    daemon.start(TUNNEL.replace("10.0.0.1", "10.0.0.77"))
    entry = daemon.entry(ENTRY)
    assert (entry["state"], entry["reason"]) == ("waiting", "address 10.0.0.77 (local) is not on this host")
    assert daemon.ask("apply").code == 0


def test_an_interface_of_that_name_and_another_kind_is_left_as_it_is(daemon: Daemon) -> None:
    ip("link add routed-ipip type bridge")
    daemon.start(TUNNEL)
    entry = daemon.entry(ENTRY)
    why = "link routed-ipip is there already, and is a bridge: choose another name, or delete it"
    assert (entry["state"], entry["reason"]) == ("failed", why)
    assert daemon.ask("apply").code == 1
    daemon.apply("")
    assert ip_json("link show routed-ipip")[0]["linkinfo"]["info_kind"] == "bridge"


@needs_ipip
class TestWithTheModule:
    def test_it_is_made_marked_and_brought_up_and_carries_its_routes(self, daemon: Daemon) -> None:
        daemon.start(TUNNEL + ROUTE)
        assert stands() == MADE
        assert is_routed()

    @pytest.mark.parametrize(
        "harm",
        [
            "link del routed-ipip",
            "link set routed-ipip down",
            "link set routed-ipip mtu 1300",
            "tunnel change routed-ipip mode ipip local 10.0.0.9",
            "link set routed-ipip type ipip local 10.0.0.1 ttl 9 tos 0x10",
        ],
    )
    def test_whatever_happens_to_it_it_is_there_again(self, daemon: Daemon, harm: str) -> None:
        daemon.start(TUNNEL + ROUTE)
        ip(harm)
        daemon.wait_for("repaired", ENTRY)
        wait_until(lambda: stands() == MADE)
        wait_until(is_routed)

    def test_another_name_is_undone(self, daemon: Daemon) -> None:
        daemon.start(TUNNEL + ROUTE)
        daemon.ask("pause", ENTRY, "--for", "1h", "--reason", "a rename")
        ip("link set routed-ipip down")
        ip("link set routed-ipip name other")
        daemon.ask("resume", ENTRY)
        wait_until(lambda: [one["ifname"] for one in ip_json("link show type ipip up")] == ["routed-ipip"])
        assert [one["ifname"] for one in ip_json("link show type ipip") if one["ifname"] != "tunl0"] == ["routed-ipip"]
        wait_until(is_routed)

    def test_a_change_of_the_file_is_made_in_place(self, daemon: Daemon) -> None:
        daemon.start(TUNNEL + ROUTE)
        before = ip_json("link show routed-ipip")[0]["ifindex"]
        ip("address add 10.0.0.9/24 dev v0")
        daemon.apply(TUNNEL.replace("10.0.0.1", "10.0.0.9") + "mtu = 1400\n" + ROUTE)
        assert stands() == MADE | {"local": "10.0.0.9", "mtu": 1400}
        assert ip_json("link show routed-ipip")[0]["ifindex"] == before
        daemon.apply(TUNNEL.replace("routed-ipip", "ipip9") + ROUTE.replace("routed-ipip", "ipip9"))
        assert [one["ifname"] for one in ip_json("link show type ipip up")] == ["ipip9"]

    def test_one_of_somebody_else_that_differs_is_a_conflict_and_is_left_as_it_is(self, daemon: Daemon) -> None:
        ip("link add routed-ipip type ipip local 10.0.0.9 remote any")
        daemon.start(TUNNEL)
        assert daemon.entry(ENTRY)["state"] == "conflict"
        assert stands()["local"] == "10.0.0.9"
        ip("link del routed-ipip")
        wait_until(lambda: daemon.entry(ENTRY)["state"] == "in-sync")
        assert stands() == MADE

    def test_beside_another_with_its_address_it_fails_with_words_that_help(self, daemon: Daemon) -> None:
        ip("link add flannel.ipip type ipip local 10.0.0.1")
        daemon.start(TUNNEL)
        entry = daemon.entry(ENTRY)
        assert entry["state"] == "failed"
        assert entry["reason"].endswith("another link has this local address (ip -d link show type ipip)")

    def test_a_restart_changes_nothing_and_it_goes_with_its_table(self, daemon: Daemon, monitor: Monitor) -> None:
        daemon.start(TUNNEL + ROUTE)
        before = ip_json("link show routed-ipip")[0]["ifindex"]
        daemon.stop()
        monitor.heard()
        daemon.start()
        assert monitor.heard() == []
        assert ip_json("link show routed-ipip")[0]["ifindex"] == before
        daemon.apply("")
        assert [one["ifname"] for one in ip_json("link show type ipip") if one["ifname"] != "tunl0"] == []

    def test_it_is_imported(self, daemon: Daemon) -> None:
        ip("link add t0 type ipip local 10.0.0.1 mode ipip")
        done = daemon.ask("import")
        assert '[[tunnel]]\ndev = "t0"\nmode = "ipip"\nlocal = "10.0.0.1"\n' in done.out
        assert json.dumps(done.out)
