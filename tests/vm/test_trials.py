"""A trial, and a rollback, over reboots, cut power and a clock that is set: the host ends as it was confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.vm.host import LAN, SLOW, Host

BASE = '[[route]]\nname = "storage-lan"\nto = "10.40.0.0/16"\nvia = "10.20.0.1"\n'
# Another gateway, and in the place of a route of systemd-networkd's.
TRIAL = BASE.replace("10.20.0.1", "10.20.0.2") + '[[route]]\nname = "theirs"\nto = "10.60.0.0/16"\nvia = "10.20.0.2"\n'
STANDS, TRIED = (f"10.40.0.0/16 10.20.0.{last} {LAN}" for last in (1, 2))
STATIC = "\n[Route]\nDestination=10.60.0.0/16\nGateway=10.20.0.9\n"


@pytest.fixture
def networked(host: Host) -> Host:
    """A host whose files are in force, with a route of systemd-networkd's beside, and routed at every boot."""
    host.use_networkd()
    host.do("cat >>/etc/systemd/network/lan.network && networkctl reload", given=STATIC)
    wait_for_theirs(host)
    host.start(BASE)
    host.do("systemctl --quiet enable routed")
    return host


def wait_for_theirs(host: Host) -> None:
    host.wait_until('[ "$(ip route show 10.60.0.0/16 | grep -o "via [0-9.]*")" = "via 10.20.0.9" ]', within=SLOW)


def try_out(host: Host) -> None:
    host.configure(TRIAL)
    host.do("sync /etc/routed.toml && routed apply --confirm 1h --comment 'for the night'", within=SLOW)
    assert TRIED in host.routes()
    assert f"10.60.0.0/16 10.20.0.2 {LAN}" in host.routes()


def roll_back(host: Host) -> None:
    host.configure(TRIAL)
    host.do("sync /etc/routed.toml && routed apply && routed rollback", within=SLOW)


def roll_back_on_trial(host: Host) -> None:
    """To the file that is to be got rid of: the one before is that which comes back."""
    host.configure(TRIAL)
    host.do("routed apply", within=SLOW)
    host.configure(BASE)
    host.do("sync /etc/routed.toml && routed apply && routed rollback --confirm 1h", within=SLOW)
    assert TRIED in host.routes()


def ask_and_cut(host: Host) -> None:
    """The power goes while the daemon is at it."""
    host.configure(TRIAL)
    host.do("sync /etc/routed.toml")
    host.do("systemd-run --quiet --collect routed apply --confirm 1h")
    host.wait_until("[ -e /var/lib/routed/revisions/deployment.json ]")


def check_confirmed(host: Host, deployment: str) -> None:
    host.wait_for_routes(STANDS)
    wait_for_theirs(host)
    host.wait_until(f'routed status --json | grep -q \'"deployment": "{deployment}"\'', within=SLOW)


def reboot(host: Host) -> None:
    host.machine.reboot()


def cut_power(host: Host) -> None:
    host.machine.cut_power()


@pytest.mark.parametrize(
    ("act", "way", "deployment"),
    [
        (try_out, reboot, "rejected"),
        pytest.param(try_out, cut_power, "rejected", marks=pytest.mark.long),
        pytest.param(ask_and_cut, cut_power, "rejected", marks=pytest.mark.long),
        pytest.param(roll_back, reboot, "rolled back", marks=pytest.mark.long),
        pytest.param(roll_back_on_trial, cut_power, "in force", marks=pytest.mark.long),
    ],
)
def test_after_a_reboot_what_was_confirmed_is_in_force_and_what_it_displaced_stands(
    networked: Host, act: Callable[[Host], None], way: Callable[[Host], None], deployment: str
) -> None:
    act(networked)
    way(networked)
    check_confirmed(networked, deployment)
    way(networked)  # and it stays so
    check_confirmed(networked, deployment)


@pytest.fixture
def clock(host: Host) -> Iterator[Host]:
    """The host, whose clock may be set."""
    yield host
    host.do(f"date -s @{time.time():.0f}")


def test_a_clock_that_is_set_forth_and_back_moves_no_deadline_and_a_reload_may_be_a_trial(clock: Host) -> None:
    host, wants = clock, 'confirm = "40s"'
    host.start(BASE, daemon=wants)
    host.configure(TRIAL, daemon=wants)
    began = float(host.do("cut -d' ' -f1 /proc/uptime"))
    assert host.reload().code == 0
    for step in ("+2 days", "-4 days"):
        host.do(f"date -s '{step}'")
        assert "on trial until" in host.do("systemctl status routed")
    assert TRIED in host.routes()
    host.do("systemctl kill --signal=KILL routed")
    host.wait_for_routes(STANDS)
    assert float(host.do("cut -d' ' -f1 /proc/uptime")) - began >= 40.0
    host.wait_until('routed status --json | grep -q \'"deployment": "rejected"\'')
    assert "comes back" in host.wait_for_record("ROUTED_EVENT=trial-over")["MESSAGE"]
