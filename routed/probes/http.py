"""HTTP and HTTPS: does it answer with a good status, and with the text that is expected?

One request, no redirect is followed, and no more than the beginning of the body is read.
"""

from __future__ import annotations

from typing import Any

import h11

from routed.model.checks import Check, Target
from routed.model.net import IPV6, family_of, format_address
from routed.model.reasons import Finding
from routed.probes.ask import BadAnswerError
from routed.probes.headers import read_headers
from routed.probes.sockets import Path
from routed.probes.stream import ENCRYPTED, MOST, Stream, connect


async def probe(check: Check, target: Target, path: Path) -> None:
    """Ask once. Raises BadAnswerError, EOFError, and OSError (of TLS, too)."""
    request = _make_request(check, target)
    async with connect(check, target, path) as stream:
        connection = h11.Connection(h11.CLIENT)
        for event in (request, h11.EndOfMessage()):
            stream.writer.write(connection.send(event) or b"")
        try:
            await _judge(check, connection, stream)
        except h11.RemoteProtocolError as error:
            words = "it may repeat what nobody shall read" if check.headers_file else str(error)
            raise BadAnswerError(Finding.MALFORMED, words) from None


def _make_request(check: Check, target: Target) -> h11.Request:
    headers = [(b"Host", _name_host(check, target).encode()), (b"User-Agent", b"routed"), (b"Connection", b"close")]
    secret = read_headers(check.headers_file)
    theirs = {name.lower() for name, _ in secret}
    kept = [(name, value) for name, value in headers if name.lower() not in theirs]
    try:
        return h11.Request(method=check.method, target=check.path, headers=[*kept, *secret])
    except h11.LocalProtocolError:  # its words have the value in them
        raise BadAnswerError(Finding.NO_HEADERS, f"what {check.headers_file} has cannot be sent") from None


async def _judge(check: Check, connection: h11.Connection, stream: Stream) -> None:
    response = await _next(connection, stream)
    while isinstance(response, h11.InformationalResponse):
        response = await _next(connection, stream)
    status = response.status_code
    if not any(low <= status <= high for low, high in check.status):
        raise BadAnswerError(Finding.STATUS, str(status))
    text, seen = check.body.encode(), b""
    while text not in seen:
        event = await _next(connection, stream)
        if not isinstance(event, h11.Data) or len(seen) > MOST:
            raise BadAnswerError(Finding.UNEXPECTED, check.body)
        seen += bytes(event.data)


async def _next(connection: h11.Connection, stream: Stream) -> Any:
    while (event := connection.next_event()) is h11.NEED_DATA:
        data = await stream.reader.read(4096)
        if not data and connection.their_state is h11.SEND_RESPONSE:
            raise EOFError
        connection.receive_data(data)
    return event


def _name_host(check: Check, target: Target) -> str:
    """The Host header: the name that is meant, else the address, with the port where it is not the usual one."""
    address = format_address(target.address)
    name = check.host or (f"[{address}]" if family_of(target.address) == IPV6 else address)
    return name if target.port == (443 if check.type in ENCRYPTED else 80) else f"{name}:{target.port}"
