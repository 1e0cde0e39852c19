"""The package beside others of Debian: the library that writes metrics, firewalls that close what the files need."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from prometheus_client.openmetrics import parser

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
    found = json.loads(host.run("routed", "doctor", "--json", may_fail=True).stdout)["findings"]
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
