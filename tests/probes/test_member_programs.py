"""What a source of type exec makes of programs that are good, fail, hang or write without end. Real processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from routed.audit.reasons import describe_reason
from routed.daemon import helpers as helpers_module
from routed.daemon.helpers import BriefLease, Helpers
from routed.daemon.member_programs import follow
from routed.members import pauses
from routed.members.document import MOST_BYTES
from routed.members.pauses import find_pause
from routed.model.members import ExecSource, Snapshot
from routed.model.reasons import Reason
from routed.probes.sockets import Path as ProbePath
from tests.kernel.netns import wait_until
from tests.probes.programs import LEAVES_MANY, a_folder, a_mark, a_program, find_processes

ONCE = '{"members": [{"name": "a"}, {"name": "b"}]}'


@pytest.fixture
def folder() -> Iterator[Path]:
    with a_folder() as folder:
        yield folder


@pytest.fixture
def helpers(tmp_path: Path) -> Iterator[Helpers]:
    helpers = Helpers(tmp_path)
    try:
        yield helpers
    finally:
        helpers.close()


def listen(helpers: Helpers, program: Path, count: int = 1, every: float = 1.0, timeout: float = 5.0) -> list[str]:
    """The first things that such a source says: the names of the members, or why it says nothing."""
    told: list[str] = []
    is_enough = asyncio.Event()

    def deliver(said: Snapshot | Reason) -> None:
        told.append(" ".join(one.name for one in said.members) if isinstance(said, Snapshot) else describe_reason(said))
        if len(told) >= count:
            is_enough.set()

    async def play() -> None:
        options = ExecSource((str(program), "--all"), timeout, "nobody", every)
        task = asyncio.create_task(follow(helpers.lease, options, deliver))
        async with asyncio.timeout(30):
            await is_enough.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(play())
    assert helpers._started == {}  # nobody else needs it
    return told[:count]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"echo to stderr >&2; echo '{ONCE}'", "a b"),
        (f"echo '{ONCE}' | tr ' ' '\\n'", "a b"),
        (f"[ $1 = --all ] && echo '{ONCE}'", "a b"),
        ("echo out; echo no inventory >&2; exit 3", "exec: exit code 3: no inventory"),
        (f"echo '{ONCE}'; exit 1", "exec: exit code 1"),
        (f"echo '{ONCE}'; kill -SEGV $$", "exec: ended by SIGSEGV"),
        (f"echo '{ONCE}'; kill -KILL $$", "exec: it could not be asked: somebody killed it by SIGKILL, as the kernel"),
        (f"echo '{ONCE}' | head -c 30", "{program}: it cannot be read: "),
        ("exit 0", "{program}: it is empty"),
        (f"echo '{ONCE}'; exec sleep {{mark}}", "exec: no answer in 0.5 s"),
        ("exec yes x", f"{{program}}: it writes more than {MOST_BYTES} bytes"),
    ],
)
def test_only_a_whole_document_of_a_program_that_ends_with_0_says_anything(
    helpers: Helpers, folder: Path, body: str, words: str
) -> None:
    mark = a_mark()
    program = a_program(folder, LEAVES_MANY.format(mark=mark) + body.replace("{mark}", mark))
    hangs = "{mark}" in body
    (said,) = listen(helpers, program, timeout=0.5 if hangs else 20.0)
    assert said.startswith(words.replace("{program}", str(program)))
    wait_until(lambda: find_processes(mark) == [] and find_processes("yes") == [])


def test_what_it_prints_is_passed_on_whole_however_much_that_is(helpers: Helpers, folder: Path) -> None:
    names = [f"n{number:05}" for number in range(50_000)]
    (folder / "document").write_text(json.dumps({"members": [{"name": name} for name in names]}, indent=2))
    assert listen(helpers, a_program(folder, f"cat {folder}/document"), timeout=30.0) == [" ".join(names)]


def test_each_line_of_a_stream_is_a_document_and_only_what_came_after_a_complete_one_counts(
    helpers: Helpers, folder: Path
) -> None:
    lines = [
        {"members": [{"name": "a"}]},
        {"members": [{"name": "b"}]},
        {"members": [{"name": "c"}], "complete": False},
    ]
    (folder / "lines").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    program = a_program(folder, f"cat {folder}/lines; echo; exec sleep 60")
    assert listen(helpers, program, every=0.0) == ["b c"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"echo '{ONCE}'", "{program}: it ended, and without `every` it has to go on"),
        (f"echo '{ONCE}'; echo lost >&2; exit 2", "exec: exit code 2: lost"),
        (f"echo '{ONCE}'; printf '{{\"members\": '", "{program}: it ended, and without `every` it has to go on"),
        (f"echo '{ONCE}'; sleep 0.2; echo x; exec sleep 60", "{program}: it cannot be read: "),
        (f"echo '{ONCE}'; exec tr '\\0' x </dev/zero", f"{{program}}: a line has more than {MOST_BYTES} bytes"),
    ],
)
def test_a_stream_that_does_not_go_on_well_is_told_and_begun_again(
    helpers: Helpers, folder: Path, body: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "FIRST_PAUSE", 0.01)
    program = a_program(folder, body)
    first, second, third = listen(helpers, program, 3, every=0.0, timeout=20.0)
    assert first == third == "a b"
    assert second.startswith(words.replace("{program}", str(program)))


def test_a_stream_without_a_document_in_time_says_nothing(helpers: Helpers, folder: Path) -> None:
    mark = a_mark()
    program = a_program(folder, f"exec sleep {mark}")
    (said,) = listen(helpers, program, every=0.0, timeout=0.3)
    assert said.startswith(f"{program}: it wrote no document in 0.3 s")
    wait_until(lambda: find_processes(mark) == [])


def test_where_nobody_may_change_users_the_units_helper_runs_it(
    helpers: Helpers, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = a_program(folder, f"echo '{ONCE}'")
    own = helpers.find_path("nobody")
    assert isinstance(own, ProbePath)
    monkeypatch.setattr(helpers_module, "may_change_users", lambda: False)
    monkeypatch.setattr(pauses, "FIRST_PAUSE", 0.01)
    confined = Helpers(tmp_path)
    (said,) = listen(confined, program)
    assert said == f"exec: nobody runs commands at {tmp_path}/exec: systemctl start routed-exec.socket"
    Path(own.helper).rename(tmp_path / "exec")  # as if systemd had made it
    assert listen(confined, program) == ["a b"]
    assert listen(confined, a_program(folder, f"while echo '{ONCE}'; do sleep 0.05; done"), 3, every=0.0) == ["a b"] * 3


def test_whom_another_needs_goes_on_when_one_does_not_need_it_any_more(helpers: Helpers) -> None:
    one, other = helpers.lease(), helpers.lease()
    one.find_path("nobody")
    one.find_path("daemon")
    other.find_path("nobody")
    one.close()
    assert list(helpers._started) == ["nobody"]
    other.close()
    assert helpers._started == {}


def test_who_is_no_daemon_has_helpers_for_a_while_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lease = BriefLease()
    assert isinstance(lease.find_path("nobody"), ProbePath)
    assert list(tmp_path.glob("routed-*/exec.nobody"))
    lease.close()
    assert list(tmp_path.iterdir()) == []


def test_who_fails_again_and_again_is_started_more_and_more_seldom() -> None:
    assert [find_pause(number, 60.0) for number in (1, 2, 3, 7, 9, 9999)] == [1, 2, 4, 60, 60, 60]
