from __future__ import annotations

from datetime import UTC, datetime

import pytest

from routed.audit.documents import make_outcome_document
from routed.audit.notices import note_config_rejected, note_started
from routed.daemon.discretion import name_places, withhold_from_outcome, withhold_text
from routed.daemon.results import describe_problem
from routed.intent.problems import Problem

PROBLEM = Problem("/etc/routed.toml", 4, 1, "unknown key `hunter2`", "hunter2 = 1", "not hunter2")


def test_a_problem_keeps_its_place_and_nothing_else() -> None:
    [shown] = withhold_text([describe_problem(PROBLEM)])
    assert (shown["file"], shown["line"], shown["column"]) == ("/etc/routed.toml", 4, 1)
    assert (shown["source_line"], shown["hint"]) == ("", "")
    assert "only root and the group" in shown["message"]
    assert "hunter2" not in str(shown)


def test_the_record_of_invalid_files_is_shown_without_their_text_and_every_other_as_it_is() -> None:
    rejected = make_outcome_document(note_config_rejected("/etc/routed.toml", [str(PROBLEM)] * 2), datetime.now(UTC))
    assert "hunter2" in str(rejected)
    shown = withhold_from_outcome(rejected)
    assert "hunter2" not in str(shown)
    assert shown["fields"]["ROUTED_COUNT"] == "2"
    started = make_outcome_document(note_started("1", "/etc/routed.toml", 114), datetime.now(UTC))
    assert withhold_from_outcome(started) == started


@pytest.mark.parametrize(
    ("count", "clause"),
    [
        (1, "/etc/routed.toml:4:1 is wrong, so the files are not in force"),
        (2, "/etc/routed.toml:4:1 and 1 more place are wrong, so the files are not in force"),
        (3, "/etc/routed.toml:4:1 and 2 more places are wrong, so the files are not in force"),
    ],
)
def test_the_sentence_for_everybody_names_the_first_place_and_counts_the_others(count: int, clause: str) -> None:
    assert name_places([PROBLEM] * count) == clause
