"""Which intent to start with. The process that reads the files is the real one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from routed.core.deployment import Act, Deployment, Phase
from routed.daemon.files import Files, Start
from routed.daemon.pauses import PausesFile
from routed.daemon.reading import Reader
from routed.daemon.record import RecordFile
from routed.daemon.revisions import Revisions
from routed.intent.load import load
from routed.intent.problems import IntentError

VERIFIED, REFUSED, TRIAL, LATE = (f"version = 1\n[daemon]\nresync = '{number}s'\n" for number in (61, 62, 63, 64))
NONSENSE = "nonsense"


class Host:
    """The files and the state of one host."""

    def __init__(self, folder: Path) -> None:
        self.told: list[str] = []
        self.config = folder / "routed.toml"
        self.folder = folder / "state"
        self.revisions = Revisions(self.folder, self.told.append)
        self.record = RecordFile(self.folder, self.told.append)

    def keep(self, text: str, *, is_verified: bool = False, is_trial: bool = False) -> int:
        self.config.write_text(text)
        intent, _ = load(self.config)
        number = self.revisions.save(intent.sources, intent.digest, is_trial=is_trial)
        if is_verified:
            self.revisions.mark_verified(number)
        return number

    def digest(self, text: str) -> str:
        self.config.write_text(text)
        return load(self.config)[0].digest

    def start(self, text: str) -> Start:
        self.config.write_text(text)
        with Reader() as reader:
            reader.ask_for_start(str(self.config))
            return Files(
                self.config,
                self.revisions,
                self.record,
                PausesFile(self.config.parent),
                self.config.parent / "checks.json",
                self.config.parent / "compiled",
            ).choose_start(reader)

    def chosen(self, text: str) -> tuple[Phase, Act, int, float]:
        start = self.start(text)
        assert start.step.after.digest == start.intent.digest
        return start.step.after.phase, start.step.act, start.step.after.revision, start.intent.settings.resync


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Revision 1 is verified, 2 was refused in part, 3 is a trial that nobody confirmed."""
    host = Host(tmp_path)
    host.keep(VERIFIED, is_verified=True)
    host.keep(REFUSED)
    host.keep(TRIAL, is_trial=True, is_verified=True)
    return host


def roll_back(host: Host) -> Deployment:
    return Deployment(Phase.ROLLED_BACK, 2, host.digest(REFUSED), barred=frozenset({host.digest(TRIAL)}))


def try_out(host: Host) -> Deployment:
    trial = host.digest(TRIAL)
    return Deployment(Phase.PENDING, 3, trial, 2, frozenset({trial}), 0.0, "a boot of before")


def in_force(_: Host) -> Deployment:
    return Deployment()


@pytest.mark.parametrize(
    ("record", "text", "chosen"),
    [
        # valid files on disk win, verified or not
        (in_force, TRIAL, (Phase.IN_FORCE, Act.FILES, 3, 63)),
        (in_force, LATE, (Phase.IN_FORCE, Act.FILES, 0, 64)),
        (in_force, REFUSED, (Phase.IN_FORCE, Act.FILES, 0, 62)),
        # unless exactly their digest was rolled back or left unconfirmed
        (roll_back, TRIAL, (Phase.ROLLED_BACK, Act.REVISION, 2, 62)),
        (roll_back, LATE, (Phase.IN_FORCE, Act.FILES, 0, 64)),
        (try_out, TRIAL, (Phase.REJECTED, Act.REVISION, 2, 62)),
        (try_out, LATE, (Phase.IN_FORCE, Act.FILES, 0, 64)),
        # where they are invalid, what the record names; without one the best
        (roll_back, NONSENSE, (Phase.ROLLED_BACK, Act.REVISION, 2, 62)),
        (try_out, NONSENSE, (Phase.REJECTED, Act.REVISION, 2, 62)),
        (in_force, NONSENSE, (Phase.FALLBACK, Act.BEST, 1, 61)),
    ],
)
def test_the_boot_choice(
    host: Host, record: Callable[[Host], Deployment], text: str, chosen: tuple[Phase, Act, int, float]
) -> None:
    host.record.save(record(host))
    assert host.chosen(text) == chosen
    assert host.told == []


def test_a_revision_that_nobody_verified_stands_in_before_one_that_nobody_confirmed(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.keep(REFUSED)
    host.keep(TRIAL, is_trial=True, is_verified=True)
    assert host.chosen(NONSENSE) == (Phase.FALLBACK, Act.BEST, 1, 62)


def test_where_the_named_revision_is_gone_the_best_one_stands_in_and_what_is_barred_stays_barred(host: Host) -> None:
    barred = frozenset({host.digest(TRIAL)})
    host.record.save(Deployment(Phase.ROLLED_BACK, 9, "nine", barred=barred))
    assert host.chosen(TRIAL) == (Phase.ROLLED_BACK, Act.REVISION, 1, 61)
    assert host.start(TRIAL).step.after.barred == barred


def test_barred_files_are_enforced_where_there_is_nothing_else(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.keep(TRIAL)
    host.record.save(Deployment(Phase.REJECTED, 9, "nine", barred=frozenset({host.digest(TRIAL)})))
    assert host.chosen(TRIAL) == (Phase.IN_FORCE, Act.FILES, 1, 63)


def test_a_revision_that_cannot_be_understood_any_more_is_left_out(host: Host) -> None:
    host.revisions.save(tuple(host.start(VERIFIED).intent.sources), "other")
    folder = host.folder / "1"
    manifest = (folder / "manifest.json").read_text()
    allowed_more = b"version = 1\nformerly = 'allowed'\n"
    (folder / "0").write_bytes(allowed_more)

    checksum = hashlib.sha256(VERIFIED.encode()).hexdigest()
    assert checksum in manifest
    (folder / "manifest.json").write_text(manifest.replace(checksum, hashlib.sha256(allowed_more).hexdigest()))
    assert host.chosen(NONSENSE)[:3] == (Phase.FALLBACK, Act.BEST, 4)


def test_invalid_files_without_any_revision_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(IntentError):
        Host(tmp_path).start(NONSENSE)


def test_the_number_that_marked_our_objects_before_is_told_of_whatever_is_chosen(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.keep(VERIFIED, is_verified=True)
    host.keep(f"{REFUSED}protocol = 115\n")
    assert host.start(NONSENSE).former_protocols == {115}
    assert host.start(LATE).former_protocols == {115}
