"""Agents of servers as a daemon asks them: what status and the journal say. Weights themselves: tests/property."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernel.netns import wait_until
from tests.probes.servers import serving
from tests.system.daemon import Daemon


class Agent:
    """One that says what it is told to; nothing where it has no word."""

    def __init__(self) -> None:
        self.line = b"75%\n"

    def serve(self, connection: socket.socket) -> None:
        connection.sendall(self.line)


@pytest.fixture
def agent() -> Iterator[tuple[Agent, int]]:
    one = Agent()
    with serving(one.serve) as port:
        yield one, port


def files(port: int) -> str:
    asked = f'{{ port = {port}, every = "200ms", timeout = "200ms", step = "10%" }}'
    server = '{ address = "127.0.0.1:443", weight = 100 }'
    return f'[[service]]\nname = "api"\nlisten = "10.103.97.2:443"\nservers = [{server}]\nagent = {asked}\n'


def test_status_and_the_journal_say_what_an_agent_says(daemon: Daemon, agent: tuple[Agent, int]) -> None:
    one, port = agent
    name = f"check/agent:api[127.0.0.1:{port}]"

    def check() -> dict[str, Any]:
        (found,) = daemon.ask_json("status")["checks"]
        return dict(found)

    def tells(line: str, state: str, share: int | None) -> bool:
        one.line = line.encode()
        found = check()
        return (found["state"], found.get("share")) == (state, share)

    daemon.start(files(port))
    wait_until(lambda: tells("75%\n", "up", 75))
    assert "type = agent, 75 % of its weight" in daemon.ask("status", name).out
    assert "75 % of its weight, agent: " in daemon.ask("status").out
    wait_until(lambda: tells("60%\n", "up", 60))
    wait_until(lambda: tells("drain\n", "down", 0))
    assert check()["reason"] == "agent: says drain"
    wait_until(lambda: tells("\x00\x01\n", "unknown", None))
    assert check()["counts_as"] == "up"
    wait_until(lambda: tells("up\n", "up", 100))
    events = [one["fields"]["ROUTED_EVENT"] for one in daemon.records(entry="check/agent:*")]
    assert events[:4] == ["check-up", "check-down", "agent-silent", "check-up"]
    daemon.kill()
    daemon.start()
    wait_until(lambda: tells("up\n", "up", 100))
