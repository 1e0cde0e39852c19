from __future__ import annotations

import json
from pathlib import Path

import pytest

from routed.daemon.marks import VERSION, MarksFile
from routed.daemon.storage import StateError
from routed.model.owner import Marks


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    file = MarksFile(tmp_path / "state")
    assert file.load() is None
    for marks in (Marks(114), Marks(116, frozenset({114, 115})), Marks(116)):
        file.save(marks)
        assert file.load() == marks
    assert json.loads((tmp_path / "state" / "marks.json").read_text()) == {
        "version": VERSION,
        "protocol": 116,
        "former": [],
    }
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["marks.json"]


def test_further_numbers_are_kept_so_that_a_version_that_knows_none_takes_them_for_former_ones(tmp_path: Path) -> None:
    file = MarksFile(tmp_path)
    file.save(Marks(114, frozenset({115}), frozenset({200})))
    assert file.load() == Marks(114, frozenset({115}), frozenset({200}))
    assert json.loads((tmp_path / "marks.json").read_text()) == {
        "version": VERSION,
        "protocol": 114,
        "former": [115, 200],
        "further": [200],
    }


def test_a_move_leaves_what_is_wanted_no_more_as_former_numbers() -> None:
    marks = Marks(114, frozenset(), frozenset({200, 201}))
    assert marks.numbers == {114, 200, 201}
    assert marks.move_to(200, frozenset({202})) == Marks(200, frozenset({114, 201}), frozenset({202}))
    assert marks.move_to(114) == Marks(114, frozenset({200, 201}))
    assert marks.move_to(114, frozenset({114, 200})) == Marks(114, frozenset({201}), frozenset({200}))


def test_a_move_makes_the_present_number_a_former_one() -> None:
    marks = Marks(114).move_to(115)
    assert marks == Marks(115, frozenset({114}))
    assert marks.move_to(115) == marks
    assert marks.move_to(114) == Marks(114, frozenset({115}))
    assert marks.numbers == {114, 115}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "{}",
        '{"version": 1}',
        '{"version": 1, "protocol": 114}',
        '{"version": 1, "protocol": 0, "former": []}',
        '{"version": 1, "protocol": 114, "former": ["115"]}',
        '{"version": 1, "protocol": 114, "former": [256]}',
        '{"version": 1, "protocol": 114, "former": [], "further": [0]}',
        '{"version": "one", "protocol": 114, "former": []}',
        "[" * 100_000,
        "\0\xff",
    ],
)
def test_a_damaged_file_is_complained_of_and_says_nothing(tmp_path: Path, text: str) -> None:
    complaints: list[str] = []
    file = MarksFile(tmp_path, complaints.append)
    (tmp_path / "marks.json").write_bytes(text.encode("latin-1"))
    assert file.load() is None
    assert len(complaints) == 1
    assert f"{tmp_path}/marks.json is damaged" in complaints[0]
    file.save(Marks(114))
    assert file.load() == Marks(114)


def test_a_file_of_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    complaints: list[str] = []
    file = MarksFile(tmp_path, complaints.append)
    text = json.dumps({"version": VERSION + 1, "numbers": "in another way"})
    (tmp_path / "marks.json").write_text(text)
    assert file.load() is None
    assert "a newer routed wrote it" in complaints[0]
    with pytest.raises(StateError, match="a newer routed wrote it"):
        file.save(Marks(114))
    assert (tmp_path / "marks.json").read_text() == text


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match=r"cannot keep the protocol numbers in .*marks\.json: "):
        MarksFile(tmp_path / "state").save(Marks(114))
