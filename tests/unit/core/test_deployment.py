from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.core.deployment import (
    ANY,
    TABLE,
    Act,
    Cell,
    Deployment,
    Fallback,
    Given,
    Input,
    Move,
    Phase,
    advance,
    begin,
    foretell,
    is_over,
    judge_saved,
    judge_start,
    rank,
)

DRAWN = Path(__file__).parents[3] / "docs/explanation/deployment.md"
NOW, LATER, BOOT = 100.0, 400.0, "this boot"

IN_FORCE = Deployment(Phase.IN_FORCE, 7, "seven")
TRIAL = advance(IN_FORCE, Input.TRIED, Given("eight", 8, until=LATER, boot=BOOT)).after
BACK = advance(IN_FORCE, Input.ROLL_BACK, Given("five", 5, on_disk="seven and a half")).after
TRIAL_BACK = advance(IN_FORCE, Input.TRY_ROLL_BACK, Given("five", 5, "seven", LATER, BOOT)).after
REJECTED = advance(TRIAL, Input.EXPIRED).after


def read_drawn() -> Iterator[tuple[Phase, Input, Cell]]:
    """The cells as the documents draw them: an arrow with the phase after it, where that is another, and an act."""
    lines = DRAWN.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|  "))
    head, _, *rows = [line.strip("|").split("|") for line in lines[start : start + 2 + len(Input)]]
    phases = [Phase(name.strip()) for name in head[1:]]
    for what, *cells in rows:
        for phase, text in zip(phases, cells, strict=True):
            yield phase, Input(what.strip()), read_cell(phase, text.strip())


def read_cell(phase: Phase, text: str) -> Cell:
    if not text.startswith("→ "):
        return Cell(phase, Act(text.strip("·")))
    text = text.removeprefix("→ ")
    after = max((one for one in Phase if text.startswith(one)), key=len)
    return Cell(after, Act(text.removeprefix(after).strip()))


CELLS = list(read_drawn())


def test_the_documents_draw_every_cell() -> None:
    assert {(phase, what) for phase, what, _ in CELLS} == {(phase, what) for phase in Phase for what in Input}
    assert len(CELLS) == len(TABLE) == len(Phase) * len(Input)


@pytest.mark.parametrize(("phase", "what", "cell"), CELLS)
def test_each_cell_is_as_the_documents_draw_it(phase: Phase, what: Input, cell: Cell) -> None:
    step = advance(Deployment(phase, 7, "seven"), what, Given("eight", 8))
    assert (step.after.phase, step.act) == cell


def test_a_trial_returns_to_what_was_in_force_before_it() -> None:
    assert Deployment(Phase.PENDING, 8, "eight", 7, frozenset({"eight"}), LATER, BOOT) == TRIAL
    assert advance(TRIAL, Input.EXPIRED) == Move(
        Deployment(Phase.REJECTED, 7, "", barred=frozenset({"eight"}), is_forced=True), Act.BASE
    )
    assert advance(TRIAL, Input.CONFIRMED) == Move(Deployment(Phase.IN_FORCE, 8, "eight"), Act.MARK_CONFIRMED)


@pytest.mark.parametrize("what", [Input.ASKED, Input.TRIED, Input.SAVED])
def test_whatever_follows_amid_a_trial_keeps_its_base_and_is_not_confirmed_either(what: Input) -> None:
    again = advance(TRIAL, what, Given("nine", 9)).after
    assert (again.phase, again.base, again.until) == (Phase.PENDING, 7, LATER)
    after = advance(again, Input.EXPIRED).after
    assert (after.phase, after.revision, after.barred) == (Phase.REJECTED, 7, frozenset({"eight", "nine"}))


FORCED = advance(IN_FORCE, Input.ROLL_BACK, Given("five", 5, on_disk="seven", is_forced=True)).after
FORCED_FILES = advance(IN_FORCE, Input.ASKED, Given("eight", 8, is_forced=True)).after


@pytest.mark.parametrize("deployment", [FORCED, FORCED_FILES, advance(TRIAL, Input.EXPIRED).after])
def test_what_lets_deletions_is_on_record_until_a_full_pass_came_to_its_end(deployment: Deployment) -> None:
    assert deployment.record.is_forced
    for what in (Input.VERIFIED, Input.FAILED):
        after = advance(deployment, what).after
        assert after == deployment._replace(is_forced=False)


def test_a_start_amid_what_was_forced_forces_the_same_and_nothing_else() -> None:
    for recorded, digest, is_forced in (
        (FORCED, "seven", True),
        (FORCED, None, True),
        (FORCED, "nine", False),
        (FORCED_FILES, "eight", True),
        (FORCED_FILES, "nine", False),
        (FORCED_FILES, None, False),
        (BACK, "seven", False),
    ):
        assert begin(recorded, digest, is_over=False).after.is_forced is is_forced
    rejected = begin(TRIAL, "eight", is_over=True).after
    assert rejected.is_forced
    assert begin(rejected, "eight", is_over=False).after.is_forced


