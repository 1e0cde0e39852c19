"""Calls of libc fail, one class after another, in whatever the daemon does: nothing stops it, and it never lies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from errno import ENOBUFS
from typing import Final, NamedTuple

import pytest

from tests.faults.classes import CLASSES, PASSING
from tests.faults.control import CHILDREN, DAEMON, FOREVER, Fault
from tests.faults.phases import PHASES, STARTS, count_calls, play
from tests.faults.stage import SOON, Failed, Stage, wait_for
from tests.kernel.netns import ip

SEED: Final = 20
IN_A_ROW: Final = {"some": 3, "many": 5, "all": 5}
# In the short run a class fails in a phase at one position, once or in a row by chance, in this one at two, once and in
# a row, and for good in one; in the long run at up to so many, spread evenly, and for good in each phase.
THOROUGH: Final = frozenset({"reload"})
MANY: Final = 12
LASTING: Final = {"some": {"reload"}, "many": {*STARTS, *PHASES}, "all": {*STARTS, *PHASES}}


class Kind(NamedTuple):
    """How a call fails."""

    error: int
    is_done: bool


def kinds_of(of: str) -> list[Kind]:
    """Every way in which a call of this class may fail."""
    row = CLASSES[of]
    kinds = [Kind(error, is_done=False) for error in row.errors]
    return kinds + [Kind(error, is_done=True) for error in row.errors if row.may_be_done and error not in PASSING]


def choose_faults(phase: str, of: str, calls: int, whom: int, positions: str) -> Iterator[Fault]:
    """The faults of a class that a phase is played with: at some positions, many, or all, and there in every way."""
    chance = random.Random(f"{SEED} {phase} {of}")  # noqa: S311  no secret
    kinds = kinds_of(of)
    shift = chance.randrange(len(kinds))

    def kind(turn: int) -> Kind:
        return kinds[(turn + shift) % len(kinds)]

    is_thorough = positions != "some" or phase in THOROUGH
    is_in_a_row = chance.random() < 0.5
    some = sorted({chance.randrange(calls), *([chance.randrange(calls)] if is_thorough else [])})
    if positions == "some":
        singles = [(position, kind(turn)) for turn, position in enumerate(some)]
    elif positions == "many":
        spread = range(0, calls, -(-calls // MANY))
        singles = [(position, kind(turn)) for turn, position in enumerate(spread)]
    else:
        singles = [(position, kind(position)) for position in range(calls)]
        singles += [(position, each) for each in kinds for position in some]
    for position, (error, is_done) in dict.fromkeys(singles) if is_thorough or not is_in_a_row else ():
        yield Fault(of, error, position, 1, is_done, whom)
    if whom == CHILDREN and positions == "some":
        return  # a child is soon over, and the next one is another
    for error, is_done in kinds if positions == "all" else [kind(len(some))] if is_thorough or is_in_a_row else ():
        yield Fault(of, error, chance.randrange(calls), IN_A_ROW[positions], is_done, whom)
    lasting = [each for each in kinds if each.error not in CLASSES[of].passing and not each.is_done]
    if phase in LASTING[positions]:
        for error, is_done in lasting if positions == "all" else lasting[:1]:
            yield Fault(of, error, 0, FOREVER, is_done, whom)


@pytest.fixture(scope="session")
def counts() -> dict[str, dict[int, dict[str, int]]]:
    """How many calls a phase makes: asked once, filled by the tests."""
    return {}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("of", CLASSES)
@pytest.mark.parametrize("phase", [*STARTS, *PHASES])
def test_nothing_stops_the_daemon_and_it_never_lies(
    stage: Stage, counts: dict[str, dict[int, dict[str, int]]], request: pytest.FixtureRequest, phase: str, of: str
) -> None:
    positions = str(request.config.getoption("--positions"))
    for name in (phase, "restart"):
        if name not in counts:
            stage.make_ready()
            counts[name] = count_calls(stage, name)
    if phase == "first start" and positions == "some" and counts[phase][DAEMON][of] <= counts["restart"][DAEMON][of]:
        return  # the restart shows the same
    wrong: list[str] = []
    for whom in (DAEMON, CHILDREN):
        calls = counts[phase][whom][of]
        for fault in choose_faults(phase, of, calls, whom, positions) if calls else ():
            stage.make_ready()
            try:
                play(stage, phase, fault)
            except Failed as failure:
                wrong.append(f"--fault '{phase}: {fault}' (of {calls}, {stage.describe_past()}): {failure}")
    assert not wrong, "\n".join([f"{phase}, {of}:", *wrong])


def test_the_fault_that_was_named(stage: Stage, request: pytest.FixtureRequest) -> None:
    """By ``--fault``, on a new daemon: for whoever looks into one case."""
    phase, _, fault = str(request.config.getoption("--fault")).partition(": ")
    stage.make_ready()
    play(stage, phase, Fault.parse(fault))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("of", ["send-request", "receive-answer"])
def test_a_pass_that_fails_when_the_regular_comparison_is_due_neither_spins_nor_stops(stage: Stage, of: str) -> None:
    stage.make_ready()
    stage.is_spoiled = True  # it ends with other settings
    stage.write("A", resync="2s")
    assert stage.apply().code == 0
    fault = Fault(of, ENOBUFS, in_a_row=FOREVER)
    with stage.judged():
        stage.control.arm(fault)
        stage.watch_until_well(fault, lasts=6.0)  # three times it is due
    stage.control.arm(fault)
    ip("route del 192.0.2.0/24")
    assert wait_for(lambda: stage.control.failed > 0, SOON)
    assert stage.end() == 0  # it obeys while calls fail
