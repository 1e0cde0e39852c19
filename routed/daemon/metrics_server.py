"""The address at which metrics are served, where the files name one (``[daemon] metrics``).

Its clients are those of ``clients``, under the limits of whoever may only read the control socket: one request at a
time is answered, from the loop, and followed by a pause. A remote address is what a user is there. An address that is
not there yet, or a port that somebody else has, is told and tried again with each full comparison, and when addresses
come or go; it keeps nothing else from being done.

Here must never live: what is measured (``metrics``), or how it is written (``audit.exposition``).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from errno import EADDRINUSE, EADDRNOTAVAIL
from typing import Final

from routed.audit import exposition, notices
from routed.audit.records import Record
from routed.daemon.clients import Caller, ClientLimits, Clients, Manner, Peer
from routed.daemon.listener import Acceptor
from routed.daemon.seldom import Seldom
from routed.model.documents import ServedDocument
from routed.model.metrics import MetricsDocument
from routed.model.net import IPV6, family_of, format_address, format_endpoint

_LOGGER = logging.getLogger(__name__)

LIMITS: Final = ClientLimits(request=16 * 1024, patience=10.0)
NETWORK: Final = 8  # bytes of an IPv6 address that one network has: its hosts are one user
PATH: Final = b"/metrics"
NOT_YET: Final = "it begins in a moment"
_WHY: Final[dict[int, str]] = {
    EADDRNOTAVAIL: "this host has no such address yet",
    EADDRINUSE: "another program has this port",
}


def _identify(connection: socket.socket) -> Peer:
    """Who is at the other end, as far as it can be known: its address stands for a user. Raises OSError."""
    family = connection.family
    host = connection.getpeername()[0].partition("%")[0]
    packed = socket.inet_pton(family, host)[: NETWORK if family == socket.AF_INET6 else None]
    return Peer(0, int.from_bytes(packed, "big"), frozenset())


HTTP: Final = Manner(b"\r\n\r\n", goes_on=False, identify=_identify)


class MetricsServer:
    """Serves, or says why not. Made inside the asyncio loop."""

    def __init__(
        self,
        describe: Callable[[], MetricsDocument],
        say: Callable[[Record], None],
        limits: ClientLimits = LIMITS,
    ) -> None:
        self._describe = describe
        self._say = say
        self._wanted: tuple[bytes, int] | None = None
        self._acceptor: Acceptor | None = None
        self._opening: asyncio.Task[None] | None = None
        self._why_not = ""
        self._seldom = Seldom()
        self.clients = Clients(self._answer, lambda _: False, limits, HTTP)

    def follow(self, wanted: tuple[bytes, int] | None) -> None:
        """Serve there from now on, an address and a port, or nowhere. To be called again while it could not be done."""
        if wanted != self._wanted:
            self._close()
            self._wanted, self._why_not = wanted, ""
        if wanted and not (self._acceptor or self._opening):
            self._opening = asyncio.get_running_loop().create_task(self._open())

    def describe(self) -> ServedDocument | None:
        """Where, and if not, why not; None where the files name no address."""
        if not self._wanted:
            return None
        reason = self._why_not or ("" if self._acceptor else NOT_YET)
        return ServedDocument(address=format_endpoint(*self._wanted), reason=reason)

    def summarise(self) -> str:
        """The beginning of a headline where nothing is served though it should; it ends with a semicolon."""
        if not self._wanted or not self._why_not:
            return ""
        return f"metrics are not served at {format_endpoint(*self._wanted)}: {self._why_not}; "

    async def stop(self) -> None:
        """Serve no more."""
        self._wanted = None
        if self._opening:
            await self._opening
        self._close()
        await self.clients.close()

    async def _open(self) -> None:
        """The library in a thread: to read it takes longer than a repair should wait."""
        try:
            try:
                has_library = await asyncio.to_thread(_load)
            except RuntimeError as error:  # no thread can be had
                self._fail(str(error))
                return
            if not self._wanted:
                return
            if has_library:
                self._listen(*self._wanted)
            else:
                self._fail(exposition.MISSING)
        finally:
            self._opening = None

    def _listen(self, address: bytes, port: int) -> None:
        listening = None
        try:
            listening = _bind(address, port)
            self._acceptor = Acceptor(listening, self.clients.take_in, "metrics")
        except OSError as error:
            if listening:
                listening.close()
            self._fail(_WHY.get(error.errno or 0) or error.strerror or str(error))
        else:
            self._why_not = ""
            self._say(notices.note_metrics_served(format_endpoint(address, port)))

    def _fail(self, reason: str) -> None:
        self._why_not = reason
        if self._wanted:
            self._say(notices.note_metrics_not_served(format_endpoint(*self._wanted), reason))

    def _close(self) -> None:
        acceptor, self._acceptor = self._acceptor, None
        if acceptor:
            acceptor.close()

    async def _answer(self, request: bytes, caller: Caller) -> AsyncGenerator[bytes, None]:
        async def work() -> bytes:
            return self._respond(request)

        yield await caller.take_turn(work)

    def _respond(self, request: bytes) -> bytes:
        """The whole response to the head of one request. Raises ValueError where that is no HTTP."""
        import h11  # noqa: PLC0415  only who serves pays for it

        connection = h11.Connection(h11.SERVER)
        try:
            connection.receive_data(request + HTTP.end)
            asked = connection.next_event()
            if not isinstance(asked, h11.Request):
                raise ValueError("no request")  # noqa: TRY004  it is what was sent that is wrong
            status, kind, body = self._find_page(asked.method, asked.target, dict(asked.headers).get(b"accept", b""))
            headers = [("content-type", kind), ("content-length", str(len(body))), ("connection", "close")]
            events = (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())
            return b"".join(connection.send(event) or b"" for event in events)
        except h11.ProtocolError as error:
            raise ValueError(str(error)) from None

    def _find_page(self, method: bytes, target: bytes, accept: bytes) -> tuple[int, str, bytes]:
        """Status, type and body."""
        if method != b"GET":
            return 405, "text/plain", b"" if method == b"HEAD" else b"only GET is answered\n"
        if target.partition(b"?")[0] != PATH:
            return 404, "text/plain", b"metrics are at /metrics\n"
        try:
            text, kind = exposition.write(self._describe(), accept.decode("ascii", "replace"))
        except Exception:
            if self._seldom.is_due("metrics"):
                _LOGGER.exception("metrics failed")
            return 500, "text/plain", b"a defect in routed; the journal has the details\n"
        return 200, kind, text


def _load() -> bool:
    import h11  # noqa: F401, PLC0415  with the library

    from routed.daemon import metrics  # noqa: F401, PLC0415  likewise

    return exposition.load_library()


def _bind(address: bytes, port: int) -> socket.socket:
    """A socket at this address and no other. Raises OSError."""
    is_ipv6 = family_of(address) == IPV6
    made = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a restart old connections linger
        if is_ipv6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((format_address(address), port))
    except OSError:
        made.close()
        raise
    return made
