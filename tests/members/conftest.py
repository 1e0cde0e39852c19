"""Fixtures of the tests of sources of members."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from routed.audit.reasons import describe_reason
from routed.members import etcd
from routed.model.etcd import EtcdSettings, Registered, Unheard, Unregistered
from routed.model.members import Snapshot
from tests.kernel import netns
from tests.kernel.netns import wait_until
from tests.members.etcds import PROGRAMS


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    with netns.private_network():
        yield


@pytest.fixture(params=["debian", "wheel"])
def program(request: pytest.FixtureRequest) -> Path:
    """etcd of each version."""
    if request.param not in PROGRAMS:
        pytest.skip(f"etcd of {request.param} is not here: contrib/bootstrap brings it")
    return PROGRAMS[request.param]


@contextmanager
def in_background(work: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """A coroutine in the loop of another thread, which is cancelled at the end of the block."""
    began = threading.Event()
    held: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def run() -> None:
        task = asyncio.ensure_future(work())
        held.append((asyncio.get_running_loop(), task))
        began.set()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    began.wait()
    try:
        yield
    finally:
        loop, task = held[0]
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


class Listener:
    """What a source told."""

    def __init__(self) -> None:
        self.told: list[Snapshot | Unheard] = []
        self.states: list[Registered | Unregistered] = []

    @property
    def names(self) -> list[str]:
        """Of the members of now."""
        return [member.name for member in self.snapshot.members]

    @property
    def snapshot(self) -> Snapshot:
        """All that was told by now: the last that was complete, with the changes since."""
        found = Snapshot()
        for one in self.told:
            if isinstance(one, Snapshot):
                found = one if one.gone is None else add_change(found, one)
        return found

    @property
    def why(self) -> str:
        """Why the source says nothing now."""
        last = self.told[-1] if self.told else None
        return describe_reason(last.why) if isinstance(last, Unheard) else ""

    @property
    def is_registered(self) -> bool:
        return bool(self.states) and isinstance(self.states[-1], Registered)

    @property
    def why_not(self) -> str:
        """Why this host is not registered."""
        last = self.states[-1] if self.states else None
        return describe_reason(last.why) if isinstance(last, Unregistered) else ""

    def wait_registered(self, within: float = 10.0) -> None:
        self.wait_until(lambda: self.is_registered, within)

    def wait_why_not(self, part: str, within: float = 12.0) -> None:
        self.wait_until(
            lambda: any(part in describe_reason(one.why) for one in self.states if isinstance(one, Unregistered)),
            within,
        )

    def wait_for(self, *names: str, within: float = 10.0) -> None:
        self.wait_until(lambda: bool(self.told) and not self.why and self.names == sorted(names), within)

    def wait_why(self, part: str, within: float = 12.0) -> None:
        self.wait_until(lambda: part in self.why, within)

    def wait_until(self, is_so: Callable[[], bool], within: float = 10.0) -> None:
        """A failure of the test says what was told instead."""
        try:
            wait_until(is_so, within)
        except AssertionError as error:
            raise AssertionError(f"{error}; told: {self.why or self.snapshot}, {self.states[-1:]}") from None


def add_change(before: Snapshot, change: Snapshot) -> Snapshot:
    """The same with whoever came, changed and went."""
    named = {one.name for one in change.members} | {one.name for one in change.broken} | set(change.gone or ())
    members = [*(one for one in before.members if one.name not in named), *change.members]
    broken = [*(one for one in before.broken if one.name not in named), *change.broken]
    return before._replace(
        members=tuple(sorted(members, key=lambda one: one.name)),
        broken=tuple(sorted(broken, key=lambda one: one.name)),
        revision=change.revision,
    )


@contextmanager
def following(settings: EtcdSettings, *, is_leaving: bool = True) -> Iterator[Listener]:
    """A source that is followed to the end of the block."""
    listener = Listener()
    tell = listener.states.append
    with in_background(lambda: etcd.follow(settings, listener.told.append, tell, lambda: is_leaving)):
        yield listener
