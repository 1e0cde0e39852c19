"""The control socket: Varlink (https://varlink.org) on <runtime-dir>/io.routed.

The only importer of ``asyncvarlink``, which gives the description of the interface, the checks of what comes in and
the dispatch. Its transport is not used: it reads as long as a client writes and queues as long as a client does not
read. Here a client is one coroutine over an asyncio stream, bounded in memory, in time and in its share of the loop.

Here must never live: what a method does. That is the :class:`Service`'s. Anyone may read; root, the daemon's own user
and one group may change.
"""

import asyncio
import grp
import json
import logging
import os
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import (
    Any,
    Final,
    NamedTuple,
    NotRequired,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from asyncvarlink import (
    AnnotatedResult,
    TypedVarlinkErrorReply,
    VarlinkErrorReply,
    VarlinkInterface,
    VarlinkInterfaceRegistry,
    VarlinkMethodCall,
    VarlinkMethodReply,
    varlinkmethod,
    varlinksignature,
)
from asyncvarlink.conversion import ConversionError, ForeignVarlinkType, ObjectVarlinkType
from asyncvarlink.serviceinterface import InvalidParameter, VarlinkServiceInterface

from routed.audit.printable import dump_json
from routed.model.documents import ApplyDocument, OutcomeDocument, PlanDocument, StatusDocument

_LOGGER = logging.getLogger(__name__)

NAME: Final = "io.routed"
SERVICE_INTERFACE: Final = "org.varlink.service"
READING: Final = frozenset({"GetStatus", "Plan", "Watch"})  # what anyone may call; everything else changes something
OUTCOMES_QUEUED: Final = 256  # the size of a queue that ``Service.subscribe`` gives

_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred, unix(7): pid, uid, gid
_SO_PEERGROUPS: Final = 59  # include/uapi/asm-generic/socket.h; Python has no name for it
_GROUPS_SIZE: Final = 1024  # bytes, 256 groups: all that Python's getsockopt takes


class Service(Protocol):
    """What the daemon does for a client. To a name that is no entry's it says ``raise UnknownEntry(entry=name)``."""

    def status(self) -> StatusDocument:
        """Every entry and its state."""

    async def plan(self) -> PlanDocument:
        """What would be done."""

    async def reload(self, force: bool) -> ApplyDocument:  # noqa: FBT001
        """Read the files, enforce them, verify."""

    def pause(self, entry: str | None, seconds: float, reason: str) -> None:
        """Stop enforcing an entry, or all."""

    def resume(self, entry: str | None) -> None:
        """Enforce again."""

    def subscribe(self) -> asyncio.Queue[OutcomeDocument]:
        """A queue of ``OUTCOMES_QUEUED`` places that gets every outcome from now on. What finds it full is not put."""

    def unsubscribe(self, queue: asyncio.Queue[OutcomeDocument]) -> None:
        """The queue is not read any more."""


class ControlError(Exception):
    """The socket cannot be made; its text is a sentence for a person."""


Method = TypeVar("Method", bound=Callable[..., Any])

_SCALARS: Final = {str: "string", int: "int", float: "float", bool: "bool", Any: "object"}


def describe(hint: Any, types: dict[str, str]) -> str:
    """The Varlink spelling of a type of ``model.documents``; the named types that it needs are added to ``types``."""
    if is_typeddict(hint):
        fields = get_type_hints(hint, include_extras=True).items()
        types[hint.__name__] = f"({', '.join(f'{name}: {describe(field, types)}' for name, field in fields)})"
        return str(hint.__name__)
    for shape, prefix in ((list, "[]"), (dict, "[string]"), (NotRequired, "?")):
        if get_origin(hint) is shape:
            return prefix + describe(get_args(hint)[-1], types)
    return _SCALARS[hint]


class Document(ForeignVarlinkType):
    """One of ``model.documents``, described by its name. Not checked when it is sent: mypy has done that."""

    def __init__(self, document: type) -> None:
        self.typedefs: dict[str, str] = {}
        super().__init__(describe(document, self.typedefs))


def answering(document: type) -> Callable[[Method], Method]:
    """A Varlink method that answers with a document, or streams them, under the name ``document``."""

    def decorate(function: Method) -> Method:
        method: Any = varlinkmethod(
            function, return_parameter="document", return_type=object, allow_foreign=True, delay_generator=False
        )
        signature = varlinksignature(method)
        assert signature
        signature.return_type = ObjectVarlinkType({"document": Document(document)})
        return method  # type: ignore[no-any-return]

    return decorate


class PermissionDenied(TypedVarlinkErrorReply, interface=NAME):
    """The caller may read but not change."""

    class Parameters:  # noqa: D106
        reason: str


class UnknownEntry(TypedVarlinkErrorReply, interface=NAME):
    """No entry of the files has this name."""

    class Parameters:  # noqa: D106
        entry: str


class FellBehind(TypedVarlinkErrorReply, interface=NAME):
    """The caller of Watch reads too slowly: outcomes were lost. The journal has them."""

    class Parameters:  # noqa: D106
        pass


class Failed(TypedVarlinkErrorReply, interface=NAME):
    """A defect in routed; the journal has the details."""

    class Parameters:  # noqa: D106
        reason: str


class Interface(VarlinkInterface, name=NAME):
    """routed keeps this host's routes, policy rules and addresses as its operator wrote them."""

    errors = (PermissionDenied, UnknownEntry, FellBehind, Failed)

    def __init__(self, service: Service) -> None:
        self._service = service

    @answering(StatusDocument)
    def GetStatus(self) -> StatusDocument:  # noqa: N802  Varlink's spelling
        """Every entry and its objects: state, since when, why not."""
        return self._service.status()

    @answering(PlanDocument)
    async def Plan(self) -> PlanDocument:  # noqa: N802
        """What would be done about the files on disk, in order, with reasons. Changes nothing."""
        return await self._service.plan()

    @answering(ApplyDocument)
    async def Reload(self, *, force: bool) -> ApplyDocument:  # noqa: N802
        """Enforce the files on disk; answers when the result is verified, or with what is wrong in the files."""
        return await self._service.reload(force)

    @varlinkmethod
    def Pause(self, *, entry: str | None, seconds: float, reason: str) -> None:  # noqa: N802
        """Stop enforcing one entry, or everything where none is named, for so many seconds. Observing goes on."""
        if not 0 < seconds < inf:
            raise InvalidParameter(parameter="seconds")
        if not reason.isprintable():
            raise InvalidParameter(parameter="reason")
        self._service.pause(entry, seconds, reason)

    @varlinkmethod
    def Resume(self, *, entry: str | None) -> None:  # noqa: N802
        """End a pause."""
        self._service.resume(entry)

    @answering(OutcomeDocument)
    async def Watch(self) -> AsyncIterator[OutcomeDocument]:  # noqa: N802
        """Every outcome from now on. Call it with "more"; hang up to end it."""
        queue = self._service.subscribe()
        try:
            while True:
                outcome = await queue.get()
                if queue.qsize() + 1 >= queue.maxsize:  # it was full: others may have found no place
                    raise FellBehind
                yield outcome
        finally:
            self._service.unsubscribe(queue)


class Peer(NamedTuple):
    """Who is at the other end of a socket, by the kernel's word at the moment of connect(2)."""

    pid: int
    uid: int
    groups: frozenset[int]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one crowd of clients may take: those who may change are one crowd, all others another."""

    clients: int = 64
    request: int = 64 * 1024  # bytes
    patience: float = 30.0  # seconds for one whole request, and for the client to take one whole reply
    unread: int = 16 * 1024 * 1024  # bytes of replies that the crowd has not taken yet
    rest: float = 3.0  # a reader's request is followed by a pause of so many times what it took


@dataclass(slots=True)
class Crowd:
    """The clients that share one set of limits."""

    may_change: bool
    clients: set[asyncio.Task[None]] = field(default_factory=set)
    unread: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Control:
    """The server. ``await open_control(…)`` makes one."""

    def __init__(self, service: Service, version: str, group: int | None, limits: Limits) -> None:
        self._registry = VarlinkInterfaceRegistry()
        self._registry.register_interface(Interface(service))
        self._registry.register_interface(VarlinkServiceInterface("routed", "routed", version, "", self._registry))
        self._group = group
        self._limits = limits
        self._crowds = {may_change: Crowd(may_change) for may_change in (True, False)}
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def listen(self, path: Path) -> None:
        """Serve on a socket at this path, in place of one that a killed daemon left. Raises ControlError."""
        listener = bind(path)
        self._path = path
        self._server = await asyncio.start_unix_server(
            self._converse, sock=listener, limit=self._limits.request, backlog=self._limits.clients
        )

    async def close(self) -> None:
        """Hang up on everyone and remove the socket."""
        if self._server:
            self._server.close()
        clients = [task for crowd in self._crowds.values() for task in crowd.clients]
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        if self._path:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from its first request until it leaves or breaks a rule."""
        task = asyncio.current_task()
        assert task
        try:
            crowd = self._crowds[self._may_change(read_peer(writer.get_extra_info("socket")))]
            if len(crowd.clients) >= self._limits.clients:
                return
            crowd.clients.add(task)
            try:
                writer.transport.set_write_buffer_limits(high=0)  # drain() then means: taken
                while True:
                    async with asyncio.timeout(self._limits.patience):
                        message = await reader.readuntil(b"\0")
                    call = parse_call(message[:-1])
                    async with aclosing(self._answer(call, crowd, reader)) as replies:
                        async for reply in replies:
                            if not call.oneway:
                                await self._send(reply, crowd, writer)
            finally:
                crowd.clients.discard(task)
        except (ValueError, OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            # Gone, slow, too long or not Varlink at all: in every case there is nobody to talk to.
            _LOGGER.debug("hung up on a client of the control socket: %r", error)
        except asyncio.CancelledError:
            # By close() or by the client's hanging up. Nothing waits for this task but close().
            pass
        finally:
            writer.transport.abort()

    async def _answer(
        self, call: VarlinkMethodCall, crowd: Crowd, reader: asyncio.StreamReader
    ) -> AsyncGenerator[bytes, None]:
        """The replies to one call, encoded."""
        try:
            _check_permission(call, crowd)
            method, signature = self._registry.lookup_method(call)
            parameters = signature.parameter_type.fromjson(call.parameters)
            if signature.more:
                async with _ending_on_hangup(reader), aclosing(method(**parameters)) as results:
                    async for result in results:
                        yield _encode(result, signature.return_type)
                return
            if crowd.may_change:
                yield _encode(await _settle(method(**parameters)), signature.return_type)
                return
            # One reader's request at a time, and a pause after each: all readers together take a bounded share of
            # the loop, however many they are and whatever they ask.
            async with crowd.turn:
                began = asyncio.get_running_loop().time()
                reply = _encode(await _settle(method(**parameters)), signature.return_type)
                await asyncio.sleep(self._limits.rest * (asyncio.get_running_loop().time() - began))
            yield reply
        except VarlinkErrorReply as error:
            yield _dump(error.toreply())
        except ConversionError as error:
            yield _dump(InvalidParameter(parameter=str((*error.location, "")[0])).toreply())
        except Exception as error:  # one client's request must not end the daemon
            _LOGGER.exception("%s failed", call.method)
            yield _dump(Failed(reason=f"{type(error).__name__}: {error}").toreply())

    async def _send(self, reply: bytes, crowd: Crowd, writer: asyncio.StreamWriter) -> None:
        if crowd.unread and crowd.unread + len(reply) > self._limits.unread:
            raise TimeoutError("the others have not taken their replies")
        crowd.unread += len(reply)
        try:
            writer.write(reply)
            async with asyncio.timeout(self._limits.patience):
                await writer.drain()
        finally:
            crowd.unread -= len(reply)

    def _may_change(self, peer: Peer) -> bool:
        return peer.uid in {0, os.geteuid()} or self._group in peer.groups


async def open_control(
    path: Path, service: Service, *, version: str, group: str = "", limits: Limits | None = None
) -> Control:
    """Serve ``service`` on a Varlink socket at ``path``. ``group`` names the group whose members may change things too.

    Raises ControlError with a sentence for a person.
    """
    try:
        number = grp.getgrnam(group).gr_gid if group else None
    except KeyError:
        raise ControlError(f'there is no group "{group}" for the control socket') from None
    control = Control(service, version, number, limits or Limits())
    await control.listen(path)
    return control


def bind(path: Path) -> socket.socket:
    """A socket at this path that anyone may connect to, in place of what stood there. Raises ControlError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        listener.bind(os.fspath(path))
        path.chmod(0o666)  # before listen(2): whoever connects is judged by who they are
    except OSError as error:
        listener.close()
        raise ControlError(f"cannot make the control socket {path}: {error.strerror or error}") from error
    return listener


def read_peer(connection: socket.socket) -> Peer:
    """Who connected (SO_PEERCRED and SO_PEERGROUPS, unix(7) and net/core/sock.c). Raises OSError."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(credentials)
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_SIZE)
    except OSError:  # more groups than fit: the primary one has to do
        packed = b""
    return Peer(pid, uid, frozenset({gid, *struct.unpack(f"={len(packed) // 4}I", packed)}))


def parse_call(message: bytes) -> VarlinkMethodCall:
    """A request without its final NUL. Raises ValueError for everything that is not one."""
    try:
        return VarlinkMethodCall.fromjson(json.loads(message))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _check_permission(call: VarlinkMethodCall, crowd: Crowd) -> None:
    is_reading = call.method_interface == SERVICE_INTERFACE or call.method_name in READING
    if not crowd.may_change and not is_reading:
        raise PermissionDenied(reason=f"{call.method_name} is for root and the group of the control socket")


@asynccontextmanager
async def _ending_on_hangup(reader: asyncio.StreamReader) -> AsyncIterator[None]:
    """While replies stream, the client has nothing to say: whatever it sends, or its leaving, ends the conversation."""
    conversation = asyncio.current_task()
    assert conversation

    async def listen() -> None:
        await reader.read(1)
        conversation.cancel()

    hangup = asyncio.create_task(listen())
    try:
        yield
    finally:
        hangup.cancel()
        await asyncio.wait([hangup])  # a stream has one reader at a time


async def _settle(result: Any) -> AnnotatedResult:
    """The result of a method, whether it is a coroutine or not."""
    settled: AnnotatedResult = await result if asyncio.iscoroutine(result) else result
    return settled


def _encode(result: AnnotatedResult, kind: Any) -> bytes:
    return _dump(VarlinkMethodReply(kind.tojson(result.parameters), continues=result.continues))


def _dump(reply: VarlinkMethodReply) -> bytes:
    return dump_json(reply.tojson(), separators=(",", ":")).encode() + b"\0"
