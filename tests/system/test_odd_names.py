"""Links whose names are no UTF-8, or would drive a terminal: they work, and whoever reads gets printable UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from routed.audit.printable import make_printable
from tests.kernel.netns import ip, wait_until
from tests.system.daemon import PROJECT, Daemon
from tests.system.neighbour import Neighbour, a_neighbour

NAMES = {
    "no UTF-8": b"\xff\xfeab",
    "cut UTF-8": b"eth\xc3",
    "turns the text": "a\u202eb\u2066".encode(),
    "colours": b"\x1b[31mred",
    "line end of Unicode": "a\u2028b".encode(),
    "C1": "a\u0085b\u009b".encode(),
    "quotes": b"a\"b'c\\",
    "controls": b"a\x01\x08\x7fb",
}
some = pytest.mark.parametrize("name", [NAMES["no UTF-8"], NAMES["colours"]], indirect=True, ids=["bytes", "colours"])
FILE = """
[[interface]]
name = "out"
match = [{ cidr = "10.0.0.0/24" }]
[[route]]
name = "lan"
to = "192.0.2.0/24"
dev = "@out"
[[vip]]
name = "held"
address = "10.0.0.80/32"
dev = "@out"
announce = { count = 1 }
"""


@pytest.fixture
def neighbour(network: None) -> Iterator[Neighbour]:
    """A host at the other end of v0."""
    with a_neighbour() as neighbour:
        yield neighbour


@pytest.fixture(params=NAMES.values(), ids=list(NAMES))
def name(request: pytest.FixtureRequest, neighbour: Neighbour) -> bytes:
    """What v0 is called."""
    chosen: bytes = request.param
    ip("link set v0 down")
    subprocess.run([b"ip", b"link", b"set", b"v0", b"name", chosen], check=True)
    subprocess.run([b"ip", b"link", b"set", chosen, b"up"], check=True)
    return chosen


def routes_over(name: bytes) -> list[bytes]:
    """Ours, over this link, as `ip` prints them."""
    done = subprocess.run([b"ip", b"route", b"show", b"proto", b"114", b"dev", name], check=True, capture_output=True)
    return [line.split()[0] for line in done.stdout.splitlines()]


def run(daemon: Daemon, *words: str) -> bytes:
    """What a command prints on both, byte by byte."""
    command = [sys.executable, "-m", "routed", f"--config={daemon.config}", f"--runtime-dir={daemon.folder}/run",
               f"--state-dir={daemon.state}", *words]  # fmt: skip
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.stdout + done.stderr


def assert_printable(text: bytes) -> None:
    for line in text.decode().split("\n"):
        assert make_printable(line) == line


def test_it_is_enforced_announced_told_of_and_shown(daemon: Daemon, neighbour: Neighbour, name: bytes) -> None:
    shown = make_printable(os.fsdecode(name))
    daemon.start(FILE)
    assert b"192.0.2.0/24" in routes_over(name)
    subprocess.run([b"ip", b"route", b"del", b"192.0.2.0/24", b"dev", name], check=True)
    daemon.wait_for("repaired", "route/lan")
    assert b"192.0.2.0/24" in routes_over(name)
    wait_until(lambda: len(neighbour.heard("10.0.0.80")) == 1)
    daemon.wait_for("vip-announced", "vip/held")
    assert_printable((daemon.folder / "log").read_bytes())
    assert {record["fields"]["INTERFACE"] for record in daemon.records("repaired", "route/lan")} == {shown}

    for words in (("status",), ("-v", "status"), ("status", "lan"), ("plan",), ("select", "@out"), ("import",)):
        assert_printable(run(daemon, *words))
        assert_printable(run(daemon, "--json", *words))
    assert shown in run(daemon, "select", "@out").decode()
    document = json.loads(run(daemon, "--json", "select", "@out"))
    assert make_printable(document["ifname"]) == shown
    document["ifname"].encode()
    assert daemon.ask("apply").code == 0
    assert daemon.stop() == 0


@some
def test_it_may_be_gone_and_come_back(daemon: Daemon, name: bytes) -> None:
    daemon.start(FILE)
    subprocess.run([b"ip", b"link", b"set", name, b"down"], check=True)
    wait_until(lambda: daemon.entry("route/lan")["state"] == "waiting")
    assert_printable(run(daemon, "status"))
    subprocess.run([b"ip", b"link", b"set", name, b"up"], check=True)
    wait_until(lambda: b"192.0.2.0/24" in routes_over(name))


@some
@pytest.mark.parametrize("log_format", ["journal", "text"])
def test_every_log_takes_it(daemon: Daemon, name: bytes, log_format: str) -> None:
    daemon.write(FILE)
    daemon.launch(options=("--log-format", log_format))
    daemon.wait_until_ready()
    for _ in range(2):
        subprocess.run([b"ip", b"route", b"del", b"192.0.2.0/24", b"dev", name], check=True)
        wait_until(lambda: b"192.0.2.0/24" in routes_over(name))
    assert daemon.entry("route/lan")["state"] == "in-sync"
    assert_printable((daemon.folder / "log").read_bytes())


def test_what_is_imported_is_a_valid_file_or_told_of(daemon: Daemon, name: bytes) -> None:
    subprocess.run([b"ip", b"route", b"add", b"192.0.2.0/24", b"dev", name], check=True)
    answer = daemon.ask("import")
    daemon.config.write_text(answer.out)
    assert daemon.ask("check").code == 0
    is_text = name in (NAMES["no UTF-8"], NAMES["cut UTF-8"])
    if is_text:
        assert "left out: route 192.0.2.0/24: it bears the name of an interface that is no UTF-8" in answer.err
    else:
        plan: dict[str, Any] = daemon.ask_json("plan")
        assert [step["before"] != "" for step in plan["steps"] if step["entry"] == "route/192.0.2.0-24"] == [True]
