"""Who may do what at the control socket. Needs root, to become somebody else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from routed.daemon.clients import ClientLimits, Peer
from routed.daemon.control import OUTCOMES_QUEUED, open_control
from routed.intent.problems import IntentError, Problem
from tests.system import callers
from tests.system.callers import BECOME, NOBODY, SOMEBODY

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

STRANGERS_GROUP = 12345
SECRET = "hunter2"  # noqa: S105  a word to look for
WATCH = '{"method":"io.routed.Watch","more":true}'


class Daemon:
    """A service that counts what it was asked."""

    def __init__(self) -> None:
        self.resumes = 0
        self.effort = 0.0  # seconds of the loop that a status takes
        self.spent = 0.0
        self.padding = ""
        self.problems: tuple[Problem, ...] = ()
        self.queues: set[asyncio.Queue[Any]] = set()

    def status(self, entry: str | None = None, address: bytes = b"") -> Any:  # noqa: ARG002  nobody asks for one
        end = time.monotonic() + self.effort
        while time.monotonic() < end:
            pass
        self.spent += self.effort
        problems = [problem._asdict() for problem in self.problems]
        return {"schema": "routed.status/1", "files": {"state": self.padding, "problems": problems}}

    def graph(self, *, is_folded: bool) -> Any:
        del is_folded
        return {"schema": "routed.graph/1"}

    async def plan(self, assumed: Sequence[str], asked: Sequence[bytes]) -> Any:
        del assumed, asked
        if self.problems:
            raise IntentError(self.problems)
        return {"schema": "routed.plan/1"}

    async def reload(self, **_: Any) -> Any:
        return {"schema": "routed.apply/1"}

    async def roll_back(self, **_: Any) -> Any:
        raise NotImplementedError

    def find_progress(self) -> None:
        pass

    async def confirm(self, asker: Peer) -> None:
        raise NotImplementedError

    def list_revisions(self) -> Any:
        return {"schema": "routed.revisions/1", "revisions": []}

    def list_members(self) -> Any:
        return {"schema": "routed.member-sources/1", "sources": []}

    def describe_metrics(self) -> Any:
        return {"schema": "routed.metrics/1", "families": []}

    def list_wants(self, address: bytes) -> Any:
        return {"schema": "routed.wants/1", "config": address.hex(), "wants": [], "makers": []}

    def explain(self, entry: str) -> Any:
        return {"schema": "routed.why-entry/1", "entry": entry, "entries": [], "unknown": []}

    def read_revision(self, revision: int) -> Any:
        return {"schema": "routed.sources/1", "revision": revision, "sources": []}

    def pause(self, entry: str | None, seconds: float, reason: str, asker: Peer) -> None:
        raise NotImplementedError

    def override(self, check: str, seconds: float, reason: str, asker: Peer, *, is_up: bool) -> None:
        raise NotImplementedError

    def drain(self, server: str, seconds: float, reason: str, asker: Peer) -> None:
        raise NotImplementedError

    def resume(self, entry: str | None) -> None:  # noqa: ARG002
        self.resumes += 1

    def subscribe(self, entry: str) -> asyncio.Queue[Any]:
        queue: asyncio.Queue[Any] = asyncio.Queue(OUTCOMES_QUEUED)
        del entry
        self.queues.add(queue)
        return queue

    def unsubscribe(self, queue: asyncio.Queue[Any]) -> None:
        self.queues.discard(queue)


async def call_as(path: Path, uid: int, groups: list[int], *methods: str, **flags: bool) -> list[dict[str, Any]]:
    return await asyncio.to_thread(callers.call_as, path, uid, groups, *methods, **flags)


@asynccontextmanager
async def crowding(path: Path, uid: int, count: int, message: str = "") -> AsyncIterator[None]:
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, callers.crowding(path, uid, count, message))
        try:
            yield
        finally:
            await asyncio.to_thread(stack.close)


def run(play: Callable[[Path, Daemon], Awaitable[None]], group: str = "", limits: ClientLimits | None = None) -> None:
    async def whole(path: Path) -> None:
        daemon = Daemon()
        control = await open_control(path, daemon, version="", group=group, limits=limits)
        try:
            await play(path, daemon)
        finally:
            await control.close()

    with callers.open_folder() as folder:
        asyncio.run(whole(folder / "io.routed"))


def test_anyone_may_list_the_revisions_and_their_text_is_for_those_who_may_change_something() -> None:
    async def play(path: Path, daemon: Daemon) -> None:
        methods = ("ListRevisions", "GetRevision", "RollBack", "Confirm")
        listed, *others = await call_as(path, NOBODY, [], *(f"io.routed.{method}" for method in methods))
        assert listed["parameters"]["document"]["schema"] == "routed.revisions/1"
        assert {reply["error"] for reply in others} == {"io.routed.PermissionDenied"}

    run(play)


def test_anyone_may_read_and_only_root_may_change() -> None:
    async def play(path: Path, daemon: Daemon) -> None:
        methods = ("io.routed.GetStatus", "io.routed.Plan", "org.varlink.service.GetInfo", "io.routed.Resume")
        status, plan, info, resume = await call_as(path, NOBODY, [], *methods)
        assert status["parameters"]["document"]["schema"] == "routed.status/1"
        assert plan["parameters"]["document"]["schema"] == "routed.plan/1"
        assert info["parameters"]["product"] == "routed"
        assert resume["error"] == "io.routed.PermissionDenied"
        assert daemon.resumes == 0
        assert await call_as(path, 0, [], "io.routed.Resume") == [{}]
        assert daemon.resumes == 1

    run(play)


@pytest.mark.parametrize(
    ("group", "helps"),
    [("", "let a group do it (systemctl edit routed: [Service] Environment=ROUTED_GROUP=NAME)"),
     ("root", "join that group (usermod -aG root NAME)")],
)  # fmt: skip
def test_who_may_not_change_is_told_what_would_help(group: str, helps: str) -> None:
    async def play(path: Path, _daemon: Daemon) -> None:
        [denied] = await call_as(path, NOBODY, [], "io.routed.Reload")
        reason = denied["parameters"]["reason"]
        assert reason.startswith("Reload is for root")
        assert reason.endswith(f"use sudo, or {helps}")

    run(play, group=group)


def test_a_member_of_the_group_may_change_and_a_member_of_another_may_not() -> None:
    async def play(path: Path, daemon: Daemon) -> None:
        [denied] = await call_as(path, NOBODY, [STRANGERS_GROUP], "io.routed.Resume")
        assert denied["error"] == "io.routed.PermissionDenied"
        assert await call_as(path, NOBODY, [STRANGERS_GROUP, 0], "io.routed.Resume") == [{}]
        assert daemon.resumes == 1

    run(play, group="root")


def test_everything_that_is_not_known_to_be_harmless_is_denied() -> None:
    async def play(path: Path, _daemon: Daemon) -> None:
        for method in ("io.routed.Reload", "io.routed.Pause", "io.routed.Later", "io.other.Change"):
            [reply] = await call_as(path, NOBODY, [], method)
            assert reply["error"] == "io.routed.PermissionDenied"

    run(play)


@pytest.mark.parametrize("message", ["", WATCH], ids=["idle", "Watch"])
def test_a_crowd_of_one_user_keeps_neither_root_nor_another_user_out(message: str) -> None:
    async def play(path: Path, daemon: Daemon) -> None:
        async with crowding(path, NOBODY, 200, message):
            for uid in (0, SOMEBODY):
                [reply] = await call_as(path, uid, [], "io.routed.GetStatus")
                assert "error" not in reply
            assert len(daemon.queues) <= ClientLimits().each

    run(play)


def test_a_user_who_takes_no_replies_does_not_keep_another_from_theirs() -> None:
    size = 1024 * 1024

    async def play(path: Path, daemon: Daemon) -> None:
        daemon.padding = "x" * size
        async with crowding(path, NOBODY, ClientLimits().each, '{"method":"io.routed.GetStatus"}'):
            for _ in range(ClientLimits().each):
                [reply] = await call_as(path, SOMEBODY, [], "io.routed.GetStatus")
                assert "error" not in reply

    run(play, limits=ClientLimits(unread=3 * size))


def test_a_user_may_have_so_many_clients_and_the_next_is_hung_up_on() -> None:
    async def play(path: Path, _daemon: Daemon) -> None:
        async with crowding(path, NOBODY, ClientLimits().each - 1):
            [reply] = await call_as(path, NOBODY, [], "io.routed.GetStatus")
            assert "error" not in reply
        async with crowding(path, NOBODY, ClientLimits().each):
            with pytest.raises(subprocess.CalledProcessError):
                await call_as(path, NOBODY, [], "io.routed.GetStatus")

    run(play)


def test_the_text_of_files_goes_to_root_and_to_the_group_and_to_nobody_else() -> None:
    async def play(path: Path, daemon: Daemon) -> None:
        daemon.problems = (Problem("/etc/routed.toml", 4, 1, f"unknown key `{SECRET}`", f"{SECRET} = 1", SECRET),)
        for uid, groups, knows in ((0, [], True), (NOBODY, [0], True), (NOBODY, [STRANGERS_GROUP], False)):
            status, plan = await call_as(path, uid, groups, "io.routed.GetStatus", "io.routed.Plan")
            assert plan["error"] == "io.routed.InvalidConfiguration"
            [shown] = status["parameters"]["document"]["files"]["problems"]
            assert [shown] == plan["parameters"]["problems"]
            assert (shown["file"], shown["line"], shown["column"]) == ("/etc/routed.toml", 4, 1)
            assert (SECRET in str(shown)) is knows

    run(play, group="root")


def test_who_watches_without_the_right_to_it_sees_no_text_of_files() -> None:
    async def play(path: Path, daemon: Daemon) -> None:
        watcher = await asyncio.create_subprocess_exec(
            sys.executable, "-c", callers.CLIENT, str(path), str(NOBODY), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert watcher.stdin
        assert watcher.stdout
        watcher.stdin.write(f"{WATCH}\n".encode())
        while not daemon.queues:  # noqa: ASYNC110  the other process decides how long
            await asyncio.sleep(0.01)
        fields = {"ROUTED_EVENT": "config-rejected", "ROUTED_REASON": SECRET}
        for queue in daemon.queues:
            queue.put_nowait({"time": "", "message": f"invalid: {SECRET}", "priority": 3, "fields": fields})
        reply = await watcher.stdout.readline()
        assert b"config-rejected" in reply
        assert SECRET.encode() not in reply
        await watcher.communicate(b"")

    run(play)


def test_strangers_who_ask_without_end_leave_the_loop_most_of_its_time() -> None:
    async def play(path: Path, daemon: Daemon) -> None:
        daemon.effort = 0.02
        pipelining = f"""{BECOME}
question = b'{{"method":"io.routed.GetStatus"}}' + bytes(1)
clients = [socket.socket(socket.AF_UNIX) for _ in range(8)]
for client in clients:
    client.connect(sys.argv[1])
    client.sendall(question * 1000)
print("asked", flush=True)
input()
"""
        flood = await asyncio.create_subprocess_exec(
            sys.executable, "-c", pipelining, str(path), str(NOBODY), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert flood.stdout
        assert await flood.stdout.readline() == b"asked\n"
        began = time.monotonic()
        daemon.spent = 0.0
        while daemon.spent < 0.2:  # noqa: ASYNC110  the flood decides how long
            await asyncio.sleep(0.01)
        assert daemon.spent <= 0.4 * (time.monotonic() - began)
        await flood.communicate(b"\n")

    run(play)
