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
FAST = 'every = "4s"\nfall = 1\nrise = 1\n'  # an emulated processor may take a second for an answer
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
    shown = host.do("routed status service/web")
    assert re.search(rf"^TCP {VIP}:{PORT} rr  +in-sync  +\d+ \w+  +0  +\d+  +\d+$", shown, re.MULTILINE)
    assert re.search(r"^  -> 10.72.0.11:8080  +in-sync  +\d+ \w+  +1  +0  +\d+  +\d+$", shown, re.MULTILINE)
    host.configure(ADDRESS)
    assert host.reload().code == 0
    wait_for(host)  # who was connected a moment ago may still be counted


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


@pytest.mark.parametrize("on_fail", ["drain", "remove"])
def test_a_dead_server_in_a_service_of_others_gets_no_clients_and_is_theirs_again_after_a_kill(
    host: Host, on_fail: str
) -> None:
    host.do("; ".join(f"ipvsadm {one}" for one in SAVED))
    host.start(TEMPLATE + service(f'on_fail = "{on_fail}"', 'remove_after = "1h"', 'check = "@web"'))
    host.wait_until("routed status | grep -q 'in sync'")
    host.do("systemctl stop s1")
    dead = [SAVED[1].replace("-w 1", "-w 0")] if on_fail == "drain" else []
    wait_for(host, SAVED[0], *dead, SAVED[2])
    assert answers(host) == {"s2": 4}
    host.configure(ADDRESS)
    host.do("systemctl kill --signal=KILL routed && systemctl restart routed", within=SLOW)
    wait_for(host, *SAVED)
    serve(host, "s1")
    assert answers(host) == {"s1": 2, "s2": 2}


def test_each_server_says_by_itself_what_share_of_its_weight_it_takes(host: Host) -> None:
    say(host, "s1", "50%")
    say(host, "s2", "up ready 100%")
    written = ADDRESS + service("", servers=()).removeprefix(ADDRESS).replace("servers = []", WEIGHED)
    host.start(written + 'agent = { port = 9000, every = "6s", step = "10%" }\n')
    wait_for(host, SAVED[0], SAVED[1].replace("-w 1", "-w 50"), SAVED[2].replace("-w 1", "-w 100"))
    assert answers(host, 6) == {"s1": 3, "s2": 3}  # rr knows no weights but 0
    say(host, "s1", "drain")
    wait_for(host, SAVED[0], SAVED[1].replace("-w 1", "-w 0"), SAVED[2].replace("-w 1", "-w 100"))
    assert answers(host) == {"s2": 4}
    host.do(f"ipvsadm -e -t {VIP}:{PORT} -r 10.72.0.11:8080 -m -w 7")
    wait_for(host, SAVED[0], SAVED[1].replace("-w 1", "-w 0"), SAVED[2].replace("-w 1", "-w 100"))
    host.do("systemctl stop agent-s1")  # silent: as written
    wait_for(host, SAVED[0], SAVED[1].replace("-w 1", "-w 100"), SAVED[2].replace("-w 1", "-w 100"))
    host.do("systemctl stop agent-s2")


WEIGHED = "servers = [" + ", ".join(f'{{ address = "{one}:8080", weight = 100 }}' for one in SERVERS.values()) + "]"
AGENT = """
import socket, sys
listener = socket.create_server((sys.argv[1], 9000))
while True:
    connection, _ = listener.accept()
    connection.sendall((sys.argv[2] + chr(10)).encode())
    connection.close()
"""


def say(host: Host, name: str, words: str) -> None:
    """Have the agent of this server say so from now on."""
    program = f"/run/agent-{name}.py"  # of its own: one that starts just now may not have read it yet
    host.write(program, AGENT)
    host.do(
        f"systemctl stop agent-{name} 2>/dev/null; systemd-run --quiet --collect --unit=agent-{name}"
        f" ip netns exec {name} python3 {program} {SERVERS[name]} '{words}'"
    )


def test_what_the_unit_may_not_set_is_told_with_the_command_that_sets_it(host: Host) -> None:
    host.start(TEMPLATE + service('check = "@web"'))
    wait_for(host, *SAVED)
    (told,) = json.loads(host.do("routed status --json"))["sysctls"]
    assert (told["sysctl"], told["value"], told["entry"]) == ("net.ipv4.vs.expire_nodest_conn", 0, "service/web")
    assert told["command"] in host.do("routed status")
    host.do(told["command"])
    assert json.loads(host.do("routed status --json"))["sysctls"] == []
    host.do("sysctl -qw net.ipv4.vs.expire_nodest_conn=0 net.ipv4.ip_forward=0")
    commands = [one["command"] for one in json.loads(host.do("routed status --json"))["sysctls"]]
    assert commands == ["sysctl -w net.ipv4.vs.expire_nodest_conn=1", "sysctl -w net.ipv4.ip_forward=1"]


