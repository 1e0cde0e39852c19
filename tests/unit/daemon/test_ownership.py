from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from routed.daemon.lock import AlreadyRunningError, acquire
from routed.daemon.marks import MarksFile
from routed.daemon.ownership import Ownership
from routed.model.owner import Marks

# Only in the names of locks is there room for numbers that no routed on this host has; the file would not take them.
FIRST = 3_000_000 + os.getpid()
SECOND, THIRD = FIRST + 1, FIRST + 2


def own(folder: Path, protocol: int) -> Ownership:
    return Ownership(protocol, folder / "state", folder / "run")


def is_held(protocol: int, folder: Path) -> bool:
    try:
        acquire(protocol, folder / "another").close()
    except AlreadyRunningError:
        return True
    return False


def held(folder: Path) -> list[bool]:
    return [is_held(protocol, folder) for protocol in (FIRST, SECOND, THIRD)]


def test_a_change_holds_both_locks_until_the_former_number_is_forgotten(tmp_path: Path) -> None:
    async def change() -> None:
        with own(tmp_path, FIRST) as ownership:
            await ownership.move_to(SECOND)
            assert ownership.marks == Marks(SECOND, frozenset({FIRST}))
            assert held(tmp_path) == [True, True, False]
            ownership.forget({FIRST})  # a pass that was under way still had it for the present one
            assert held(tmp_path) == [True, True, False]
            ownership.forget({SECOND})
            assert ownership.marks == Marks(SECOND)
            assert held(tmp_path) == [False, True, False]
        assert held(tmp_path) == [False, False, False]

    asyncio.run(change())


def test_each_further_number_has_a_lock_and_leaves_as_a_former_one(tmp_path: Path) -> None:
    async def change() -> None:
        further = frozenset({SECOND, THIRD})
        with Ownership(FIRST, tmp_path / "state", tmp_path / "run", further=further) as ownership:
            assert held(tmp_path) == [True, True, True]
            await ownership.move_to(FIRST, frozenset({THIRD}))
            assert ownership.marks == Marks(FIRST, frozenset({SECOND}), frozenset({THIRD}))
            assert held(tmp_path) == [True, True, True]
            ownership.forget({FIRST, THIRD})
            assert held(tmp_path) == [True, False, True]
        assert held(tmp_path) == [False, False, False]

    asyncio.run(change())


def test_where_one_of_several_numbers_is_held_none_is_taken(tmp_path: Path) -> None:
    async def change() -> None:
        with own(tmp_path, FIRST) as ownership, acquire(THIRD, tmp_path / "another"):
            with pytest.raises(AlreadyRunningError, match=str(THIRD)):
                await ownership.move_to(FIRST, frozenset({SECOND, THIRD}))
            assert ownership.marks == Marks(FIRST)
            assert held(tmp_path) == [True, False, True]
            with pytest.raises(AlreadyRunningError, match=str(THIRD)):
                Ownership(SECOND, tmp_path / "other", tmp_path / "run", further=frozenset({THIRD}))
            assert held(tmp_path) == [True, False, True]

    asyncio.run(change())


def test_a_number_that_another_daemon_holds_changes_nothing(tmp_path: Path) -> None:
    async def change() -> None:
        with own(tmp_path, FIRST) as ownership, acquire(SECOND, tmp_path / "another"):
            with pytest.raises(AlreadyRunningError):
                await ownership.move_to(SECOND)
            assert ownership.marks == Marks(FIRST)
            assert held(tmp_path) == [True, True, False]

    asyncio.run(change())


def test_the_way_back_needs_no_new_lock(tmp_path: Path) -> None:
    async def change() -> None:
        with own(tmp_path, FIRST) as ownership:
            await ownership.move_to(SECOND)
            await ownership.move_to(FIRST)
            assert ownership.marks == Marks(FIRST, frozenset({SECOND}))
            assert held(tmp_path) == [True, True, False]

    asyncio.run(change())


def test_a_former_number_by_anothers_word_counts_only_where_no_file_tells(tmp_path: Path) -> None:
    with own(tmp_path, FIRST) as ownership:
        ownership.assume({FIRST, SECOND})
        assert ownership.marks == Marks(FIRST, frozenset({SECOND}))
    MarksFile(tmp_path / "state").save(Marks(250))
    with own(tmp_path, FIRST) as ownership:
        ownership.assume({SECOND})
        assert ownership.marks == Marks(FIRST, frozenset({250}))


def test_the_file_knows_what_was_ours_before_and_is_written_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "state" / "marks.json"
    MarksFile(tmp_path / "state").save(Marks(251, frozenset({250})))
    with own(tmp_path, 252) as ownership:
        assert ownership.marks == Marks(252, frozenset({250, 251}))
        ownership.keep()
        assert MarksFile(tmp_path / "state").load() == ownership.marks
        written = path.stat().st_ino
        ownership.keep()
        assert path.stat().st_ino == written
        ownership.forget({252})
        ownership.keep()
        assert MarksFile(tmp_path / "state").load() == Marks(252)


def test_a_former_number_that_another_daemon_holds_is_not_ours_any_more(tmp_path: Path) -> None:
    MarksFile(tmp_path / "state").save(Marks(253, frozenset({254})))
    with acquire(254, tmp_path / "another"), own(tmp_path, 255) as ownership:
        assert ownership.marks == Marks(255, frozenset({253}))
        assert [rival.protocol for rival in ownership.rivals] == [254]
        ownership.keep()
    assert MarksFile(tmp_path / "state").load() == Marks(255, frozenset({253}))
