"""VIPs held as addresses, on the real kernel: where they stand on their interface, and what their neighbours learn.

Interfaces that routed makes need the dummy driver: that they are made and kept is tested where there is one
(tests/vm); here, that its absence is said.
"""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.drivers import HAS_DUMMY, needs_dummy
from tests.system.monitor import Monitor
from tests.system.neighbour import STRANGER, Neighbour, a_neighbour

VIP, VIP6 = "10.0.0.80", "fd00::80"
ENTRY = "vip/web"
FILE = f'[[vip]]\nname = "web"\naddress = "{VIP}"\ndev = "v0"\nannounce = {{ count = 3, interval = "200ms" }}\n'
FILE6 = FILE.replace(VIP, VIP6)
NETWORK_FILE = FILE.replace(VIP, f"{VIP}/24")


@pytest.fixture
def neighbour(network: None) -> Iterator[Neighbour]:
    with a_neighbour() as neighbour:
        yield neighbour


def held(dev: str = "v0", family: str = "inet") -> list[str]:
    """The addresses of a link in the kernel's order, with their lengths."""
    (link,) = ip_json(f"address show dev {dev}")
    shown = [one for one in link["addr_info"] if one["family"] == family and not one["local"].startswith("fe80:")]
    return [f"{one['local']}/{one['prefixlen']}" for one in shown]


def mac_of(dev: str) -> str:
    return str(ip_json(f"link show {dev}")[0]["address"])


def reason(daemon: Daemon) -> str:
    return str(daemon.entry(ENTRY)["reason"])


# --- announcements ------------------------------------------------------------------------------------------------


def test_a_vip_that_also_stands_with_another_length_is_told_until_it_does_not(daemon: Daemon) -> None:
    daemon.start(FILE)
    ip(f"address add {VIP}/24 dev v1")
    said = f"also on v1 as {VIP}/24, which may make it a source of this host"
    assert said in daemon.wait_for("vip-condition", ENTRY)["message"]
    wait_until(lambda: daemon.entry(ENTRY)["reason"] == said)
    assert daemon.entry(ENTRY)["state"] == "in-sync"
    ip(f"address del {VIP}/24 dev v1")
    wait_until(lambda: daemon.entry(ENTRY)["reason"] == "")
    ip(f"address add {VIP}/24 dev v1")
    wait_until(lambda: len(daemon.records("vip-condition", ENTRY)) == 2)


@pytest.mark.parametrize(("file", "vip"), [(FILE, VIP), (FILE6, VIP6)])
def test_the_neighbours_are_told_as_often_as_the_file_says(
    neighbour: Neighbour, daemon: Daemon, file: str, vip: str
) -> None:
    daemon.start(file)
    wait_until(lambda: len(neighbour.heard(vip)) == 3)
    assert {one.mac for one in neighbour.heard(vip)} == {mac_of("v0")}
    first, second, third = (one.at for one in neighbour.heard(vip))
    assert second - first >= 0.15
    assert third - second >= 0.15
    (record,) = daemon.records("vip-announced", ENTRY)
    assert record["message"].endswith("announced to its neighbours: it came to v0")


@pytest.mark.parametrize(("file", "vip"), [(FILE, VIP), (FILE6, VIP6)])
def test_a_neighbour_that_believed_the_vip_elsewhere_follows_it(
    neighbour: Neighbour, daemon: Daemon, file: str, vip: str
) -> None:
    neighbour.run(f"neigh add {vip} lladdr {STRANGER} dev v0p nud stale")
    assert neighbour.believes(vip) == STRANGER
    daemon.start(file)
    wait_until(lambda: neighbour.believes(vip) == mac_of("v0"))


@pytest.mark.parametrize(("file", "vip"), [(FILE, VIP), (FILE6, VIP6)])
def test_a_vip_that_was_restored_is_announced_again(neighbour: Neighbour, daemon: Daemon, file: str, vip: str) -> None:
    daemon.start(file)
    wait_until(lambda: len(neighbour.heard(vip)) == 3)
    neighbour.forget()
    ip(f"address del {vip}/{128 if ':' in vip else 32} dev v0")
    wait_until(lambda: len(neighbour.heard(vip)) == 3)