def test_timeouts_stand_as_written_and_what_stood_there_comes_back(host: Host) -> None:
    host.do("ipvsadm --set 600 60 60")
    host.start('[ipvs]\ntimeouts = { tcp = "2h" }\n')
    wait_for_timeouts(host, "7200 60 60")
    assert "Nothing to do" in host.do("routed plan")
    host.do("ipvsadm --set 601 61 61")
    wait_for_timeouts(host, "7200 61 61")
    record = host.wait_for_record("ROUTED_EVENT=repaired", "ROUTED_ENTRY=ipvs/timeouts")
    assert "timeout 601 instead of 7200" in record["MESSAGE"]
    assert 'timeouts = { tcp = "7200s", tcp_fin = "61s", udp = "61s" }' in host.do("routed import")
    host.configure("")
    assert host.reload().code == 0
    wait_for_timeouts(host, "600 61 61")
    host.do("ipvsadm --set 900 120 300")


def wait_for_timeouts(host: Host, seconds: str) -> None:
    host.wait_until(f"ipvsadm -L --timeout | grep -q 'udp): {seconds}$'")


def test_servers_of_a_file_follow_it_as_it_is_saved(host: Host) -> None:
    host.do("echo 10.72.0.11:8080 > /etc/routed.servers")
    text = service().replace('servers = ["10.72.0.11:8080", "10.72.0.12:8080"]', 'servers_file = "routed.servers"')
    host.start(text)
    wait_for(host, *SAVED[:2])
    host.do("echo 10.72.0.12:8080 >> /etc/routed.servers")
    wait_for(host, *SAVED)
    host.do(": > /etc/routed.servers")
    host.wait_until("routed status | grep -q 'the file has no server'")
    assert saved(host) == sorted(SAVED)
    host.do("rm /etc/routed.servers")


def hold(host: Host, name: str) -> None:
    """Clients that each keep a connection, so that every server has one; they end when /run/NAME is there."""
    for number in range(len(SERVERS)):
        unit = f"{name}{number}"
        command = f"ip netns exec client python3 {HERE}/ipvs/hold.py {VIP} {PORT} /run/{unit}"
        host.do(f"rm -f /run/{unit} /run/{unit}.log; systemd-run --quiet --collect --unit={unit} {command}")
        host.wait_until(f"test -s /run/{unit}.log")


def held_by(host: Host, server: str, name: str) -> str:
    """Which of these clients has its connection to this server."""
    return host.do(f"grep -lx {server} /run/{name}*.log | head -n 1").strip().removesuffix(".log")


def test_a_server_that_leaves_keeps_its_connection_and_goes_when_that_is_closed(host: Host) -> None:
    host.start(service('drain = "10m"'))
    wait_for(host, *SAVED)
    hold(host, "held")
    host.wait_until("ipvsadm -Ln | grep -q '10.72.0.12:8080 .* 1  *1 '")
    host.configure(service('drain = "10m"', servers=(SERVERS["s1"],)))
    assert host.reload().code == 0
    wait_for(host, SAVED[0], SAVED[1], SAVED[2].replace("-w 1", "-w 0"))
    assert answers(host) == {"s1": 4}
    told = host.do("routed status service/web")
    gone = "it goes when nothing is connected any more, or at"
    assert re.search(rf"10.72.0.12:8080 +draining +\d+ \w+ +0 +1 +\d+ +\d+ +{gone}", told)
    assert "1 draining" in host.do("routed status")
    host.do("systemctl kill --signal=KILL routed && systemctl start routed", within=SLOW)
    host.wait_until("routed status | grep -q '1 draining'")
    held = held_by(host, "s2", "held")
    before = int(host.do(f"wc -l < {held}.log"))
    host.wait_until(f"[ $(wc -l < {held}.log) -ge {before + 3} ]")
    assert set(host.do(f"cat {held}.log").split()) == {"s2"}
    host.do(f"touch {held}")
    wait_for(host, SAVED[0], SAVED[1])
    record = host.wait_for_record("ROUTED_EVENT=removed", "ROUTED_REASON=drained: nothing is connected any more")
    assert "10.72.0.12:8080" in record["MESSAGE"]
    host.configure(service())
    assert host.reload().code == 0
    wait_for(host, *SAVED)
    host.do("touch /run/held0 /run/held1")


