from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from routed.core.deployment import Deployment, Phase
from routed.daemon.record import VERSION, RecordFile, read_boot
from routed.daemon.storage import StateError

TRIAL = Deployment(Phase.PENDING, 8, "eight", 7, frozenset({"eight", "nine"}), 123.5, "boot")
BACK = Deployment(Phase.ROLLED_BACK, 5, "five", barred=frozenset({"seven"}))


@pytest.mark.parametrize(
    "deployment",
    [
        TRIAL,
        BACK,
        TRIAL._replace(phase=Phase.ROLLBACK_PENDING),
        BACK._replace(is_forced=True),
        Deployment(Phase.IN_FORCE, 7, "seven", is_forced=True),
    ],
)
def test_what_is_kept_comes_back(tmp_path: Path, deployment: Deployment) -> None:
    file = RecordFile(tmp_path / "revisions")
    assert file.load() == Deployment()
    file.save(deployment)
    assert file.load() == deployment
    assert [path.name for path in (tmp_path / "revisions").iterdir()] == ["deployment.json"]


def test_files_that_are_simply_in_force_leave_no_record(tmp_path: Path) -> None:
    file = RecordFile(tmp_path)
    file.save(Deployment(Phase.IN_FORCE, 7, "seven"))
    file.save(BACK)
    file.save(Deployment(Phase.FALLBACK, 7, "seven"))
    assert list(tmp_path.iterdir()) == []
    assert file.load() == Deployment()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "phase": "odd"}', "\0\xff"])
def test_a_damaged_record_is_complained_of_and_says_nothing(tmp_path: Path, text: str) -> None:
    told: list[str] = []
    file = RecordFile(tmp_path, told.append)
    (tmp_path / "deployment.json").write_bytes(text.encode("latin-1"))
    assert file.load() == Deployment()
    assert "deployment.json is damaged" in told[0]
    file.save(BACK)
    assert file.load() == BACK


def test_a_record_that_cannot_be_read_for_a_moment_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    file = RecordFile(tmp_path, told.append)
    file.save(BACK)

    def refuse(_: Path) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as moment:
        moment.setattr(Path, "read_bytes", refuse)
        assert file.load() == Deployment()
        with pytest.raises(StateError, match="left alone"):
            file.save(TRIAL)
    assert "deployment.json cannot be read: Input/output error" in told[0]
    assert file.load() == BACK


def test_a_record_of_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    told: list[str] = []
    file = RecordFile(tmp_path, told.append)
    text = json.dumps({"version": VERSION + 1})
    (tmp_path / "deployment.json").write_text(text)
    assert file.load() == Deployment()
    assert "a newer routed wrote it" in told[0]
    for deployment in (BACK, Deployment()):
        with pytest.raises(StateError, match="a newer routed wrote it"):
            file.save(deployment)
    assert (tmp_path / "deployment.json").read_text() == text


def test_the_clock_of_a_trial_is_that_of_this_boot() -> None:
    (boot, before), (again, after) = read_boot(), read_boot()
    assert boot == again
    assert before <= after
