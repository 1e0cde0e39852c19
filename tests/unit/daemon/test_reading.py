"""The process that reads the files: whatever becomes of it, the daemon gets a reading, with words and a place."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routed.daemon import child
from routed.daemon.files import Files
from routed.daemon.handover import ReadFiles
from routed.daemon.pauses import PausesFile
from routed.daemon.reader import POLITENESS
from routed.daemon.reading import Reader, Reading
from routed.daemon.readings import MOST, Numbered, Readings
from routed.daemon.record import RecordFile
from routed.daemon.revisions import Revisions
from routed.intent.load import load, load_kept
from routed.intent.problems import IntentError
from routed.model.entries import Intent

ROUTE = '[[route]]\nname = "a"\nto = "10.0.0.0/8"\nvia = "192.0.2.1"\n'
LISTED = '[[route]]\nname = "list"\nprefixes_file = "list.txt"\ntype = "blackhole"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    config = tmp_path / "routed.toml"
    config.write_text(f"version = 1\n{ROUTE}")
    return config


def open_files(config: Path) -> Files:
    return Files(
        config,
        Revisions(config.parent),
        RecordFile(config.parent),
        PausesFile(config.parent),
        config.parent / "checks.json",
        config.parent / "compiled",
    )


def read(config: Path, current: Intent | None = None) -> Reading:
    with Reader() as reader:
        return open_files(config).read(reader, current or Intent())


def start_stumbling(what: str) -> subprocess.Popen[bytes]:
    """The process as it is, but that it does this when it reads a file."""
    code = (
        "import os, sys, time; sys.path[:] = sys.argv[1:]\n"
        "from routed.daemon import reader\n"
        f"def stumble(path, role):\n    {what}\n"
        "reader.read_closed = stumble\nreader.main()"
    )
    command = [sys.executable, "-c", code, *sys.path]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def stumble(config: Path, what: str, deadline: float = 60.0) -> str:
    """What the first problem says, with its file."""
    with Reader(start_stumbling(what), deadline=deadline) as reader:
        reader.ask_for_files(ReadFiles(str(config)))
        return str(reader.take_answer().problems[0])


def test_the_files_are_read_as_a_command_reads_them(config: Path) -> None:
    config.write_text(f"version = 1\n{ROUTE}{LISTED}")
    config.with_name("list.txt").write_text("192.0.2.0/24\n192.0.2.0/24\nfd00::/8\n")
    loaded = load(config)
    reading = read(config)
    assert reading.intent == loaded.intent
    assert reading.notices == loaded.notices != ()


def test_every_problem_comes_with_its_place(config: Path) -> None:
    config.write_text(f"version = 1\n{ROUTE}tabel = 5\n[[vip]]\nannounce = {{ cuont = 3 }}\n")
    with pytest.raises(IntentError) as caught:
        load(config)
    assert read(config) == Reading(None, caught.value.problems)


def test_files_that_are_in_force_already_are_what_is_in_force(config: Path) -> None:
    current = load(config).intent
    assert read(config, current).intent is current
    config.write_text("version = 1\n")
    assert read(config, current).intent == load(config).intent


def test_one_process_answers_many_questions(config: Path) -> None:
    intent = load(config).intent
    with Reader() as reader:
        for _ in range(3):
            reader.ask_for_files(ReadFiles(str(config)))
            assert reader.take_answer().intent == intent
            reader.ask_for_kept(intent.sources)
            assert reader.take_answer().intent == intent
        reader.ask_for_kept(())
        assert reader.take_answer().intent == load_kept(()).intent


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raise KeyError('announce')", "this is a defect in routed: KeyError: 'announce'"),
        ("raise MemoryError", "this is a defect in routed: MemoryError"),
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL while it was at this file"),
        ("os.kill(os.getpid(), 11)", "was killed by SIGSEGV while it was at this file"),
        ("os._exit(3)", "ended with 3 while it was at this file"),
        ("os.close(0); os._exit(0)", "ended with 0 while it was at this file"),
        ("os.write(1, b'x'); return b'version = 7'", "`version` must be 1"),
        ("raise OSError(5, 'Input/output error', path)", "input/output error"),
    ],
)
def test_whatever_happens_to_the_process_is_a_problem_of_the_file_that_it_was_at(
    config: Path, what: str, said: str
) -> None:
    told = stumble(config, what)
    assert told.startswith(f"{config}:")
    assert said in told


def test_a_file_that_never_answers_is_given_up_and_named(config: Path) -> None:
    drop_in = config.with_name("routed.toml.d") / "50-hung.toml"
    drop_in.parent.mkdir()
    drop_in.touch()
    hang = "time.sleep(1000) if 'hung' in str(path) else None; return b'version = 1'"
    assert stumble(config, hang, 3.0) == f"{drop_in}: reading it took longer than 3 s, and was given up"


def test_who_works_for_long_is_waited_for_and_who_sleeps_is_not(config: Path) -> None:
    wait = "end = time.process_time() + 3\n    while 'toml' in str(path) and time.process_time() < end: pass"
    work = f"{wait}\n    return b'version = 1' if 'toml' in str(path) else b''"
    with Reader(start_stumbling(work), deadline=1.0) as reader:
        reader.ask_for_files(ReadFiles(str(config)))
        assert reader.take_answer().intent is not None


def test_who_works_without_end_is_given_up(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routed.daemon.reading.MOST_WORK", 2.0)
    with Reader(start_stumbling("while True: pass"), deadline=1.0) as reader:
        reader.ask_for_files(ReadFiles(str(config)))
        assert reader.take_answer().is_too_slow


@pytest.mark.parametrize(
    ("what", "is_too_slow"),
    [("time.sleep(1000)", True), ("os.kill(os.getpid(), 14)", True), ("os._exit(3)", False)],
)
def test_only_what_was_given_up_for_its_time_may_be_read_another_time(
    config: Path, what: str, is_too_slow: bool
) -> None:
    with Reader(start_stumbling(f"{what}; return b''"), deadline=2.0) as reader:
        reader.ask_for_start(str(config))
        assert reader.take_answer().is_too_slow is is_too_slow


@pytest.mark.parametrize(("seconds", "more"), [(0.0, 0), (1.0, POLITENESS)])
def test_a_reading_that_takes_long_lets_others_go_first_and_a_short_one_does_not(
    config: Path, seconds: float, more: int
) -> None:
    work = (
        f"end = time.process_time() + {seconds}\n    while time.process_time() < end: pass\n"
        "    raise OSError(5, f'nice {os.nice(0)}')"
    )
    assert stumble(config, work) == f"{config}: nice {min(os.nice(0) + more, 19)}"


def test_a_process_that_cannot_be_started_is_a_problem(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    (problem,) = read(config).problems
    assert str(problem) == f"{config}: the files cannot be read: No such file or directory"


def test_a_process_that_says_something_else_is_not_believed(config: Path) -> None:
    talker = subprocess.Popen(["yes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    with Reader(talker) as reader:
        reader.ask_for_files(ReadFiles(str(config)))
        (problem,) = reader.take_answer().problems
    assert "answered what cannot be understood" in problem.message
    assert talker.returncode == -signal.SIGKILL


def test_a_process_that_was_ended_while_nobody_asked_is_no_fault_of_the_files(config: Path) -> None:
    with Reader() as reader:
        for _ in range(2):
            reader.ask_for_files(ReadFiles(str(config)))
            assert reader.take_answer().problems == ()
            assert reader._process is not None
            reader._process.kill()
            reader._process.wait()


def test_after_a_crash_the_next_question_goes_to_a_new_process(config: Path) -> None:
    intent = load(config).intent
    with Reader(start_stumbling("os.abort()")) as reader:
        reader.ask_for_files(ReadFiles(str(config)))
        assert reader.take_answer().problems
        reader.ask_for_kept(intent.sources)
        assert reader.take_answer().intent == intent


def test_no_process_is_left_behind(config: Path) -> None:
    with Reader() as reader:
        reader.ask_for_files(ReadFiles(str(config)))
        process = reader._process
        assert process is not None
    assert process.returncode == -signal.SIGKILL


def test_the_process_finds_its_modules_where_the_daemon_found_its_own(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands in the environment, and whatever lies about where the daemon was started."""
    for name in ("tomllib.py", "json.py", "routed.py"):
        (tmp_path / name).write_text("raise SystemExit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [os.path.abspath(folder) for folder in sys.path])  # noqa: PTH100
    monkeypatch.chdir(tmp_path)
    assert read(config).problems == ()


@pytest.mark.parametrize("kind", [os.mkfifo, lambda path: os.mknod(path, 0o600 | 0o20000, os.makedev(1, 5))])
def test_a_pipe_or_a_device_in_place_of_the_main_file_is_a_problem_at_once(
    config: Path, kind: Callable[[Path], None]
) -> None:
    config.unlink()
    kind(config)
    (problem,) = read(config).problems
    assert str(problem) == f"{config}: is not a regular file"


def test_of_many_problems_the_first_are_told_and_the_others_counted(config: Path) -> None:
    config.write_text("version = 1\n" + "[[route]]\n" * 1500)
    problems = read(config).problems
    assert len(problems) == 1001
    assert problems[-1].message == "500 more problems are not listed"


def test_a_line_that_nobody_could_read_is_not_shown(config: Path) -> None:
    config.write_text(f'version = 1\n[[route]]\nto = "{"x" * 5_000_000}"\n')
    (problem,) = read(config).problems
    assert (problem.line, problem.source_line) == (3, "")
    assert len(problem.message) == 1000


# --- files that are being written -----------------------------------------------------------------------------------


@contextmanager
def being_written(path: Path, text: str) -> Iterator[None]:
    with path.open("w") as writer:
        writer.write(text)
        writer.flush()
        yield


@pytest.mark.parametrize("name", ["routed.toml", "list.txt"])
def test_for_a_file_that_is_being_written_stands_what_is_in_force_of_it(config: Path, name: str) -> None:
    config.write_text(f"version = 1\n{ROUTE}{LISTED}")
    config.with_name("list.txt").write_text("192.0.2.0/24\n")
    current = load(config).intent
    drop_in = config.with_name("routed.toml.d") / "50-more.toml"
    drop_in.parent.mkdir()
    with being_written(config.with_name(name), ""):
        reading = read(config, current)
        assert reading.intent is current
        assert reading.being_written == (str(config.with_name(name)),)
        (notice,) = reading.notices
        assert "is being written: what is in force of it stays until it is closed" in str(notice)
        drop_in.write_text('[[route]]\nname = "b"\nto = "172.16.0.0/12"\nvia = "192.0.2.1"\n')
        reading = read(config, current)
        assert reading.intent is not None
        assert {entry.name for entry in reading.intent.entries} == {"route/a", "route/list", "route/b"}
    assert read(config, current).being_written == ()


def test_a_new_file_that_is_being_written_is_a_problem_until_it_is_closed(config: Path) -> None:
    current = load(config).intent
    config.write_text(f"version = 1\n{ROUTE}{LISTED}")
    listed = config.with_name("list.txt")
    with being_written(listed, "192.0.2.0/24\n"):
        reading = read(config, current)
        (problem,) = reading.problems
        assert problem.message == f"`prefixes_file`: {listed}: is being written; it is read once it is closed"
        assert reading.being_written == (str(listed),)
    assert read(config, current).problems == ()


def test_at_a_start_a_file_that_is_being_written_is_waited_for_a_little(config: Path) -> None:
    with Reader() as reader:
        writer = config.open("a")
        reader.ask_for_files(ReadFiles(str(config), patience=60))

        def close(_: str) -> None:  # the process has seen that somebody writes, and asks what is in force
            writer.close()

        assert reader.take_answer(close).problems == ()
        with being_written(config, f"version = 1\n{ROUTE}"):
            reader.ask_for_files(ReadFiles(str(config), patience=0.1))
            (problem,) = reader.take_answer().problems
    assert "is being written" in problem.message


# --- many at once ---------------------------------------------------------------------------------------------------


class Gate:
    """Readings that end when a test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.is_open = False

    def read(self, reader: Reader, _: Intent) -> Reading:
        self.begun += 1
        number = self.begun
        while not self.is_open and not is_readable(reader._stop):
            time.sleep(0.001)
        return Reading(Intent(digest=str(number)))


def is_readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  other threads make it true
            await asyncio.sleep(0.001)


def test_readings_go_on_side_by_side_and_those_that_cannot_begin_are_one() -> None:
    async def run() -> None:
        gate = Gate()
        readings = Readings(gate.read, Intent)
        first = [asyncio.ensure_future(readings.read()) for _ in range(5)]
        await wait_for(lambda: gate.begun == 1)
        later = []
        for number in range(2, MOST + 1):
            later.append(asyncio.ensure_future(readings.read()))
            await wait_for(lambda number=number: gate.begun == number)  # type: ignore[misc]
        crowd = [asyncio.ensure_future(readings.read()) for _ in range(100)]
        gate.is_open = True
        assert {one.number for one in await asyncio.gather(*first)} == {1}
        assert [one.number for one in await asyncio.gather(*later)] == list(range(2, MOST + 1))
        assert {one.number for one in await asyncio.gather(*crowd)} == {MOST + 1}
        assert gate.begun == MOST + 1

    asyncio.run(run())


def test_a_reading_that_a_later_one_overtook_is_not_taken() -> None:
    current = Intent()
    readings = Readings(Gate().read, lambda: current)
    first, second = (Numbered(number, Reading(Intent()), current) for number in (1, 2))
    assert readings.take(second)
    assert not readings.take(first)
    assert readings.take(second)  # many that asked may share it


def test_a_reading_with_what_was_in_force_of_a_file_is_not_taken_when_that_is_so_no_more() -> None:
    current = Intent()
    readings = Readings(Gate().read, lambda: current)
    mixed = Numbered(1, Reading(Intent(), being_written=("/list",)), Intent())
    assert not readings.take(mixed)
    assert readings.take(mixed._replace(basis=current))


def test_a_burst_of_readings_is_done_by_one_process_which_goes_afterwards(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(child.start_reader())
        return started[-1]

    async def run() -> None:
        readings = Readings(open_files(config).read, Intent)
        for _ in range(5):
            assert (await readings.read()).reading.problems == ()
        assert len(started) == 1
        await wait_for(lambda: started[0].poll() is not None)

    monkeypatch.setattr("routed.daemon.reading.start_reader", start)
    monkeypatch.setattr("routed.daemon.readings.KEPT", 0.2)
    asyncio.run(run())


def test_who_is_told_to_stop_waits_for_no_reading() -> None:
    async def run() -> None:
        readings = Readings(Gate().read, Intent)
        waiting = asyncio.ensure_future(readings.read())
        await asyncio.sleep(0)
        readings.stop()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())


def test_a_reading_that_hangs_ends_as_soon_as_the_daemon_stops(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        files = open_files(config)
        readings = Readings(files.read, Intent)
        waiting = asyncio.ensure_future(readings.read())
        await wait_for(lambda: bool(started))
        readings.stop()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(start_stumbling("time.sleep(1000)"))
        return started[-1]

    monkeypatch.setattr("routed.daemon.reading.start_reader", start)
    asyncio.run(run())
    assert started[0].returncode == -signal.SIGKILL


def test_the_modules_before_the_start_of_the_process_are_few() -> None:
    code = f"import sys; import {child.__name__}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"routed.model.entries", "asyncio", "json", "pydantic"} & set(loaded) == set()
