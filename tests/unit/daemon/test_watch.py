# ruff: noqa: ASYNC240  (the files are the subject: they are written here and now, while the loop does not run)
from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from watchdog.observers import inotify_c
from watchdog.observers.api import BaseObserver

from routed.daemon.watch import SETTLE, FileWatch, find_places
from routed.daemon.worker import Worker

QUIET = SETTLE + 0.8  # longer than the 0.5 s for which watchdog waits for the other half of a rename


class News:
    """Counts the calls, and lets a test wait for the next one."""

    def __init__(self) -> None:
        self.count = 0
        self._arrived = asyncio.Event()

    def arrive(self) -> None:
        self.count += 1
        self._arrived.set()

    async def come(self) -> None:
        async with asyncio.timeout(5):
            await self._arrived.wait()
        self._arrived.clear()

    async def stay_away(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(QUIET):
                await self._arrived.wait()


def finish_jobs(watch: FileWatch) -> None:
    """Wait until everything is watched that was asked for."""
    done = threading.Event()
    watch._worker.put(done.set)
    assert done.wait(5)


@contextmanager
def watching(files: list[Path], folders: list[Path]) -> Iterator[News]:
    news = News()
    watch = FileWatch(asyncio.get_running_loop(), news.arrive)
    watch.update(files, folders)
    finish_jobs(watch)
    try:
        yield news
    finally:
        watch.close()


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """The main file, in a folder of its own."""
    folder = tmp_path / "etc"
    folder.mkdir()
    path = folder / "routed.toml"
    path.write_text("version = 1\n")
    return path


def dropins(main: Path) -> Path:
    return main.with_name("routed.toml.d")


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def play() -> None:
        await scene()

    asyncio.run(play())


def write_in_place(main: Path) -> None:
    main.write_text("version = 1 # new\n")


def write_and_rename(main: Path) -> None:
    new = main.with_name("routed.toml.tmp123")
    new.write_text("version = 1 # new\n")
    new.rename(main)


def rename_from_another_folder(main: Path) -> None:
    new = main.parent.parent / "staged"
    new.write_text("version = 1 # new\n")
    new.rename(main)


def delete(main: Path) -> None:
    main.unlink()


def save_as_vim_does(main: Path) -> None:
    main.with_name("4913").touch()
    main.with_name("4913").unlink()
    main.rename(main.with_name("routed.toml~"))
    main.write_text("version = 1 # new\n")
    main.with_name("routed.toml~").unlink()


def hard_link_over(main: Path) -> None:
    other = main.with_name("other")
    other.write_text("version = 1 # new\n")
    main.unlink()
    os.link(other, main)


@pytest.mark.parametrize(
    "change",
    [write_in_place, write_and_rename, rename_from_another_folder, delete, save_as_vim_does, hard_link_over],
)
def test_every_way_to_change_the_main_file_is_news(main: Path, change: Callable[[Path], None]) -> None:
    async def scene() -> None:
        with watching([main], [dropins(main)]) as news:
            change(main)
            await news.come()

    run(scene)


@pytest.mark.skipif(not shutil.which("vim"), reason="vim is not installed")
@pytest.mark.parametrize("backup", ["backupcopy=yes", "backupcopy=no"])
def test_a_real_vim_is_heard(main: Path, backup: str) -> None:
    async def scene() -> None:
        with watching([main], []) as news:
            edit = ["vim", "-u", "NONE", "-N", "-es", "-c", f"set writebackup {backup}", "-c", "normal oa = 1"]
            await asyncio.to_thread(
                subprocess.run, [*edit, "-c", "wq", str(main)], stdin=subprocess.DEVNULL, check=False
            )
            assert "a = 1" in main.read_text()
            await news.come()

    run(scene)


def test_the_second_change_is_news_as_well_as_the_first(main: Path) -> None:
    async def scene() -> None:
        with watching([main], []) as news:
            for _ in range(3):
                write_and_rename(main)
                await news.come()

    run(scene)


def test_a_burst_of_changes_is_one_piece_of_news(main: Path) -> None:
    async def scene() -> None:
        with watching([main], []) as news:
            for _ in range(100):
                write_in_place(main)
            await news.come()
            await news.stay_away()
            assert news.count == 1

    run(scene)


def test_who_asks_for_a_look_gets_it_when_nobody_writes_any_more(main: Path) -> None:
    async def scene() -> None:
        news = News()
        watch = FileWatch(asyncio.get_running_loop(), news.arrive)
        watch.update([main], [])
        finish_jobs(watch)
        watch.look()
        main.write_text("")  # as whoever writes in place does first
        assert news.count == 0
        main.write_text("version = 1 # new\n")
        await news.come()
        await news.stay_away()
        assert news.count == 1
        watch.close()

    run(scene)


def test_reading_is_no_news(main: Path) -> None:
    async def scene() -> None:
        dropins(main).mkdir()
        with watching([main], [dropins(main)]) as news:
            main.read_text()
            list(dropins(main).iterdir())
            await news.stay_away()

    run(scene)


def test_other_files_and_what_editors_leave_are_no_news(main: Path) -> None:
    async def scene() -> None:
        folder = dropins(main)
        folder.mkdir()
        with watching([main], [folder]) as news:
            (main.parent / "passwd").write_text("")
            for name in (".10-a.toml.swp", "10-a.toml~", "4913", ".#10-a.toml", "#10-a.toml#"):
                (folder / name).write_text("")
                (folder / name).unlink()
            await news.stay_away()

    run(scene)


def test_a_watched_file_may_be_called_like_a_dropping(main: Path) -> None:
    async def scene() -> None:
        odd = main.with_name("drop.txt~")
        with watching([odd], []) as news:
            odd.write_text("")
            await news.come()

    run(scene)


def test_a_drop_in_that_is_added_changed_or_removed_is_news(main: Path) -> None:
    async def scene() -> None:
        folder = dropins(main)
        folder.mkdir()
        with watching([main], [folder]) as news:
            (folder / "10-a.toml").write_text("")
            await news.come()
            (folder / "10-a.toml").write_text("# more")
            await news.come()
            (folder / "10-a.toml").unlink()
            await news.come()

    run(scene)


def test_a_folder_that_comes_later_is_watched_from_then_on(main: Path) -> None:
    async def scene() -> None:
        folder = dropins(main)
        with watching([main], [folder]) as news:
            folder.mkdir()
            await news.come()
            (folder / "10-a.toml").write_text("")
            await news.come()

    run(scene)


def test_a_file_whose_folders_come_one_after_the_other_is_news(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "a" / "b" / "c" / "drop.txt"
        with watching([path], []) as news:
            for folder in (path.parent.parent.parent, path.parent.parent, path.parent):
                folder.mkdir()
                await news.come()
            path.write_text("")
            await news.come()

    run(scene)


@pytest.mark.parametrize("is_moved", [True, False], ids=["moved away", "deleted"])
def test_a_folder_that_goes_and_comes_back_is_watched_again(main: Path, is_moved: bool) -> None:
    async def scene() -> None:
        folder = dropins(main)
        folder.mkdir()
        with watching([main], [folder]) as news:
            for turn in range(3):
                if is_moved:
                    folder.rename(main.parent / f"gone{turn}")
                else:
                    shutil.rmtree(folder)
                folder.mkdir()
                await news.come()
                (folder / "10-a.toml").write_text("")
                await news.come()

    run(scene)


def test_the_folder_of_the_main_file_may_be_replaced_too(main: Path) -> None:
    async def scene() -> None:
        with watching([main], []) as news:
            main.parent.rename(main.parent.with_name("old"))
            main.parent.mkdir()
            await news.come()
            main.write_text("version = 1\n")
            await news.come()

    run(scene)


def make_config_map(tmp_path: Path) -> Path:
    """A mounted ConfigMap, as the kubelet's atomic_writer.go lays it out."""
    (tmp_path / "..2026_1").mkdir()
    (tmp_path / "..2026_1" / "routed.toml").write_text("version = 1\n")
    (tmp_path / "..data").symlink_to("..2026_1")
    (tmp_path / "routed.toml").symlink_to("..data/routed.toml")
    return tmp_path / "routed.toml"


def test_a_config_map_that_is_swapped_is_news_each_time(tmp_path: Path) -> None:
    async def scene() -> None:
        main = make_config_map(tmp_path)
        with watching([main], []) as news:
            for turn in (2, 3, 4):
                folder = tmp_path / f"..2026_{turn}"
                folder.mkdir()
                (folder / "routed.toml").write_text(f"version = 1 # {turn}\n")
                (tmp_path / "..data_tmp").symlink_to(folder.name)
                (tmp_path / "..data_tmp").rename(tmp_path / "..data")
                shutil.rmtree(tmp_path / f"..2026_{turn - 1}")
                await news.come()
            assert news.count >= 3

    run(scene)


def test_a_file_at_the_end_of_a_chain_of_links_is_watched_at_every_link(main: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        (tmp_path / "two" / "real.toml").write_text("")
        (tmp_path / "one" / "link").symlink_to(tmp_path / "two" / "real.toml")
        main.unlink()
        main.symlink_to("../one/link")
        with watching([main], []) as news:
            (tmp_path / "two" / "real.toml").write_text("# new")
            await news.come()
            (tmp_path / "one" / "other").write_text("")
            (tmp_path / "one" / "link").unlink()
            (tmp_path / "one" / "link").symlink_to("other")
            await news.come()
            (tmp_path / "one" / "other").write_text("# new")
            await news.come()

    run(scene)


def test_a_drop_in_that_is_a_link_is_watched_where_it_leads(main: Path, tmp_path: Path) -> None:
    async def scene() -> None:
        folder = dropins(main)
        folder.mkdir()
        (tmp_path / "else").mkdir()
        (folder / "10-a.toml").symlink_to(tmp_path / "else" / "a.toml")
        with watching([main], [folder]) as news:
            (tmp_path / "else" / "a.toml").write_text("")
            await news.come()

    run(scene)


def test_a_link_that_leads_to_itself_is_watched_as_it_is(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    assert find_places([loop], [])[tmp_path] == frozenset({"loop"})


def test_what_is_not_watched_any_more_is_no_news(main: Path) -> None:
    async def scene() -> None:
        news = News()
        watch = FileWatch(asyncio.get_running_loop(), news.arrive)
        other = main.with_name("other.toml")
        watch.update([main], [])
        watch.update([other], [])
        finish_jobs(watch)
        main.write_text("")
        await news.stay_away()
        other.write_text("")
        await news.come()
        watch.close()

    run(scene)


def test_only_the_folders_that_decide_are_watched() -> None:
    assert find_places([Path("/etc/passwd")], [Path("/etc/nothing.toml.d"), Path("/run/nothing.toml.d")]) == {
        Path("/etc"): frozenset({"passwd", "nothing.toml.d"}),
        Path("/run"): frozenset({"nothing.toml.d"}),
    }


def test_the_burst_that_never_ends_is_told_all_the_same(main: Path) -> None:
    async def scene() -> None:
        with watching([main], []) as news:

            async def keep_writing() -> None:
                while True:
                    write_in_place(main)
                    await asyncio.sleep(SETTLE / 4)  # the point: never a silence as long as SETTLE

            writer = asyncio.create_task(keep_writing())
            await news.come()
            writer.cancel()

    run(scene)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routed.daemon.watch.FIRST_PAUSE", 0.05)


async def see_a_change(main: Path) -> None:
    """Whatever failed at first, in the end a change is seen."""
    with watching([main], []) as news:
        await news.come()  # what changed while nothing was seen
        await news.stay_away()
        main.write_text("version = 1\n\n")
        await news.come()


def fail_once(monkeypatch: pytest.MonkeyPatch, where: object, name: str, error: Exception) -> None:
    real = getattr(where, name)

    def fail(*arguments: object, **options: object) -> object:
        monkeypatch.setattr(where, name, real)
        raise error

    monkeypatch.setattr(where, name, fail)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("name", "error"),
    [("start", RuntimeError("can't start new thread")), ("schedule", OSError(24, "Too many open files"))],
)
def test_a_watch_that_cannot_be_had_is_tried_again(
    main: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    fail_once(monkeypatch, BaseObserver, name, error)
    asyncio.run(see_a_change(main))


@pytest.mark.usefixtures("impatient")
def test_a_watch_for_which_no_thread_could_be_had_twice_is_whole_in_the_end(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):  # once for the watch itself, once for the folders
        fail_once(monkeypatch, Worker, "put", RuntimeError("can't start new thread"))
    asyncio.run(see_a_change(main))


@pytest.mark.usefixtures("impatient")
def test_a_watch_whose_thread_ended_begins_anew_and_looks_at_what_changed_meanwhile(
    main: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def look() -> None:
        with watching([main], []) as news:
            fail_once(monkeypatch, inotify_c.InotifyFD, "read_events", OSError(12, "Cannot allocate memory"))
            main.write_text("version = 1\n# wakes it\n")  # the reading under way is the last that works
            main.write_text("version = 1\n# ends it\n")
            await news.come()
            while "begins anew" not in caplog.text:
                main.write_text("version = 1\n# ends it\n")
                await news.come()
            await news.stay_away()
            main.write_text("version = 1\n\n")
            await news.come()

    asyncio.run(look())
    assert "Cannot allocate memory" in caplog.text


def test_a_path_on_a_mount_that_hangs_keeps_neither_the_loop_nor_the_end_waiting(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routed.daemon.watch.LAST_WAIT", 0.1)
    is_over = threading.Event()

    def hang(*_: object) -> dict[Path, frozenset[str] | None]:
        is_over.wait(10)
        return {}

    async def look() -> None:
        watch = FileWatch(asyncio.get_running_loop(), lambda: None)
        with monkeypatch.context() as patched:
            patched.setattr("routed.daemon.watch.find_places", hang)
            watch.update([main], [])
            watch.look()
            await asyncio.sleep(0)
            watch.close()

    asyncio.run(asyncio.wait_for(look(), 5))
    is_over.set()
