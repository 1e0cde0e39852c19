"""Metrics of a running daemon: what they say, who judges them, and the address at which they are served."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client import parser as older
from prometheus_client.openmetrics import parser

from tests.kernel.netns import wait_until
from tests.system.daemon import PATIENCE, PROJECT, Daemon
from tests.system.host import routes
from tests.system.promtool import judge

TWO = """
[[route]]
name = "lan"
to = "10.9.0.0/16"
via = "10.0.0.2"
[[route]]
name = "later"
to = "10.10.0.0/16"
dev = "v7"
"""
SERVED = 'metrics = "127.0.0.1:9914"'
OPENMETRICS = {"Accept": "application/openmetrics-text"}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str, read_by: Any = parser) -> Samples:
    """Every sample, by its name and labels, as the library of Prometheus reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read_by.text_string_to_metric_families(text)
        for sample in family.samples
    }


def find(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def fetch(where: str = "127.0.0.1:9914/metrics", headers: dict[str, str] = OPENMETRICS) -> str:
    with urlopen(Request(f"http://{where}", headers=headers), timeout=PATIENCE) as answer:
        text: str = answer.read().decode()
    return text


def is_served(where: str = "127.0.0.1:9914/metrics") -> bool:
    try:
        return bool(fetch(where))
    except OSError:
        return False


def test_prometheus_reads_what_status_says_and_who_deleted_what(daemon: Daemon) -> None:
    daemon.start(TWO)
    subprocess.run(["ip", "route", "del", "10.9.0.0/16"], check=True)
    wait_until(lambda: daemon.status()["repairs"] == 1)
    assert [route for route in routes() if route["dst"] == "10.9.0.0/16"]

    samples = read(daemon.ask("metrics").out)
    states = {entry["entry"]: entry["state"] for entry in daemon.status()["entries"]}
    assert states == {"route/lan": "in-sync", "route/later": "waiting"}
    for state in ("in-sync", "waiting"):
        assert find(samples, "routed_entries", state=state) == 1
    assert find(samples, "routed_entry_not_in_sync", entry="route/later", state="waiting") == 1
    assert find(samples, "routed_objects", kind="route", state="in-sync") == 1
    assert find(samples, "routed_repairs_total", cause="deleted", actor="process") == 1
    assert find(samples, "routed_drifts_total", nature="missing") == 1
    assert find(samples, "routed_revision") == daemon.status()["revision"]
    assert find(samples, "routed_pass_seconds_count", scope="some") >= 1
    assert find(samples, "routed_files_in_force") == find(samples, "routed_files_valid") == 1


def test_what_is_left_alone_by_a_link_that_goes_is_the_kernels_doing(daemon: Daemon) -> None:
    daemon.start(TWO)
    subprocess.run(["ip", "link", "set", "v0", "down"], check=True)
    wait_until(lambda: daemon.entry("route/lan")["state"] == "waiting")
    subprocess.run(["ip", "link", "set", "v0", "up"], check=True)
    wait_until(lambda: daemon.entry("route/lan")["state"] == "in-sync")
    samples = read(daemon.ask("metrics").out)
    back = [labels for name, labels in samples if name == "routed_repairs_total" and samples[name, labels]]
    assert back == [frozenset({("cause", "link-went-down"), ("actor", "kernel")})]


def test_promtool_has_nothing_to_say_of_the_text(daemon: Daemon) -> None:
    daemon.start(TWO)
    assert judge("check", "metrics", text=daemon.ask("metrics", "--format", "text").out) == ""


def test_a_file_for_the_textfile_collector_is_replaced_whole_and_can_be_read_by_others(daemon: Daemon) -> None:
    daemon.start(TWO)
    folder = daemon.folder / "textfile"
    folder.mkdir()
    file, elsewhere = folder / "routed.prom", daemon.folder / "elsewhere"
    elsewhere.write_text("of somebody else")
    file.symlink_to(elsewhere)
    before = os.umask(0o077)
    try:
        assert daemon.ask("metrics", "--output", str(file)) == (0, "", "")
    finally:
        os.umask(before)
    assert elsewhere.read_text() == "of somebody else"
    assert stat.S_IMODE(file.lstat().st_mode) == 0o644
    assert not file.is_symlink()
    assert find(read(file.read_text(), older), "routed_revision") == 1
    assert list(folder.iterdir()) == [file]

    with file.open() as opened:
        daemon.ask("metrics", "--output", str(file))
        assert opened.read().endswith("\n")  # who reads meanwhile reads the former one to its end
    answer = daemon.ask("metrics", "--output", str(daemon.folder / "none" / "routed.prom"))
    assert (answer.code, answer.out) == (1, "")
    assert "No such file or directory" in answer.err


def test_they_are_served_in_the_form_that_is_asked_for_at_one_path_only(daemon: Daemon) -> None:
    daemon.start(TWO, daemon=SERVED)
    wait_until(is_served)
    assert find(read(fetch()), "routed_entries", state="waiting") == 1
    text = fetch(headers={"Accept": "text/plain"})
    assert find(read(text, older), "routed_entries", state="waiting") == 1
    assert "# EOF" not in text
    for where, method, code in (("/", "GET", 404), ("/metrics", "POST", 405)):
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(f"http://127.0.0.1:9914{where}", method=method), timeout=PATIENCE)
        with refused.value as answer:
            assert answer.code == code
    assert daemon.status()["metrics"] == {"address": "127.0.0.1:9914", "reason": ""}
    assert "metrics at 127.0.0.1:9914: served\n" in daemon.ask("status").out


