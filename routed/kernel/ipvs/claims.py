"""Claims: which services, servers and timeouts are ours, and with what content: the kernel has no place for an owner.

A claim is kept before what it is for is asked of the kernel, and given up after that has gone: there may be a claim
without an object, and never an object of ours without a claim. It says whose the key is. A content that differs from
what was sent is drift, and proves nothing. Claims of another boot or network namespace are void: what stands there now
was made by somebody else.

Here must never live: how they are kept (a ``Store``), or a request.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from sys import byteorder
from typing import Any, Final, NamedTuple, Protocol

from routed.kernel.dump import finish
from routed.model.ipvs import (
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    TimeoutMember,
    TimeoutSlot,
    TimeoutValue,
)
from routed.model.objects import Key, Kind, Value

TYPES: Final = (  # of keys and values
    ServiceSlot, ServiceMember, ServiceValue, ServerSlot, ServerMember, ServerValue, TimeoutSlot, TimeoutMember,
    TimeoutValue,
)  # fmt: skip

_SO_NETNS_COOKIE: Final = 71  # include/uapi/asm-generic/socket.h, since Linux 5.14
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/thread-self/ns/net")
_SLICE: Final = 1024  # claims that are taken between two breaths of the caller
_SPARE: Final = 1024  # changes more than there are claims, after which all are written anew


class ClaimOrigin(NamedTuple):
    """Where a claim holds."""

    boot: str
    namespace: str  # of the network


class Claim(NamedTuple):
    """One change of what is claimed."""

    key: Key
    value: Value | None  # as it was sent; None: given up


class Store(Protocol):
    """Keeps claims. Who may not change anything takes one that keeps nothing of what it is told."""

    def read(self, origin: ClaimOrigin) -> Generator[None, None, list[Claim]]:
        """What was kept under this origin, in order, read in slices. Raises OSError.

        Nothing where it is of another origin, or damaged.
        """

    def append(self, claims: Iterable[Claim]) -> None:
        """Keep these as well. It must outlive this process; a claim does not outlive the boot.

        Raises OSError, and then none of them is kept: FileNotFoundError where nothing is kept any more.
        """

    def replace(self, origin: ClaimOrigin, claims: Iterable[Claim]) -> None:
        """Keep these and nothing else. Raises OSError, and then what was kept before still is."""


def read_origin() -> ClaimOrigin:
    """That of this boot, and of the network namespace of the calling thread. Raises OSError."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
            namespace = f"cookie {int.from_bytes(asked.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), byteorder)}"
    except OSError:
        namespace = f"inode {_NAMESPACE.stat().st_ino}"
    return ClaimOrigin(_BOOT_ID.read_text(encoding="ascii").strip(), namespace)


