"""Who may do what at the control socket. Needs root, to become somebody else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from routed.daemon.control import Limits, open_control

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

NOBODY = 65534
STRANGERS_GROUP = 12345

# A client by hand: becomes somebody else, says each argument, prints each reply. It does so itself, since not everybody
# may execute the interpreter that runs the tests.
BECOME = """
import os, socket, sys
uid, *groups = map(int, sys.argv[2].split(","))
os.setgroups(groups)
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
"""
CLIENT = f"""{BECOME}
with socket.socket(socket.AF_UNIX) as client:
    client.settimeout(10)
    client.connect(sys.argv[1])
    for message in sys.argv[3:]:
        client.sendall(message.encode() + b"\\0")
        reply = b""
        while not reply.endswith(b"\\0"):
            part = client.recv(65536)
            if not part:
                sys.exit("hung up on")
            reply += part
        print(reply[:-1].decode(), flush=True)
"""


class Daemon:
    """A service that counts what it was asked."""

    def __init__(self) -> None:
        self.resumes = 0
        self.effort = 0.0  # seconds of the loop that a status takes
        self.spent = 0.0

    def status(self) -> Any:
        end = time.monotonic() + self.effort
        while time.monotonic() < end:
            pass
        self.spent += self.effort
        return {"schema": "routed.status/1"}

    async def plan(self) -> Any:
        return {"schema": "routed.plan/1"}

    async def reload(self, force: bool) -> Any:  # noqa: ARG002
        return {"schema": "routed.apply/1"}

    def pause(self, entry: str | None, seconds: float, reason: str) -> None:
        raise NotImplementedError

    def resume(self, entry: str | None) -> None:  # noqa: ARG002
        self.resumes += 1

    def subscribe(self) -> asyncio.Queue[Any]:
        raise NotImplementedError

    def unsubscribe(self, queue: asyncio.Queue[Any]) -> None:
        raise NotImplementedError


async def call_as(path: Path, uid: int, groups: list[int], *methods: str) -> list[dict[str, Any]]:
    messages = [json.dumps({"method": method, "parameters": {}}) for method in methods]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", CLIENT, str(path), ",".join(map(str, (uid, *groups))), *messages],
        stdout=subprocess.PIPE,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def run(play: Callable[[Path, Daemon], Awaitable[None]], group: str = "", limits: Limits | None = None) -> None:
    folder = Path(mkdtemp())  # not tmp_path, which only root may enter
    folder.chmod(0o755)

    async def whole() -> None:
        daemon = Daemon()
        control = await open_control(folder / "io.routed", daemon, version="", group=group, limits=limits)
        try:
            await play(folder / "io.routed", daemon)
        finally:
            await control.close()

    asyncio.run(whole())
    folder.rmdir()


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


def test_a_crowd_of_strangers_does_not_keep_root_out() -> None:
    async def play(path: Path, _daemon: Daemon) -> None:
        crowd = f"""{BECOME}
clients = [socket.socket(socket.AF_UNIX) for _ in range(200)]
for client in clients:
    client.connect(sys.argv[1])
print("in", flush=True)
input()
"""
        flood = await asyncio.create_subprocess_exec(
            sys.executable, "-c", crowd, str(path), str(NOBODY), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert flood.stdout
        assert await flood.stdout.readline() == b"in\n"
        [reply] = await call_as(path, 0, [], "io.routed.GetStatus")
        assert "error" not in reply
        await flood.communicate(b"\n")

    run(play)


def test_strangers_who_ask_without_end_leave_the_loop_most_of_its_time() -> None:
    async def play(path: Path, daemon: Daemon) -> None:
        daemon.effort = 0.02
        pipelining = f"""{BECOME}
question = b'{{"method":"io.routed.GetStatus"}}' + bytes(1)
clients = [socket.socket(socket.AF_UNIX) for _ in range(20)]
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
