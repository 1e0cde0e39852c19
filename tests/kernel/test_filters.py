"""Packet filters: what is said of a rule set against what the kernel does with packets. `nft` loads and shows it."""

from __future__ import annotations

import json
import random
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from routed.core.filter_text import join_chains, read_nft
from routed.core.filters import find_drop
from routed.model.filters import ELSEWHERE, Ruleset
from routed.model.net import parse_address
from tests.kernel import netns
from tests.kernel.netns import ip

PORT = 5000
PACKET = {
    "family": "ip", "daddr": parse_address("10.0.0.1"), "protocol": 17, "dport": PORT, "iif": ELSEWHERE,
    "state": "new", "status": "none",
}  # fmt: skip
COUNTER = """table ip watch {
    counter came { }
    chain c {
        type filter hook prerouting priority -300
        udp dport 5000 counter name came
    }
}"""
# Questions that a rule may ask of a packet to 10.0.0.1, port 5000 of UDP, from 10.0.0.2 by v0.
ASKED = (
    "ip daddr 10.0.0.1", "ip daddr 10.0.0.0/24", "ip daddr != 10.0.0.1", "ip daddr { 10.0.0.1, 10.0.0.7 }",
    "ip daddr 10.9.0.0/16", "ip saddr 10.0.0.2", "ip saddr 192.0.2.0/24", "ip saddr != 10.0.0.0/8", "udp dport 5000",
    "udp dport 4000-6000", "udp dport { 53, 5000 }", "tcp dport 5000", "udp dport != 5000", "udp sport 1-65535",
    "meta l4proto udp", "meta l4proto { tcp, icmp }", "ip protocol udp", 'iifname "lo"', 'iifname "v0"',
    'iifname != "v0"', "iif lo", "ct state new", "ct state established,related", "ct state != new", "ct status dnat",
    "meta mark 7", "ip6 daddr fd00::1", "meta nfproto ipv4", "meta nfproto ipv6", "limit rate 1000/second",
    "ip ttl 255", "ip daddr @some", "th dport 5000", "icmp type echo-request",
)  # fmt: skip
VERDICTS = (
    "accept", "drop", "reject", "return", "jump one", "goto one", "jump two", "counter", 'log prefix "x"',
)  # fmt: skip
MAPS = (
    "ct state vmap { established : accept, invalid : drop }",
    "udp dport vmap { 53 : drop, 5000 : jump two }",
    'iifname vmap { "lo" : accept, "v0" : goto one }',
    "ip protocol vmap { tcp : accept, udp : drop }",
)


class LoadError(Exception):
    """nft does not take it."""


class Wire:
    """A host at the other end that sends, and a socket here that hears."""

    def __init__(self, namespace: Path) -> None:
        with netns.inside(namespace):
            self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sender.bind(("10.0.0.2", 0))
        self._hears = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._hears.bind(("10.0.0.1", PORT))
        self._hears.setblocking(False)
        self.sent = 0

    def arrives(self, *, is_expected: bool | None) -> bool:
        """Send one, wait until the kernel has it, and say whether it came through. None: nobody knows before."""
        self.sent += 1
        self._sender.sendto(str(self.sent).encode(), ("10.0.0.1", PORT))
        netns.wait_until(lambda: count() == self.sent)
        if is_expected:
            netns.wait_until(self._heard)
            return True
        return self._heard()

    def _heard(self) -> bool:
        try:
            return self._hears.recv(64) == str(self.sent).encode()
        except BlockingIOError:
            return False

    def close(self) -> None:
        self._sender.close()
        self._hears.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    with netns.private_network(), netns.new_namespace() as namespace:
        netns.veth("v0", "10.0.0.1/24")
        ip(f"link set v0p netns {namespace}")
        with netns.inside(namespace):
            for command in ("link set v0p up", "addr add 10.0.0.2/24 dev v0p"):
                ip(command)
            mac = netns.ip_json("link show v0p")[0]["address"]
        ip(f"neigh replace 10.0.0.2 lladdr {mac} dev v0 nud permanent")
        mine = netns.ip_json("link show v0")[0]["address"]
        with netns.inside(namespace):
            ip(f"neigh replace 10.0.0.1 lladdr {mine} dev v0p nud permanent")
        nft(COUNTER)
        wire = Wire(namespace)
        yield wire
        wire.close()


