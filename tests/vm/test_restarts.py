"""A whole cluster goes and comes back at once, and a daemon is killed in the middle of what it asks of IPVS."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import pytest

from tests.vm import hosts
from tests.vm.host import SLOW, Host
from tests.vm.hosts import Wire

VIP, PORT = "10.103.97.2", 6443
NODES: Final = {f"node{number}": f"192.168.253.{number}" for number in (1, 2, 3)}
CLUSTER: Final = f"""
version = 1

[[interface]]
name = "internal"
match = [{{ cidr = "192.168.253.0/24" }}]

[[vip]]
name = "apiserver"
address = "{VIP}"
node = "@internal"
local = true

[[service]]
name = "apiserver"
listen = "{VIP}:{PORT}"
scheduler = "rr"
servers = [{", ".join(f'"{one}:{PORT}"' for one in NODES.values())}]
check = {{ type = "http", every = "1s", fall = 1, rise = 1 }}
"""


@pytest.fixture
def cluster(host: Host) -> Iterator[None]:
    host.write("/run/cluster.toml", CLUSTER)
    host.do("rm -rf /var/lib/node? /run/node?; ip link add lan type bridge && ip link set lan up")
    yield
    stop(host)
    hosts.clear(host, NODES)


def start(host: Host) -> None:
    """All nodes at once, their daemons first, and then what they serve."""
    hosts.make(
        host, ["true"], [Wire(name, f"{address}/24", "192.168.253.254", "lan") for name, address in NODES.items()]
    )
    for name in NODES:
        folders = f"--config=/run/cluster.toml --state-dir=/var/lib/{name} --runtime-dir=/run/{name}"
        host.do(f"systemd-run --quiet --collect --unit=routed-{name} ip netns exec {name} routed run {folders}")
    hosts.serve(host, NODES, PORT)


def stop(host: Host) -> None:
    """As when the power of all is cut: only what is on disk stays."""
    host.do(f"systemctl kill --signal=KILL {' '.join(f'{name} routed-{name}' for name in NODES)}; true")
    host.do(f"for one in {' '.join(NODES)}; do ip netns del $one; done", within=SLOW)
    host.wait_until("! ip link show type veth | grep -q node")


@pytest.mark.long
def test_a_whole_cluster_restarts_and_each_of_its_hosts_has_the_service(host: Host, cluster: None) -> None:
    servers = [f"-a -t {VIP}:{PORT} -r {one}:{PORT} -m -w 1" for one in NODES.values()]
    wanted = "\n".join(sorted([f"-A -t {VIP}:{PORT} -s rr", *servers]))
    for _ in range(2):
        start(host)
        for name in NODES:
            said = f"ip netns exec {name} ipvsadm -Sn | sed 's/ *$//' | sort"
            up = f"routed status --runtime-dir=/run/{name} | grep -c '^check/.* up'"
            host.wait_until(f"[ \"$({said})\" = '{wanted}' ] && [ $({up}) = 3 ]", within=SLOW)
            assert hosts.ask(host, VIP, PORT, 3, inside=name) == sorted(NODES)
        stop(host)
    del cluster


# --- kill -9 ----------------------------------------------------------------------------------------------------------

THEIRS: Final = ["-A -t 10.71.0.99:1 -s lc", "-a -t 10.71.0.99:1 -r 10.9.9.9:1 -m -w 7", "-A -f 9 -s sh"]
KILLS: Final = 20


def many(number: int) -> tuple[str, list[str]]:
    """A file that differs from that of the next number in all that can differ, and what stands when it is in force."""
    toml, saved = [], []
    for port in range(8000 + number % 2, 8006 + number % 2):
        scheduler = "rr" if (port + number) % 3 else "wlc"
        servers = {f"10.72.0.{last}": (port + last * number) % 5 + 1 for last in range(number % 3, number % 3 + 4)}
        listed = ", ".join(f'{{ address = "{one}:80", weight = {weight} }}' for one, weight in servers.items())
        toml += [f'[[service]]\nlisten = "10.71.0.80:{port}"\nscheduler = "{scheduler}"\nservers = [{listed}]\n']
        saved += [f"-A -t 10.71.0.80:{port} -s {scheduler}"]
        saved += [f"-a -t 10.71.0.80:{port} -r {one}:80 -m -w {weight}" for one, weight in servers.items()]
    return "\n".join(toml), saved


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_after_a_kill_at_any_request_what_stands_is_what_the_file_says(host: Host) -> None:
    chosen = random.Random(20)  # noqa: S311
    host.do(
        " && ".join(f"ipvsadm {line}" for line in THEIRS) + " && ipvsadm -e -t 10.71.0.99:1 -r 10.9.9.9:1 -m -w 7 -x 9"
    )
    theirs = [line for line in hosts.everything(host) if "10.9.9.9" in line]
    toml, saved = many(0)
    host.start(toml)
    wait_for(host, saved)
    for number in range(1, KILLS + 1):
        toml, saved = many(number)
        host.configure(toml)
        before = host.main_pid()
        call = chosen.choice(("sendto", "recvfrom"))
        inject = f"-e trace={call} -e inject={call}:signal=KILL:when={chosen.randint(1, 60)}"
        host.do(f"systemd-run --quiet --collect --unit=kill strace -f -o /run/strace -p {before} {inject}")
        host.wait_until(f"grep -q 'TracerPid:.[1-9]' /proc/{before}/status")
        host.run("systemctl reload routed", within=SLOW)
        host.run(f"kill -KILL {before}")  # where it was not killed on the way
        host.wait_until(f"[ $(systemctl show --value --property=MainPID routed) != {before} ]")
        wait_for(host, saved)
        assert [line for line in hosts.everything(host) if "10.9.9.9" in line] == theirs
    host.wait_until("routed status | grep -q 'in sync'")
    assert "Nothing to do" in host.do("routed plan")
    host.do("ipvsadm -C")


def wait_for(host: Host, saved: list[str]) -> None:
    text = "\n".join(sorted([*saved, *THEIRS]))
    host.wait_until(f"[ \"$(ipvsadm -Sn | sed 's/ *$//' | LC_ALL=C sort)\" = '{text}' ]", within=SLOW)
