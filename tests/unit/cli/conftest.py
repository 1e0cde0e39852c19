"""A way to run routed, and a server that speaks Varlink as well or as badly as a test wants."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Answer: TypeAlias = Callable[[socket.socket, dict[str, Any]], None]
Serve: TypeAlias = Callable[[Answer], list[dict[str, Any]]]
Routed: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def routed(tmp_path: Path) -> Routed:
    """Run ``routed`` as a process of its own, with a runtime directory of the test."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        surroundings = {name: value for name, value in os.environ.items() if name != "ROUTED_CONFIG"}
        return subprocess.run(
            [sys.executable, "-m", "routed", "--runtime-dir", str(tmp_path), *arguments],
            env=surroundings | environment,
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Answer every call at the control socket in a thread. Returns the list of calls, which grows."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    threads: list[threading.Thread] = []

    def start(answer: Answer) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []
        listener.bind(str(tmp_path / "io.routed"))
        listener.listen()

        def loop() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    request = b""
                    while not request.endswith(b"\0"):
                        request += connection.recv(4096)
                    calls.append(json.loads(request[:-1]))
                    try:
                        answer(connection, calls[-1])
                    except ConnectionError:
                        continue  # the client had enough, as it should

        threads.append(threading.Thread(target=loop, daemon=True))
        threads[-1].start()
        return calls

    yield start
    listener.close() if not threads else listener.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(5)
    listener.close()


def reply(document: dict[str, Any]) -> Answer:
    """Answer with a document, as the daemon does."""

    def answer(connection: socket.socket, _call: dict[str, Any]) -> None:
        connection.sendall(json.dumps({"parameters": {"document": document}}).encode() + b"\0")

    return answer


def send(raw: bytes) -> Answer:
    """Answer with these very bytes."""
    return lambda connection, _call: connection.sendall(raw)


@pytest.fixture
def replying() -> Callable[[dict[str, Any]], Answer]:
    return reply


@pytest.fixture
def sending() -> Callable[[bytes], Answer]:
    return send
