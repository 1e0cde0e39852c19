"""IPVS in a scene: one kernel, one state folder, one daemon at a time, and a stranger. Short builders beside."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from errno import ENOSPC
from socket import AF_INET, AF_INET6
from typing import Final

from routed.daemon.dataplane import Dataplane
from routed.kernel.dump import finish
from routed.kernel.ipvs.claims import Claim, ClaimOrigin
from routed.kernel.ipvs.dataplane import Ipvs
from routed.model.change import Failure, Operation, Verb
from routed.model.ipvs import (
    TCP,
    UDP,
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
from routed.model.objects import Chunk, Key, Kind, Member, Scope, Slot, Standing, Value
from routed.model.reasons import Flaw
from tests.property.fake_ipvs import FakeIpvs

V4, V6 = int(AF_INET), int(AF_INET6)
OURS: Final = 114
HERE: Final = ClaimOrigin("this boot", "this namespace")
SLOT: Final = ServiceSlot(V4)
WEB: Final = ServiceMember(TCP, bytes((10, 0, 0, 9)), 80)
DNS: Final = ServiceMember(UDP, bytes((10, 0, 0, 9)), 53)
IN_WEB: Final = ServerSlot(V4, WEB)
RR: Final = ServiceValue(OURS, "rr", prefixlen=32)
ONE, TWO, THREE = (ServerMember(bytes((10, 0, 1, n)), 80) for n in (1, 2, 3))
UP: Final = ServerValue(OURS)


@dataclass(slots=True)
class MemoryStore:
    """Claims that outlive a daemon, and not the test."""

    origin: ClaimOrigin | None = None
    kept: list[Claim] = field(default_factory=list)
    is_full: bool = False
    writes: int = 0

    def read(self, origin: ClaimOrigin) -> Generator[None, None, list[Claim]]:
        yield
        return list(self.kept) if origin == self.origin else []

    def append(self, claims: Iterable[Claim]) -> None:
        self._check()
        self.kept += claims

    def replace(self, origin: ClaimOrigin, claims: Iterable[Claim]) -> None:
        self._check()
        self.origin, self.kept = origin, list(claims)

    def _check(self) -> None:
        if self.is_full:
            raise OSError(ENOSPC, "No space left on device")
        self.writes += 1

    def claimed(self) -> dict[Key, Value]:
        return {key: value for key, value in dict(self.kept).items() if value is not None}


@dataclass(slots=True)
class Scene:
    """One kernel, one state folder, one daemon at a time."""

    peer: FakeIpvs = field(default_factory=FakeIpvs)
    store: MemoryStore = field(default_factory=MemoryStore)
    now: float = 100.0
    together: float = 0.0
    origin: ClaimOrigin = HERE
    ipvs: Ipvs = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The daemon starts, perhaps after it was killed."""
        self.ipvs = self.begin()

    def begin(self) -> Ipvs:
        return Ipvs(
            self.store,
            connect=self.peer.connect,
            outside=self.peer,
            find_origin=lambda: self.origin,
            clock=lambda: self.now,
            together=self.together,
        )

    def read(self, kind: Kind, family: int = V4) -> dict[tuple[Slot, Member], Value]:
        return {(slot, member): value for slot, member, value in read(self.ipvs, kind, family)}

    def services(self, family: int = V4) -> dict[Member, Value]:
        return {member: value for (_, member), value in self.read(Kind.SERVICE, family).items()}

    def servers(self, service: ServiceMember = WEB, family: int = V4) -> dict[Member, Value]:
        slot = ServerSlot(family, service)
        return {member: value for (one, member), value in self.read(Kind.SERVER, family).items() if one == slot}

    def do(
        self, verb: Verb, slot: Slot, members: Iterable[Member], value: Value, before: Value | None = None
    ) -> list[Failure]:
        return apply(self.ipvs, verb, slot, members, value, before)

    def timeouts(self) -> dict[str, Value]:
        return {str(*member): value for (_, member), value in self.read(Kind.TIMEOUT, 0).items()}

    def set_timeout(self, word: str, value: TimeoutValue, before: Value | None = None) -> list[Failure]:
        verb = Verb.REPLACE if before else Verb.ADD
        operation = Operation(
            verb, Kind.TIMEOUT, TimeoutSlot(), (TimeoutMember(word),), value, None, Flaw.MISSING, before
        )
        return [failure for batch in self.ipvs.apply(operation) for failure in batch]

    def stranger(self) -> Stranger:
        return Stranger(self.peer)


@dataclass(slots=True)
class Stranger:
    """ipvsadm: somebody who claims nothing."""

    peer: FakeIpvs

    def do(self, verb: Verb, slot: Slot, members: Iterable[Member], value: Value) -> None:
        other = Ipvs(MemoryStore(), connect=self.peer.connect, outside=self.peer, find_origin=lambda: HERE)
        assert apply(other, verb, slot, members, value._replace(protocol=0)) == []


def read(ipvs: Ipvs, kind: Kind, family: int = V4) -> Iterator[Standing]:
    for chunk in finish(ipvs.read_dump(Scope(kind, family))).chunks():
        yield from as_list(chunk)


def as_list(chunk: Chunk) -> list[Standing]:
    assert isinstance(chunk, list)
    return chunk


def apply(
    ipvs: Ipvs, verb: Verb, slot: Slot, members: Iterable[Member], value: Value, before: Value | None = None
) -> list[Failure]:
    kind = Kind.SERVER if isinstance(slot, ServerSlot) else Kind.SERVICE
    operation = Operation(verb, kind, slot, tuple(members), value, None, Flaw.MISSING, before)
    return [failure for batch in ipvs.apply(operation) for failure in batch]


def as_dataplane(ipvs: Ipvs) -> Dataplane:
    return ipvs