MEMBERS = "/etc/fleet.json"
SOURCE = (
    f'[[source]]\nname = "fleet"\ntype = "file"\npath = "{MEMBERS}"\n'
    'addresses_within = ["10.72.0.0/24"]\nmax_loss = "off"\n'
)
EACH = 'servers = { for_each = "@fleet", address = "{address}:8080", weight = "{weight}" }'


def name_members(host: Host, **weights: int) -> None:
    """Have the file say so, at once."""
    members = [{"name": one, "addresses": [SERVERS[one]], "weight": weight} for one, weight in weights.items()]
    host.write(f"{MEMBERS}.new", json.dumps({"members": members}))
    host.do(f"mv {MEMBERS}.new {MEMBERS}")


def test_members_of_a_source_serve_and_who_leaves_keeps_its_connection_and_goes_then(host: Host) -> None:
    name_members(host, s1=1, s2=1)
    host.start(SOURCE + service('drain = "10m"', servers=()).replace("servers = []", EACH))
    wait_for(host, *SAVED)
    assert answers(host) == {"s1": 2, "s2": 2}
    hold(host, "member")
    host.wait_until("ipvsadm -Ln | grep -q '10.72.0.12:8080 .* 1  *1 '")
    name_members(host, s1=1)
    wait_for(host, SAVED[0], SAVED[1], SAVED[2].replace("-w 1", "-w 0"))
    assert answers(host) == {"s1": 4}
    assert "1 draining" in host.do("routed status")
    held = held_by(host, "s2", "member")
    before = int(host.do(f"wc -l < {held}.log"))
    host.wait_until(f"[ $(wc -l < {held}.log) -ge {before + 3} ]")
    assert set(host.do(f"cat {held}.log").split()) == {"s2"}
    host.do("touch /run/member0 /run/member1")
    wait_for(host, SAVED[0], SAVED[1])
    name_members(host, s1=1, s2=3)
    heavier = SAVED[0], SAVED[1], SAVED[2].replace("-w 1", "-w 3")
    wait_for(host, *heavier)
    assert answers(host) == {"s1": 2, "s2": 2}  # rr knows no weights but 0
    host.do(f"echo nonsense > {MEMBERS}")
    host.wait_until("routed members fleet | grep -q stale")
    host.do("systemctl kill --signal=KILL routed && systemctl start routed", within=SLOW)
    host.wait_until("routed members fleet | grep -q cached")
    assert saved(host) == sorted(heavier)
    assert answers(host) == {"s1": 2, "s2": 2}
    name_members(host, s2=3)
    wait_for(host, SAVED[0], heavier[2])
    assert answers(host) == {"s2": 4}
    host.do(f"rm {MEMBERS}")


def test_a_service_that_leaves_refuses_new_clients_and_keeps_the_others_and_the_operator_drains(host: Host) -> None:
    host.start(service('drain = "10m"'))
    wait_for(host, *SAVED)
    host.do("routed drain 'service/web[10.72.0.11:8080]' --for 1h --reason test")
    wait_for(host, SAVED[0], SAVED[1].replace("-w 1", "-w 0"), SAVED[2])
    assert answers(host) == {"s2": 4}
    assert "drained by root: test" in host.do("routed status service/web")
    host.do("routed resume 'service/web[10.72.0.11:8080]'")
    wait_for(host, *SAVED)
    hold(host, "kept")
    host.configure("")
    assert host.reload().code == 0
    wait_for(host, *(one.replace("-w 1", "-w 0") for one in SAVED))
    assert answers(host, 2) == {"ConnectionRefusedError": 2}
    held = held_by(host, "s1", "kept")
    before = int(host.do(f"wc -l < {held}.log"))
    host.wait_until(f"[ $(wc -l < {held}.log) -ge {before + 3} ]")
    assert host.do(f"ip -o addr show dev lo to {VIP}/32").strip()  # the way to it stays as long
    host.do("touch /run/kept0 /run/kept1")
    host.wait_until('[ -z "$(ipvsadm -Sn)" ]')
    host.wait_until(f'[ -z "$(ip -o addr show dev lo to {VIP}/32)" ]')


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
