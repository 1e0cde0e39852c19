from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncvarlink import VarlinkClientProtocol, connect_unix_varlink

from routed.daemon import control
from routed.daemon.clients import ClientLimits, Peer
from routed.daemon.control import (
    OUTCOMES_QUEUED,
    Control,
    RoutedInterface,
    UnknownEntry,
    open_control,
    parse_call,
)
from routed.daemon.listener import ControlError
from routed.intent.problems import IntentError, Problem
from routed.model.documents import (
    ApplyDocument,
    MemberSourcesDocument,
    OutcomeDocument,
    PlanDocument,
    ProgressDocument,
    RevisionsDocument,
    SourcesDocument,
    StatusDocument,
)
from routed.model.graph_document import GraphDocument
from routed.model.metrics import MetricsDocument
from routed.model.net import parse_address
from routed.model.why_documents import WantsDocument, WhyEntryDocument

HASTY = ClientLimits(patience=0.2)


class Daemon:
    """A service that answers at once, and remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.queues: set[asyncio.Queue[OutcomeDocument]] = set()
        self.has_subscriber = asyncio.Event()
        self.is_left = asyncio.Event()
        self.gate = asyncio.Event()
        self.entries = 1
        self.progress: ProgressDocument | None = None
        self.problems: tuple[Problem, ...] = ()

    def status(self, entry: str | None = None, address: bytes = b"") -> StatusDocument:
        shown: dict[str, Any] = {
            "kind": "route", "object": "10.0.0.0/8", "state": "in-sync", "reason": "", "since": "", "count": 1,
            "ip": {"dst": "10.0.0.0/8", "metrics": [{"mtu": 1400}]},
        }  # fmt: skip
        whole: dict[str, Any] = {
            "entry": "route/a", "state": "in-sync", "reason": "", "since": "", "origin": "f:1", "enforce": "repair",
            "total": 1, "objects": [shown],
        }  # fmt: skip
        self.told += [("address", address)] if address else []
        document: Any = {
            "schema": "routed.status/1", "version": "0", "pid": 1, "since": "", "config": "", "protocol": 114,
            "revision": 1, "files": {"state": "in force", "problems": []}, "state": "", "repairs": 0, "overruns": 0,
            "last_resync": "", "entries": [whole] * (1 if entry else self.entries), "leftovers": [],
        }  # fmt: skip
        return document  # type: ignore[no-any-return]

    def graph(self, *, is_folded: bool) -> GraphDocument:
        self.told.append(("graph", is_folded))
        return {"schema": "routed.graph/1", "source": "daemon", "notes": [], "nodes": [], "edges": []}

    async def plan(self, assumed: Sequence[str], asked: Sequence[bytes]) -> PlanDocument:
        self.told += [("assumed", one) for one in assumed] + [("asked", one) for one in asked]
        if self.problems:
            raise IntentError(self.problems)
        return {"schema": "routed.plan/1", "steps": [], "refusals": [], "waiting": [], "notes": []}

    async def reload(self, *, force: bool, confirm: float | None, comment: str, asker: Peer) -> ApplyDocument:
        self.told.append(("reload", force, *(one for one in (confirm, comment) if one)))
        assert asker.pid == os.getpid()
        await self.gate.wait()
        return {
            "schema": "routed.apply/1", "revision": 2, "changed": 0, "in_sync": 1, "problems": [], "failures": [],
            "refusals": [], "waiting": [],
        }  # fmt: skip

    async def roll_back(
        self, *, revision: int | None, force: bool, confirm: float | None, asker: Peer
    ) -> ApplyDocument:
        raise NotImplementedError

    def find_progress(self) -> ProgressDocument | None:
        return self.progress

    async def confirm(self, asker: Peer) -> None:
        raise NotImplementedError

    def list_revisions(self) -> RevisionsDocument:
        raise NotImplementedError

    def list_members(self) -> MemberSourcesDocument:
        raise NotImplementedError

    def describe_metrics(self) -> MetricsDocument:
        raise NotImplementedError

    def list_wants(self, address: bytes) -> WantsDocument:
        raise NotImplementedError

    def explain(self, entry: str) -> WhyEntryDocument:
        raise UnknownEntry(entry=entry)

    def read_revision(self, revision: int) -> SourcesDocument:
        raise NotImplementedError

    def pause(self, entry: str | None, seconds: float, reason: str, asker: Peer) -> None:
        if entry not in {None, "route/a"}:
            raise UnknownEntry(entry=entry)
        self.told.append(("pause", entry, seconds, reason))
        assert asker.pid == os.getpid()

    def override(self, check: str, seconds: float, reason: str, asker: Peer, *, is_up: bool) -> None:
        self.told.append(("override", check, seconds, reason, is_up))
        assert asker.pid == os.getpid()

    def drain(self, server: str, seconds: float, reason: str, asker: Peer) -> None:
        self.told.append(("drain", server, seconds, reason))
        assert asker.pid == os.getpid()

    def resume(self, entry: str | None) -> None:
        if entry == "defect":
            raise ZeroDivisionError("a defect")
        self.told.append(("resume", entry))

    def subscribe(self, entry: str) -> asyncio.Queue[OutcomeDocument]:
        queue: asyncio.Queue[OutcomeDocument] = asyncio.Queue(OUTCOMES_QUEUED)
        self.queues.add(queue)
        self.told += [("watch", entry)] if entry else []
        self.has_subscriber.set()
        return queue

    def unsubscribe(self, queue: asyncio.Queue[OutcomeDocument]) -> None:
        self.queues.discard(queue)
        self.is_left.set()

    def publish(self, message: str) -> None:
        for queue in self.queues:
            if not queue.full():
                queue.put_nowait({"time": "", "message": message, "priority": 5, "fields": {}})


class Scene:
    """A running control socket and what is behind it."""

    def __init__(self, path: Path, daemon: Daemon, control: Control) -> None:
        self.path = path
        self.daemon = daemon
        self.control = control

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_unix_connection(self.path, limit=2**26)
        return Client(reader, writer)

    async def is_alive(self) -> bool:
        """Does a well-behaved client get its answer soon, whatever else goes on?"""
        async with asyncio.timeout(2):
            client = await self.connect()
            reply = await client.call("io.routed.GetStatus")
            client.leave()
        return bool(reply["parameters"]["document"]["pid"] == 1)


class Client:
    """Varlink by hand: JSON and a NUL."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, method: str, parameters: dict[str, Any] | None = None, **flags: bool) -> None:
        self.writer.write(json.dumps({"method": method, "parameters": parameters or {}, **flags}).encode() + b"\0")

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(60):
            reply: dict[str, Any] = json.loads((await self.reader.readuntil(b"\0"))[:-1])
        return reply

    async def call(self, method: str, parameters: dict[str, Any] | None = None, **flags: bool) -> dict[str, Any]:
        self.send(method, parameters, **flags)
        return await self.receive()

    async def is_hung_up_on(self) -> bool:
        try:
            async with asyncio.timeout(60):
                while await self.reader.read(65536):
                    pass
        except ConnectionError:
            pass
        self.leave()
        return True

    def leave(self) -> None:
        self.writer.transport.abort()


