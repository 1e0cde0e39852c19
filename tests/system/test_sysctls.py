"""Sysctls that services take: told by the daemon, and cured by the command that it tells."""

from __future__ import annotations

import subprocess

import pytest

from tests.system.daemon import Daemon

VIP = '[[vip]]\nname = "v"\naddress = "10.0.0.80"\nnode = "10.0.0.1"\nlocal = true\n'
MASQ = '[[service]]\nname = "api"\nlisten = "10.0.0.80:443"\nservers = ["10.0.0.2"]\n'
DIRECT = MASQ + 'forward = "direct"\n'
FORWARDED = "net.ipv4.ip_forward=1"
ANSWERED = "net.ipv4.conf.all.arp_ignore=0"
ACCEPTED = "net.ipv4.conf.v0.accept_local=1"


def set_sysctls(*pairs: str) -> None:
    subprocess.run(["sysctl", "-qw", *pairs], check=True)


@pytest.mark.parametrize(
    ("text", "before", "told"),
    [
        (MASQ, ("net.ipv4.ip_forward=0",), [FORWARDED]),
        (MASQ.replace('"10.0.0.80:443"', '"@local:443"').replace("10.0.0.2", "fd00::2"),
         ("net.ipv6.conf.all.forwarding=0",), ["net.ipv6.conf.all.forwarding=1"]),
        (MASQ, (FORWARDED, "net.ipv4.conf.all.arp_ignore=1"), [ANSWERED]),
        (DIRECT, ("net.ipv4.conf.all.accept_local=0", "net.ipv4.conf.v0.accept_local=0"), [ACCEPTED]),
        (DIRECT, (ACCEPTED, "net.ipv4.conf.v0.rp_filter=1"), ["net.ipv4.conf.v0.rp_filter=2"]),
    ],
)  # fmt: skip
def test_what_stands_otherwise_is_told_and_its_command_cures_it(
    daemon: Daemon, text: str, before: tuple[str, ...], told: list[str]
) -> None:
    set_sysctls("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.v0.rp_filter=0", ANSWERED, *before)
    daemon.start(VIP + text)
    status = daemon.status()
    assert [one["command"] for one in status["sysctls"]] == [f"sysctl -w {pair}" for pair in told]
    assert status["state"].count("as the services take") == bool(told)
    shown = daemon.ask("status")
    assert all(f"sysctl -w {pair}" in shown.out for pair in told)
    assert shown.code == 0
    for one in status["sysctls"]:
        subprocess.run(one["command"].split(), check=True)
    assert daemon.status()["sysctls"] == []
    assert "as the services take" not in daemon.status()["state"]


def test_a_host_without_services_is_asked_nothing(daemon: Daemon) -> None:
    set_sysctls("net.ipv4.ip_forward=0")
    daemon.start(VIP)
    assert daemon.status()["sysctls"] == []