def test_whatever_is_asked_for_next_has_to_say_so_again() -> None:
    for what in (Input.ASKED, Input.TRIED, Input.ROLL_BACK):
        assert not advance(FORCED, what, Given("nine", 9, until=LATER, boot=BOOT)).after.is_forced


def test_a_second_trial_may_move_the_deadline() -> None:
    again = advance(TRIAL, Input.TRIED, Given("nine", 9, until=LATER + 5, boot=BOOT)).after
    assert (again.base, again.until) == (7, LATER + 5)


def test_a_rollback_bars_what_it_leaves_and_what_stands_on_disk() -> None:
    assert Deployment(Phase.ROLLED_BACK, 5, "five", barred=frozenset({"seven", "seven and a half"})) == BACK


def test_a_rollback_on_trial_ends_where_it_began_or_becomes_one() -> None:
    assert (TRIAL_BACK.phase, TRIAL_BACK.revision, TRIAL_BACK.base) == (Phase.ROLLBACK_PENDING, 5, 7)
    after = advance(TRIAL_BACK, Input.EXPIRED).after
    assert (after.phase, after.revision, after.barred) == (Phase.REJECTED, 7, frozenset({"five"}))
    after = advance(TRIAL_BACK, Input.CONFIRMED).after
    assert (after.phase, after.revision, after.barred) == (Phase.ROLLED_BACK, 5, frozenset({"seven"}))


def test_only_a_fallback_is_what_nobody_wanted() -> None:
    assert [phase for phase in Phase if not Deployment(phase).is_as_wanted] == [Phase.FALLBACK]


def test_files_that_are_simply_in_force_need_no_record() -> None:
    assert {phase for phase in Phase if Deployment(phase, 7, "x").record == Deployment()} == {
        Phase.IN_FORCE,
        Phase.FALLBACK,
    }


@pytest.mark.parametrize(
    ("recorded", "digest", "what"),
    [
        (Deployment(), "seven", Input.START),
        (Deployment(), None, Input.START_INVALID),
        (REJECTED, "eight", Input.START_BARRED),
        (REJECTED, "seven", Input.START),
        (REJECTED, "nine", Input.START),
        (REJECTED, None, Input.START_INVALID),
        (BACK, "seven", Input.START_BARRED),
        (BACK, "five", Input.START),
        (TRIAL, "eight", Input.START),
    ],
)
def test_a_start_is_judged_by_the_digest_on_disk(recorded: Deployment, digest: str | None, what: Input) -> None:
    assert judge_start(recorded, digest) is what


@pytest.mark.parametrize(
    ("recorded", "digest", "is_late", "phase", "act", "revision"),
    [
        (Deployment(), "seven", False, Phase.IN_FORCE, Act.FILES, 0),
        (Deployment(), None, False, Phase.FALLBACK, Act.BEST, 0),
        (TRIAL, "eight", False, Phase.PENDING, Act.FILES, 0),
        (TRIAL, "eight", True, Phase.REJECTED, Act.REVISION, 7),
        (TRIAL, "nine", True, Phase.IN_FORCE, Act.FILES, 0),
        (TRIAL, None, True, Phase.REJECTED, Act.REVISION, 7),
        (TRIAL, None, False, Phase.REJECTED, Act.BASE, 7),
        (REJECTED, "eight", False, Phase.REJECTED, Act.REVISION, 7),
        (REJECTED, "nine", False, Phase.IN_FORCE, Act.FILES, 0),
        (BACK, "seven", False, Phase.ROLLED_BACK, Act.REVISION, 5),
        (BACK, "eight", False, Phase.IN_FORCE, Act.FILES, 0),
        (BACK, None, False, Phase.ROLLED_BACK, Act.REVISION, 5),
        (TRIAL_BACK, "seven", True, Phase.IN_FORCE, Act.FILES, 0),
    ],
)
def test_valid_files_win_at_a_start_unless_exactly_their_digest_is_barred(
    recorded: Deployment, digest: str | None, is_late: bool, phase: Phase, act: Act, revision: int
) -> None:
    step = begin(recorded, digest, is_over=is_late)
    assert (step.after.phase, step.act, step.after.revision) == (phase, act, revision)
    assert step.after.digest == (digest if act is Act.FILES else step.after.digest)


@pytest.mark.parametrize(
    ("deployment", "digest", "is_followed", "what"),
    [
        (IN_FORCE, None, True, Input.INVALID),
        (IN_FORCE, "seven", True, Input.SAME),
        (IN_FORCE, "eight", True, Input.SAVED),
        (IN_FORCE, "eight", False, Input.WAITING),
        (BACK, "seven", True, Input.SAVED_BARRED),
        (BACK, "seven", False, Input.WAITING),
        (BACK, "nine", True, Input.SAVED),
        (BACK, "five", False, Input.SAME),
    ],
)
def test_saved_files_are_judged_by_their_digest_and_by_what_the_files_say_of_saving(
    deployment: Deployment, digest: str | None, is_followed: bool, what: Input
) -> None:
    assert judge_saved(deployment, digest, is_followed=is_followed) is what


