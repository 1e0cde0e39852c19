"""Three masters, a worker with two NICs, and the VIP of the API servers in between: who is lost, and for how long.

The worker is this host: its default route leads over ens33, the masters are behind ens32. It asks as a kubelet does.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.vm import hosts
from tests.vm.host import HERE, Host
from tests.vm.hosts import Wire

VIP, PORT = "10.103.97.2", 6443
NODE: Final = "192.168.253.131"
MASTERS: Final = {"master1": "192.168.253.129", "master2": "192.168.253.128", "master3": "192.168.253.130"}
PEM: Final = "/run/masters.pem"
STOP, ASKED = "/run/masters.stop", "/run/masters.asked"
EVERY, FALL, TIMEOUT = 2.0, 2, 1.0  # of the check, in seconds
FAST: Final = EVERY / 5  # between questions to who did not answer
SLACK: Final = 45.0  # seconds of an emulated processor on a busy host, where a check was 28 s late; 2 are enough alone
FILE: Final = f"""
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
servers = [{", ".join(f'"{one}:{PORT}"' for one in MASTERS.values())}]
check = "@masters"

[[check]]
name = "masters"
type = "https"
path = "/healthz"
verify = false
every = "{EVERY:.0f}s"
fall = {FALL}
timeout = "{TIMEOUT:.0f}s"
"""


class Asked(NamedTuple):
    """One question of the kubelet."""

    began: float  # seconds since boot, as all times here
    took: float
    answer: str  # the master, or the name of an error

    @property
    def failed(self) -> bool:
        return self.answer not in MASTERS


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A key and a certificate of nobody; the machine has nothing that makes one."""
    folder = tmp_path_factory.mktemp("pem")
    words = f"req -x509 -newkey rsa:2048 -nodes -keyout {folder}/key -out {folder}/pem -days 2 -subj /CN=nobody"
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
    return "".join(Path(folder, name).read_text() for name in ("key", "pem"))


@pytest.fixture(autouse=True)
def _worker(host: Host, pem: str) -> Iterator[None]:
    links = ["ip link add ens32 type bridge", f"ip addr add {NODE}/24 dev ens32", "ip link set ens32 up"]
    links += ["ip link add ens33 type bridge", "ip addr add 192.168.160.246/23 dev ens33", "ip link set ens33 up"]
    links += ["ip route add default via 192.168.160.1 dev ens33"]
    hosts.make(host, links, [Wire(name, f"{address}/24", NODE, "ens32") for name, address in MASTERS.items()])
    host.write(PEM, pem)
    hosts.serve(host, MASTERS, PORT, PEM)
    host.do(f"rm -f {STOP} {ASKED}")
    yield
    host.do(f"touch {STOP}; ip route del default dev ens33")
    hosts.clear(host, MASTERS)


def begin_to_ask(host: Host) -> None:
    ask = f"exec python3 {HERE}/ipvs/ask_for.py {VIP} {PORT} {STOP} >{ASKED}"
    host.do(f"systemd-run --quiet --collect --unit=kubelet sh -c '{ask}'")
    host.wait_until(f"[ $(wc -l <{ASKED}) -ge 6 ]")


def read_asked(host: Host) -> list[Asked]:
    lines = (line.split() for line in host.do(f"cat {ASKED}").splitlines())
    return [Asked(float(began), float(took), answer) for began, took, answer in lines]


def now(host: Host) -> float:
    return float(host.do("cut -d' ' -f1 /proc/uptime"))


def kill(host: Host, name: str) -> None:
    host.do(f"systemctl kill --signal=KILL {name}")


def silence(host: Host, name: str) -> None:
    """As when its power is cut."""
    host.do(f"ip link set dev {name} down")


@pytest.mark.long
@pytest.mark.parametrize(
    ("end", "a_question_takes"),
    [(kill, FAST), (silence, TIMEOUT)],
    ids=["refuses", "is silent"],
)
def test_when_a_master_dies_no_request_fails_for_longer_than_the_check_says(
    host: Host, end: Callable[[Host, str], None], a_question_takes: float
) -> None:
    host.start(FILE)
    host.wait_until("[ $(routed status | grep -c '^check/.* up') = 3 ]")
    assert f"src {NODE}" in host.do(f"ip route get {VIP}")
    begin_to_ask(host)
    died = now(host)
    end(host, "master2")
    host.wait_until(f"ipvsadm -Sn | grep -q -- '-r {MASTERS['master2']}:{PORT} -m -w 0'")
    went = now(host)
    host.wait_until(f"[ $(awk '$1 > {went}' {ASKED} | wc -l) -ge 9 ]")
    asked = read_asked(host)
    assert not [one for one in asked if one.failed and one.began + one.took < died]
    assert not [one for one in asked if one.failed and one.began > went], asked
    longest = EVERY + FALL * max(a_question_takes, FAST) + SLACK
    assert went - died < longest, asked
    failed = [one for one in asked if one.failed]
    assert len(failed) <= 2 + longest / 0.3  # of three questions one, and these come ten a second at most
    assert {one.answer for one in asked if one.began > went} == {"master1", "master3"}
    assert f"server {MASTERS['master2']}:{PORT} is out" in host.do("routed status service/apiserver")


@pytest.mark.long
def test_a_dead_master_goes_after_a_while_and_comes_back_by_itself(host: Host) -> None:
    host.start(FILE.replace("check =", 'remove_after = "5s"\ncheck ='))
    begin_to_ask(host)
    kill(host, "master2")
    host.wait_until(f"! ipvsadm -Sn | grep -q -- '-r {MASTERS['master2']}:'")
    hosts.serve(host, {"master2": MASTERS["master2"]}, PORT, PEM)
    host.wait_until(f"ipvsadm -Sn | grep -q -- '-r {MASTERS['master2']}:{PORT} -m -w 1'")
    back = now(host)
    host.wait_until(f"[ $(awk '$1 > {back}' {ASKED} | wc -l) -ge 6 ]")
    assert {one.answer for one in read_asked(host) if one.began > back} == set(MASTERS)