def run(tmp_path: Path, play: Callable[[Scene], Awaitable[None]], limits: ClientLimits | None = None) -> None:
    unhandled: list[dict[str, Any]] = []

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
        async with opened(tmp_path, limits) as scene:
            await play(scene)
        gc.collect()  # a task reports an exception that nobody has looked at when it is collected

    asyncio.run(whole())
    assert unhandled == []


@asynccontextmanager
async def opened(tmp_path: Path, limits: ClientLimits | None) -> AsyncIterator[Scene]:
    path = tmp_path / "run" / "io.routed"
    daemon = Daemon()
    control = await open_control(path, daemon, version="1.2", limits=limits)
    try:
        yield Scene(path, daemon, control)
    finally:
        await control.close()


def test_the_service_introduces_itself_and_describes_its_interface(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        info = (await client.call("org.varlink.service.GetInfo"))["parameters"]
        assert info["interfaces"] == ["io.routed", "org.varlink.service"]
        assert info["version"] == "1.2"
        reply = await client.call("org.varlink.service.GetInterfaceDescription", {"interface": "io.routed"})
        description = reply["parameters"]["description"]
        assert "method GetStatus(entry: ?string, address: ?string) -> (document: StatusDocument)" in description
        assert "method Pause(entry: ?string, seconds: float, reason: string) -> ()" in description
        assert "ip: [string]object" in description
        assert "notices: ?[]string" in description
        assert "error InvalidConfiguration (problems: []ProblemDocument)" in description
        client.leave()

    run(tmp_path, play)


def test_a_varlink_client_that_is_not_ours_can_call_every_method(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        transport, protocol = await connect_unix_varlink(VarlinkClientProtocol, scene.path)
        routed = protocol.make_proxy(RoutedInterface)
        assert (await routed.GetStatus())["document"] == scene.daemon.status()
        assert (await routed.Plan())["document"]["schema"] == "routed.plan/1"
        assert (await routed.GetGraph())["document"]["schema"] == "routed.graph/1"
        assert (await routed.GetGraph(folded=False))["document"]["nodes"] == []
        scene.daemon.gate.set()
        assert (await routed.Reload(force=True))["document"]["revision"] == 2
        await routed.Pause(entry="route/a", seconds=60.0, reason="a test")
        await routed.Pause(entry=None, seconds=1.5, reason="")
        await routed.Resume(entry=None)
        assert scene.daemon.told == [
            ("graph", True),
            ("graph", False),
            ("reload", True),
            ("pause", "route/a", 60.0, "a test"),
            ("pause", None, 1.5, ""),
            ("resume", None),
        ]
        with pytest.raises(UnknownEntry):
            await routed.Pause(entry="route/b", seconds=60.0, reason="")
        transport.close()
        await transport.closed_future

    run(tmp_path, play)


def test_a_wish_left_out_is_a_wish_for_everything(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        assert await client.call("io.routed.Resume") == {}
        assert scene.daemon.told == [("resume", None)]
        client.leave()

    run(tmp_path, play)


@pytest.mark.parametrize(
    ("method", "parameters", "error"),
    [
        ("io.routed.Nothing", {}, "org.varlink.service.MethodNotFound"),
        ("io.other.GetStatus", {}, "org.varlink.service.InterfaceNotFound"),
        ("io.routed.GetStatus", {"what": 1}, "org.varlink.service.InvalidParameter"),
        ("io.routed.GetStatus", {"address": "10.0.0.0/8"}, "org.varlink.service.InvalidParameter"),
        ("io.routed.Reload", {}, "org.varlink.service.InvalidParameter"),
        ("io.routed.Reload", {"force": "yes"}, "org.varlink.service.InvalidParameter"),
        ("io.routed.Watch", {}, "org.varlink.service.ExpectedMore"),
        ("io.routed.Pause", {"seconds": 0, "reason": ""}, "org.varlink.service.InvalidParameter"),
        ("io.routed.Pause", {"seconds": float("inf"), "reason": ""}, "org.varlink.service.InvalidParameter"),
        ("io.routed.Pause", {"seconds": float("nan"), "reason": ""}, "org.varlink.service.InvalidParameter"),
        ("io.routed.Pause", {"seconds": 1, "reason": "two\nlines"}, "org.varlink.service.InvalidParameter"),
        ("io.routed.Pause", {"seconds": 1, "reason": "", "entry": "x"}, "io.routed.UnknownEntry"),
        ("io.routed.Resume", {"entry": "defect"}, "io.routed.Failed"),
        ("io.routed.GetWants", {}, "org.varlink.service.InvalidParameter"),
        ("io.routed.GetWants", {"address": "10.0.0.0/8"}, "org.varlink.service.InvalidParameter"),
        ("io.routed.Plan", {"addresses": ["10.0.0.9", "eth0"]}, "org.varlink.service.InvalidParameter"),
        ("io.routed.Explain", {"entry": "x"}, "io.routed.UnknownEntry"),
    ],
)
def test_a_wrong_call_is_answered_with_its_error_and_the_connection_goes_on(
    tmp_path: Path, method: str, parameters: dict[str, Any], error: str
) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        assert (await client.call(method, parameters))["error"] == error
        assert "error" not in await client.call("io.routed.GetStatus")
        assert scene.daemon.told == []
        client.leave()

    run(tmp_path, play)


def test_a_plan_is_asked_for_with_what_is_assumed_and_the_addresses_in_question(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        asked = {"assumed": ["link:eth1=down"], "addresses": ["10.0.0.9", "fd00::9"]}
        assert "error" not in await client.call("io.routed.Plan", asked)
        addresses = [("asked", parse_address(one)) for one in asked["addresses"]]
        assert scene.daemon.told == [("assumed", "link:eth1=down"), *addresses]
        client.leave()

    run(tmp_path, play)


def test_a_plan_for_invalid_files_is_answered_with_their_problems_and_no_word_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    problem = Problem("/etc/routed.toml", 4, 1, "unknown key `vai`", "vai = 1", "did you mean `via`?")

    async def play(scene: Scene) -> None:
        scene.daemon.problems = (problem,)
        client = await scene.connect()
        reply = await client.call("io.routed.Plan")
        assert reply["error"] == "io.routed.InvalidConfiguration"
        assert reply["parameters"]["problems"] == [problem._asdict()]
        client.leave()

    run(tmp_path, play)
    assert caplog.records == []


def test_a_defect_that_anybody_can_bring_about_is_logged_once_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        for _ in range(100):
            reply = await client.call("io.routed.Resume", {"entry": "defect"})
            assert reply == {"error": "io.routed.Failed", "parameters": {"reason": "ZeroDivisionError: a defect"}}
        client.leave()

    run(tmp_path, play)
    [record] = caplog.records
    assert record.getMessage() == "io.routed.Resume failed"
    assert record.exc_info


def test_calls_that_are_sent_together_are_answered_in_order(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.send("io.routed.GetStatus")
        client.send("io.routed.Plan")
        client.send("io.routed.Resume", oneway=True)
        client.send("io.routed.GetStatus")
        schemas = [(await client.receive())["parameters"]["document"]["schema"] for _ in range(3)]
        assert schemas == ["routed.status/1", "routed.plan/1", "routed.status/1"]
        assert scene.daemon.told == [("resume", None)]
        client.leave()

    run(tmp_path, play)


def test_a_reload_that_takes_its_time_holds_nobody_up(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.send("io.routed.Reload", {"force": False})
        assert await scene.is_alive()
        scene.daemon.gate.set()
        assert (await client.receive())["parameters"]["document"]["revision"] == 2
        client.leave()

    run(tmp_path, play, HASTY)


def test_every_outcome_reaches_every_watcher(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.send("io.routed.Watch", more=True)
        await scene.daemon.has_subscriber.wait()
        for number in range(3):
            scene.daemon.publish(str(number))
        for number in range(3):
            reply = await client.receive()
            assert reply["continues"]
            assert reply["parameters"]["document"]["message"] == str(number)
        client.leave()

    run(tmp_path, play)


def test_a_watcher_that_hangs_up_is_forgotten_at_once(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.send("io.routed.Watch", more=True)
        await scene.daemon.has_subscriber.wait()
        client.leave()
        async with asyncio.timeout(2):
            await scene.daemon.is_left.wait()
        assert not scene.daemon.queues

    run(tmp_path, play)


def test_a_watcher_that_falls_behind_is_told_so(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.send("io.routed.Watch", more=True)
        await scene.daemon.has_subscriber.wait()
        for number in range(2 * OUTCOMES_QUEUED):
            scene.daemon.publish(str(number))
        replies = [await client.receive()]
        while "error" not in replies[-1]:
            replies.append(await client.receive())
        assert replies[-1]["error"] == "io.routed.FellBehind"
        assert not scene.daemon.queues
        client.leave()

    run(tmp_path, play)


def test_a_watcher_that_never_reads_is_hung_up_on(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.send("io.routed.Watch", more=True)
        await scene.daemon.has_subscriber.wait()
        async with asyncio.timeout(60):
            while not scene.daemon.is_left.is_set():
                scene.daemon.publish("x" * 10_000)
                await asyncio.sleep(0)
        assert await scene.is_alive()
        client.leave()

    run(tmp_path, play, HASTY)


def test_a_client_that_never_takes_its_reply_is_hung_up_on(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.daemon.entries = 10_000
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(scene.path))
            client.sendall(b'{"method":"io.routed.GetStatus"}\0')
            crowd = scene.control.clients.pools[True]
            async with asyncio.timeout(60):
                while not crowd.unread:  # noqa: ASYNC110
                    await asyncio.sleep(0)
                scene.daemon.entries = 1
                assert await scene.is_alive()
                while crowd.clients:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            assert crowd.unread == 0

    run(tmp_path, play, HASTY)


SILENCES = [b"", b'{"method":"io.rou', b'{"method":"io.routed.GetStatus","parameters":{}}']


@pytest.mark.parametrize("beginning", SILENCES, ids=["nothing", "half a message", "a message without its end"])
def test_a_client_that_does_not_finish_its_request_is_hung_up_on(tmp_path: Path, beginning: bytes) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.writer.write(beginning)
        assert await scene.is_alive()
        assert await client.is_hung_up_on()

    run(tmp_path, play, HASTY)


GARBAGE = {
    "not JSON": b"hello\0",
    "a number": b"1\0",
    "an empty message": b"\0",
    "no method": b"{}\0",
    "a method without an interface": b'{"method":"GetStatus"}\0',
    "not UTF-8": b"\xff\xfe\xfd\0",
    "a number of 60 000 digits": b'{"method":' + b"1" * 60_000 + b"}\0",
    "brackets 60 000 deep": b"[" * 60_000 + b"\0",
    "objects 10 000 deep": b'{"a":' * 10_000 + b"\0",
    "a lone surrogate": b'{"method":"io.routed.\\ud800"}\0',
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n\0",
    "a message of 70 000 bytes": b'{"method":"io.routed.GetStatus","x":"' + b"x" * 70_000 + b'"}\0',
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_client_that_does_not_speak_varlink_is_hung_up_on(tmp_path: Path, garbage: bytes) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.writer.write(garbage)
        assert await client.is_hung_up_on()
        assert await scene.is_alive()

    run(tmp_path, play)


def test_ten_megabytes_without_an_end_are_not_read(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.writer.write(b"x" * 10_000_000)
        assert await scene.is_alive()
        assert await client.is_hung_up_on()

    run(tmp_path, play)


def test_random_bytes_do_no_harm(tmp_path: Path) -> None:
    chance = random.Random(1)  # noqa: S311

    async def play(scene: Scene) -> None:
        for _ in range(100):
            client = await scene.connect()
            client.writer.write(chance.randbytes(chance.randrange(1, 5000)))
            client.writer.write_eof()
            assert await client.is_hung_up_on()
        assert await scene.is_alive()

    run(tmp_path, play)


def test_two_hundred_connections_leave_room_for_no_more_than_the_limit(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        clients = [await scene.connect() for _ in range(200)]
        crowd = scene.control.clients.pools[True]
        gone = [asyncio.create_task(client.is_hung_up_on()) for client in clients]
        async with asyncio.timeout(60):
            while sum(task.done() for task in gone) < 200 - 64:
                assert len(crowd.clients) <= 64
                await asyncio.sleep(0)
        assert len(crowd.clients) == 64
        for client in clients:
            client.leave()
        await asyncio.gather(*gone)
        assert await scene.is_alive()

    run(tmp_path, play)


def test_a_client_that_leaves_amid_everything_does_no_harm(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.daemon.gate.set()
        for method in ("GetStatus", "Plan", "Watch", "Resume"):
            for _ in range(20):
                client = await scene.connect()
                client.send(f"io.routed.{method}", more=True)
                await client.writer.drain()
                client.leave()
        assert await scene.is_alive()

    run(tmp_path, play)


def test_a_killed_daemon_s_socket_is_replaced_and_ours_goes_with_us(tmp_path: Path) -> None:
    path = tmp_path / "run" / "io.routed"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def play(scene: Scene) -> None:
        assert await scene.is_alive()
        assert path.stat().st_mode & 0o777 == 0o666

    run(tmp_path, play)
    assert not path.exists()


def test_closing_hangs_up_on_everyone(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.send("io.routed.Watch", more=True)
        await scene.daemon.has_subscriber.wait()
        await scene.control.close()
        assert await client.is_hung_up_on()
        assert not scene.daemon.queues

    run(tmp_path, play)


def test_a_place_that_cannot_hold_a_socket_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "io.routed", tmp_path / ("x" * 120)):
        with pytest.raises(ControlError, match="cannot make the control socket"):
            asyncio.run(open_control(path, Daemon(), version=""))


def test_a_group_that_does_not_exist_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match='there is no group "no-such-group"'):
        asyncio.run(open_control(tmp_path / "io.routed", Daemon(), version="", group="no-such-group"))


def test_a_request_is_read_with_its_flags() -> None:
    call = parse_call(b'{"method":"io.routed.Watch","more":true}')
    assert (call.method, call.more, call.parameters) == ("io.routed.Watch", True, {})


def test_who_asks_for_more_of_a_reload_is_told_how_far_it_is_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "SHORT", 0.0)
    monkeypatch.setattr(control, "TICK", 0.01)

    async def play(scene: Scene) -> None:
        client = await scene.connect()
        scene.daemon.progress = {"done": 1, "total": 2}
        client.send("io.routed.Reload", {"force": False}, more=True)
        assert await client.receive() == {"continues": True, "parameters": {"progress": {"done": 1, "total": 2}}}
        scene.daemon.gate.set()
        while (reply := await client.receive()).get("continues"):
            pass
        assert reply["parameters"]["document"]["revision"] == 2
        client.leave()

    run(tmp_path, play)


def test_who_hangs_up_amid_a_reload_ends_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SHORT", 0.0)
    monkeypatch.setattr(control, "TICK", 0.01)

    async def play(scene: Scene) -> None:
        client = await scene.connect()
        scene.daemon.progress = {"done": 1, "total": 2}
        client.send("io.routed.Reload", {"force": False}, more=True)
        await client.receive()
        client.leave()
        [work] = scene.control._works
        crowd = scene.control.clients.pools[True]
        async with asyncio.timeout(30):
            while crowd.clients:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not work.done()
        scene.daemon.gate.set()
        assert b'"revision":2' in await work

    run(tmp_path, play)


def test_who_may_only_read_learns_nothing_by_asking_for_more_of_a_reload(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.control.clients._may_change = lambda _: False
        client = await scene.connect()
        reply = await client.call("io.routed.Reload", {"force": False}, more=True)
        client.leave()
        assert reply["error"] == "io.routed.PermissionDenied"

    run(tmp_path, play)


def test_a_watch_of_one_entry_asks_the_daemon_for_no_other(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        client = await scene.connect()
        client.send("io.routed.Watch", {"entry": "route/a"}, more=True)
        await scene.daemon.has_subscriber.wait()
        assert scene.daemon.told == [("watch", "route/a")]
        client.leave()
        await scene.daemon.is_left.wait()

    run(tmp_path, play)
