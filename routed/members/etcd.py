"""A source of type ``etcd``: the clock and the connections of it.

Imported with the first source of that type. What is asked and what the answers mean stands in ``follower`` and below.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from routed import secrets
from routed.members.follower import Consequence, Follower
from routed.members.gateway import Call, RefusedError, Said
from routed.members.registrar import Registrar
from routed.members.session import Login, Session
from routed.members.streams import Channel, connect, limit
from routed.members.turns import Turns
from routed.model.etcd import Endpoint, EtcdSettings, OnStop, Registered, Registration, Unheard, Unregistered
from routed.model.members import Snapshot
from routed.model.reasons import Snag, Snagged

ANSWER: Final = 10.0  # seconds until an answer; a member without its quorum says so after seven (ReqTimeout of etcd)
QUIET: Final = 30.0  # seconds of silence after which a watch is looked at
LEAVE: Final = 2.0  # seconds for the last word of a host that stops
MOST_PASSWORD: Final = 4096  # bytes

DeliverMembers = Callable[[Snapshot | Unheard], None]
TellEnrolment = Callable[[Registered | Unregistered], None]


async def follow(
    settings: EtcdSettings,
    deliver: DeliverMembers,
    tell: TellEnrolment = lambda _state: None,
    is_leaving: Callable[[], bool] = lambda: True,
) -> None:
    """Tell who is a member, and whether this host is, until this is cancelled. Raises nothing else.

    ``is_leaving`` is asked then: is that the stop for which ``on_stop`` is written, or does another call follow?
    """
    login = Login(settings.user)
    host = _Host(settings, settings.register, login, tell, is_leaving) if settings.register else None
    source = _Source(settings, login, deliver, host)
    async with asyncio.TaskGroup() as group:
        group.create_task(source.run())
        if host:
            group.create_task(host.run())


async def attempt(endpoint: Endpoint, doing: Coroutine[Any, Any, None]) -> Snagged | None:
    """Do something with an endpoint, and tell what came between."""
    try:
        await doing
    except RefusedError as refused:
        return Snagged(str(endpoint), refused.snag, refused.detail)
    except Exception as error:  # noqa: BLE001  a defect of ours says nothing of the source
        return Snagged(str(endpoint), Snag.LOCAL, f"{type(error).__name__}: {error}")
    return None


class _Source:
    """One source, and what is known of it."""

    def __init__(self, settings: EtcdSettings, login: Login, deliver: DeliverMembers, host: _Host | None) -> None:
        self._turns = Turns(settings.endpoints, random.random)
        self._settings = settings
        self._deliver = deliver
        self._host = host
        self._login = login
        self._follower = Follower(settings, self._login)

    async def run(self) -> None:
        """Until this is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            endpoint, began = self._turns.endpoint, loop.time()
            why = await attempt(endpoint, self.stay(endpoint))
            if failure := self._turns.end(why, loop.time() - began):
                self._deliver(failure)
            await asyncio.sleep(self._turns.pause)

    async def stay(self, endpoint: Endpoint) -> None:
        """Follow on one connection until it is over. Raises RefusedError."""
        self._login.password = read_password(self._settings)
        async with connect(endpoint, self._settings.tls) as stream:
            step = self._follower.begin(endpoint.authority)
            while not step.is_over:
                if step.told:
                    self._hear(endpoint, step.told)
                async with limit(ANSWER):
                    await stream.write(step.send)
                step = await self._receive(endpoint, stream)
            if step.refused:
                raise step.refused

    def _hear(self, endpoint: Endpoint, snapshot: Snapshot) -> None:
        self._turns.hear()
        self._deliver(snapshot)
        if self._host:
            self._host.see(endpoint, snapshot)

    async def _receive(self, endpoint: Endpoint, stream: Channel) -> Consequence:
        if not self._follower.is_watching:
            async with limit(ANSWER):
                return self._follower.receive(await stream.read())
        try:
            async with asyncio.timeout(QUIET):
                data = await stream.read()
        except TimeoutError:
            return Consequence(is_over=not await self._is_confirmed(endpoint))
        return self._follower.receive(data)

    async def _is_confirmed(self, endpoint: Endpoint) -> bool:
        """Is the watch silent since there is nothing to tell? Raises RefusedError."""
        async with connect(endpoint, self._settings.tls) as stream:
            session = Session(endpoint.authority, self._login)
            return self._follower.is_confirmed(await ask(stream, session, self._follower.check()))


