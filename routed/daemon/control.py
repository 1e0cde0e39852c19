"""The control socket: Varlink (https://varlink.org) on <runtime-dir>/io.routed.

The only importer of ``asyncvarlink``, which gives the description of the interface, the checks of what comes in and
the dispatch. Its transport is not used: it reads as long as a client writes and queues as long as a client does not
read. Ours is ``clients``, which bounds both, behind a ``listener``.

Here must never live: what a method does. That is the ``backend``'s. Anyone may read; root, the daemon's own user
and one group may change something, and alone read the text of files (``discretion``).
"""

import asyncio
import grp
import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from math import inf
from pathlib import Path
from typing import (
    Any,
    Final,
    NotRequired,
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
from routed.daemon import discretion
from routed.daemon.backend import Backend
from routed.daemon.clients import Caller, ClientLimits, Clients, Peer
from routed.daemon.listener import ControlError, Listener
from routed.daemon.results import describe_problem
from routed.daemon.seldom import Seldom
from routed.intent.problems import IntentError
from routed.model.documents import (
    ApplyDocument,
    MemberSourcesDocument,
    OutcomeDocument,
    PlanDocument,
    ProblemDocument,
    RevisionsDocument,
    SourcesDocument,
    StatusDocument,
)
from routed.model.graph_document import GraphDocument
from routed.model.metrics import MetricsDocument
from routed.model.net import parse_address
from routed.model.why_documents import WantsDocument, WhyEntryDocument

_LOGGER = logging.getLogger(__name__)

ASKER: Final[ContextVar[Peer]] = ContextVar("asker")  # who asks, for as long as a call is answered

NAME: Final = "io.routed"
SERVICE_INTERFACE: Final = "org.varlink.service"
READING: Final = frozenset(
    {
        "Explain",
        "GetGraph",
        "GetMembers",
        "GetMetrics",
        "GetStatus",
        "GetWants",
        "ListRevisions",
        "Plan",
        "Watch",
    }
)  # what anyone may call; everything else changes something
PROGRESSING: Final = frozenset({"Reload", "RollBack"})  # called with "more", they tell how far they are
SHORT: Final = 1.0  # seconds that these may take without a word …
TICK: Final = 0.25  # … and then between two of them
OUTCOMES_QUEUED: Final = 256  # the size of a queue that ``Backend.subscribe`` gives


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


class DocumentType(ForeignVarlinkType):
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
        signature.return_type = ObjectVarlinkType({"document": DocumentType(document)})
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


class InvalidConfiguration(TypedVarlinkErrorReply, interface=NAME):
    """The files on disk are wrong, and this is where; nothing was changed."""

    class Parameters:  # noqa: D106
        problems: list[object]


InvalidConfiguration.paramtype = ObjectVarlinkType({"problems": DocumentType(list[ProblemDocument])})


class Refused(TypedVarlinkErrorReply, interface=NAME):
    """It cannot be done as things stand, and nothing was changed."""

    class Parameters:  # noqa: D106
        reason: str


class NotAssumable(TypedVarlinkErrorReply, interface=NAME):
    """A plan was to assume something that is not here to be assumed."""

    class Parameters:  # noqa: D106
        reason: str


class FellBehind(TypedVarlinkErrorReply, interface=NAME):
    """The caller of Watch reads too slowly: outcomes were lost. The journal has them."""

    class Parameters:  # noqa: D106
        pass


class Failed(TypedVarlinkErrorReply, interface=NAME):
    """A defect in routed; the journal has the details."""

    class Parameters:  # noqa: D106
        reason: str


class RoutedInterface(VarlinkInterface, name=NAME):
    """routed keeps this host's routes, policy rules and addresses as its operator wrote them."""

    errors = (PermissionDenied, Refused, NotAssumable, UnknownEntry, InvalidConfiguration, FellBehind, Failed)

    def __init__(self, backend: Backend, *, shows_text: bool) -> None:
        self._backend = backend
        self._shows_text = shows_text  # of files

    @answering(StatusDocument)
    def GetStatus(self, *, entry: str | None, address: str | None) -> StatusDocument:  # noqa: N802  Varlink's spelling
        """Every entry and its objects: state, since when, why not. Of an entry that is named more objects are shown.

        With an ``address`` the entries that are for it, and of their objects those that are.
        """
        status = self._backend.status(entry, _parse_address(address) if address else b"")
        return status if self._shows_text else discretion.withhold_from_status(status)

    @answering(GraphDocument)
    def GetGraph(self, *, folded: bool | None) -> GraphDocument:  # noqa: N802
        """Rules, tables, routes and links as nodes and edges, with their states.

        Of very many those that are alike are one node, unless ``folded`` is false.
        """
        return self._backend.graph(is_folded=folded is not False)

    @answering(PlanDocument)
    async def Plan(self, *, assumed: list[str] | None, addresses: list[str] | None) -> PlanDocument:  # noqa: N802
        """What would be done about the files on disk, in order, with reasons. Changes nothing.

        With ``assumed`` as if these were so, such as ``check:wan1=down`` or ``link:eth1=down``. With ``addresses`` also
        what then decides about packets there: "then".
        """
        asked = [_parse_address(address, "addresses") for address in addresses or ()]
        try:
            return await self._backend.plan(assumed or (), asked)
        except IntentError as error:
            problems = [describe_problem(problem) for problem in error.problems]
            shown: list[Any] = problems if self._shows_text else discretion.withhold_text(problems)
            raise InvalidConfiguration(problems=shown) from None

    @answering(ApplyDocument)
    async def Reload(self, *, force: bool, confirm: float | None, comment: str | None) -> ApplyDocument:  # noqa: N802
        """Enforce the files on disk; answers when the result is verified, or with what is wrong in the files.

        Called with "more" it tells before, where it takes long, how far it is: "progress" with "done" and "total".
        With ``confirm`` it undoes itself after so many seconds, unless Confirm is called.
        """
        _check_moment(confirm)
        _check_text("comment", comment or "")
        return await self._backend.reload(force=force, confirm=confirm, comment=comment or "", asker=ASKER.get())

    @answering(ApplyDocument)
    async def RollBack(self, *, revision: int | None, force: bool, confirm: float | None) -> ApplyDocument:  # noqa: N802
        """Enforce a revision whatever the files say; the one before the present one where none is named."""
        _check_moment(confirm)
        return await self._backend.roll_back(revision=revision, force=force, confirm=confirm, asker=ASKER.get())

    @varlinkmethod
    async def Confirm(self) -> None:  # noqa: N802
        """What is on trial is to last."""
        await self._backend.confirm(ASKER.get())

    @answering(RevisionsDocument)
    def ListRevisions(self) -> RevisionsDocument:  # noqa: N802
        """Every revision that is kept, the newest first."""
        return self._backend.list_revisions()

    @answering(MemberSourcesDocument)
    def GetMembers(self) -> MemberSourcesDocument:  # noqa: N802
        """Every source of members that an entry uses: its members, and how it is."""
        return self._backend.list_members()

    @answering(MetricsDocument)
    def GetMetrics(self) -> MetricsDocument:  # noqa: N802
        """The state and what was counted since the start, as Prometheus is told."""
        return self._backend.describe_metrics()

    @answering(WantsDocument)
    def GetWants(self, *, address: str) -> WantsDocument:  # noqa: N802
        """What the entries in force want of rules and tables for one address, and how it stands with them."""
        return self._backend.list_wants(_parse_address(address))

    @answering(WhyEntryDocument)
    def Explain(self, *, entry: str) -> WhyEntryDocument:  # noqa: N802
        """Why an entry is in its state, as a tree: what it waits for, who holds it, what would change it."""
        return self._backend.explain(entry)

    @answering(SourcesDocument)
    def GetRevision(self, *, revision: int) -> SourcesDocument:  # noqa: N802
        """The files of one revision, byte for byte."""
        return self._backend.read_revision(revision)

    @varlinkmethod
    def Pause(self, *, entry: str | None, seconds: float, reason: str) -> None:  # noqa: N802
        """Stop enforcing one entry, or everything where none is named, for so many seconds. Observing goes on."""
        if not 0 < seconds < inf:
            raise InvalidParameter(parameter="seconds")
        _check_text("reason", reason)
        self._backend.pause(entry, seconds, reason, ASKER.get())

    @varlinkmethod
    def Override(self, *, check: str, up: bool, seconds: float, reason: str) -> None:  # noqa: N802
        """Have a check count as up or down for so many seconds, whatever it finds."""
        if not 0 < seconds < inf:
            raise InvalidParameter(parameter="seconds")
        _check_text("reason", reason)
        self._backend.override(check, seconds, reason, ASKER.get(), is_up=up)

    @varlinkmethod
    def Drain(self, *, server: str, seconds: float, reason: str) -> None:  # noqa: N802
        """Give a server no new connections for so many seconds, such as service/api[10.0.0.11:6443]. Resume ends it."""
        if not 0 < seconds < inf:
            raise InvalidParameter(parameter="seconds")
        _check_text("reason", reason)
        self._backend.drain(server, seconds, reason, ASKER.get())

    @varlinkmethod
    def Resume(self, *, entry: str | None) -> None:  # noqa: N802
        """End a pause."""
        self._backend.resume(entry)

    @answering(OutcomeDocument)
    async def Watch(self, *, entry: str | None) -> AsyncIterator[OutcomeDocument]:  # noqa: N802
        """Every outcome from now on, or those of one entry. Call it with "more"; hang up to end it."""
        queue = self._backend.subscribe(entry or "")
        try:
            while True:
                outcome = await queue.get()
                if queue.qsize() + 1 >= queue.maxsize:  # it was full: others may have found no place
                    raise FellBehind
                yield outcome if self._shows_text else discretion.withhold_from_outcome(outcome)
        finally:
            self._backend.unsubscribe(queue)


def _parse_address(text: str, parameter: str = "address") -> bytes:
    try:
        return parse_address(text)
    except ValueError:
        raise InvalidParameter(parameter=parameter) from None


def _check_moment(seconds: float | None) -> None:
    if seconds is not None and not 0 < seconds < inf:
        raise InvalidParameter(parameter="confirm")


def _check_text(name: str, text: str) -> None:
    if not text.isprintable():
        raise InvalidParameter(parameter=name)


class Control:
    """The server. ``await open_control(…)`` makes one."""

    def __init__(self, path: Path, backend: Backend, version: str, group: str, limits: ClientLimits) -> None:
        self._registries = {
            may_change: _register(backend, version, may_change=may_change) for may_change in (True, False)
        }
        self._find_progress = backend.find_progress
        self._group_name = group
        self._group = grp.getgrnam(group).gr_gid if group else None
        self._seldom = Seldom()
        self._works: set[asyncio.Future[bytes]] = set()  # that go on though nobody may listen any more
        self.clients = Clients(self._answer, self._may_change, limits)
        self._listener = Listener(path, self.clients.take_in)

    def ensure(self) -> None:
        """Make the socket again if somebody removed its file. Costs one look at it."""
        self._listener.ensure()

    async def close(self) -> None:
        """Hang up on everyone and remove the socket."""
        self._listener.close()
        await self.clients.close()
        for work in self._works:
            work.cancel()

    async def _answer(self, message: bytes, caller: Caller) -> AsyncGenerator[bytes, None]:
        call = parse_call(message)
        async with aclosing(self._reply(call, caller)) as replies:
            async for reply in replies:
                if not call.oneway:
                    yield reply

    async def _reply(self, call: VarlinkMethodCall, caller: Caller) -> AsyncGenerator[bytes, None]:
        """The replies to one call, encoded."""
        ASKER.set(caller.peer)
        try:
            _check_permission(call, caller, self._group_name)
            method, signature = self._registries[caller.may_change].lookup_method(call)
            parameters = signature.parameter_type.fromjson(call.parameters)
            if signature.more:
                async with caller.ending_on_hangup(), aclosing(method(**parameters)) as results:
                    async for result in results:
                        yield _encode(result, signature.return_type)
                return
        except Exception as error:  # noqa: BLE001  one client's request must not end the daemon
            yield self._explain(error, call, caller)
            return

        async def work() -> bytes:
            try:
                return _encode(await _settle(method(**parameters)), signature.return_type)
            except Exception as error:  # noqa: BLE001  likewise
                return self._explain(error, call, caller)

        if not (call.more and call.method_name in PROGRESSING and caller.may_change):
            yield await caller.take_turn(work)
            return
        async with aclosing(self._report(work)) as reports:
            async for report in reports:
                yield report

    async def _report(self, work: Callable[[], Awaitable[bytes]]) -> AsyncGenerator[bytes, None]:
        """How far it is, while that takes long; then the answer. Who hangs up ends nothing of the work."""
        task = asyncio.ensure_future(work())
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        await asyncio.wait([task], timeout=SHORT)
        while not task.done():
            if progress := self._find_progress():
                told: dict[str, Any] = {"done": progress["done"], "total": progress["total"]}
                yield _dump(VarlinkMethodReply({"progress": told}, continues=True))
            await asyncio.wait([task], timeout=TICK)
        yield task.result()

    def _explain(self, error: Exception, call: VarlinkMethodCall, caller: Caller) -> bytes:
        """The reply that says why there is no other."""
        if isinstance(error, VarlinkErrorReply):
            return _dump(error.toreply())
        if isinstance(error, ConversionError):
            return _dump(InvalidParameter(parameter=str((*error.location, "")[0])).toreply())
        kind = type(error).__name__
        if self._seldom.is_due((call.method, kind)):  # whoever calls it may do so as often as they like
            _LOGGER.error("%s failed", call.method, exc_info=error)
        return _dump(Failed(reason=f"{kind}: {error}" if caller.may_change else kind).toreply())

    def _may_change(self, peer: Peer) -> bool:
        return peer.uid in {0, os.geteuid()} or self._group in peer.groups


def _register(backend: Backend, version: str, *, may_change: bool) -> VarlinkInterfaceRegistry:
    registry = VarlinkInterfaceRegistry()
    registry.register_interface(RoutedInterface(backend, shows_text=may_change))
    registry.register_interface(VarlinkServiceInterface("routed", "routed", version, "", registry))
    return registry


async def open_control(
    path: Path, backend: Backend, *, version: str, group: str = "", limits: ClientLimits | None = None
) -> Control:
    """Serve ``backend`` on a Varlink socket at ``path``. ``group`` names the group whose members may change things too.

    Raises ControlError with a sentence for a person.
    """
    try:
        return Control(path, backend, version, group, limits or ClientLimits())
    except KeyError:
        raise ControlError(f'there is no group "{group}" for the control socket') from None


def parse_call(message: bytes) -> VarlinkMethodCall:
    """A request without its final NUL. Raises ValueError for everything that is not one."""
    try:
        return VarlinkMethodCall.fromjson(json.loads(message))
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _check_permission(call: VarlinkMethodCall, caller: Caller, group: str) -> None:
    is_reading = call.method_interface == SERVICE_INTERFACE or call.method_name in READING
    if not caller.may_change and not is_reading:
        raise PermissionDenied(reason=_name_who_may(call.method_name, group))


def _name_who_may(method: str, group: str) -> str:
    """Who may do it, and what helps who may not."""
    if group:
        return f"{method} is for root and the group {group}: use sudo, or join that group (usermod -aG {group} NAME)"
    return (
        f"{method} is for root: use sudo, or let a group do it"
        " (systemctl edit routed: [Service] Environment=ROUTED_GROUP=NAME)"
    )


async def _settle(result: Any) -> AnnotatedResult:
    """The result of a method, whether it is a coroutine or not."""
    settled: AnnotatedResult = await result if asyncio.iscoroutine(result) else result
    return settled


def _encode(result: AnnotatedResult, kind: Any) -> bytes:
    return _dump(VarlinkMethodReply(kind.tojson(result.parameters), continues=result.continues))


def _dump(reply: VarlinkMethodReply) -> bytes:
    return dump_json(reply.tojson(), separators=(",", ":")).encode() + b"\0"
