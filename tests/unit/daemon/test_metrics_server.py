"""The address of metrics under clients that are slow, many or hostile; and what it costs who does not want it."""

from __future__ import annotations

import asyncio
import gc
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from routed.audit import exposition
from routed.audit.records import Record
from routed.daemon.clients import ClientLimits
from routed.daemon.metrics_server import LIMITS, MetricsServer
from routed.model.metrics import MetricsDocument
from routed.model.net import parse_address

LOCAL = parse_address("127.0.0.1")
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
DOCUMENT: MetricsDocument = {
    "schema": "routed.metrics/1",
    "families": [
        {
            "name": "routed_repairs",
            "type": "counter",
            "help": "Repairs.",
            "samples": [{"name": "routed_repairs_total", "labels": {"cause": "deleted"}, "value": 3}],
        }
    ],
}


class Scene:
    """A server at a free port of the loopback, and what it said."""

    def __init__(self, limits: ClientLimits) -> None:
        self.asked = 0
        self.said: list[str] = []
        self.document: Callable[[], MetricsDocument] = lambda: DOCUMENT
        self.server = MetricsServer(self.describe, self.say, limits)
        self.port = 0

    def describe(self) -> MetricsDocument:
        self.asked += 1
        return self.document()

    def say(self, record: Record) -> None:
        self.said.append(record.message)

    async def connect(self, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))

    def count_clients(self) -> int:
        return sum(len(pool.clients) for pool in self.server.clients.pools.values())

    async def ask(self, request: bytes = REQUEST, source: str = "127.0.0.1") -> bytes:
        """All that is answered; nothing where it hung up."""
        async with asyncio.timeout(30):
            reader, writer = await self.connect(source)
            writer.write(request)
            try:
                return await reader.read()
            except ConnectionError:
                return b""
            finally:
                writer.transport.abort()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  there is no event that a test could wait for
            await asyncio.sleep(0.01)


def run(play: Callable[[Scene], Awaitable[None]], limits: ClientLimits = LIMITS) -> None:
    unhandled: list[dict[str, Any]] = []

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
        scene = Scene(limits)
        holder = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        scene.port = holder.sockets[0].getsockname()[1]
        holder.close()
        await holder.wait_closed()
        scene.server.follow((LOCAL, scene.port))
        assert (served := scene.server.describe())
        assert served["reason"] == "it begins in a moment"
        await until(lambda: bool(scene.said))
        assert scene.said == [f"metrics are served at 127.0.0.1:{scene.port}"]
        try:
            await play(scene)
        finally:
            await scene.server.stop()
        gc.collect()

    asyncio.run(whole())
    assert unhandled == []


def test_a_request_is_answered_whole_and_the_connection_closed() -> None:
    async def play(scene: Scene) -> None:
        head, _, body = (await scene.ask()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"routed_repairs_total" in body
        assert f"content-length: {len(body)}".encode() in head
        for method in (b"HEAD", b"POST", b"CONNECT"):
            assert (await scene.ask(REQUEST.replace(b"GET", method))).startswith(b"HTTP/1.1 405")

    run(play)


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",  # TLS
        b"nonsense\r\n\r\n",
        b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\n",  # no host
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /metrics\0HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_request_is_hung_up_on_and_asks_nothing_of_the_daemon(request_: bytes) -> None:
    async def play(scene: Scene) -> None:
        assert not (await scene.ask(request_)).startswith(b"HTTP/1.1 200")
        assert scene.asked == 0
        assert b"routed_repairs_total" in await scene.ask()

    run(play)


def test_who_sends_slowly_or_nothing_is_hung_up_on() -> None:
    async def play(scene: Scene) -> None:
        for said in (b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"):
            assert await scene.ask(said) == b""
        assert scene.asked == 0

    run(play, ClientLimits(patience=0.1))


def test_one_host_has_a_few_places_and_another_one_is_served_beside_it() -> None:
    async def play(scene: Scene) -> None:
        silent = [await scene.connect() for _ in range(2)]
        await until(lambda: scene.count_clients() == len(silent))
        assert await scene.ask() == b""
        assert b"routed_repairs_total" in await scene.ask(source="127.0.0.2")
        for _, writer in silent:
            writer.transport.abort()

    run(play, ClientLimits(each=2))


def test_who_does_not_read_costs_no_more_than_its_place_and_others_are_served() -> None:
    sample = DOCUMENT["families"][0]["samples"][0]
    much: MetricsDocument = {
        "schema": "routed.metrics/1",
        "families": [{**DOCUMENT["families"][0], "samples": [sample] * 100_000}],
    }

    async def play(scene: Scene) -> None:
        scene.document = lambda: much
        _reader, writer = await scene.connect()
        writer.write(REQUEST)
        await until(lambda: bool(scene.asked))
        scene.document = lambda: DOCUMENT
        assert b"routed_repairs_total" in await scene.ask(source="127.0.0.2")
        await until(lambda: scene.count_clients() == 0)  # its patience is over
        writer.transport.abort()

    run(play, ClientLimits(patience=0.3))


def test_a_defect_is_told_once_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> MetricsDocument:
        raise ZeroDivisionError

    async def play(scene: Scene) -> None:
        scene.document = fail
        for _ in range(3):
            assert (await scene.ask()).startswith(b"HTTP/1.1 500")

    run(play)
    assert [record.message for record in caplog.records] == ["metrics failed"]


def test_without_its_library_nothing_is_served_and_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.setattr(exposition, "DEBIAN", Path("/nonexistent"))

    async def play() -> None:
        scene = Scene(LIMITS)
        scene.server.follow((LOCAL, 9914))
        await until(lambda: bool(scene.said))
        [said] = scene.said
        assert "apt install python3-prometheus-client" in said
        served = scene.server.describe()
        assert served
        assert served["reason"] == exposition.MISSING
        await scene.server.stop()

    asyncio.run(play())


def test_the_library_is_taken_from_debian_where_our_own_path_leaves_it_out_and_nothing_else_is(tmp_path: Path) -> None:
    shutil.copytree(Path(str(prometheus_client.__file__)).parent, tmp_path / "prometheus_client")
    (tmp_path / "other.py").touch()
    code = f"""
import sys
from pathlib import Path
from routed.audit import exposition
assert not exposition.load_library()
exposition.DEBIAN = Path({str(tmp_path)!r})
assert exposition.load_library()
import prometheus_client
assert prometheus_client.__file__.startswith({str(tmp_path)!r})
assert {str(tmp_path)!r} not in sys.path
text, _ = exposition.write({{"schema": "", "families": []}}, exposition.OPENMETRICS)
assert text == b"# EOF\\n"
"""
    subprocess.run([sys.executable, "-S", "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_who_does_not_ask_for_metrics_imports_nothing_for_them() -> None:
    code = (
        "import sys, routed.daemon.run, routed.cli.status;"
        "print({'prometheus_client', 'h11', 'routed.audit.exposition', 'routed.audit.labels', 'routed.daemon.metrics',"
        " 'routed.daemon.metrics_server'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