def nft(text: str) -> None:
    done = subprocess.run(["nft", "-f", "-"], input=text, text=True, check=False, capture_output=True)
    if done.returncode:
        raise LoadError(done.stderr)


def show(*words: str) -> dict[str, object]:
    done = subprocess.run(["nft", "-j", *words], capture_output=True, check=True)
    document: dict[str, object] = json.loads(done.stdout)
    return document


def count() -> int:
    found = show("list", "counter", "ip", "watch", "came")["nftables"]
    assert isinstance(found, list)
    return int(found[-1]["counter"]["packets"])


def ruleset() -> Ruleset:
    return join_chains(read_nft(show("list", "ruleset")))


def invent(dice: random.Random) -> str:
    """A table with a chain of ``input`` and two that it may jump to; the first may jump to the second only."""

    def rules(jumps: int) -> str:
        verdicts = [one for one in VERDICTS if jumps >= 2 or "one" not in one]
        verdicts = [one for one in verdicts if jumps or "two" not in one]
        maps = [one for one in MAPS if jumps >= 2 or ("one" not in one and (jumps or "two" not in one))]
        lines = []
        for _ in range(dice.randint(0, 4)):
            asked = " ".join(dice.sample(ASKED, dice.choice((0, 1, 1, 1, 2))))
            lines.append(f"{asked} {dice.choice(verdicts)}" if dice.random() < 0.85 else dice.choice(maps))
        return "\n".join(lines)

    policy = dice.choice(("accept", "drop"))
    hook = f"type filter hook input priority 0; policy {policy};"
    return f"""table inet t {{
        set some {{ type ipv4_addr; elements = {{ 10.0.0.1, 10.0.0.3 }}; }}
        chain two {{\n{rules(0)}\n}}
        chain one {{\n{rules(1)}\n}}
        chain in {{\n{hook}\n{rules(2)}\n}}
    }}"""


def test_what_is_said_to_be_dropped_never_arrives(wire: Wire) -> None:
    dice = random.Random(7)  # noqa: S311  examples
    said = loaded = 0
    for _ in range(200):
        nft("table inet t\ndelete table inet t\n")
        text = invent(dice)
        try:
            nft(text)
        except LoadError:  # two questions that contradict each other in their protocol
            continue
        loaded += 1
        dropped = find_drop(ruleset(), "input", PACKET)
        said += dropped is not None
        assert not (wire.arrives(is_expected=None) and dropped is not None), text
    assert loaded > 100
    assert said > 20


@pytest.mark.parametrize(
    ("rules", "policy", "is_dropped"),
    [
        ("", "drop", True),
        ("", "accept", False),
        ("udp dport 5000 accept", "drop", False),
        ("ip daddr 10.0.0.1 udp dport 5000 accept", "drop", False),
        ("udp dport 5001 accept", "drop", True),
        ("tcp dport 5000 accept", "drop", True),
        ("ct state established,related accept\niifname lo accept\nct state invalid drop", "drop", True),
        ("udp dport { 53, 4000-6000 } accept", "drop", False),
        ("ip daddr 10.0.0.0/24 drop", "accept", True),
        ("ip daddr != 10.0.0.0/24 drop", "accept", False),
        ("reject", "accept", True),
        ("udp dport vmap { 53 : accept, 5000 : drop }", "accept", True),
        ("udp dport vmap { 53 : drop, 5000 : accept }", "drop", False),
        ("ct status dnat accept", "drop", True),
    ],
)
def test_what_is_known_of_all_packets_is_what_the_kernel_does(
    wire: Wire, rules: str, policy: str, is_dropped: bool
) -> None:
    nft(f"table inet t {{ chain in {{ type filter hook input priority 0; policy {policy};\n{rules}\n}}\n}}")
    assert (find_drop(ruleset(), "input", PACKET) is not None) is is_dropped
    assert wire.arrives(is_expected=not is_dropped) is not is_dropped