@pytest.mark.parametrize(
    ("deployment", "boot", "now", "is_it"),
    [
        (TRIAL, BOOT, NOW, False),
        (TRIAL, BOOT, LATER, True),
        (TRIAL, "another boot", NOW, True),
        (TRIAL_BACK, BOOT, LATER, True),
        (IN_FORCE, "another boot", LATER, False),
        (BACK, "another boot", LATER, False),
    ],
)
def test_a_trial_is_over_at_its_deadline_and_in_any_other_boot(
    deployment: Deployment, boot: str, now: float, is_it: bool
) -> None:
    assert is_over(deployment, boot, now) is is_it


def test_the_best_fallback_is_confirmed_then_verified_then_new() -> None:
    verified = Fallback(1, "one", is_verified=True)
    plain = Fallback(2, "two")
    on_trial = Fallback(3, "three", is_verified=True, is_confirmed=False)
    newer = Fallback(4, "four")
    assert rank([verified, plain, on_trial, newer]) == [verified, newer, plain, on_trial]
    assert rank([plain, newer], frozenset({"four"})) == [plain, newer]


@given(st.lists(st.tuples(st.sampled_from(Input), st.integers(1, 5)), max_size=12))
def test_whatever_happens_a_trial_knows_the_revision_that_was_in_force_when_it_began(
    inputs: list[tuple[Input, int]],
) -> None:
    deployment, before = IN_FORCE, IN_FORCE
    for number, (what, which) in enumerate(inputs, 8):
        after = advance(deployment, what, Given(str(which), number, until=LATER, boot=BOOT)).after
        if after.is_trial and not deployment.is_trial:
            before = deployment
        if after.is_trial:
            assert after.base == before.revision
            assert advance(after, Input.EXPIRED).after.revision == before.revision
        deployment = after


# Each of these says the same in its files but for the lists, and so has another digest.
WRITTEN = Deployment(Phase.IN_FORCE, 7, "seven", written="own seven")
TRIED = advance(WRITTEN, Input.TRIED, Given("eight", 8, until=LATER, boot=BOOT, written="own eight")).after


def test_a_list_that_a_program_writes_does_not_bring_back_what_was_not_confirmed_or_rolled_back() -> None:
    for over in (True, False):
        after = begin(TRIED, "eight and a new list", "own eight", is_over=over).after
        assert after.phase is (Phase.REJECTED if over else Phase.PENDING)
    rejected = advance(TRIED, Input.EXPIRED).after
    assert (rejected.written, rejected.barred) == ("own seven", frozenset({"own eight"}))
    assert judge_saved(rejected, "eight, listed", "own eight", is_followed=True) is Input.SAVED_BARRED
    given = Given("five", 5, "seven", written="own five", on_disk_written="own seven")
    back = advance(WRITTEN, Input.ROLL_BACK, given).after
    assert back.barred == {"own seven"}
    assert begin(back, "seven and a new list", "own seven", is_over=False).after.phase is Phase.ROLLED_BACK
    assert begin(back, "nine", "own nine", is_over=False).after.phase is Phase.IN_FORCE


def test_where_nothing_but_a_list_was_rolled_back_its_files_are_not_barred_for_ever() -> None:
    given = Given("seven before", 6, "seven", written="own seven", on_disk_written="own seven")
    back = advance(WRITTEN, Input.ROLL_BACK, given).after
    assert back.barred == {"seven"}
    assert judge_start(back, "seven", "own seven") is Input.START_BARRED
    assert judge_start(back, "seven, listed anew", "own seven") is Input.START


def test_what_is_saved_amid_a_trial_is_barred_with_it_and_what_was_before_is_not() -> None:
    saved = advance(TRIED, Input.WAITING, Given("nine", 8, written="own nine"))
    assert saved.act is Act.BAR
    assert (saved.after.digest, saved.after.revision, saved.after.base) == ("eight", 8, 7)
    assert saved.after.barred == {"own eight", "own nine"}
    assert begin(saved.after, "nine", "own nine", is_over=True).after.phase is Phase.REJECTED
    again = advance(TRIED, Input.WAITING, Given("seven, listed", 8, written="own seven")).after
    assert "own seven" not in again.barred


@pytest.mark.parametrize(("is_late", "phase"), [(True, Phase.REJECTED), (False, Phase.PENDING)])
def test_whichever_files_are_found_after_a_trial_was_foretold_they_are_on_trial(is_late: bool, phase: Phase) -> None:
    foretold = foretell(WRITTEN, LATER, BOOT)
    assert (foretold.phase, foretold.revision, foretold.base, foretold.until) == (Phase.PENDING, 7, 7, LATER)
    after = begin(foretold, "eight", "own eight", is_over=is_late).after
    assert (after.phase, after.barred) == (phase, frozenset({"own eight"}))
    assert begin(foretold, None, is_over=is_late) == Move(
        Deployment(Phase.REJECTED, 7, "", barred=frozenset({ANY}), written="own seven", is_forced=True),
        Act.REVISION if is_late else Act.BASE,
    )
