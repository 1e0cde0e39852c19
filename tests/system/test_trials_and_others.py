"""What happens beside a trial or a rollback: what is a part of it, what is not, and what both obey."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.fleet import PODS, Fleet, node, pods, source
from tests.system.host import routes
from tests.system.test_kept_state import fill
from tests.system.worlds import GATEWAY

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
SILENT = f"""
[[source]]
name = "fleet"
type = "exec"
command = ["/bin/sleep", "60"]
user = "nobody"
timeout = "30s"
prefixes_within = ["10.244.0.0/16"]
addresses_within = ["10.0.0.0/24"]
{PODS}"""
SOME_TIME = 20.0  # seconds; only a failing test takes them
MINE = '[[route]]\nname = "mine"\nto = "192.0.5.0/24"\nvia = "10.0.0.2"\n'


def with_metric(number: int) -> str:
    return f"{GATEWAY}metric = {number}\n"


def metrics() -> list[int]:
    return [route.get("metric", 0) for route in routes() if route["dst"] == "192.0.2.0/24"]


def listed() -> list[str]:
    return [route["dst"] for route in routes() if route["dst"].startswith("198.51.100.")]


def phase(daemon: Daemon) -> str:
    return str(daemon.status()["deployment"])


def record_of(daemon: Daemon) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((daemon.state / "revisions/deployment.json").read_text())
    return document


class Listing:
    """A list of prefixes that a program writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entry = f'[[route]]\nname = "drop"\nprefixes_file = "{path}"\ntype = "blackhole"\n'

    def tell(self, *hosts: int) -> None:
        new = self.path.with_suffix(".new")
        new.write_text("".join(f"198.51.100.{host}\n" for host in hosts))
        new.rename(self.path)


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    return Listing(tmp_path / "drop.txt")


@pytest.fixture
def disk(daemon: Daemon) -> Iterator[Path]:
    """The state of the daemon on a small disk."""
    daemon.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", daemon.state], check=True)
    try:
        yield daemon.state
    finally:
        subprocess.run(["umount", "--lazy", daemon.state], check=True)


# --- lists, members and files that are saved meanwhile ----------------------------------------------------------------


def test_a_list_that_a_program_saves_amid_a_trial_stays_when_the_trial_ends(daemon: Daemon, listing: Listing) -> None:
    listing.tell(1)
    daemon.start(with_metric(1) + listing.entry)
    daemon.write(with_metric(2) + listing.entry)
    assert daemon.ask("apply", "--confirm", "3s").code == 0
    listing.tell(1, 2)
    wait_until(lambda: len(listed()) == 2)
    assert phase(daemon) == "pending"
    daemon.kill()
    daemon.start()
    wait_until(lambda: metrics() == [1], within=SOME_TIME)
    wait_until(lambda: phase(daemon) == "rejected", within=SOME_TIME)
    assert listed() == ["198.51.100.1", "198.51.100.2"]


def test_a_list_does_not_bring_back_files_that_were_rolled_back_or_not_confirmed(
    daemon: Daemon, listing: Listing
) -> None:
    listing.tell(1)
    daemon.start(with_metric(1) + listing.entry, daemon='watch = "apply"')
    daemon.apply(with_metric(2) + listing.entry, daemon='watch = "apply"')
    assert daemon.ask("rollback").code == 0
    daemon.forget()
    listing.tell(1, 2)
    assert "not in force" in daemon.wait_for("files-changed")["message"]
    daemon.kill()
    daemon.start()
    assert (metrics(), phase(daemon)) == ([1], "rolled back")

    daemon.apply(with_metric(2) + listing.entry)
    daemon.write(with_metric(3) + listing.entry)
    assert daemon.ask("apply", "--confirm", "1s").code == 0
    wait_until(lambda: phase(daemon) == "rejected", within=SOME_TIME)
    daemon.forget()
    listing.tell(1, 2, 3)
    assert "not in force" in daemon.wait_for("files-changed")["message"]
    daemon.kill()
    daemon.start()
    assert (metrics(), phase(daemon)) == ([2], "rejected")


