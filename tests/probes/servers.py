"""Servers that checks ask: good ones, and ones that misbehave in each way that servers do."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve, address: str = "127.0.0.1") -> Iterator[int]:
    """A server whose every connection is handed to ``serve``, in a thread each. Gives its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        threading.Thread(target=_accept, args=(server, serve), daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, serve: Serve) -> None:
    with suppress(OSError):
        while True:
            threading.Thread(target=_handle, args=(server.accept()[0], serve), daemon=True).start()


def _handle(connection: socket.socket, serve: Serve) -> None:
    with suppress(OSError), connection:
        serve(connection)


@contextmanager
def answering(answer: Callable[[bytes], bytes], address: str = "127.0.0.1") -> Iterator[int]:
    """A server of datagrams; an empty answer is none. Gives its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.bind((address, 0))
        thread = threading.Thread(target=_answer, args=(server, answer), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:  # a descriptor that is waited for must not become another one's
            with socket.socket(family, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", server.getsockname())
            thread.join()


def _answer(server: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    with suppress(OSError):
        while True:
            question, who = server.recvfrom(65536)
            if not question:
                return
            if text := answer(question):
                server.sendto(text, who)


def say(*pieces: bytes, pause: float = 0.0) -> Serve:
    """Reads the request, then writes these."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)

    return serve


def drip(connection: socket.socket) -> None:
    """A good answer, a byte every 50 ms."""
    say(*(bytes((one,)) for one in http(body=b"x" * 200)), pause=0.05)(connection)


def hang(connection: socket.socket) -> None:
    """Reads, and says nothing until the far end is tired of it."""
    while connection.recv(65536):
        pass


def close(_connection: socket.socket) -> None:
    """Closes at once."""


def reset(connection: socket.socket) -> None:
    """Closes by a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def http(status: str = "200 OK", body: bytes = b"fine", more: bytes = b"") -> bytes:
    """An answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
    return head + more + b"\r\n" + body


class Authority:
    """A test CA, and servers with certificates of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self._run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -subj /CN=ca")

    def issue(self, name: str, *, is_expired: bool = False) -> ssl.SSLContext:
        """What a server of this name needs."""
        self._run(f"req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}")
        (self.folder / "ext").write_text(f"subjectAltName=DNS:{name}")
        days = "0" if is_expired else "30"  # OpenSSL 3.4 makes none that ends before it begins
        self._run(f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days {days} -extfile ext -out {name}.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def _run(self, command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=self.folder, check=True, capture_output=True)


def encrypted(context: ssl.SSLContext, serve: Serve) -> Serve:
    """The same behind TLS."""

    def over_tls(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            serve(inner)

    return over_tls
