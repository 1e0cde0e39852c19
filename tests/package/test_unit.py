"""The unit: what systemd of Debian 12 says about it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.package.machine import Machine

FOLDER = "lib/systemd/system"
WORST = {"routed.service": 2.4, "routed-exec.service": 1.6}  # of systemd-analyze security; the lower the better


@pytest.mark.parametrize("unit", ["routed.service", "routed-exec.socket", "routed-exec.service"])
def test_systemd_has_nothing_to_say_against_it(host: Machine, unit: str) -> None:
    done = host.run("systemd-analyze", "verify", unit)
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("unit", sorted(WORST))
def test_its_exposure_stays_as_low_as_it_was(installed: Path, unit: str) -> None:
    assert exposure(installed, unit) <= WORST[unit]


def exposure(root: Path, unit: str) -> float:
    """What systemd-analyze counts for the unit in this Debian."""
    command = ["chroot", str(root), "systemd-analyze", "security", "--offline=true", "--no-pager", f"/{FOLDER}/{unit}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(rf"Overall exposure level for {unit}: (\d+\.\d+)", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


def test_it_gets_its_turn_before_whoever_changed_something_has_ended(host: Machine) -> None:
    host.run("systemctl", "start", "routed")
    niceness = host.path(f"/proc/{host.show('routed', 'MainPID')}/stat").read_text().rpartition(")")[2].split()[16]
    assert niceness == "-5"


def test_it_is_up_before_the_network_is_said_to_be(host: Machine) -> None:
    def read(name: str) -> set[str]:
        return set(host.show("routed", name).split())

    assert {"network.target", "kubelet.service", "shutdown.target"} <= read("Before")
    assert {"network-pre.target", "systemd-networkd.service", "NetworkManager.service"} <= read("After")
    assert not {"sysinit.target", "basic.target"} & read("After")
    assert "network.target" in read("Wants")
    assert "/var/lib/routed" in read("RequiresMountsFor")


@pytest.mark.parametrize("name", ["attribution", "follow-netlink", "group", "notify-reload"])
def test_the_drop_ins_of_the_unit_are_understood(host: Machine, name: str) -> None:
    folder = host.path("/etc/systemd/system/routed.service.d")
    folder.mkdir()
    host.run("cp", f"/usr/share/routed/drop-ins/{name}.conf", f"/etc/systemd/system/routed.service.d/{name}.conf")
    done = host.run("systemd-analyze", "verify", "routed.service", may_fail=True)
    if name == "notify-reload":  # systemd 252 does not know it yet, which is why it is no default
        assert "Failed to parse service type, ignoring: notify-reload" in done.stderr
    else:
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "start", "routed")
        status = host.path(f"/proc/{host.show('routed', 'MainPID')}/status").read_text()
        (effective,) = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff")]
        more = 1 << 2 | 1 << 19 if name == "attribution" else 0
        assert effective == more | 1 << 12 | 1 << 13
