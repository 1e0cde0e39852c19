"""What a check of type exec makes of commands that are good, hang, leave children, or must not run. Real processes."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path as File

import pytest

from routed.audit.reasons import describe_reason
from routed.daemon import helpers
from routed.daemon.helpers import Helpers
from routed.intent.words import MOST_OF_A_COMMAND
from routed.model.checks import Check, CheckType, Target
from routed.model.entries import Origin
from routed.model.reasons import Finding, Probed
from routed.probes import helper as helper_module
from routed.probes.ask import Answered, ask
from routed.probes.command import judge
from routed.probes.dialogue import (
    MOST,
    MOST_OUTPUT,
    PIECE,
    CommandEnd,
    CommandRun,
    pack_run,
    unpack_result,
    unpack_said,
)
from routed.probes.sockets import Path
from routed.probes.users import find_user
from tests.kernel.netns import wait_until
from tests.probes.programs import LEAVES_MANY, a_folder, a_mark, a_program, find_processes

TARGET = Target(b"")
TIMEOUT = 5.0


@pytest.fixture
def folder() -> Iterator[File]:
    with a_folder() as folder:
        yield folder


@pytest.fixture
def helper(tmp_path: File) -> Iterator[Helpers]:
    helper = Helpers(tmp_path)
    try:
        yield helper
    finally:
        helper.close()


def a_check(*command: object, timeout: float = TIMEOUT, user: str = "nobody") -> Check:
    words = tuple(map(str, command))
    origin = Origin("f", 1)
    return Check(
        name="it", origin=origin, type=CheckType.EXEC, targets=(TARGET,), timeout=timeout, command=words, user=user
    )


async def put(helper: Helpers, check: Check) -> Answered:
    path = helper.find_path(check.user)
    return Answered(path, 0.0) if isinstance(path, Probed) else await ask(check, TARGET, path)


def found(helper: Helpers, *command: object, timeout: float = TIMEOUT, user: str = "nobody") -> tuple[str, str]:
    probed = asyncio.run(put(helper, a_check(*command, timeout=timeout, user=user))).probed
    return probed.finding.name, describe_reason(probed)


def say(helper: Helpers, folder: File, body: str) -> str:
    """The first line that a good program of this text prints."""
    finding, words = found(helper, a_program(folder, body))
    assert finding == "GOOD", words
    return words.removeprefix("exec: answered").strip()


# --- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "finding", "words"),
    [
        ("echo OK - all is well; echo more", "GOOD", "exec: answered OK - all is well"),
        ("exit 0", "GOOD", "exec: answered"),
        ("echo; echo CRITICAL - 3 lost; exit 2", "EXITED", "exec: exit code 2: CRITICAL - 3 lost"),
        ("echo to stderr >&2; exit 1", "EXITED", "exec: exit code 1: to stderr"),
        ("exit 7", "EXITED", "exec: exit code 7"),
        (r"printf 'a\033[31mb\n'; exit 1", "EXITED", "exec: exit code 1: a?[31mb"),
        ("kill -SEGV $$", "SIGNALLED", "exec: ended by SIGSEGV"),
    ],
)
def test_the_exit_code_decides_and_the_first_line_is_told(
    helper: Helpers, folder: File, body: str, finding: str, words: str
) -> None:
    assert found(helper, a_program(folder, body)) == (finding, words)


def test_arguments_are_given_as_they_are_and_no_shell_reads_them(helper: Helpers, folder: File) -> None:
    program = a_program(folder, 'echo "$# $1 $2"')
    assert found(helper, program, "a b", "$(id)")[1] == "exec: answered 2 a b $(id)"


def test_it_is_no_answer_when_the_time_is_over(helper: Helpers, folder: File) -> None:
    mark = a_mark()
    assert found(helper, a_program(folder, f"sleep {mark}"), timeout=0.2) == ("SILENCE", "exec: no answer in 0.2 s")
    wait_until(lambda: find_processes(mark) == [])


def test_ten_megabytes_are_read_and_the_beginning_counts(helper: Helpers, folder: File) -> None:
    program = a_program(folder, "head -c 10000000 /dev/zero | tr '\\0' x; exit 1")
    finding, words = found(helper, program)
    assert finding == "EXITED"
    assert words == f"exec: exit code 1: {'x' * 160}"
    path = helper.find_path("nobody")
    assert isinstance(path, Path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.connect(path.helper)
        one.send(pack_run(CommandRun((str(program),), TIMEOUT)))
        assert unpack_result(one.recv(65536)).output == "x" * MOST_OUTPUT


def test_who_prints_more_than_is_taken_waits(helper: Helpers, folder: File) -> None:
    path = helper.find_path("nobody")
    assert isinstance(path, Path)
    program = a_program(folder, "exec yes")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.connect(path.helper)
        one.send(pack_run(CommandRun((str(program),), 60.0, is_told=True)))
        wait_until(lambda: find_processes("yes") != [])
        (pid,) = find_processes("yes")
        written = [0, 1]

        def waits() -> bool:
            written.append(int(File(f"/proc/{pid}/io").read_text().splitlines()[1].split()[1]))  # wchar
            return written[-1] == written[-2] > 0

        wait_until(waits)
        assert written[-1] < 1 << 20
        piece = unpack_said(one.recv(MOST))
        assert isinstance(piece, bytes)
        assert 0 < len(piece) <= PIECE
        assert set(piece) == set(b"y\n")
    wait_until(lambda: find_processes("yes") == [])


# --- what it leaves ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["exit 0", "exit 1", "kill -KILL $$", "sleep {mark}"])
def test_whatever_it_left_behind_is_killed_also_in_a_session_of_its_own(
    helper: Helpers, folder: File, end: str
) -> None:
    mark = a_mark()
    program = a_program(folder, f"{LEAVES_MANY}sleep 0.1\n{end}".format(mark=mark))
    if found(helper, program, timeout=0.5)[0] == "SILENCE":  # which is told before all is killed
        wait_until(lambda: find_processes(mark) == [])
    assert find_processes(mark) == []


def test_who_asks_no_more_ends_the_command(helper: Helpers, folder: File) -> None:
    mark = a_mark()
    check = a_check(a_program(folder, f"{LEAVES_MANY}sleep {{mark}}".format(mark=mark)), timeout=60.0)

    async def begin_and_cancel() -> None:
        task = asyncio.create_task(put(helper, check))
        await asyncio.to_thread(wait_until, lambda: len(find_processes(mark)) == 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(begin_and_cancel())
    wait_until(lambda: find_processes(mark) == [])


def test_when_its_keeper_is_killed_nothing_is_left_and_nothing_is_known(helper: Helpers, folder: File) -> None:
    mark = a_mark()
    check = a_check(a_program(folder, f"{LEAVES_MANY}sleep {{mark}}".format(mark=mark)), timeout=60.0)

    async def begin_and_kill() -> Answered:
        task = asyncio.create_task(put(helper, check))
        await asyncio.to_thread(wait_until, lambda: len(find_processes(mark)) == 5)
        (program,) = find_processes(str(folder / "check"))
        os.kill(parent_of(program), signal.SIGKILL)
        return await task

    assert asyncio.run(begin_and_kill()).probed.finding is Finding.LOCAL
    wait_until(lambda: find_processes(mark) == [])


def parent_of(pid: int) -> int:
    return int(File(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.long
def test_a_hundred_that_hang_with_children_leave_no_process(helper: Helpers, folder: File) -> None:
    mark = a_mark()
    check = a_check(a_program(folder, f"{LEAVES_MANY}sleep {{mark}}".format(mark=mark)), timeout=0.5)

    async def ask_all() -> list[Answered]:
        answers = []
        for _ in range(10):
            answers += await asyncio.gather(*(put(helper, check) for _ in range(10)))
        return answers

    answers = asyncio.run(ask_all())
    assert {one.probed.finding for one in answers} <= {Finding.SILENCE, Finding.LOCAL}  # LOCAL: this host is busy
    wait_until(lambda: find_processes(mark) == [])


# --- with whose rights ------------------------------------------------------------------------------------------------


def test_it_runs_as_nobody_without_groups_rights_and_environment(helper: Helpers, folder: File) -> None:
    assert say(helper, folder, 'echo "$(id -u) $(id -G)"') == "65534 65534"
    held = say(helper, folder, "grep -E 'Cap(Prm|Eff|Amb)|NoNewPrivs' /proc/self/status | tr -s '\\n\\t' ' '")
    assert held == "CapPrm: 0000000000000000 CapEff: 0000000000000000 CapAmb: 0000000000000000 NoNewPrivs: 1"
    assert say(helper, folder, "env | grep -v -E '^(_|PWD|SHLVL|OLDPWD)=' | sort | tr '\\n' ' '") == (
        "LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    )
    assert say(helper, folder, 'echo "$(readlink /proc/self/fd/0) $(pwd)"') == "/dev/null /"
    own = say(helper, folder, "cut -d ' ' -f 1,5,6 /proc/$$/stat")
    assert len(set(own.split())) == 1, f"pid, group, session: {own}"


def test_the_helper_serves_nobody_while_it_has_a_right(tmp_path: File) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(tmp_path / "exec"))
        listening.listen(1)
        command = [sys.executable, "-m", "routed.probes.helper", "--idle", "0.1"]
        done = subprocess.run(command, stdin=listening.fileno(), check=False, capture_output=True, text=True)
    assert done.returncode == 77
    assert done.stderr == "no command is run: the user is root\n"


def test_where_no_helper_can_give_up_its_rights_the_check_cannot_be_made_until_one_can(
    helper: Helpers, folder: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = a_program(folder, "exit 0")
    with monkeypatch.context() as within:
        within.setattr(helpers, "_CODE", helpers._CODE.replace("main(", "main(['--idle', '60'] or ", 1))
        assert found(helper, program) == (
            "NOT_HARMLESS",
            (
                "exec: it would run with rights: the user is root: see User= of routed-exec.service,"
                " or run routed by its unit"
            ),
        )
    (process,) = helper._started.values()
    process.terminate()  # as it does itself after a while
    process.wait()
    assert found(helper, program)[0] == "GOOD"


def test_the_helper_serves_root_alone(helper: Helpers, folder: File) -> None:
    path = helper.find_path("nobody")
    assert isinstance(path, Path)
    assert File(path.helper).stat().st_mode & 0o777 == 0o600
    File(path.helper).chmod(0o666)  # even if anybody could connect
    for above in (File(path.helper).parent, *File(path.helper).parent.parents):
        above.chmod(above.stat().st_mode | 0o111)
    code = (
        "import socket, sys; one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); one.connect(sys.argv[1]);"
        " print(one.recv(99))"
    )
    command = ["setpriv", "--reuid=1", "--clear-groups", "/usr/bin/python3", "-c", code, path.helper]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.stdout == "b''\n", done.stderr


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"command": ["ls"], "timeout": 1}',
        b'{"command": ["/bin/ls"], "timeout": 1e99}',
        b'{"command": ["/bin/ls"], "timeout": 1, "is_told": 1}',
    ],
)
def test_what_is_no_request_gets_no_answer(helper: Helpers, folder: File, packet: bytes) -> None:
    path = helper.find_path("nobody")
    assert isinstance(path, Path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.settimeout(20)
        one.connect(path.helper)
        one.send(packet)
        with suppress(ConnectionResetError):
            assert one.recv(99) == b""


def list_modules(name: str) -> set[str]:
    """What a fresh Python has imported for this module."""
    code = f"import sys, {name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_helper_is_small_and_a_daemon_without_commands_has_none_of_it() -> None:
    assert not list_modules("routed.probes.helper") & {"asyncio", "logging", "pathlib", "pydantic", "subprocess", "h11"}
    used = {"routed.daemon.helpers", "routed.probes.command", "routed.probes.dialogue", "routed.probes.helper"}
    assert not list_modules("routed.daemon.prober") & used


# --- what is not run --------------------------------------------------------------------------------------------------


def test_a_command_that_cannot_be_run_is_named_with_what_to_do(helper: Helpers, folder: File) -> None:
    path = folder / "check"
    assert found(helper, path) == (
        "NO_COMMAND", f"exec: {path} does not exist: install it, or change `command`",
    )  # fmt: skip
    a_program(folder, "exit 0", mode=0o644)
    assert found(helper, path) == ("NOT_EXECUTABLE", f"exec: it cannot be run: {path}: Permission denied")
    path.write_text("neither a script nor a program")
    path.chmod(0o755)
    assert found(helper, path) == ("NOT_EXECUTABLE", f"exec: it cannot be run: {path}: Exec format error")
    path.write_text("#!/nonexistent/shell\n")
    assert found(helper, path)[0] == "NOT_EXECUTABLE"
    assert found(helper, folder)[0] == "NOT_EXECUTABLE"
    assert found(helper, path / "below")[0] == "NO_COMMAND"


def test_a_command_that_somebody_else_may_write_is_not_run(helper: Helpers, folder: File) -> None:
    (folder / "inner").mkdir(0o755)
    program = a_program(folder / "inner", f"touch {folder}/was-run")
    link = folder / "link"
    link.symlink_to(program)
    cure = "chown -h root and chmod go-w"

    def refused(path: File, culprit: File) -> bool:
        words = f"exec: somebody else than root may write {culprit}: {cure}"
        return found(helper, path) == ("WRITABLE", words)

    assert found(helper, program)[0] == found(helper, link)[0] == "EXITED"  # nobody may not touch
    for mode in (0o775, 0o757):
        program.chmod(mode)
        assert refused(program, program)
        assert refused(link, program)
    program.chmod(0o755)
    program.parent.chmod(0o777)
    assert refused(link, program.parent)
    program.parent.chmod(0o1777)
    assert found(helper, program)[0] == "EXITED"  # sticky: what is root's stays root's
    program.parent.chmod(0o755)
    os.chown(program, 65534, 0)
    assert refused(program, program)
    os.chown(program, 0, 0)
    os.chown(link, 65534, 0, follow_symlinks=False)
    assert refused(link, link)


def test_a_user_that_is_not_there_or_is_root_is_refused(helper: Helpers, folder: File) -> None:
    program = a_program(folder, "id -u")
    assert found(helper, program, user="daemon")[1] == "exec: answered 1"
    assert found(helper, program, user="nobody")[1] == "exec: answered 65534"
    for user in ("nosuchuser", "root"):
        assert found(helper, program, user=user)[0] == "NO_USER"


@pytest.mark.skipif(find_user(helpers.USER) is not None, reason="the host has this user")
def test_where_nobody_is_named_it_runs_as_a_user_of_its_own_and_never_as_nobody(helper: Helpers, folder: File) -> None:
    assert found(helper, a_program(folder, "id -u"), user="") == (
        "NO_USER",
        (
            "exec: this host has no user routed-exec, or it is root: make it (useradd --system routed-exec),"
            " or change `user`"
        ),
    )


def test_where_nobody_may_change_users_the_units_helper_is_asked(
    helper: Helpers, folder: File, tmp_path: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = a_program(folder, "id -u")
    own = helper.find_path("nobody")
    assert isinstance(own, Path)
    monkeypatch.setattr(helpers, "may_change_users", lambda: False)
    confined = Helpers(tmp_path)
    assert found(confined, program) == (
        "NO_HELPER", f"exec: nobody runs commands at {tmp_path}/exec: systemctl start routed-exec.socket",
    )  # fmt: skip
    File(own.helper).rename(tmp_path / "exec")  # as if systemd had made it
    assert found(confined, program)[1] == "exec: answered 65534"
    assert found(confined, program, user="daemon") == (
        "OTHER_USER",
        "exec: commands run as nobody here: leave `user` out, or set User= in a drop-in of routed-exec.service",
    )


def test_a_helper_that_was_killed_is_started_again(helper: Helpers, folder: File) -> None:
    program = a_program(folder, "exit 0")
    assert found(helper, program)[0] == "GOOD"
    (process,) = helper._started.values()
    process.kill()
    process.wait()
    assert found(helper, program)[0] == "GOOD"


def test_a_daemon_that_is_killed_before_its_helper_knows_of_it_leaves_none(tmp_path: File) -> None:
    code = (
        "import os, sys; from pathlib import Path; from routed.daemon.helpers import Helpers;"
        " helpers = Helpers(Path(sys.argv[1]));"
        " helpers.find_path('nobody'); print(*(one.pid for one in helpers._started.values()), flush=True);"
        " os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True)
    wait_until(lambda: not File(f"/proc/{int(done.stdout)}/cmdline").exists() or is_zombie(int(done.stdout)))


def is_zombie(pid: int) -> bool:
    return File(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_keeper_that_stands_still_is_gone_some_time_after_whoever_asked_hung_up(
    helper: Helpers, folder: File
) -> None:
    mark = a_mark()
    check = a_check(a_program(folder, f"exec sleep {mark}"), timeout=60.0)

    async def begin_and_stop() -> int:
        task = asyncio.create_task(put(helper, check))
        await asyncio.to_thread(wait_until, lambda: find_processes(mark) != [])
        keeper = parent_of(find_processes(mark)[0])
        os.kill(keeper, signal.SIGSTOP)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return keeper

    keeper = asyncio.run(begin_and_stop())
    wait_until(lambda: not File(f"/proc/{keeper}").exists(), 20.0)
    wait_until(lambda: find_processes(mark) == [])
    assert found(helper, a_program(folder, "exit 0"))[0] == "GOOD"


def test_without_a_free_descriptor_nobody_says_that_there_is_no_such_user(tmp_path: File) -> None:
    helper, check = Helpers(tmp_path), a_check("/bin/true", user="daemon")
    limits, taken = resource.getrlimit(resource.RLIMIT_NOFILE), list[int]()
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        with pytest.raises(OSError, match="Too many open files"):
            helper.find_path(check.user)
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert helper._started == {}


def test_a_user_is_looked_up_once_and_not_at_each_question(helper: Helpers, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def find(name: str) -> object:
        asked.append(name)
        return find_user(name)

    monkeypatch.setattr(helpers, "find_user", find)
    for _ in range(3):
        helper.find_path("nobody")
    assert asked == ["nobody"]


# --- what is no answer ------------------------------------------------------------------------------------------------


def test_what_somebody_killed_is_no_answer(helper: Helpers, folder: File) -> None:
    assert found(helper, a_program(folder, "kill -KILL $$")) == (
        "LOCAL",
        "exec: it could not be asked: somebody killed it by SIGKILL, as the kernel does when memory runs out",
    )


@pytest.mark.parametrize(
    ("file", "before", "after", "setting"),
    [
        ("pids.events", "max 4\n", "max 5\n", "TasksMax"),
        ("memory.events.local", "low 0\noom 7\noom_kill 2\n", "low 0\noom 8\noom_kill 3\n", "MemoryMax"),
        ("memory.events.local", "low 0\noom_kill 2\n", "low 9\noom_kill 2\n", ""),
        ("nothing", "", "", ""),
    ],
)
@pytest.mark.parametrize("code", [0, 3])
def test_what_fails_while_all_commands_come_to_a_limit_is_no_answer(
    tmp_path: File, folder: File, monkeypatch: pytest.MonkeyPatch, file: str, before: str, after: str,
    setting: str, code: int,
) -> None:  # fmt: skip
    counter = tmp_path / file
    counter.write_text(before)
    (tmp_path / "after").write_text(after)
    program = a_program(folder, f"cp {tmp_path}/after {counter}; exit {code}")  # as the kernel counts meanwhile
    monkeypatch.setattr(helper_module, "find_group", lambda: os.fsencode(tmp_path))
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        keeper = os.fork()
        if not keeper:
            near.close()
            helper_module.obey(CommandRun((str(program),), TIMEOUT), far)
            os._exit(0)
        near.settimeout(20)
        result = unpack_result(near.recv(MOST))
        os.waitpid(keeper, 0)
    is_limited = bool(setting and code)
    assert result.end is (CommandEnd.LIMITED if is_limited else CommandEnd.ENDED)
    if is_limited:
        with pytest.raises(OSError, match=f"came to {setting}= of their unit"):
            judge(a_check(program), result)


def test_a_command_may_take_a_day_and_have_any_letters(helper: Helpers, folder: File) -> None:
    program = a_program(folder, 'echo "$#"')
    assert found(helper, program, timeout=86400.0 * 30)[0] == "GOOD"
    most = MOST_OF_A_COMMAND - len(str(program)) - 2
    for letter in ("a", "\N{GRINNING FACE}", "\x01", '"'):
        assert found(helper, program, letter * most)[1] == "exec: answered 1"
    assert found(helper, program, *["\x01"] * (most // 2))[1] == f"exec: answered {most // 2}"


def test_the_helper_is_gone_when_it_is_closed(helper: Helpers, folder: File, tmp_path: File) -> None:
    assert found(helper, a_program(folder, "exit 0"))[0] == "GOOD"
    (process,) = helper._started.values()
    helper.close()
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_too_many_at_once_is_no_answer(helper: Helpers, folder: File) -> None:
    path = helper.find_path("nobody")
    assert isinstance(path, Path)
    idle = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(64)]
    try:
        for one in idle:
            one.connect(path.helper)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as late:
            late.settimeout(20)
            late.connect(path.helper)
            assert unpack_result(late.recv(99)).end is CommandEnd.BUSY
    finally:
        for one in idle:
            one.close()
