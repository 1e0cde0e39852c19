"""The package beside others of Debian: the library that writes metrics, firewalls that close what the files need."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import pytest
from prometheus_client.openmetrics import parser

from routed.audit.filter_words import cure_filter
from routed.model.filters import Dropped, FilterChain
from routed.model.net import parse_address
from tests.kernel import netns
from tests.kernel.netns import ip, wait_until
from tests.package.machine import Machine
from tests.package.test_life import CONFIG, start, write

ADDRESS, PORT = "10.0.0.1", 443
SERVICE = f"""version = 1
[[service]]
name = "api"
listen = "{ADDRESS}:{PORT}"
servers = ["{ADDRESS}:444"]
"""
PATIENCE = 2.0  # seconds for a connection


def read(text: str, read_by: Any = parser) -> dict[str, float]:
    """Every sample without a label, as the library of Prometheus reads OpenMetrics."""
    families = read_by.text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def test_debians_library_writes_what_prometheus_reads_for_the_command_and_for_the_daemon(host: Machine) -> None:
    start(host)
    assert read(host.run("routed", "metrics").stdout)["routed_revision"] == 1
    write(host, metric=1, more='[daemon]\nmetrics = "127.0.0.1:9914"\n')
    host.run("routed", "apply")
    wait_until(lambda: fetch().get("routed_revision") == 2, within=20.0)


def test_without_debians_library_the_command_says_what_to_install(host: Machine) -> None:
    host.run("dpkg", "--purge", "python3-prometheus-client")
    start(host)
    done = host.run("routed", "metrics", may_fail=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "apt install python3-prometheus-client" in done.stderr
    assert json.loads(host.ask("routed", "metrics", "--json"))["families"]


def fetch() -> dict[str, float]:
    """What the daemon serves; nothing as long as it does not."""
    accept = {"Accept": "application/openmetrics-text"}
    try:
        with urlopen(Request("http://127.0.0.1:9914/metrics", headers=accept), timeout=30.0) as answer:
            return read(answer.read().decode())
    except OSError:
        return {}


@pytest.fixture
def client(network: None) -> Iterator[Path]:
    """The network namespace of somebody at the other end of v0, to whom the service answers."""
    with netns.new_namespace() as namespace, closing(socket.socket()) as server:
        ip(f"link set v0p netns {namespace}")
        with netns.inside(namespace):
            ip("addr add 10.0.0.2/24 dev v0p")
            ip("link set v0p up")
        server.bind((ADDRESS, PORT))
        server.listen()
        wait_until(lambda: reaches(namespace))
        yield namespace


def reaches(namespace: Path) -> bool:
    """Does somebody there get a connection?"""
    with netns.inside(namespace):
        try:
            socket.create_connection((ADDRESS, PORT), timeout=PATIENCE).close()
        except OSError:
            return False
    return True


def find_closed(host: Machine) -> list[dict[str, Any]]:
    """What doctor finds that a packet filter drops."""
    done = host.run("routed", "doctor", "--json", may_fail=True)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)["findings"]
    return [one for one in found if one["finding"] == "firewall"]


@pytest.mark.parametrize(
    ("begin", "tool"),
    [("ufw --force enable", "ufw allow"), ("systemctl start firewalld", "firewall-cmd --add-rich-rule")],
    ids=["ufw", "firewalld"],
)
def test_what_a_firewall_closes_the_cure_of_doctor_opens_as_it_is_pasted(
    host: Machine, client: Path, begin: str, tool: str
) -> None:
    host.path(CONFIG).write_text(SERVICE)
    assert find_closed(host) == []
    host.run(*begin.split())
    wait_until(lambda: not reaches(client), within=20.0)
    (finding,) = find_closed(host)
    assert finding["entry"] == "service/api"
    assert finding["cure"].startswith(tool)
    host.run("sh", "-c", finding["cure"])
    assert reaches(client)
    assert find_closed(host) == []


# --- what this host forwards ------------------------------------------------------------------------------------------

SERVER, SERVED = "10.9.0.2", 80
FORWARDING = f"""version = 1
[[rule]]
name = "inside"
priority = 1000
iif = "v0"
family = "ipv4"
table = 100
[[route]]
name = "out"
to = "default"
table = 100
via = "{SERVER}"
"""
RESET = struct.pack("ii", 1, 0)  # struct linger: at its end a connection leaves nothing behind


def shared_socket() -> socket.socket:
    """One that may have the port of another."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return made


class Ends(NamedTuple):
    """Who is on either side of this host, and forwards nothing itself."""

    client: Path
    server: Path

    def opens(self, end: Path, to: str, port: int, sport: int = 0) -> bool:
        """Does somebody there get a connection through this host?"""
        with netns.inside(end), closing(shared_socket()) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.settimeout(PATIENCE)
            one.bind(("", sport))
            try:
                one.connect((to, port))
            except OSError:
                return False
        return True

    def sends(self) -> bool:
        """From the client to the server."""
        return self.opens(self.client, SERVER, SERVED)

    def answers(self) -> bool:
        """From the server, and from its port, to the client: as a new flow."""
        return self.opens(self.server, "10.0.0.2", PORT, SERVED)


@pytest.fixture
def ends(network: None) -> Iterator[Ends]:
    netns.veth("v1", "10.9.0.1/24")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    with ExitStack() as stack:
        found = []
        for card, address, gateway, port in (
            ("v0p", "10.0.0.2", "10.0.0.1", PORT),
            ("v1p", SERVER, "10.9.0.1", SERVED),
        ):
            namespace = stack.enter_context(netns.new_namespace())
            ip(f"link set {card} netns {namespace}")
            with netns.inside(namespace):
                ip(f"addr add {address}/24 dev {card}")
                ip(f"link set {card} up")
                ip(f"route add default via {gateway}")
                listener = stack.enter_context(closing(shared_socket()))
                listener.bind((address, port))
                listener.listen()
            found.append(namespace)
        yield Ends(*found)


FIREWALLS = pytest.mark.parametrize(
    ("begin", "tool"),
    [("ufw --force enable", "ufw"), ("systemctl start firewalld", "firewalld")],
    ids=["ufw", "firewalld"],
)


@FIREWALLS
def test_what_a_firewall_does_not_forward_the_cure_of_doctor_lets_through_as_it_is_pasted(
    host: Machine, ends: Ends, begin: str, tool: str
) -> None:
    host.path(CONFIG).write_text(FORWARDING)
    wait_until(ends.sends, within=20.0)
    assert find_closed(host) == []
    host.run(*begin.split())
    wait_until(lambda: not ends.sends(), within=20.0)
    (finding,) = find_closed(host)
    assert (finding["entry"], finding["what"]) == ("rule/inside", "what is forwarded from v0 is dropped")
    host.run("sh", "-c", finding["cure"])
    assert ends.sends()
    assert find_closed(host) == []
    host.run("sh", "-c", finding["cure"])  # once more does no harm


@FIREWALLS
def test_so_it_does_with_what_a_server_answers(host: Machine, ends: Ends, begin: str, tool: str) -> None:
    """Neither drops what belongs to a flow that it has seen: so the doctor says nothing of it, and here it is new."""
    wait_until(ends.answers, within=20.0)
    host.run(*begin.split())
    wait_until(lambda: not ends.answers(), within=20.0)
    answer = {"family": "ip", "protocol": 6, "saddr": parse_address(SERVER), "sport": SERVED}
    host.run("sh", "-c", cure_filter(answer, "forward", Dropped(FilterChain("ip", "filter", "FORWARD"), None), tool))
    assert ends.answers()
    assert not ends.sends()  # and nothing else is let through
