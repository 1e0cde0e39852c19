"""``routed doctor``: its exit code, and what it prints."""

from __future__ import annotations

import pytest

from routed.cli.doctor import judge, make_document, render
from routed.cli.exits import Exit
from routed.model.diagnosis import Ailment, Diagnosis, Hidden, Obstacle, Region

NOTE, WARNING, ERROR = (Diagnosis(one) for one in (Ailment.CLOCK_FREE, Ailment.STATE_FULL, Ailment.CLOCK_BEHIND))
NO_DAEMON = Diagnosis(Ailment.NO_DAEMON)


def unseen(obstacle: Obstacle) -> Diagnosis:
    return Diagnosis(Ailment.NOT_SEEN, "", Hidden(Region.FIREWALL, obstacle, "nft")._asdict())


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([], Exit.DONE),
        ([NOTE], Exit.DONE),
        ([WARNING, NOTE], Exit.FAILED),
        ([ERROR], Exit.FAILED),
        ([NO_DAEMON], Exit.UNAVAILABLE),
        ([NOTE, unseen(Obstacle.RIGHTS), NO_DAEMON], Exit.NOT_PERMITTED),
        ([unseen(Obstacle.TOOL), unseen(Obstacle.RIGHTS)], Exit.NOT_PERMITTED),
        ([unseen(Obstacle.TOOL), NO_DAEMON], Exit.FAILED),
        ([unseen(Obstacle.ERROR)], Exit.FAILED),
        ([ERROR, unseen(Obstacle.RIGHTS)], Exit.FAILED),
    ],
)
def test_what_is_wrong_weighs_more_than_what_was_not_seen_and_that_is_never_fine(
    found: list[Diagnosis], code: Exit
) -> None:
    assert judge(found) is code


def test_the_last_line_counts(capsys: pytest.CaptureFixture[str]) -> None:
    document = make_document("/etc/routed.toml", [NO_DAEMON, NO_DAEMON, NOTE])
    assert document["counts"] == {"note": 1, "warning": 0, "error": 0, "unseen": 2}
    assert list(render(document, is_colored=False))[-1] == "1 note, 2 things were not looked at"
    assert list(render(make_document("x", []), is_colored=False)) == ["nothing works against the files"]


def test_colour_says_nothing_that_is_not_there_without_it() -> None:
    document = make_document("x", [NOTE])
    colored = "\n".join(render(document, is_colored=True))
    assert "\x1b[36mnote\x1b[0m: nobody sets the clock" in colored
