"""Which revision a start enforces, after files that the kernel took in part, and after ones that were rolled back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from routed.core.deployment import Deployment, Phase
from routed.daemon.record import RecordFile, read_boot
from tests.kernel.netns import ip, ip_batch, wait_until
from tests.system.daemon import Daemon
from tests.system.host import routes
from tests.system.worlds import GATEWAY, blackholes

# The kernel refuses the second route: it has no such algorithm.
REFUSED = f'{GATEWAY}metric = 7\n[[route]]\nname = "no"\nto = "192.0.9.0/24"\nvia = "10.0.0.2"\ncongctl = "nosuch"\n'
RESYNC = 'resync = "1s"'
NONSENSE = "nonsense"


def manifest(daemon: Daemon, number: int) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((daemon.state / f"revisions/{number}/manifest.json").read_text())
    return document


def metrics() -> list[int]:
    return [route.get("metric", 0) for route in routes()]


def test_a_revision_is_verified_once_everything_of_it_is_in_the_kernel(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    assert manifest(daemon, 1)["verified"] is True


def test_what_waits_or_is_left_alone_has_not_failed(daemon: Daemon) -> None:
    ip("route add 192.0.3.0/24 via 10.0.0.3 proto static")
    daemon.start(
        f'{GATEWAY}[[route]]\nname = "later"\nto = "192.0.4.0/24"\ndev = "nosuch0"\n'
        '[[route]]\nname = "theirs"\nto = "192.0.3.0/24"\nvia = "10.0.0.2"\non_conflict = "refuse"\n'
    )
    assert {one["state"] for one in daemon.ask_json("status")["entries"]} == {"in-sync", "waiting", "conflict"}
    assert manifest(daemon, 1)["verified"] is True


def test_files_of_which_the_kernel_refuses_a_route_are_in_force_and_stay_so_over_a_restart(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    answer = daemon.apply(REFUSED)
    assert answer["revision"] == 2
    assert [failure["entry"] for failure in answer["failures"]] == ["route/no"]
    assert manifest(daemon, 2)["verified"] is False
    daemon.kill()

    daemon.start()

    assert 7 in metrics()
    status = daemon.ask_json("status")
    assert (status["revision"], status["files"]["state"]) == (2, "in force")
    assert manifest(daemon, 2)["verified"] is False


def test_invalid_files_at_a_start_leave_the_newest_verified_revision_in_force_and_take_nothing_away(
    daemon: Daemon,
) -> None:
    daemon.start(f'{GATEWAY}[[route]]\nname = "more"\nto = "192.0.5.0/24"\nvia = "10.0.0.2"\n')
    daemon.apply(REFUSED + '[[route]]\nname = "new"\nto = "192.0.6.0/24"\nvia = "10.0.0.2"\n')
    daemon.stop()
    ip("route flush proto 114")
    ip("route add 192.0.6.0/24 via 10.0.0.2 proto 114")

    daemon.start(NONSENSE)

    assert [(route["dst"], route.get("metric", 0)) for route in routes()] == [
        ("192.0.2.0/24", 0),
        ("192.0.5.0/24", 0),
        ("192.0.6.0/24", 0),
    ]
    status = daemon.ask_json("status")
    assert (status["revision"], status["files"]["state"]) == (1, "invalid")
    assert [one["reason"] for one in status["leftovers"]] == ["the files on disk are not in force"]


def test_a_fallback_ends_with_files_that_are_valid(daemon: Daemon) -> None:
    daemon.start(GATEWAY, daemon=RESYNC)
    daemon.stop()
    ip("route add 192.0.6.0/24 via 10.0.0.2 proto 114")
    daemon.start(NONSENSE)
    assert len(routes()) == 2
    daemon.write(GATEWAY, RESYNC)
    wait_until(lambda: len(routes()) == 1, within=20.0)
    status = daemon.ask_json("status")
    assert (status["revision"], status["files"]["state"]) == (1, "in force")


@pytest.fixture
def rolled_back(daemon: Daemon) -> Daemon:
    """A host whose first revision was rolled back to; the files on disk are those of the second."""
    daemon.start(f"{GATEWAY}metric = 1\n", daemon='watch = "apply"')
    daemon.apply(f"{GATEWAY}metric = 2\n", daemon='watch = "apply"')
    daemon.kill()
    digests = {number: manifest(daemon, number)["digest"] for number in (1, 2)}
    record = Deployment(Phase.ROLLED_BACK, 1, digests[1], barred=frozenset({digests[2]}))
    RecordFile(daemon.state / "revisions").save(record)
    return daemon


@pytest.fixture
def on_trial(daemon: Daemon) -> Daemon:
    """A host whose second revision, the files on disk, is on trial for some seconds more."""
    daemon.start(f"{GATEWAY}metric = 1\n", daemon=RESYNC)
    daemon.apply(f"{GATEWAY}metric = 2\n", daemon=RESYNC)
    daemon.kill()
    digest = manifest(daemon, 2)["digest"]
    boot, now = read_boot()
    record = Deployment(Phase.PENDING, 2, digest, base=1, barred=frozenset({digest}), until=now + 12.0, boot=boot)
    RecordFile(daemon.state / "revisions").save(record)
    return daemon


@pytest.mark.parametrize("is_forced", [True, False])
@pytest.mark.parametrize("phase", [Phase.IN_FORCE, Phase.ROLLED_BACK, Phase.REJECTED])
def test_what_was_forced_and_did_not_come_to_its_end_is_forced_by_the_next_start_and_by_no_other(
    daemon: Daemon, phase: Phase, is_forced: bool
) -> None:
    """As if the daemon was killed right after its record was on disk."""
    daemon.start(GATEWAY)
    daemon.apply(GATEWAY + blackholes(20))
    daemon.kill()
    digests = {number: manifest(daemon, number)["digest"] for number in (1, 2)}
    if phase is Phase.IN_FORCE:
        daemon.write(GATEWAY)
    barred = frozenset() if phase is Phase.IN_FORCE else frozenset({digests[2]})
    record = RecordFile(daemon.state / "revisions")
    record.save(Deployment(phase, 1, digests[1], barred=barred, is_forced=is_forced))

    daemon.start()

    assert len(routes()) == (1 if is_forced else 21)
    assert not record.load().is_forced
    if is_forced:
        ip_batch("".join(f"route add blackhole 10.90.{number}.0/24 proto 114\n" for number in range(20)))
        daemon.kill()
        daemon.start()
        assert len(routes()) == 21, "it was let once"


def test_a_trial_that_nobody_confirms_ends_while_the_daemon_runs(on_trial: Daemon) -> None:
    on_trial.start()
    assert metrics() == [2]
    pid = on_trial.pid
    wait_until(lambda: metrics() == [1], within=40.0)
    status = on_trial.ask_json("status")
    assert (status["pid"], status["revision"], status["files"]["state"]) == (pid, 1, "changed, not in force")
    record = RecordFile(on_trial.state / "revisions").load()
    assert (record.phase, record.revision, record.until) == (Phase.REJECTED, 1, 0.0)
    assert manifest(on_trial, 2)["digest"] in record.barred

    on_trial.kill()
    on_trial.start()
    assert metrics() == [1]


def test_whoever_asks_for_files_that_nobody_confirmed_gets_them(on_trial: Daemon) -> None:
    on_trial.start()
    wait_until(lambda: metrics() == [1], within=20.0)
    assert on_trial.ask("apply").code == 0
    assert metrics() == [2]
    assert not (on_trial.state / "revisions/deployment.json").exists()


def test_a_trial_of_which_nothing_is_left_to_come_back_ends_with_its_files_in_force(on_trial: Daemon) -> None:
    shutil.rmtree(on_trial.state / "revisions/1")
    on_trial.start()
    wait_until(lambda: not (on_trial.state / "revisions/deployment.json").exists(), within=40.0)
    assert metrics() == [2]
    assert on_trial.ask_json("status")["files"]["state"] == "in force"


def test_files_that_were_rolled_back_stay_out_of_force_over_starts_and_savings(rolled_back: Daemon) -> None:
    for _ in range(2):
        rolled_back.start()
        assert metrics() == [1]
        status = rolled_back.ask_json("status")
        assert (status["revision"], status["files"]["state"]) == (1, "changed, not in force")
        rolled_back.kill()
    rolled_back.start()
    rolled_back.forget()
    rolled_back.write(f"{GATEWAY}metric = 3\n", 'watch = "apply"')
    assert "not in force" in rolled_back.wait_for("files-changed")["message"]
    assert metrics() == [1]


def test_a_rollback_takes_away_what_the_revision_does_not_name(rolled_back: Daemon) -> None:
    ip("route add 192.0.6.0/24 via 10.0.0.2 proto 114")
    rolled_back.start()
    assert [route["dst"] for route in routes()] == ["192.0.2.0/24"]


def test_who_asks_for_the_files_gets_them_and_the_rollback_is_over(rolled_back: Daemon) -> None:
    rolled_back.start()
    assert rolled_back.ask("apply").code == 0
    assert metrics() == [2]
    assert not (rolled_back.state / "revisions/deployment.json").exists()
    rolled_back.kill()
    rolled_back.start()
    assert metrics() == [2]


def test_apply_without_a_daemon_ends_a_rollback_as_well_and_verifies(rolled_back: Daemon) -> None:
    assert rolled_back.ask("apply", "--direct").code == 0
    assert metrics() == [2]
    assert not (rolled_back.state / "revisions/deployment.json").exists()
    assert manifest(rolled_back, 2)["verified"] is True


def test_other_files_win_over_a_rollback_at_a_start(rolled_back: Daemon) -> None:
    rolled_back.start(f"{GATEWAY}metric = 3\n")
    assert metrics() == [3]
    assert not (rolled_back.state / "revisions/deployment.json").exists()


def test_a_record_of_a_newer_routed_is_left_alone_and_the_files_win(rolled_back: Daemon) -> None:
    record: Path = rolled_back.state / "revisions/deployment.json"
    text = json.dumps({"version": 99})
    record.write_text(text)
    rolled_back.launch()
    wait_until(lambda: metrics() == [2])
    assert record.read_text() == text
