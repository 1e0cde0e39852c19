"""What a plan takes for so because whoever asked for it said it, and why it cannot."""

from __future__ import annotations

from enum import Enum, auto

from routed.model.reasons.value import Detailed, Plain


class Assumed(Plain):
    """Why a plan takes a check for up or down."""

    IN_PLAN = auto()  # whoever asked for the plan said so


class Misfit(Enum):
    """What is wrong with an assumption."""

    FORM = auto()
    WORD = auto()
    NAME = auto()  # nothing that is asked has it
    CONTRADICTION = auto()  # with another one


class Unassumable(Detailed):
    """A plan was to assume this, and cannot."""

    given: str
    misfit: Misfit
    known: tuple[str, ...] = ()  # what could stand there
