"""What comes of asking an agent: good ones, and ones that misbehave. Real sockets."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import pytest

from tests.probes import servers
from tests.probes.servers import Serve, serving
from tests.probes.test_probes import HERE, found, put


def speak(*pieces: bytes, pause: float = 0.0, stays: bool = False) -> Serve:
    """Writes these without being asked."""

    def serve(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        if stays:
            connection.recv(1)

    return serve


def pour(connection: socket.socket) -> None:
    """A line that never ends, as fast as it goes."""
    with suppress(OSError):
        while True:
            connection.sendall(b"up " * 10_000)


@HERE
@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (speak(b"75%\n", stays=True), "75%"),
        (speak(b"up 50%\r\n"), "up 50%"),
        (speak(b"dra", b"in\n", pause=0.05), "drain"),
        (speak(b"33%"), "33%"),  # no newline, and the end of the connection
        (speak(b"10%\n99%\n", b"garbage \xff\n"), "10%"),
        (speak(b"down#too hot\n"), "down"),
    ],
)
def test_the_first_line_of_an_agent_counts(serve: Serve, words: str, address: str) -> None:
    with serving(serve, address) as port:
        assert found("agent", port, address) == ("GOOD", f"agent: answered {words}")


@pytest.mark.parametrize(
    ("serve", "finding"),
    [
        (speak(b"75%", stays=True), "SILENCE"),  # no newline, and it stays
        (speak(*(b"u" for _ in range(40)), pause=0.05), "SILENCE"),
        (servers.hang, "SILENCE"),
        (pour, "MALFORMED"),
        (speak(b"\x00\x16\x03\x01\xff\xfe" * 50, b"\n"), "MALFORMED"),
        (speak(b"SSH-2.0-OpenSSH_9.2\r\n"), "MALFORMED"),
        (speak(b"150%\n"), "MALFORMED"),
        (speak(b"75 %\n"), "MALFORMED"),
        (speak("\uff17\uff15%\n".encode()), "MALFORMED"),
        (speak(b"\n"), "MALFORMED"),
        (speak(), "CLOSED"),
        (servers.reset, "RESET"),
    ],
)
def test_whatever_else_an_agent_says_is_no_answer(serve: Serve, finding: str) -> None:
    with serving(serve) as port:
        assert found("agent", port)[0] == finding


def test_an_agent_that_is_not_there_refuses() -> None:
    assert put("agent", 9).probed.finding.name == "REFUSED"