class Claims:
    """All claims, read from the store at their first use. One thread at a time."""

    def __init__(self, store: Store, find_origin: Callable[[], ClaimOrigin] = read_origin) -> None:
        self._store = store
        self._find_origin = find_origin
        self._origin: ClaimOrigin | None = None
        self._claimed: dict[ServerSlot, dict[Key, Value]] = {}  # by the service that each belongs to
        self._alone: dict[Key, Value] = {}  # what belongs to none
        self._count = 0
        self._unwritten: dict[Key, Value | None] = {}  # what the store could not take
        self._written = 0  # changes in the store
        self.changes = 0  # ever: what was stamped before is outdated where this has grown

    def are_loaded(self) -> bool:
        """Was read what is kept?"""
        return self._origin is not None

    def load(self) -> None:
        """Read what is kept, if that was not done before. Raises OSError."""
        finish(self.load_in_slices())

    def load_in_slices(self) -> Generator[None, None, None]:
        """The same for who has something else to do in between: of 40 000 claims it takes most of a second."""
        if self.are_loaded():
            return
        origin = self._find_origin()
        kept = yield from self._store.read(origin)
        if self.are_loaded():  # by somebody else meanwhile, who may have claimed more
            return
        self._claimed, self._alone, self._count = {}, {}, 0  # without what somebody has begun to take who gave up
        for start in range(0, len(kept), _SLICE):
            self._take(kept[start : start + _SLICE])
            yield
            if self.are_loaded():
                return
        self._origin = origin
        self._written = len(kept) if kept else -1  # nothing there yet: its first line has to be written

    def get(self, key: Key) -> Value | None:
        """What was sent for the object; None where it is not claimed."""
        place = place_of(key)
        return (self._alone if place is None else self._claimed.get(place, {})).get(key)

    def of_service(self, service: ServerSlot) -> ServiceValue | None:
        """What was sent for a service; None where it is not claimed."""
        found: ServiceValue | None = self._claimed.get(service, {}).get(service_key(service))
        return found

    def servers_of(self, service: ServerSlot) -> dict[ServerMember, ServerValue]:
        """The claimed servers of a service."""
        found: dict[Any, ServerValue] = {
            key.member: value for key, value in self._claimed.get(service, {}).items() if key.slot == service
        }
        return found

    def places(self) -> Collection[ServerSlot]:
        """Every service that is claimed itself, or has a claimed server. Raises OSError."""
        self.load()
        return self._claimed.keys()

    def families(self) -> set[int]:
        """Those of everything that is claimed. Raises OSError."""
        return {place.family for place in self.places()} | {key.slot.family for key in self._alone}

    def keys_alone(self) -> Collection[Key]:
        """What is claimed and is of no service."""
        return self._alone.keys()

    def keys_of(self, service: ServerSlot) -> Collection[Key]:
        """What is claimed of a service: itself, and servers."""
        return self._claimed.get(service, {}).keys()

    def put(self, changes: Mapping[Key, Value | None]) -> None:
        """Claim objects, or give them up (None). Raises OSError where that is not kept: then nothing has changed."""
        self.load()
        news = {key: value for key, value in changes.items() if self.get(key) != value}
        if not news and not self._unwritten:
            return
        self._write(self._unwritten | news)
        self._unwritten = {}
        self._take(Claim(key, value) for key, value in news.items())

    def settle(self, changes: Mapping[Key, Value | None]) -> None:
        """The same where it has happened already: it holds from now on, and is kept as soon as that is possible."""
        self.load()
        news = {key: value for key, value in changes.items() if self.get(key) != value}
        self._take(Claim(key, value) for key, value in news.items())
        self._unwritten |= news
        if self._unwritten:
            with suppress(OSError):
                self._write(self._unwritten)
                self._unwritten = {}

    def _write(self, changes: Mapping[Key, Value | None]) -> None:
        """Keep these changes, after those that are kept. Raises OSError."""
        assert self._origin is not None, "load() comes first"
        if 0 <= self._written <= 2 * self._count + _SPARE:
            with suppress(FileNotFoundError):  # somebody has thrown it away
                self._store.append([Claim(key, value) for key, value in changes.items()])
                self._written += len(changes)
                return
        merged: dict[Key, Value | None] = {
            key: value for held in (*self._claimed.values(), self._alone) for key, value in held.items()
        }
        merged.update(changes)
        whole = [Claim(key, value) for key, value in merged.items() if value is not None]
        self._store.replace(self._origin, whole)
        self._written = len(whole)

    def _take(self, claims: Iterable[Claim]) -> None:
        for key, value in claims:
            place = place_of(key)
            held = self._alone if place is None else self._claimed.setdefault(place, {})
            self._count -= len(held)
            if value is None:
                held.pop(key, None)
            else:
                held[key] = value
            self._count += len(held)
            if place is not None and not held:
                del self._claimed[place]
            self.changes += 1


# The service that a key of each kind names, or in which the server stands that it names; None: it is of no service.
PLACES: Final[Mapping[Kind, Callable[[Any, Any], ServerSlot | None]]] = {
    Kind.SERVICE: lambda slot, member: ServerSlot(slot.family, member),
    Kind.SERVER: lambda slot, _member: slot,
    Kind.TIMEOUT: lambda _slot, _member: None,
}


def service_key(service: ServerSlot) -> Key:
    """The key of a service, by what its servers share."""
    return Key(Kind.SERVICE, ServiceSlot(service.family), service.service)


def server_key(service: ServerSlot, member: ServerMember) -> Key:
    """The key of a server."""
    return Key(Kind.SERVER, service, member)


def timeout_key(member: TimeoutMember) -> Key:
    """The key of a timeout."""
    return Key(Kind.TIMEOUT, TimeoutSlot(), member)


def place_of(key: Key) -> ServerSlot | None:
    """The service that belongs to a key, if one does."""
    return PLACES[key.kind](key.slot, key.member)