class _Host:
    """This host among the members."""

    def __init__(
        self,
        settings: EtcdSettings,
        registration: Registration,
        login: Login,
        tell: TellEnrolment,
        is_leaving: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._on_stop = registration.on_stop
        self._tell = tell
        self._is_leaving = is_leaving
        self._registrar = Registrar(settings.prefix, registration)
        self._login = login
        self._turns = Turns(settings.endpoints, random.random)
        self._woken = asyncio.Event()
        self._failure: Unheard | None = None

    async def run(self) -> None:
        """Until this is cancelled; then leave, if that is meant."""
        try:
            while True:
                endpoint = self._turns.endpoint
                why = await attempt(endpoint, self._go_on(endpoint))
                if why is None:
                    self._turns.begin()
                    self._failure = None
                    await self._sleep()
                    continue
                self._failure = self._turns.end(why, 0.0) or self._failure
                if self._failure:
                    self._show(self._registrar.fail(self._failure.why, asyncio.get_running_loop().time()))
                await asyncio.sleep(self._turns.pause)
        finally:
            if self._on_stop is OnStop.REMOVE and self._is_leaving() and (call := self._registrar.leave()):
                await self._leave(call)

    def see(self, endpoint: Endpoint, snapshot: Snapshot) -> None:
        """Who is a member now."""
        if state := self._registrar.see(str(endpoint), snapshot, asyncio.get_running_loop().time()):
            self._tell(state)
            self._woken.set()

    async def _go_on(self, endpoint: Endpoint) -> None:
        """All calls that are due, on one connection. Raises RefusedError."""
        self._login.password = read_password(self._settings)
        async with connect(endpoint, self._settings.tls) as stream:
            session = Session(endpoint.authority, self._login)
            while True:
                self._show(await self._call(endpoint, stream, session))
                if self._registrar.wait:
                    return

    async def _call(self, endpoint: Endpoint, stream: Channel, session: Session) -> Registered | Unregistered | None:
        who = str(endpoint)
        now = asyncio.get_running_loop().time()  # of before the call, so that the lease is rather longer than it seems
        try:
            answer = await ask(stream, session, self._registrar.next())
        except RefusedError as refused:
            return self._registrar.refuse(who, refused)
        return self._registrar.hear(who, answer, now)

    async def _leave(self, call: Call) -> None:
        """The last word, to the first that takes it."""
        with suppress(RefusedError):
            async with limit(LEAVE):
                for _ in self._settings.endpoints:
                    endpoint = self._turns.endpoint
                    why = await attempt(endpoint, self._say(endpoint, call))
                    if why is None:
                        return
                    self._turns.end(why, 0.0)

    async def _say(self, endpoint: Endpoint, call: Call) -> None:
        async with connect(endpoint, self._settings.tls) as stream:
            await ask(stream, Session(endpoint.authority, self._login), call)

    def _show(self, state: Registered | Unregistered | None) -> None:
        if state:
            self._tell(state)

    async def _sleep(self) -> None:
        """Until the next call is due, which may be sooner than it seemed."""
        while True:
            self._woken.clear()
            try:
                async with asyncio.timeout(self._registrar.wait):
                    await self._woken.wait()
            except TimeoutError:
                return


def read_password(settings: EtcdSettings) -> str:
    """What the file of the password has on its first line. Raises RefusedError."""
    if not settings.password_file:
        return ""
    try:
        content = secrets.read_secret(settings.password_file, MOST_PASSWORD)
        return content.decode().partition("\n")[0].removesuffix("\r")
    except secrets.SecretError as error:
        raise RefusedError(Snag.NO_FILE, str(error)) from None
    except UnicodeDecodeError:
        raise RefusedError(Snag.NO_FILE, f"{settings.password_file} is no text of UTF-8") from None


async def ask(stream: Channel, session: Session, call: Call) -> Said:
    """One call, and its answer. Raises RefusedError."""
    send = session.call(call)
    async with limit(ANSWER):
        while True:
            await stream.write(send)
            heard = session.receive(await stream.read())
            if heard.answers:
                return heard.answers[0]
            send = heard.send
