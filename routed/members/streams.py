"""Connections to a server of members: TCP or TLS, with what the operator's files say of both sides.

TLS is done here over a plain stream, since asyncio's own keeps a quarter of a megabyte for each connection
(``SSLProtocol.max_size``) and loads the tables of international names for an address in digits.

Here must never live: what is said on them.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from os import strerror
from typing import Final, TypeVar

from routed import secrets
from routed.members.gateway import RefusedError
from routed.model.etcd import Endpoint, Tls
from routed.model.net import parse_address
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

T = TypeVar("T")
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


class Sealed(Channel):
    """The same with TLS. Who writes does not read meanwhile."""

    def __init__(self, plain: Pair, context: ssl.SSLContext, name: str) -> None:
        super().__init__(*plain)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # as bytes: a text would be encoded by the tables of international names
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name.encode())

    async def shake_hands(self) -> None:
        """Find out who they are. Raises ssl.SSLError."""
        try:
            await self._do(self._tls.do_handshake)
        except ssl.SSLEOFError:
            raise RefusedError(Snag.HANDSHAKE, "it closed the connection") from None

    async def write(self, data: bytes) -> None:
        """Hand these over."""
        if data:
            await self._do(lambda: self._tls.write(data))

    async def read(self) -> bytes:
        """Whatever comes next; nothing is the end."""
        try:
            return await self._do(lambda: self._tls.read(CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def _do(self, step: Callable[[], T]) -> T:
        """Give TLS what it needs for a step, and the far end what comes of it."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await super().write(self._outgoing.read())
                if heard := await super().read():
                    self._incoming.write(heard)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                await super().write(self._outgoing.read())  # what is wrong
                raise
            else:
                await super().write(self._outgoing.read())
                return done


@asynccontextmanager
async def connect(endpoint: Endpoint, tls: Tls) -> AsyncIterator[Channel]:
    """A connection. What goes wrong with it while it is used is told as RefusedError, too."""
    with _told():
        async with limit(CONNECT):
            stream = await _open(endpoint, make_context(tls) if endpoint.is_encrypted else None)
        try:
            yield stream
        finally:
            stream.close()


def _is_address(host: str) -> bool:
    try:
        parse_address(host)
    except ValueError:
        return False
    return True


async def _open(endpoint: Endpoint, context: ssl.SSLContext | None) -> Channel:
    """A connection that stands, with TLS where there is a context for it."""
    # Where addresses are tried side by side, asyncio drops the socket of one that is given up just when it succeeds.
    delay = None if _is_address(endpoint.host) else NEXT_ADDRESS
    plain = await asyncio.open_connection(endpoint.host, endpoint.port, limit=CHUNK, happy_eyeballs_delay=delay)
    try:
        one = plain[1].get_extra_info("socket")
        for level, name, value in OPTIONS:
            one.setsockopt(level, name, value)
        if context is None:
            return Channel(*plain)
        sealed = Sealed(plain, context, endpoint.host)
        await sealed.shake_hands()
    except BaseException:
        plain[1].transport.abort()
        raise
    return sealed


def make_context(tls: Tls) -> ssl.SSLContext:
    """What is believed of the far end, and who we are. Made for each connection: files may have been renewed."""
    context = make_client_context()
    try:
        if tls.ca:
            context.load_verify_locations(secrets.locate(tls.ca))
        else:
            context.load_default_certs()
    except secrets.SecretError as error:
        raise RefusedError(Snag.NO_FILE, f"`ca`: {error}") from None
    except (OSError, ssl.SSLError) as error:
        raise RefusedError(Snag.NO_FILE, f"`ca`: {tls.ca}: {_name_fault(error)}") from None
    if not tls.cert:
        return context
    try:
        secrets.read_secret(tls.key, MOST_KEY)  # told by name if it is not as it has to be
        context.load_cert_chain(secrets.locate(tls.cert), secrets.locate(tls.key))
    except secrets.SecretError as error:
        raise RefusedError(Snag.NO_FILE, f"`cert` and `key`: {error}") from None
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
