from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from routed.daemon.listener import Listener


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "io.routed"


def listen(path: Path, play: Callable[[Listener], None]) -> list[bytes]:
    """Play while a listener is there; then what each client that was let in had sent."""
    heard = []

    def hear(connection: socket.socket) -> None:
        with connection:
            heard.append(connection.recv(100))

    async def whole() -> None:
        listener = Listener(path, hear)
        try:
            play(listener)
            await asyncio.sleep(0)  # the loop looks at the socket
            await asyncio.sleep(0)
        finally:
            listener.close()

    asyncio.run(whole())
    return heard


def say(path: Path, word: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(word)


def test_a_socket_whose_file_was_removed_is_made_again_and_lets_clients_in(path: Path) -> None:
    def play(listener: Listener) -> None:
        path.unlink()
        listener.ensure()
        say(path, b"hello")

    assert listen(path, play) == [b"hello"]
    assert not path.exists()


def test_a_socket_that_stands_is_left_as_it_is(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def play(listener: Listener) -> None:
        before = path.stat()
        listener.ensure()
        assert path.stat() == before
        say(path, b"hello")

    assert listen(path, play) == [b"hello"]
    assert caplog.records == []


def test_a_file_that_nobody_serves_is_replaced(path: Path) -> None:
    def play(listener: Listener) -> None:
        path.unlink()
        path.touch()
        listener.ensure()
        say(path, b"hello")

    assert listen(path, play) == [b"hello"]


def test_a_socket_that_somebody_else_serves_is_left_to_them_and_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX) as other:

        def play(listener: Listener) -> None:
            path.unlink()
            other.bind(str(path))
            other.listen()
            listener.ensure()
            listener.ensure()

        assert listen(path, play) == []
        assert path.exists(), "a socket of somebody else went with ours"
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "another process serves the control socket" in record.getMessage()


def test_a_socket_that_cannot_be_made_again_is_told_once_and_tried_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def play(listener: Listener) -> None:
        path.unlink()
        path.mkdir()
        listener.ensure()
        listener.ensure()
        assert len(caplog.records) == 1
        path.rmdir()
        listener.ensure()
        say(path, b"hello")

    assert listen(path, play) == [b"hello"]
