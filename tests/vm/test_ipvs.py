"""IPVS on Debian's kernel: a client, this host as the director, and two servers, each in a network of its own.

``ipvsadm`` and the answers that the client gets are the judges.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.vm.host import HERE, SLOW, Host

VIP, PORT = "10.71.0.80", 80
SERVERS = {"s1": "10.72.0.11", "s2": "10.72.0.12"}
ADDRESS = f'[[address]]\naddress = "{VIP}/32"\ndev = "lo"\n'
FAST = 'every = "500ms"\nfall = 1\nrise = 1\n'
TEMPLATE = f'[[check]]\nname = "web"\ntype = "http"\n{FAST}'


def service(*lines: str, servers: tuple[str, ...] = tuple(SERVERS.values())) -> str:
    listed = ", ".join(f'"{one}:8080"' for one in servers)
    head = f'[[service]]\nname = "web"\nlisten = "{VIP}:{PORT}"\nscheduler = "rr"\nservers = [{listed}]\n'
    return ADDRESS + head + "\n".join(lines) + "\n"


SAVED = [f"-A -t {VIP}:{PORT} -s rr", *(f"-a -t {VIP}:{PORT} -r {one}:8080 -m -w 1" for one in SERVERS.values())]


@pytest.fixture(autouse=True)
def _networks(host: Host) -> Iterator[None]:
    """A client at 10.71.0.1, the servers behind a bridge at 10.72.0.254."""
    lines = ["sysctl -q net.ipv4.ip_forward=1", "ip link add servers type bridge", "ip link set servers up"]
    lines += ["ip addr add 10.72.0.254/24 dev servers", _join("client", "10.71.0.1", "10.71.0.254")]
    lines += ["ip addr add 10.71.0.254/24 dev client"]
    for name, address in SERVERS.items():
        lines += [_join(name, address, "10.72.0.254"), f"ip link set {name} master servers"]
    host.do(" && ".join(lines))
    for name in SERVERS:
        serve(host, name)
    yield
    names = " ".join(SERVERS)
    host.do(
        f"systemctl stop routed; systemctl stop {names}; ipvsadm -C;"
        f" for one in client {names}; do ip netns del $one; done; ip link del servers; sysctl -q net.ipv4.ip_forward=0"
    )


def _join(name: str, address: str, gateway: str) -> str:
    """A network of that name, joined by a link of that name."""
    return (
        f"ip netns add {name} && ip link add {name} type veth peer name eth0 netns {name} && ip link set {name} up &&"
        f" ip -n {name} link set lo up && ip -n {name} link set eth0 up && ip -n {name} addr add {address}/24 dev eth0"
        f" && ip -n {name} route add default via {gateway}"
    )


def serve(host: Host, name: str) -> None:
    command = f"ip netns exec {name} python3 {HERE}/ipvs/serve.py {name} {SERVERS[name]} 8080"
    host.do(f"systemd-run --quiet --collect --unit={name} {command}")
    host.wait_until(f"ip netns exec {name} ss -Hltn sport = :8080 | grep -q LISTEN")


def saved(host: Host) -> list[str]:
    """What `ipvsadm` would write into a file."""
    return sorted(host.do("ipvsadm -Sn").splitlines())


def wait_for(host: Host, *lines: str) -> None:
    text = "\n".join(sorted(lines))
    host.wait_until(f"[ \"$(ipvsadm -Sn | sed 's/ *$//' | sort)\" = '{text}' ]")


def answers(host: Host, count: int = 4) -> Counter[str]:
    """Who answers the client."""
    return Counter(
        host.do(f"ip netns exec client python3 {HERE}/ipvs/ask.py {VIP} {PORT} {count}", within=SLOW).split()
    )


def test_what_is_written_stands_and_serves_and_what_ipvsadm_does_is_put_back(host: Host) -> None:
    host.do("ipvsadm -A -t 10.71.0.99:1 -s lc")  # somebody else's
    theirs = "-A -t 10.71.0.99:1 -s lc"
    host.start(service())
    wait_for(host, theirs, *SAVED)
    assert answers(host) == {"s1": 2, "s2": 2}
    assert "Nothing to do" in host.do("routed plan")
    host.do(f"ipvsadm -e -t {VIP}:{PORT} -r 10.72.0.11:8080 -m -w 7")
    wait_for(host, theirs, *SAVED)
    record = host.wait_for_record("ROUTED_EVENT=repaired", "ROUTED_ENTRY=service/web")
    assert "weight 7 instead of 1" in record["MESSAGE"]
    host.do(f"ipvsadm -d -t {VIP}:{PORT} -r 10.72.0.12:8080; ipvsadm -E -t {VIP}:{PORT} -s wlc")
    wait_for(host, theirs, *SAVED)
    host.do(f"ipvsadm -a -t {VIP}:{PORT} -r 10.72.0.99:8080 -m")
    wait_for(host, theirs, *SAVED)
    host.do("ipvsadm -C")
    wait_for(host, *SAVED)
    assert answers(host) == {"s1": 2, "s2": 2}


def test_a_kill_changes_nothing_and_what_no_file_wants_any_more_goes(host: Host) -> None:
    host.start(service())
    wait_for(host, *SAVED)
    answers(host, 2)
    connections = "ipvsadm -Ln --stats | awk '{ print $2, $3 }'"  # the last packets of one may still be on the way
    host.wait_until(f"{connections} | grep -q '^{VIP}:{PORT} 2$'")  # the kernel adds up every two seconds
    counted = host.do(connections)
    host.do("systemctl kill --signal=KILL routed && systemctl start routed", within=SLOW)
    host.wait_until("routed status | grep -q 'in sync'")
    assert host.do(connections) == counted
    assert re.search(r"0 active, \d+ inactive, \d+/s", host.do("routed status service/web"))
    host.configure(ADDRESS)
    assert host.reload().code == 0
    assert saved(host) == []


def test_a_dead_server_gets_no_clients_and_comes_back(host: Host) -> None:
    host.start(TEMPLATE + service('check = "@web"'))
    wait_for(host, *SAVED)
    host.do("systemctl stop s1")
    wait_for(host, SAVED[0], SAVED[1].replace("-w 1", "-w 0"), SAVED[2])
    assert answers(host) == {"s2": 4}
    assert "server 10.72.0.11:8080 is out" in host.do("routed status service/web")
    serve(host, "s1")
    wait_for(host, *SAVED)
    assert answers(host) == {"s1": 2, "s2": 2}
    host.do("systemctl stop s1 s2")
    host.wait_until("routed status | grep -q 'service/web *degraded'")
    wait_for(host, *SAVED)


def test_all_that_ipvsadm_writes_is_imported_and_comes_to_the_same(host: Host) -> None:
    lines = [
        f"-A -t {VIP}:80 -s sh -b sh-fallback,sh-port -p 360 -M 255.255.255.0",
        f"-a -t {VIP}:80 -r 10.72.0.11:80 -i -w 3 -x 100 -y 50",
        "-A -u [fd00::1]:53 -s wlc",
        "-a -u [fd00::1]:53 -r [fd00::11]:5353 -m -w 2",
        "-A -f 7 -s mh",
        "-a -f 7 -r 10.72.0.12:0 -g -w 1",
    ]
    host.do("".join(f"ipvsadm {line} && " for line in lines) + "true")
    before = host.do("ipvsadm -Sn; ipvsadm -Ln --thresholds")
    without_right = host.run("unshare --map-root-user --net routed import")
    assert without_right.code == 0
    assert "left out: ipvs, which cannot be read" in without_right.err
    host.do("routed import > /etc/routed.toml && ipvsadm -C && systemctl start routed", within=SLOW)
    host.wait_until("routed status | grep -q 'in sync'")
    assert sorted(host.do("ipvsadm -Sn; ipvsadm -Ln --thresholds").splitlines()) == sorted(before.splitlines())
    shown = json.loads(host.do("routed status --json"))
    assert {entry["state"] for entry in shown["entries"]} == {"in-sync"}