def test_a_vip_is_announced_when_the_carrier_of_its_link_returns(neighbour: Neighbour, daemon: Daemon) -> None:
    daemon.start(FILE)
    wait_until(lambda: len(neighbour.heard(VIP)) == 3)
    neighbour.forget()
    daemon.forget()
    neighbour.run("link set v0p down")
    wait_until(lambda: "LOWER_UP" not in ip_json("link show v0")[0]["flags"])
    neighbour.run("link set v0p up")
    wait_until(lambda: len(neighbour.heard(VIP)) == 3)
    assert daemon.wait_for("vip-announced", ENTRY)["message"].endswith("link v0 came into use")


def test_however_fast_a_link_flaps_an_interval_lies_between_two_announcements(
    neighbour: Neighbour, daemon: Daemon
) -> None:
    daemon.start(FILE)
    for _ in range(20):
        neighbour.run("link set v0p down")
        neighbour.run("link set v0p up")
    daemon.wait_for("vip-announced", saying="came into use")
    last = len(neighbour.heard(VIP))
    wait_until(lambda: len(neighbour.heard(VIP)) >= last + 2)
    moments = [one.at for one in neighbour.heard(VIP)]
    assert min(later - earlier for earlier, later in itertools.pairwise(moments)) >= 0.15


def test_a_restart_and_a_reload_that_change_nothing_announce_nothing(neighbour: Neighbour, daemon: Daemon) -> None:
    daemon.start(FILE)
    wait_until(lambda: len(neighbour.heard(VIP)) == 3)
    daemon.stop()
    neighbour.forget()
    daemon.start()
    daemon.ask("apply")
    daemon.apply(
        FILE.replace("count = 3", "count = 1") + '[[vip]]\nname = "other"\naddress = "10.0.0.81"\ndev = "v0"\n'
    )
    wait_until(lambda: len(neighbour.heard("10.0.0.81")) == 3)
    assert neighbour.heard(VIP) == []


def test_count_zero_announces_nothing(neighbour: Neighbour, daemon: Daemon) -> None:
    daemon.start(FILE.replace("count = 3", "count = 0") + FILE.replace("web", "other").replace(VIP, "10.0.0.81"))
    wait_until(lambda: len(neighbour.heard("10.0.0.81")) == 3)
    assert neighbour.heard(VIP) == []


def test_a_daemon_that_may_not_send_keeps_the_vip_and_says_what_it_lacks(neighbour: Neighbour, daemon: Daemon) -> None:
    daemon.start(FILE, before=["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"])
    assert f"{VIP}/32" in held()
    record = daemon.wait_for("vip-not-announced", ENTRY)
    assert record["message"].endswith("Operation not permitted: it takes CAP_NET_RAW, which the service does not have")
    assert daemon.entry(ENTRY)["state"] == "in-sync"


# --- never the primary address ------------------------------------------------------------------------------------


def test_a_vip_waits_until_its_interface_has_an_address_of_its_own(daemon: Daemon) -> None:
    ip("address flush dev v0")
    daemon.start(FILE)
    assert held() == []
    assert reason(daemon) == "link v0 has no address of its own yet, and a VIP must not be its first"
    ip("address add 10.0.0.1/24 dev v0")
    wait_until(lambda: held() == ["10.0.0.1/24", f"{VIP}/32"])


def test_a_vip_in_a_network_of_the_host_is_secondary_there(daemon: Daemon) -> None:
    ip("address flush dev v0")
    ip("address add 172.16.0.1/24 dev v0")
    daemon.start(NETWORK_FILE)
    assert held() == ["172.16.0.1/24"]
    assert "has no address of its own in 10.0.0.0/24 yet" in reason(daemon)
    ip("address add 10.0.0.1/24 dev v0")
    wait_until(lambda: f"{VIP}/24" in held())
    (link,) = ip_json("address show dev v0")
    (vip,) = [one for one in link["addr_info"] if one["local"] == VIP]
    assert vip["secondary"]


