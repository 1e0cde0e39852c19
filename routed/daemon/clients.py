"""The clients of the control socket, and of metrics: who they are, how many may be, and how a conversation goes.

A client is one coroutine over an asyncio stream, bounded in memory, in time and in its share of the loop. Those who may
change something are one pool, all others another; among the others nobody takes the place of somebody else. Here must
never live: what a message means.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

_LOGGER = logging.getLogger(__name__)

_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred, unix(7): pid, uid, gid
_SO_PEERGROUPS: Final = 59  # include/uapi/asm-generic/socket.h; Python has no name for it
_GROUPS_SIZE: Final = 1024  # bytes, 256 groups: all that Python's getsockopt takes


class Peer(NamedTuple):
    """Who is at the other end of a socket, by the kernel's word at the moment of connect(2)."""

    pid: int
    uid: int
    groups: frozenset[int]


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What one pool of clients may take: those who may change are one pool, all others another."""

    clients: int = 64
    each: int = 8  # clients of one user among those who may only read
    request: int = 64 * 1024  # bytes
    patience: float = 30.0  # seconds for one whole request, and for the client to take one whole reply
    unread: int = 16 * 1024 * 1024  # bytes of replies that the pool has not taken yet; one alone may be longer
    rest: float = 3.0  # a reader's request is followed by a pause of so many times what it took


@dataclass(slots=True)
class User:
    """The clients of one uid in a pool."""

    clients: set[asyncio.Task[None]] = field(default_factory=set)
    unread: int = 0  # bytes of replies that it has not taken yet
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Pool:
    """The clients that share one set of limits."""

    may_change: bool
    users: dict[int, User] = field(default_factory=dict)
    unread: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def clients(self) -> list[asyncio.Task[None]]:
        """All of them."""
        return [client for user in self.users.values() for client in user.clients]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: what the answer to a message may depend on, and how much of the loop it may take."""

    user: User
    pool: Pool
    reader: asyncio.StreamReader
    rest: float
    peer: Peer

    @property
    def may_change(self) -> bool:
        """Is it root, the daemon's own user or a member of the group?"""
        return self.pool.may_change

    async def take_turn(self, work: Callable[[], Awaitable[bytes]]) -> bytes:
        """Do the work of one request; a reader's when its turn has come.

        One reader's request at a time, and a pause after each: all readers together take a bounded share of the loop,
        however many they are and whatever they ask. Each user waits once, however many clients it has.
        """
        if self.may_change:
            return await work()
        loop = asyncio.get_running_loop()
        async with self.user.turn, self.pool.turn:
            began = loop.time()
            reply = await work()
            await asyncio.sleep(self.rest * (loop.time() - began))
        return reply

    @asynccontextmanager
    async def ending_on_hangup(self) -> AsyncIterator[None]:
        """While replies stream, the client has nothing to say: what it sends, or its leaving, ends the conversation."""
        conversation = asyncio.current_task()
        assert conversation

        async def listen() -> None:
            await self.reader.read(1)
            conversation.cancel()

        hangup = asyncio.create_task(listen())
        try:
            yield
        finally:
            hangup.cancel()
            await asyncio.wait([hangup])  # a stream has one reader at a time


# The replies to one message, encoded. It raises ValueError where nothing can be said to it.
Responder: TypeAlias = Callable[[bytes, Caller], AsyncGenerator[bytes, None]]


class Manner(NamedTuple):
    """How a conversation goes."""

    end: bytes  # of a request
    goes_on: bool  # after the first one
    identify: Callable[[socket.socket], Peer]  # who connected; raises OSError


class Clients:
    """Everyone who is connected."""

    def __init__(
        self,
        answer: Responder,
        may_change: Callable[[Peer], bool],
        limits: ClientLimits,
        manner: Manner | None = None,
    ) -> None:
        """``answer`` gets a request without its end. The manner is that of the control socket, where none is given."""
        self._answer = answer
        self._may_change = may_change
        self._limits = limits
        self._manner = manner or VARLINK
        self.pools = {may_change: Pool(may_change) for may_change in (True, False)}

    def take_in(self, connection: socket.socket) -> None:
        """Talk with whoever connected; hang up at once on who is one too many."""
        try:
            peer = self._manner.identify(connection)
            connection.setblocking(False)
        except OSError:
            connection.close()
            return
        pool = self.pools[self._may_change(peer)]
        user = pool.users.get(peer.uid) or User()
        most = self._limits.clients if pool.may_change else self._limits.each
        if len(user.clients) >= most or len(pool.clients) >= self._limits.clients:
            connection.close()
            return
        task = asyncio.get_running_loop().create_task(self._converse(connection, pool, user, peer))
        pool.users[peer.uid] = user
        user.clients.add(task)

        def forget(task: asyncio.Task[None]) -> None:
            connection.close()
            user.clients.discard(task)
            if not user.clients:
                del pool.users[peer.uid]

        task.add_done_callback(forget)

    async def close(self) -> None:
        """Hang up on everyone."""
        clients = [task for pool in self.pools.values() for task in pool.clients]
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _converse(self, connection: socket.socket, pool: Pool, user: User, peer: Peer) -> None:
        """One client, from its first request until it leaves or breaks a rule."""
        try:
            async with _open_streams(connection, self._limits.request) as (reader, writer):
                caller = Caller(user, pool, reader, self._limits.rest, peer)
                writer.transport.set_write_buffer_limits(high=0)  # drain() then means: taken
                end, is_first = self._manner.end, True
                while is_first or self._manner.goes_on:
                    is_first = False
                    async with asyncio.timeout(self._limits.patience):
                        message = await reader.readuntil(end)
                    async with aclosing(self._answer(message.removesuffix(end), caller)) as replies:
                        async for reply in replies:
                            await self._send(reply, caller, writer)
        except (ValueError, OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            # Gone, slow, too long or not Varlink at all: in every case there is nobody to talk to.
            _LOGGER.debug("hung up on a client: %r", error)
        except asyncio.CancelledError:
            # By close() or by the client's hanging up. Nothing waits for this task but close().
            pass

    async def _send(self, reply: bytes, caller: Caller, writer: asyncio.StreamWriter) -> None:
        user, pool, whole = caller.user, caller.pool, self._limits.unread
        share = whole if pool.may_change else whole * self._limits.each // self._limits.clients
        for waiting, most in ((user.unread, share), (pool.unread, whole)):
            if waiting and waiting + len(reply) > most:
                raise TimeoutError("earlier replies were not taken yet")
        user.unread += len(reply)
        pool.unread += len(reply)
        try:
            writer.write(reply)
            async with asyncio.timeout(self._limits.patience):
                await writer.drain()
        finally:
            user.unread -= len(reply)
            pool.unread -= len(reply)


@asynccontextmanager
async def _open_streams(
    connection: socket.socket, limit: int
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """What asyncio.start_unix_server gives its callback, for a connection that somebody else accepted."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection)
    try:
        yield reader, asyncio.StreamWriter(transport, protocol, reader, loop)
    finally:
        transport.abort()


def read_peer(connection: socket.socket) -> Peer:
    """Who connected (SO_PEERCRED and SO_PEERGROUPS, unix(7) and net/core/sock.c). Raises OSError."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(credentials)
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_SIZE)
    except OSError:  # more groups than fit: the primary one has to do
        packed = b""
    return Peer(pid, uid, frozenset({gid, *struct.unpack(f"={len(packed) // 4}I", packed)}))


VARLINK: Final = Manner(b"\0", goes_on=True, identify=read_peer)
