"""Connections to a server of members: TCP or TLS, with what the operator's files say of both sides.

Here must never live: what is said on them.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from os import strerror
from typing import Final

from routed import secrets
from routed.members.gateway import RefusedError
from routed.model.etcd import Endpoint, Tls
from routed.model.reasons import Snag
from routed.tls import make_client_context

CONNECT: Final = 5.0  # seconds until a connection stands
NEXT_ADDRESS: Final = 0.5  # seconds until another address of the same name is tried as well
CHUNK: Final = 1 << 16  # bytes
MOST_KEY: Final = 1 << 18
# A far end that has gone is noticed after 35 s at the most, and one that takes nothing after 20: tcp(7).
OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000),
)


Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Channel:
    """Both directions of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, data: bytes) -> None:
        """Hand these over."""
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def read(self) -> bytes:
        """Whatever comes next; nothing is the end."""
        return await self._reader.read(CHUNK)

    def close(self) -> None:
        """At once: whoever closes has heard enough."""
        self._writer.transport.abort()


@asynccontextmanager
async def connect(endpoint: Endpoint, tls: Tls) -> AsyncIterator[Channel]:
    """A connection. What goes wrong with it while it is used is told as RefusedError, too."""
    with _told():
        async with limit(CONNECT):
            reader, writer = await _open(endpoint, make_context(tls) if endpoint.is_encrypted else None)
        stream = Channel(reader, writer)
        try:
            one = writer.get_extra_info("socket")
            for level, name, value in OPTIONS:
                one.setsockopt(level, name, value)
            yield stream
        finally:
            stream.close()


async def _open(endpoint: Endpoint, context: ssl.SSLContext | None) -> Pair:
    host, port, name = endpoint.host, endpoint.port, endpoint.host if context else None
    try:
        return await asyncio.open_connection(
            host, port, ssl=context, server_hostname=name, limit=CHUNK, happy_eyeballs_delay=NEXT_ADDRESS
        )
    except ConnectionError as error:
        if error.errno:
            raise
        raise RefusedError(Snag.HANDSHAKE, "it closed the connection") from None  # asyncio's own error has no number


def make_context(tls: Tls) -> ssl.SSLContext:
    """What is believed of the far end, and who we are. Made for each connection: files may have been renewed."""
    context = make_client_context()
    try:
        if tls.ca:
            context.load_verify_locations(secrets.locate(tls.ca))
        else:
            context.load_default_certs()
    except (OSError, ssl.SSLError) as error:
        raise RefusedError(Snag.NO_FILE, f"`ca`: {tls.ca}: {_name_fault(error)}") from None
    if not tls.cert:
        return context
    try:
        secrets.read_secret(tls.key, MOST_KEY)  # told by name if it is not as it has to be
        context.load_cert_chain(secrets.locate(tls.cert), secrets.locate(tls.key))
    except (OSError, ssl.SSLError) as error:
        raise RefusedError(Snag.NO_FILE, f"`cert` {tls.cert} with `key` {tls.key}: {_name_fault(error)}") from None
    return context


def _name_fault(error: OSError) -> str:
    """What is wrong, in the system's own words."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    return error.strerror or str(error)


@asynccontextmanager
async def limit(within: float) -> AsyncIterator[None]:
    """Raises RefusedError where it takes longer than so many seconds."""
    try:
        async with asyncio.timeout(within):
            yield
    except TimeoutError:
        raise RefusedError(Snag.SILENT, f"{within:g} s") from None


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the system and of TLS as refusals."""
    try:
        yield
    except secrets.SecretError as error:
        raise RefusedError(Snag.NO_FILE, str(error)) from None
    except ssl.SSLCertVerificationError as error:
        raise RefusedError(Snag.CERTIFICATE, error.verify_message) from None
    except ssl.SSLError as error:
        raise RefusedError(Snag.HANDSHAKE, _name_fault(error)) from None
    except OSError as error:  # gaierror too, whose number is none of the system
        words = strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise RefusedError(Snag.UNREACHABLE, words.lower()) from None