def test_an_address_that_is_not_there_yet_is_told_and_served_when_it_comes(daemon: Daemon) -> None:
    hole = '[[route]]\nto = "10.9.0.0/16"\ntype = "blackhole"'  # which depends on no address
    daemon.start(hole, daemon='metrics = "10.0.0.77:9914"\nmetrics_public = true\nresync = "1h"')
    record = daemon.wait_for("metrics-not-served")
    assert record["message"] == "metrics are not served at 10.0.0.77:9914: this host has no such address yet"
    assert daemon.status()["metrics"]["reason"] == "this host has no such address yet"
    assert daemon.status()["state"].startswith("metrics are not served at 10.0.0.77:9914: ")
    assert [route for route in routes() if route["dst"] == "10.9.0.0/16"]

    subprocess.run(["ip", "address", "add", "10.0.0.77/24", "dev", "v0"], check=True)
    daemon.wait_for("metrics-served")
    assert is_served("10.0.0.77:9914/metrics")
    assert daemon.status()["metrics"]["reason"] == ""


def test_a_port_that_another_program_has_is_told_and_tried_again(daemon: Daemon) -> None:
    with socket.create_server(("127.0.0.1", 9914)):
        daemon.start(TWO, daemon=f'{SERVED}\nresync = "500ms"')
        assert "another program has this port" in daemon.wait_for("metrics-not-served")["message"]
        daemon.wait_for_resync()
    daemon.wait_for("metrics-served")
    assert is_served()
    assert len(daemon.records("metrics-not-served")) == 1


def test_a_reload_changes_the_address_and_ends_it(daemon: Daemon) -> None:
    daemon.start(TWO)
    assert "metrics" not in daemon.status()
    daemon.apply(TWO, daemon='metrics = "[::1]:9915"')
    wait_until(lambda: is_served("[::1]:9915/metrics"))
    daemon.apply(TWO, daemon=SERVED)
    wait_until(is_served)
    assert not is_served("[::1]:9915/metrics")
    daemon.apply(TWO)
    wait_until(lambda: not is_served())
    assert "metrics" not in daemon.status()
    daemon.apply(TWO, daemon=SERVED)
    wait_until(is_served)


def test_after_a_kill_and_a_restart_the_same_address_is_served(daemon: Daemon) -> None:
    daemon.start(TWO, daemon=SERVED)
    wait_until(is_served)
    with socket.create_connection(("127.0.0.1", 9914)):
        daemon.kill()
        daemon.start()
        wait_until(is_served)
    assert daemon.records("metrics-not-served") == []


def test_the_shipped_unit_can_open_the_socket() -> None:
    """It has AF_INET and AF_INET6, and no rule of systemd against binding."""
    unit = (PROJECT / "contrib/systemd/routed.service").read_text()
    [families] = [line for line in unit.splitlines() if line.startswith("RestrictAddressFamilies=")]
    assert {"AF_INET", "AF_INET6"} <= set(families.partition("=")[2].split())
    assert "SocketBindDeny" not in unit


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    try:
        answer = daemon.ask("metrics", "--output", str(tmp_path / "routed.prom"))
        assert (answer.code, answer.out) == (69, "")
        assert not (tmp_path / "routed.prom").exists()
    finally:
        daemon.close()