def test_a_vip_that_came_in_front_of_the_hosts_address_goes_behind_it(daemon: Daemon) -> None:
    ip("address flush dev v0")
    ip(f"address add {VIP}/32 dev v0")
    ip("address add 10.0.0.1/24 dev v0")
    daemon.start(FILE)
    assert held() == ["10.0.0.1/24", f"{VIP}/32"]
    assert ip_json("route get 10.0.0.2")[0]["prefsrc"] == "10.0.0.1"
    ip("address del 10.0.0.1/24 dev v0")
    ip("address add 10.0.0.1/24 dev v0")
    wait_until(lambda: held() == ["10.0.0.1/24", f"{VIP}/32"])
    assert daemon.entry(ENTRY)["state"] == "in-sync"


def test_a_vip_that_is_in_front_in_one_burst_of_changes_goes_behind_too(daemon: Daemon) -> None:
    ip("address flush dev v0")
    ip("address add 10.0.0.1/24 dev v0")
    daemon.start(FILE)
    assert held() == ["10.0.0.1/24", f"{VIP}/32"]
    daemon.signal(signal.SIGSTOP)
    ip("address del 10.0.0.1/24 dev v0")
    ip("address add 10.0.0.1/24 dev v0")
    daemon.signal(signal.SIGCONT)
    wait_until(lambda: held() == ["10.0.0.1/24", f"{VIP}/32"])


@pytest.mark.parametrize("promote", ["0", "1"])
@pytest.mark.parametrize(("file", "length"), [(FILE, 32), (NETWORK_FILE, 24)])
def test_a_vip_whose_primary_goes_leaves_and_returns_behind_it(
    daemon: Daemon, promote: str, file: str, length: int
) -> None:
    Path("/proc/sys/net/ipv4/conf/v0/promote_secondaries").write_text(promote)
    daemon.start(file)
    assert held() == ["10.0.0.1/24", f"{VIP}/{length}"]
    ip("address del 10.0.0.1/24 dev v0")
    wait_until(lambda: held() == [])
    ip("address add 10.0.0.1/24 dev v0")
    wait_until(lambda: held() == ["10.0.0.1/24", f"{VIP}/{length}"])


def test_a_vip_that_could_only_be_moved_with_harm_stays_and_that_is_said(daemon: Daemon) -> None:
    ip("address flush dev v0")
    ip(f"address add {VIP}/24 dev v0")
    ip("address add 10.0.0.1/24 dev v0")
    daemon.start(NETWORK_FILE)
    assert held() == [f"{VIP}/24", "10.0.0.1/24"]
    assert "it is the primary address of 10.0.0.0/24 on v0, and 10.0.0.1 could go with it" in reason(daemon)


def test_another_vip_is_no_address_of_the_host(daemon: Daemon) -> None:
    ip("address flush dev v0")
    daemon.start(FILE + FILE.replace("web", "other").replace(VIP, "10.0.0.81"))
    assert held() == []


def test_an_ipv6_vip_comes_at_once_and_is_never_a_source(daemon: Daemon) -> None:
    daemon.start(FILE6)
    (link,) = ip_json("address show dev v0")
    (vip,) = [one for one in link["addr_info"] if one["local"] == VIP6]
    assert vip["deprecated"]
    assert not vip.get("tentative")
    assert ip_json("-6 route get fd00::2")[0]["prefsrc"] == "fd00::1"
    ip("link set v0 down")
    ip("link set v0 up")
    wait_until(lambda: f"{VIP6}/128" in held(family="inet6"))


# --- what is ours -------------------------------------------------------------------------------------------------


def test_of_one_address_with_two_lengths_only_ours_goes(daemon: Daemon) -> None:
    ip(f"address add {VIP}/25 dev v0")
    daemon.start(FILE)
    assert {f"{VIP}/25", f"{VIP}/32"} < set(held())
    daemon.apply("")
    assert f"{VIP}/25" in held()
    assert f"{VIP}/32" not in held()


# --- interfaces that are made -------------------------------------------------------------------------------------

MADE = f'[[vip]]\nname = "web"\naddress = "{VIP}"\ndev = "routed0"\ncreate = "dummy"\n'


