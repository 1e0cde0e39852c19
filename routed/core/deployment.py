"""Which revision is in force, and what each thing that happens makes of that: one value and one table.

A ``Deployment`` is the state, an ``Input`` is what happens, ``TABLE`` has a cell for each pair of a phase and an input:
the phase after it, and what is to be done. Whoever drives it keeps the value on disk *before* he does that, so that a
process that is killed at any moment finds at its next start either the state before or the one after.

What is barred is a digest and not the disk: files that were rolled back, or that nobody confirmed in time, do not come
back by themselves, neither by a start nor by the watch. Any other files do, and whoever asks for the files gets them.
Programs write lists at any time, so the digest that is barred is that of what the operator wrote, without the lists;
only where nothing but lists differs it is that of all.

Here must never live: how files are read, how a revision is kept, or a clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple


class Phase(StrEnum):
    """How what is enforced came into force, and how long it stays."""

    IN_FORCE = "in force"  # the files, as they were read last and were to be followed
    FALLBACK = "fallback"  # a revision that stands in for files which were invalid at the start
    PENDING = "pending"  # the files, until a moment at which the revision before comes back, unless confirmed
    ROLLBACK_PENDING = "rollback pending"  # a revision that was asked for, likewise
    REJECTED = "rejected"  # the revision before files that nobody confirmed
    ROLLED_BACK = "rolled back"  # a revision that was asked for, whatever the files say


class Input(StrEnum):
    """What happens to a deployment."""

    START = "start, files valid"
    START_BARRED = "start, files barred"
    START_INVALID = "start, files invalid"
    ASKED = "apply or reload, files valid"
    TRIED = "apply on trial, files valid"
    INVALID = "files read, invalid"
    SAME = "files saved, as enforced"
    SAVED = "files saved, followed by themselves"
    SAVED_BARRED = "files saved, barred"
    WAITING = "files saved, apply is awaited"
    VERIFIED = "full pass, nothing failed"
    FAILED = "full pass, something failed"
    CONFIRMED = "confirm"
    EXPIRED = "deadline passed"
    ROLL_BACK = "roll back to a revision"
    TRY_ROLL_BACK = "roll back on trial"


class Act(StrEnum):
    """What is to be done, after the new state is on disk."""

    NOTHING = ""
    REFUSE = "refuse"  # there is nothing that it could be said of, or a trial has to end first
    FILES = "files"  # enforce the files that were read
    REVISION = "revision"  # enforce the revision that was asked for, or that the record names
    BASE = "base"  # enforce the revision before the trial
    BEST = "best"  # enforce the best revision there is
    KEEP = "keep"  # keep the files, which are enforced already, as a revision
    BAR = "barred"  # bar these files too, should the trial come to its end
    MARK_VERIFIED = "verified"  # mark the revision as verified
    MARK_CONFIRMED = "confirmed"  # mark the revision as confirmed


class Deployment(NamedTuple):
    """What is enforced, and what is to become of it."""

    phase: Phase = Phase.IN_FORCE
    revision: int = 0  # that is enforced; 0 while it could not be kept on disk
    digest: str = ""  # of its files
    base: int = 0  # the revision that comes back when a trial ends
    barred: frozenset[str] = frozenset()  # digests that do not come into force by themselves; in a trial, when it ends
    until: float = 0.0  # seconds of CLOCK_BOOTTIME: the end of a trial
    boot: str = ""  # /proc/sys/kernel/random/boot_id of that clock
    written: str = ""  # the digest of its files without lists
    base_written: str = ""  # likewise of the base
    # are the deletions let that the guard would hold? So until a full pass came to its end, be it after a restart
    is_forced: bool = False

    @property
    def is_trial(self) -> bool:
        """Does something else come back unless it is confirmed?"""
        return self.phase in TRIALS

    @property
    def is_as_wanted(self) -> bool:
        """Is what is enforced what somebody wanted? Only then may go what it does not name."""
        return self.phase is not Phase.FALLBACK

    @property
    def record(self) -> Deployment:
        """What a start has to know of it: of files that are simply in force, nothing."""
        return Deployment() if self.phase in UNRECORDED and not self.is_forced else self


class Given(NamedTuple):
    """What an input brings with it."""

    digest: str = ""  # of what is to be enforced
    revision: int = 0  # its number, where it has one
    on_disk: str = ""  # the digest of the files on disk, where they are valid
    until: float = 0.0  # the end of a trial
    boot: str = ""
    written: str = ""  # of what is to be enforced, without lists
    on_disk_written: str = ""  # likewise of the files on disk
    is_forced: bool = False  # somebody lets the deletions that the guard would hold


class Cell(NamedTuple):
    """One cell of the table."""

    phase: Phase
    act: Act = Act.NOTHING


class Move(NamedTuple):
    """What an input comes to: the state to keep on disk, then the act."""

    after: Deployment
    act: Act


UNRECORDED: Final = frozenset({Phase.IN_FORCE, Phase.FALLBACK})
TRIALS: Final = frozenset({Phase.PENDING, Phase.ROLLBACK_PENDING})
# These promise a way back. Where their state cannot be kept on disk they are refused, and nothing is changed.
NEEDS_RECORD: Final = frozenset({Input.TRIED, Input.CONFIRMED, Input.ROLL_BACK, Input.TRY_ROLL_BACK})

NOTHING_GIVEN: Final = Given()
ANY: Final = "any"  # in place of a digest: whatever files are on disk

_FILES: Final = Cell(Phase.IN_FORCE, Act.FILES)
_SAME: Final = Cell(Phase.IN_FORCE, Act.KEEP)
_ON_TRIAL: Final = Cell(Phase.PENDING, Act.FILES)
_BACK: Final = Cell(Phase.REJECTED, Act.BASE)
_FALLBACK: Final = Cell(Phase.FALLBACK, Act.BEST)
_ROLLED_BACK: Final = Cell(Phase.ROLLED_BACK, Act.REVISION)
_ON_TRIAL_BACK: Final = Cell(Phase.ROLLBACK_PENDING, Act.REVISION)


def _stay(act: Act = Act.NOTHING) -> tuple[Cell, ...]:
    return tuple(Cell(phase, act) for phase in Phase)


_IN_FORCE, _STANDS_IN, _PENDING, _PENDING_BACK, _REJECTED, _BACK_AGAIN = _stay()

# One row for each input; its cells are those of in force, fallback, pending, rollback pending, rejected, rolled back.
_ROWS: Final[dict[Input, tuple[Cell, ...]]] = {
    Input.START: (_FILES, _FILES, _ON_TRIAL, _ON_TRIAL, _FILES, _FILES),
    Input.START_BARRED: (
        _FILES,
        _FILES,
        _ON_TRIAL,
        _ON_TRIAL_BACK,
        Cell(Phase.REJECTED, Act.REVISION),
        _ROLLED_BACK,
    ),
    Input.START_INVALID: (_FALLBACK, _FALLBACK, _BACK, _BACK, Cell(Phase.REJECTED, Act.REVISION), _ROLLED_BACK),
    Input.ASKED: (_FILES, _FILES, _ON_TRIAL, _ON_TRIAL, _FILES, _FILES),
    Input.TRIED: (_ON_TRIAL,) * len(Phase),
    Input.INVALID: _stay(),
    Input.SAME: (_IN_FORCE, _SAME, _PENDING, _PENDING_BACK, _SAME, _SAME),
    Input.SAVED: (_FILES, _FILES, _ON_TRIAL, _PENDING_BACK, _FILES, _BACK_AGAIN),
    Input.SAVED_BARRED: (_FILES, _FILES, _ON_TRIAL, _PENDING_BACK, _REJECTED, _BACK_AGAIN),
    Input.WAITING: (*_stay()[:2], Cell(Phase.PENDING, Act.BAR), *_stay()[3:]),
    Input.VERIFIED: _stay(Act.MARK_VERIFIED),
    Input.FAILED: _stay(),  # one route that the kernel refuses brings no old files back
    Input.CONFIRMED: (
        *_stay(Act.REFUSE)[:2],
        Cell(Phase.IN_FORCE, Act.MARK_CONFIRMED),
        Cell(Phase.ROLLED_BACK, Act.MARK_CONFIRMED),
        *_stay(Act.REFUSE)[4:],
    ),
    Input.EXPIRED: (_IN_FORCE, _STANDS_IN, _BACK, _BACK, _REJECTED, _BACK_AGAIN),
    Input.ROLL_BACK: (_ROLLED_BACK,) * len(Phase),
    Input.TRY_ROLL_BACK: (
        *(_ON_TRIAL_BACK,) * 2,
        *_stay(Act.REFUSE)[2:4],  # two trials would have one way back, and nothing would bar what was tried first
        *(_ON_TRIAL_BACK,) * 2,
    ),
}
TABLE: Final = {(phase, what): cell for what, row in _ROWS.items() for phase, cell in zip(Phase, row, strict=True)}


def advance(before: Deployment, what: Input, given: Given = NOTHING_GIVEN) -> Move:
    """What this input makes of a deployment, and what is to be done once that is on disk."""
    phase, act = TABLE[before.phase, what]
    revision, digest, written = before.revision, before.digest, before.written
    if act is Act.BASE:
        revision, digest, written = before.base, given.digest, before.base_written
    elif act is Act.KEEP or (act in _ENFORCE and given.digest):
        revision, digest, written = given.revision, given.digest, given.written
    barred = _find_barred(before, Cell(phase, act), given)
    is_forced = _find_forced(before, what, Cell(phase, act), given)
    after = Deployment(phase, revision, digest, barred=barred, written=written, is_forced=is_forced)
    if phase in TRIALS:
        is_new = given.until > 0
        until, boot = (given.until, given.boot) if is_new else (before.until, before.boot)
        base = (before.base, before.base_written) if before.is_trial else (before.revision, before.written)
        after = after._replace(base=base[0], base_written=base[1], until=until, boot=boot)
    return Move(after, act)


def _find_forced(before: Deployment, what: Input, cell: Cell, given: Given) -> bool:
    if cell.act is Act.BASE:  # nobody is there to say --force
        return True
    if what in _OVER or cell.phase is Phase.FALLBACK:
        return False
    return given.is_forced if cell.act in _ENFORCE and given.digest else before.is_forced


_OVER: Final = frozenset({Input.VERIFIED, Input.FAILED})  # the pass that was forced, if one was
_ENFORCE: Final = frozenset({Act.FILES, Act.REVISION, Act.BEST})


def foretell(before: Deployment, until: float, boot: str) -> Deployment:
    """What is to be on disk before files are read that are to be tried: whichever they are, they are on trial."""
    given = Given(before.digest, before.revision, until=until, boot=boot, written=before.written)
    return advance(before, Input.TRIED, given).after._replace(barred=frozenset({ANY}))


def _find_barred(before: Deployment, cell: Cell, given: Given) -> frozenset[str]:
    phase, act = cell
    base_written = before.base_written if before.is_trial else before.written
    if phase in UNRECORDED:
        return frozenset()
    if phase is Phase.REJECTED and before.phase is Phase.ROLLBACK_PENDING:
        # what was rolled back for a while is as good as it was
        return frozenset({_choose_name(before.digest, before.written, base_written)})
    if phase is Phase.PENDING and act in {Act.FILES, Act.BAR}:
        name = _choose_name(given.digest, given.written, base_written)
        return (before.barred if before.is_trial else frozenset()) | {name}
    if act is Act.REVISION and given.digest:  # another revision is asked for, in place of these
        left = {
            _choose_name(before.digest, before.written, given.written),
            _choose_name(given.on_disk, given.on_disk_written, given.written),
        }
        return before.barred | left - {"", given.digest, given.written}
    return before.barred


def _choose_name(digest: str, written: str, other: str) -> str:
    """By which digest files are barred; ``other`` is that of what the operator wrote in what is enforced instead."""
    return digest if written == other else written or digest


def _is_barred(deployment: Deployment, digest: str, written: str) -> bool:
    return not deployment.barred.isdisjoint({digest, written} - {""})


def judge_start(recorded: Deployment, digest: str | None, written: str = "") -> Input:
    """Which input a start is; ``digest`` is that of the files on disk, None where they are invalid."""
    if digest is None:
        return Input.START_INVALID
    is_barred = digest != recorded.digest and _is_barred(recorded, digest, written)
    return Input.START_BARRED if is_barred else Input.START


def begin(recorded: Deployment, digest: str | None, written: str = "", *, is_over: bool) -> Move:
    """What a start comes to: first the end of a trial that is over, then the files on disk (None: invalid)."""
    if digest is not None and ANY in recorded.barred:
        found = _choose_name(digest, written, recorded.base_written)
        recorded = recorded._replace(barred=recorded.barred - {ANY} | {found})
    before = advance(recorded, Input.EXPIRED).after if is_over else recorded
    what = judge_start(before, digest, written)
    if TABLE[before.phase, what].act is not Act.FILES:
        return advance(before, what)
    is_forced = before.is_forced and digest == before.digest  # the same files, and their pass did not come to its end
    return advance(before, what, Given(digest or "", written=written, is_forced=is_forced))


def judge_saved(deployment: Deployment, digest: str | None, written: str = "", *, is_followed: bool) -> Input:
    """Which input files that changed are; ``is_followed``: they come into force without being asked for."""
    if digest is None:
        return Input.INVALID
    if digest == deployment.digest:
        return Input.SAME
    if not is_followed:
        return Input.WAITING
    return Input.SAVED_BARRED if _is_barred(deployment, digest, written) else Input.SAVED


def is_over(deployment: Deployment, boot: str, now: float) -> bool:
    """Has the deadline of a trial passed? Another boot means that nobody confirmed it. ``now`` is of CLOCK_BOOTTIME."""
    return deployment.is_trial and (deployment.boot != boot or now >= deployment.until)


class Fallback(NamedTuple):
    """A revision that could stand in for the files."""

    number: int
    digest: str
    is_verified: bool = False  # a full pass came to its end, and nothing failed
    is_confirmed: bool = True  # it was no trial, or somebody confirmed it


def rank(candidates: Iterable[Fallback], barred: frozenset[str] = frozenset()) -> list[Fallback]:
    """The best one first: what is not barred, then confirmed, then verified, then the newest."""
    return sorted(
        candidates,
        key=lambda one: (one.digest not in barred, one.is_confirmed, one.is_verified, one.number),
        reverse=True,
    )
