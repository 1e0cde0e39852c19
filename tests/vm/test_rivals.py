"""Beside others who keep services of IPVS: keepalived writes and never looks again, a loop of ipvsadm never rests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm.host import SLOW, Host

VIP = "10.71.0.80"
SERVERS = ("10.72.0.11", "10.72.0.12")
ADDRESS = f'[[address]]\naddress = "{VIP}/32"\ndev = "lo"\n'
SERVICE = f"""{ADDRESS}
[[service]]
name = "web"
listen = "{VIP}:80"
scheduler = "rr"
servers = [{", ".join(f'"{one}:8080"' for one in SERVERS)}]
"""
SAVED = [f"-A -t {VIP}:80 -s rr", *(f"-a -t {VIP}:80 -r {one}:8080 -m -w 1" for one in SERVERS)]
KEEPALIVED = """
virtual_server {vip} 80 {{
    delay_loop 2
    lvs_sched {scheduler}
    lvs_method NAT
    protocol TCP
    real_server 10.72.0.11 8080 {{
        weight 1
    }}
    real_server {other} 8080 {{
        weight 9
    }}
}}
"""


@pytest.fixture(autouse=True)
def _cleared(host: Host) -> Iterator[None]:
    yield
    host.do("systemctl stop routed keepalived; rm -f /etc/keepalived/keepalived.conf; ipvsadm -C")


def saved(host: Host) -> list[str]:
    return sorted(line.rstrip() for line in host.do("ipvsadm -Sn").splitlines())


def wait_for(host: Host, *lines: str) -> None:
    text = "\n".join(sorted(lines))
    host.wait_until(f"[ \"$(ipvsadm -Sn | sed 's/ *$//' | sort)\" = '{text}' ]", within=SLOW)


def test_what_keepalived_makes_of_our_service_is_put_back_and_its_own_is_left_alone(host: Host) -> None:
    host.start(SERVICE)
    wait_for(host, *SAVED)
    theirs = KEEPALIVED.format(vip="10.71.0.99", scheduler="lc", other="10.72.0.13")
    host.write(
        "/etc/keepalived/keepalived.conf", KEEPALIVED.format(vip=VIP, scheduler="wlc", other="10.72.0.13") + theirs
    )
    host.do("systemctl start keepalived", within=SLOW)
    host.wait_until("ipvsadm -Sn | grep -q 10.71.0.99")
    own = ["-A -t 10.71.0.99:80 -s lc", "-a -t 10.71.0.99:80 -r 10.72.0.11:8080 -m -w 1"]
    own += ["-a -t 10.71.0.99:80 -r 10.72.0.13:8080 -m -w 9"]
    wait_for(host, *SAVED, *own)
    host.do("systemctl stop keepalived", within=SLOW)  # it takes away what it thinks is its own, and that is ours too
    wait_for(host, *SAVED)
    assert host.show("NRestarts") == "0"
    assert "in sync" in host.do("routed status")


def test_a_rival_that_never_rests_is_left_alone_after_a_while_and_told_what_it_has_to_exclude(host: Host) -> None:
    host.start(SERVICE, daemon="fight_limit = 3")
    wait_for(host, *SAVED)
    loop = f"while sleep 0.2; do ipvsadm -e -t {VIP}:80 -r {SERVERS[0]}:8080 -m -w 7 2>/dev/null; done"
    host.do(f"systemd-run --quiet --collect --unit=rival sh -c '{loop}'")
    try:
        record = host.wait_for_record("ROUTED_EVENT=fight-held")
    finally:
        host.do("systemctl stop rival")
    assert f"has to leave {VIP}/32 alone" in record["MESSAGE"]
    assert host.do("routed status --json | grep -c held")
    assert host.run("routed apply").code == 0  # tries at once
    wait_for(host, *SAVED)