def test_members_that_come_amid_a_trial_stay_when_it_ends(daemon: Daemon, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.tell(node(1))
    daemon.start(source() + with_metric(1))
    daemon.write(source() + with_metric(2))
    assert daemon.ask("apply", "--confirm", "3s").code == 0
    fleet.tell(node(1), node(2))
    wait_until(lambda: len(pods()) == 2)
    wait_until(lambda: metrics() == [1], within=SOME_TIME)
    assert len(pods()) == 2


def test_a_file_that_is_saved_amid_a_trial_is_not_what_a_start_after_its_end_takes(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    daemon.write(with_metric(2))
    assert daemon.ask("apply", "--confirm", "3s").code == 0
    daemon.forget()
    daemon.write(with_metric(3))
    daemon.wait_for("files-changed")
    wait_until(lambda: metrics() == [1], within=SOME_TIME)
    wait_until(lambda: phase(daemon) == "rejected", within=SOME_TIME)
    daemon.kill()
    daemon.start()
    assert (metrics(), phase(daemon)) == ([1], "rejected")
    assert daemon.ask("apply").code == 0
    assert metrics() == [3]


def test_a_reload_by_signal_is_a_trial_where_the_files_ask_for_it(daemon: Daemon) -> None:
    daemon.start(with_metric(1), daemon='confirm = "3s"')
    daemon.write(with_metric(2), daemon='confirm = "3s"')
    daemon.signal(signal.SIGHUP)
    assert "revision 1 comes back" in daemon.wait_for("trial-begun")["message"]
    wait_until(lambda: phase(daemon) == "rejected", within=SOME_TIME)
    wait_until(lambda: metrics() == [1], within=SOME_TIME)
    assert daemon.records("changed", "route/lan") or daemon.records("added", "route/lan")


def test_files_that_wait_for_their_sources_are_not_said_to_be_enforced_yet(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    calm = daemon.status()
    assert "coming" not in calm
    assert daemon.ask("status", "--failed").code == 0
    daemon.write(SILENT + with_metric(2))
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.status()["revision"] == 2)
    status = daemon.status()
    assert (status["coming"], metrics()) == (2, [1])
    assert status["state"].startswith("about to be enforced: ")
    assert daemon.ask("status", "--failed").code == 1
    wait_until(lambda: metrics() == [2], within=SOME_TIME)
    assert "coming" not in daemon.status()


def test_a_route_that_is_added_says_that_it_is_on_trial_where_the_files_ask_for_it(daemon: Daemon) -> None:
    daemon.start(with_metric(1), daemon='confirm = "5m"')
    words = ("--host", "192.0.9.9", "--gateway", "10.0.0.2")
    answer = daemon.ask("route", "add", *words)
    assert answer.code == 0
    assert "revision 2 is on trial until" in answer.err
    assert "routed confirm keeps it" in answer.err
    assert daemon.ask("confirm").code == 0
    assert {"192.0.9.9", "192.0.2.0/24"} == {route["dst"] for route in routes()}


# --- kills and disks --------------------------------------------------------------------------------------------------


def test_who_is_killed_while_the_files_of_a_trial_are_read_finds_a_way_back(daemon: Daemon, listing: Listing) -> None:
    daemon.start(with_metric(1))
    listing.path.write_text("".join(f"198.{18 + n // 65536}.{n // 256 % 256}.{n % 256}\n" for n in range(120_000)))
    daemon.write(with_metric(2) + listing.entry)
    folders = [f"--config={daemon.config}", f"--state-dir={daemon.state}", f"--runtime-dir={daemon.folder}/run"]
    with subprocess.Popen(["python3", "-m", "routed", *folders, "apply", "--confirm", "5m"]) as client:
        wait_until((daemon.state / "revisions/deployment.json").exists)
        record = record_of(daemon)
        daemon.kill()
        client.wait()
    assert (record["phase"], record["base"], record["barred"]) == ("pending", 1, ["any"])
    assert metrics() == [1]

    listing.tell(1)
    daemon.start()

    status = daemon.status()
    assert (metrics(), status["deployment"], status["trial"]["base"]) == ([2], "pending", 1)
    daemon.kill()
    path = daemon.state / "revisions/deployment.json"
    path.write_text(json.dumps(record | {"boot": "another"}))  # as if its power had been cut instead
    daemon.start()
    assert (metrics(), phase(daemon)) == ([1], "rejected")


def test_files_that_cannot_be_tried_leave_no_trial_behind(daemon: Daemon) -> None:
    daemon.start(with_metric(1))
    daemon.write("nonsense")
    assert daemon.ask("apply", "--confirm", "5m").code == 78
    assert not (daemon.state / "revisions/deployment.json").exists()
    daemon.write(with_metric(1))
    assert daemon.ask("apply", "--confirm", "5m").code == 4
    assert not (daemon.state / "revisions/deployment.json").exists()


def make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)


@needs_root
@pytest.mark.parametrize("spoil", [fill, make_read_only], ids=["full", "read-only"])
def test_on_a_disk_that_takes_nothing_a_trial_ends_all_the_same_and_none_begins(
    daemon: Daemon, disk: Path, spoil: Any
) -> None:
    ip("route add 192.0.5.0/24 via 10.0.0.9 proto static")
    daemon.start(with_metric(1))
    daemon.write(with_metric(2) + MINE)
    assert daemon.ask("apply", "--confirm", "4s").code == 0
    spoil(disk)
    wait_until(lambda: metrics() == [1], within=SOME_TIME)
    [theirs] = ip_json("route show 192.0.5.0/24")
    assert theirs["gateway"] == "10.0.0.9"

    daemon.write(with_metric(3))
    answer = daemon.ask("apply", "--confirm", "5m")
    assert (answer.code, "no way back" in answer.err) == (4, True)
    assert metrics() == [1]

    daemon.write(with_metric(2) + MINE)
    daemon.kill()
    daemon.start()
    assert metrics() == [1]
    assert [one["gateway"] for one in ip_json("route show 192.0.5.0/24")] == ["10.0.0.9"]


# --- what a rollback obeys --------------------------------------------------------------------------------------------


def test_a_rollback_puts_a_lease_back_with_what_is_left_of_it_and_not_one_that_is_over(daemon: Daemon) -> None:
    ip("address add 10.0.0.77/24 dev v0 valid_lft 900 preferred_lft 600")
    ip("address add 10.0.0.78/24 dev v0 valid_lft 3 preferred_lft 3")
    daemon.start(with_metric(1))
    both = "".join(f'[[address]]\naddress = "10.0.0.{n}/24"\ndev = "v0"\n' for n in (77, 78))
    daemon.apply(with_metric(2) + both)
    ip("address add 10.1.0.78/24 dev v1 valid_lft 4 preferred_lft 4")  # when it has gone, so would have the other
    wait_until(lambda: "10.1.0.78" not in ip("address show dev v1"), 12.0)
    assert daemon.ask("rollback").code == 0
    found = {one["local"]: one for link in ip_json("address show dev v0") for one in link["addr_info"]}
    assert "10.0.0.78" not in found
    assert 800 <= found["10.0.0.77"]["valid_life_time"] < 900


def test_the_end_of_a_trial_leaves_alone_what_is_paused(daemon: Daemon) -> None:
    daemon.start(with_metric(1) + MINE)
    daemon.write(with_metric(2) + MINE.replace("10.0.0.2", "10.1.0.2"))
    assert daemon.ask("apply", "--confirm", "3s").code == 0
    assert daemon.ask("pause", "route/mine", "--for", "1h").code == 0
    wait_until(lambda: metrics() == [1], within=SOME_TIME)
    wait_until(lambda: phase(daemon) == "rejected", within=SOME_TIME)
    assert ip_json("route show 192.0.5.0/24")[0]["gateway"] == "10.1.0.2"
    assert daemon.entry("route/mine")["state"] == "paused"
    assert daemon.ask("resume", "route/mine").code == 0
    wait_until(lambda: ip_json("route show 192.0.5.0/24")[0]["gateway"] == "10.0.0.2")


# --- with whom a revision was verified --------------------------------------------------------------------------------


@pytest.fixture
def two_fleets(daemon: Daemon, tmp_path: Path) -> tuple[Fleet, Fleet]:
    """A fleet that is in force and another that its file is to follow instead."""
    (tmp_path / "other").mkdir()
    fleet, other = Fleet(tmp_path), Fleet(tmp_path / "other")
    fleet.tell(node(1), node(2))
    other.tell(node(8))
    daemon.start(source('max_loss = "off"'))
    assert sorted(pods()) == ["10.244.1.0/24", "10.244.2.0/24"]
    return fleet, other


def source_of_the_other() -> str:
    return source('max_loss = "off"').replace('"fleet.json"', '"other/fleet.json"')


@pytest.mark.parametrize("way", ["deadline", "rollback", "another boot"])
def test_who_comes_back_is_whom_the_revision_was_verified_with_though_its_source_is_away(
    daemon: Daemon, two_fleets: tuple[Fleet, Fleet], way: str
) -> None:
    fleet, _ = two_fleets
    daemon.write(source_of_the_other())
    trial = {"deadline": ["--confirm", "3s"], "rollback": [], "another boot": ["--confirm", "5m"]}[way]
    assert daemon.ask("apply", "--force", *trial).code == 0
    assert sorted(pods()) == ["10.244.8.0/24"]
    fleet.path.unlink()
    if way == "rollback":
        assert daemon.ask("rollback", "--force").code == 0
    elif way == "another boot":
        daemon.kill()
        path = daemon.state / "revisions/deployment.json"
        path.write_text(json.dumps(record_of(daemon) | {"boot": "another"}))
        ip("route flush proto 114")
        daemon.start()
    wait_until(lambda: sorted(pods()) == ["10.244.1.0/24", "10.244.2.0/24"], within=SOME_TIME)
    assert re.search("cached|stale", daemon.ask("members").out)
    fleet.tell(node(1), node(3))
    wait_until(lambda: sorted(pods()) == ["10.244.1.0/24", "10.244.3.0/24"], within=SOME_TIME)


def test_whoever_came_later_to_a_source_that_is_asked_as_before_stays_at_a_rollback(
    daemon: Daemon, two_fleets: tuple[Fleet, Fleet]
) -> None:
    fleet, _ = two_fleets
    daemon.apply(source('max_loss = "off"') + MINE)
    fleet.tell(node(1), node(2), node(3))
    wait_until(lambda: len(pods()) == 3)
    fleet.path.unlink()
    daemon.wait_for("source-failed")
    assert daemon.ask("rollback").code == 0
    daemon.kill()
    daemon.start()
    assert len(pods()) == 3


def test_a_revision_whose_members_are_damaged_is_enforced_all_the_same(
    daemon: Daemon, two_fleets: tuple[Fleet, Fleet]
) -> None:
    assert two_fleets
    daemon.apply(source_of_the_other(), force=True)
    (daemon.state / "revisions/1/members.json").write_text('{"version": 1, "sources": {"fleet": [3]}}')
    assert daemon.ask("rollback", "--force").code == 0
    wait_until(lambda: sorted(pods()) == ["10.244.1.0/24", "10.244.2.0/24"], within=SOME_TIME)