@pytest.mark.skipif(HAS_DUMMY, reason="this kernel has the dummy driver: what needs it missing cannot be shown here")
def test_a_kernel_without_the_driver_is_said_plainly(daemon: Daemon) -> None:
    daemon.start(MADE)
    entry = daemon.entry("link/routed0")
    assert entry["state"] == "failed"
    assert entry["reason"] == (
        "Unknown device type: this kernel has no driver for links of kind dummy (modprobe dummy says more)"
    )
    assert reason(daemon) == "link routed0 does not exist"


def test_an_interface_of_that_name_and_another_kind_is_left_as_it_is(daemon: Daemon, monitor: Monitor) -> None:
    ip("link add routed0 type bridge")
    daemon.start(MADE)
    why = "link routed0 is there already, and is a bridge: choose another name, or delete it"
    entry = daemon.entry("link/routed0")
    assert (entry["state"], entry["reason"]) == ("failed", why)
    daemon.apply("")
    assert ip_json("link show routed0")[0]["linkinfo"]["info_kind"] == "bridge"


def test_an_interface_that_cannot_be_made_is_an_error_and_nothing_to_wait_for(daemon: Daemon) -> None:
    ip("link add routed0 type bridge")
    daemon.start(MADE)
    answer = daemon.ask("--json", "apply")
    applied, planned = json.loads(answer.out), json.loads(daemon.ask("--json", "plan").out)
    assert (answer.code, applied["counts"]["failed"]) == (1, 1)
    assert [one["entry"] for one in applied["failures"]] == ["link/routed0"]
    assert "link/routed0" not in {one["entry"] for one in applied["waiting"]}
    assert [one["entry"] for one in planned["refusals"]] == ["link/routed0"]
    (record,) = daemon.records("failed", "link/routed0")
    assert record["message"].startswith("link/routed0 could not be made: link routed0 is there already")
    assert daemon.records("waiting", "link/routed0") == []


@needs_dummy
class TestWithTheDriver:
    def test_the_interface_is_made_marked_and_brought_up(self, daemon: Daemon) -> None:
        daemon.start(MADE)
        (link,) = ip_json("link show routed0")
        assert link["linkinfo"]["info_kind"] == "dummy"
        assert "UP" in link["flags"]
        assert link["ifalias"] == "routed:114"
        assert held("routed0") == [f"{VIP}/32"]

    @pytest.mark.parametrize("harm", ["link del routed0", "link set routed0 down", "link set routed0 name other"])
    def test_whatever_happens_to_it_it_is_there_again(self, daemon: Daemon, harm: str) -> None:
        daemon.start(MADE)
        if "name" in harm:  # older kernels rename only what is down, and routed would have it up at once
            daemon.ask("pause", "link/routed0", "--for", "1h", "--reason", "a rename")
            ip("link set routed0 down")
        ip(harm)
        daemon.ask("resume", "link/routed0")
        wait_until(lambda: [one["ifname"] for one in ip_json("link show type dummy up")] == ["routed0"])
        wait_until(lambda: held("routed0") == [f"{VIP}/32"])

    def test_several_vips_share_it_and_it_goes_with_the_last(self, daemon: Daemon) -> None:
        daemon.start(MADE + MADE.replace("web", "other").replace(VIP, "10.0.0.81"))
        assert set(held("routed0")) == {f"{VIP}/32", "10.0.0.81/32"}
        daemon.apply(MADE)
        assert held("routed0") == [f"{VIP}/32"]
        daemon.apply("")
        assert ip_json("link show type dummy") == []

    def test_one_that_somebody_else_made_is_used_and_stays_theirs(self, daemon: Daemon) -> None:
        ip("link add routed0 type dummy")
        daemon.start(MADE)
        wait_until(lambda: "UP" in ip_json("link show routed0")[0]["flags"])
        daemon.apply("")
        (link,) = ip_json("link show routed0")
        assert "ifalias" not in link
        assert held("routed0") == []

    def test_a_restart_changes_nothing(self, daemon: Daemon, monitor: Monitor) -> None:
        daemon.start(MADE)
        before = ip_json("link show routed0")[0]["ifindex"]
        daemon.stop()
        monitor.heard()
        daemon.start()
        assert monitor.heard() == []
        assert ip_json("link show routed0")[0]["ifindex"] == before
