"""TCP and TLS: does it connect, shake hands, and say what is expected?"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path as File
from typing import TYPE_CHECKING, Final, NamedTuple

from routed.model.checks import Check, CheckType, Target
from routed.model.reasons import Finding
from routed.probes.ask import BadAnswerError
from routed.probes.sockets import LINGER_0, Path, endpoint, open_socket
from routed.tls import find_fault, make_client_context

if TYPE_CHECKING:  # only who speaks TLS loads it
    import ssl

MOST: Final = 65536  # bytes of an answer that are looked at
ENCRYPTED: Final = frozenset({CheckType.TLS, CheckType.HTTPS})


class Stream(NamedTuple):
    """Both directions of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def probe(check: Check, target: Target, path: Path) -> None:
    """Connect; send and expect what is written. Raises BadAnswerError, EOFError, and OSError (of TLS, too)."""
    async with connect(check, target, path) as stream:
        if check.send:
            stream.writer.write(check.send.encode())
            await stream.writer.drain()
        if check.expect:
            await _expect(check.expect.encode(), stream.reader)


async def _expect(text: bytes, reader: asyncio.StreamReader) -> None:
    seen = b""
    while text not in seen:
        if len(seen) >= MOST:
            raise BadAnswerError(Finding.UNEXPECTED, text.decode())
        piece = await reader.read(4096)
        if not piece:
            if seen:
                raise BadAnswerError(Finding.UNEXPECTED, text.decode())
            raise EOFError
        seen += piece


@asynccontextmanager
async def connect(check: Check, target: Target, path: Path) -> AsyncIterator[Stream]:
    """A connection, encrypted where the type says so. It is closed at once, by a reset: a check leaves nothing behind.

    Raises BadAnswerError, and OSError, of TLS too.
    """
    security = _find_context(check) if check.type in ENCRYPTED else None
    one = open_socket(target.address, socket.SOCK_STREAM, path)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        await asyncio.get_running_loop().sock_connect(one, endpoint(target.address, target.port, path))
        host = check.host or None
        reader, writer = await asyncio.open_connection(
            sock=one, ssl=security, server_hostname=(host or "") if security else None, limit=MOST
        )
    except BaseException:
        one.close()
        raise
    try:
        yield Stream(reader, writer)
    finally:
        writer.transport.abort()


def _find_context(check: Check) -> ssl.SSLContext:
    """What is believed of the far end. Raises BadAnswerError where that is for somebody to mend, else OSError."""
    try:
        return _make_context(check.verify, check.ca, _read_age(check.ca))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        why = error.strerror or str(error)
    except OSError as error:
        fault = find_fault(error)
        if fault is None:
            raise
        why = fault.words
    raise BadAnswerError(Finding.NO_ISSUERS, f"{check.ca} ({why})")


def _read_age(ca: str) -> int:
    """Which state of a file of issuers this is: one that was renewed counts from the next question on."""
    return File(ca).stat().st_mtime_ns if ca else 0


@lru_cache(maxsize=16)
def _make_context(verify: bool, ca: str, _age: int) -> ssl.SSLContext:  # noqa: FBT001  as the file has it
    """What is believed of the far end. Sessions are never resumed: a check proves the handshake."""
    context = make_client_context(verifies=verify)
    if verify and ca:
        context.load_verify_locations(ca)
    elif verify:
        context.load_default_certs()
    return context
