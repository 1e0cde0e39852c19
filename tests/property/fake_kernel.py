"""A kernel in memory that behaves as Linux 6.18 was measured to behave, and misbehaves where a test tells it to.

It answers ``daemon.ports.HostKernel`` and, as rtnetlink does, ``daemon.dataplane.Dataplane``. What the kernel does is
``routed.core.linux``, which a plan of what would happen uses too; here belongs what such a plan knows nothing of:
events, dumps in slices, requests in batches, and what goes wrong. Never what routed should do about it: of the rest
of ``routed.core`` nothing is used, and of ``routed.kernel`` only what a protocol number means, and which values go
by themselves. What it leaves out: VRFs, DAD, and the kernel's routes to single addresses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from errno import EADDRNOTAVAIL, EBUSY, ENODEV, ENOENT, ESRCH
from itertools import chain, islice
from typing import ClassVar, Final

from routed.core.linux import links
from routed.core.linux.addresses import CONNECTED_METRIC
from routed.core.linux.lookup import find_in_main, look_up
from routed.core.linux.requests import STEPS, request
from routed.core.linux.routes import LINK_LOCAL
from routed.core.linux.show import is_in, make_chunks
from routed.core.linux.state import LinuxState, as_fact
from routed.kernel.codec import CODECS, has_lifetime
from routed.kernel.stamp import STAMPS, find_owned, make_stamp
from routed.model import names
from routed.model.change import Drift, Failure, Operation, Verb
from routed.model.events import KERNEL, AddressEvent, Event, Interest, LinkEvent, Loss, ObjectEvent, Overrun
from routed.model.facts import GatewayLink, HostAddress, Link, Way
from routed.model.lifetime import Lifetime
from routed.model.link_sysctls import LinkSysctls
from routed.model.lookup import Decision, Question
from routed.model.net import IPV6, family_of, host_prefix, is_inside, network_of
from routed.model.objects import (
    AddressMember,
    Chunk,
    Hop,
    Key,
    Kind,
    LinkMember,
    LinkSlot,
    LinkValue,
    Member,
    RouteSlot,
    RouteValue,
    Scope,
    Slot,
    Standing,
    Value,
)
from routed.model.owner import Marks, Stamp
from routed.model.process import Process
from routed.model.reasons import Flaw

OUR_PORT: Final = 1000
STRANGER: Final = 4242  # the port id of whoever else changes something
SLICES: Final = 2  # in which a dump is read
BATCH: Final = 4  # requests in one piece of an operation: few, so that much can happen in between
FOLLOWED: Final = frozenset(kind for kind, codec in CODECS.items() if codec.group)  # told of where it is asked for
GONE: Final = frozenset({ESRCH, ENOENT, EADDRNOTAVAIL, ENODEV})  # of a deletion these mean "done"


@dataclass(slots=True)
class Mischief:
    """What goes wrong. Each is asked at every step."""

    meanwhile: Callable[[], None] = lambda: None  # a stranger's turn: before every request, before and amid every dump
    refuse: Callable[[Operation, Member], int] = lambda _operation, _member: 0  # the errno of a request, 0 for none
    interrupt: Callable[[Scope], bool] = lambda _scope: False  # the table never holds still: EBUSY
    deliver: Callable[[list[Event]], list[Event]] = lambda events: events  # lost, reordered, overrun
    fail: Callable[[str], None] = lambda _call: None  # raises what a call ends by that gets no answer at all


class FakeDump:
    """One dump, with routes that differ in their prefix only left together where they follow each other."""

    def __init__(self, standings: list[Standing]) -> None:
        self.fingerprint = str(hash(tuple(standings))).encode()
        self._standings = standings

    def discard(self) -> Iterator[None]:
        yield

    def chunks(self) -> Iterator[Chunk]:
        return make_chunks(self._standings)


@dataclass(slots=True)
class FakeKernel(LinuxState):
    """The routing state of one network namespace, and who tells of it."""

    name: ClassVar[str] = "rtnetlink"  # as a dataplane
    kinds: ClassVar[tuple[Kind, ...]] = tuple(STAMPS)
    poll_interval: ClassVar[float | None] = None
    has_echo: ClassVar[bool] = True
    mischief: Mischief = field(default_factory=Mischief)
    port: int = OUR_PORT
    writes: int = 0
    has_host_routes: bool = False
    promotes_secondaries: bool = True  # net.ipv4.conf.*.promote_secondaries
    overruns: int = 0
    announced: list[tuple[str, bytes]] = field(default_factory=list)
    lost: list[Standing] = field(default_factory=list)  # of what ``read_kernel_routes`` tells
    unknown_attributes: frozenset[int] = frozenset()  # of rules, as of an old kernel
    lifetimes: dict[Key, Lifetime] = field(default_factory=dict)  # of what goes by itself; they do not count down
    asked: list[Question] = field(default_factory=list)  # which route decides
    requested: list[tuple[Verb, Key, Value]] = field(default_factory=list)  # every request of ours, as it was sent
    inspect: Callable[[Verb, Key, Value], None] = lambda _verb, _key, _value: None  # sees each of them first
    _events: list[Event] = field(default_factory=list)
    can_be_peeked: bool = True
    reflexes: int = 0  # so many objects were put back by the reflex
    _peeked: list[Event] = field(default_factory=list)  # that were looked at, and are told next
    _is_alone: bool = False  # … and no others
    hears_echo: bool = True
    interest: Interest | None = None
    followed: set[Kind] = field(default_factory=set)  # kinds that few files use, of whose changes it tells

    # What the story asks for

    def read_links(self) -> Generator[None, None, dict[int, Link]]:
        """What is late in the order is seen as it is late."""
        self.mischief.fail("read_links")
        seen = dict(islice(self.links.items(), len(self.links) // SLICES))
        yield
        self.mischief.meanwhile()
        return seen | {index: link for index, link in self.links.items() if index not in seen}

    def read_addresses(self) -> Generator[None, None, dict[AddressMember, HostAddress]]:
        self.mischief.fail("read_addresses")
        there = self.addresses()
        seen = dict(islice(there.items(), len(there) // SLICES))
        yield
        self.mischief.meanwhile()
        return seen | {member: fact for member, fact in self.addresses().items() if member not in seen}

    def locate_gateways(
        self,
        gateways: Iterable[bytes],
        own: Mapping[bytes, int],
        links: Collection[int] = (),
        before: Mapping[bytes, int] | None = None,
    ) -> dict[bytes, GatewayLink]:
        self.mischief.fail("locate_gateways")
        del links  # one table is all that there is
        found = {gateway: GatewayLink(own[gateway], is_onlink=True) for gateway in gateways if gateway in own}
        networks = {(one.dev, network_of(one.address, one.prefixlen)) for one in self.addresses()}
        for gateway, former in (before or {}).items():
            if any(dev == former and self.links[dev].is_up and is_inside(gateway, net) for dev, net in networks):
                found.setdefault(gateway, GatewayLink(former, is_onlink=True))
        for gateway in gateways:
            best = find_in_main(self, gateway)
            if gateway not in found and best is not None and best.hops and not is_inside(gateway, LINK_LOCAL):
                found[gateway] = GatewayLink(best.hops[0].dev, not best.hops[0].gateway)
        return found

    def look_up(self, addresses: Iterable[bytes]) -> dict[bytes, Way]:
        self.mischief.fail("look_up")
        best = {address: find_in_main(self, address) for address in addresses}
        return {
            address: Way(value.hops[0].dev, value.hops[0].gateway, value.src, names.UNICAST)
            for address, value in best.items()
            if value is not None and value.hops
        }

    def find_winner(self, question: Question, links: Mapping[str, int]) -> Decision:
        """By the rules in their order, the longest prefix, and the lowest metric."""
        self.mischief.fail("find_winner")
        self.asked.append(question)
        return look_up(self, question, links)

    def read_default_routes(self) -> tuple[Standing, ...]:
        self.mischief.fail("read_default_routes")
        return tuple(
            standing
            for standing in self.stand(Kind.ROUTE)
            if isinstance(standing.member, bytes) and not any(standing.member[:-1])
        )

    def read_kernel_routes(self) -> tuple[Standing, ...]:
        """Those of whole networks stand; the others are there with their address, unless a test took them away."""
        self.mischief.fail("read_kernel_routes")
        made = (one for one in self.stand(Kind.ROUTE) if one.value.protocol == names.PROTOCOL_KERNEL)
        return (*made, *(one for one in _list_local(self.addresses()) if one not in self.lost))

    def find_unknown(self, attributes: Iterable[int]) -> frozenset[int]:
        return frozenset(attributes) & self.unknown_attributes

    def read_drivers(self, links: Iterable[Link]) -> dict[int, str]:
        return {link.ifindex: link.kind for link in links if link.kind}

    def read_link_sysctls(self, links: Iterable[Link]) -> dict[int, LinkSysctls]:
        return {link.ifindex: self.sysctls_of(link.ifindex) for link in links}

    def read_dump(self, scope: Scope) -> Generator[None, None, FakeDump]:
        """In slices, between which strangers go on: what comes late in the order is seen as it is late."""
        self.mischief.meanwhile()
        self.mischief.fail("read_dump")
        if self.mischief.interrupt(scope):
            raise OSError(EBUSY, os.strerror(EBUSY))
        seen: dict[tuple[Slot, Member], list[Standing]] = {}
        for slice_ in range(SLICES):
            there: dict[tuple[Slot, Member], list[Standing]] = {}
            for standing in self.stand(scope.kind):
                if is_in(standing, scope) and (standing.slot, standing.member) not in seen:
                    there.setdefault((standing.slot, standing.member), []).append(standing)
            share = len(there) if slice_ == SLICES - 1 else len(there) // SLICES
            seen |= dict(islice(there.items(), share))
            yield
            self.mischief.meanwhile()
            self.mischief.fail("read_dump amid")
        return FakeDump(list(chain.from_iterable(seen.values())))

    def apply(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:
        for start in range(0, len(operation.members), BATCH):
            failures: dict[Member, Failure] = {}
            members = operation.members[start : start + BATCH]
            self.mischief.fail("apply")
            for part in operation.spread() or (operation,):
                is_late = bool(operation.requests) and part.verb is Verb.DELETE
                left = [member for member in members if not (is_late and member in failures)]
                failures = self._apply_one(part._replace(members=left)) | failures
            self.mischief.fail("apply answered")  # it was done, and nobody was told
            yield tuple(failures.values())

    def _apply_one(self, operation: Operation) -> dict[Member, Failure]:
        failures: dict[Member, Failure] = {}
        before = operation.value if operation.before is None else operation.before
        for verb, is_of_before in STEPS[operation.verb]:
            for member in operation.members:
                error = self._request_for_us(operation, verb, member, before if is_of_before else operation.value)
                if error and not (verb is Verb.DELETE and error in GONE):
                    failures[member] = Failure(member, error, os.strerror(error))
        return failures

    def make_stamp(self, kind: Kind, marks: Marks) -> Stamp:
        return make_stamp(kind, marks)

    def has_lifetime(self, kind: Kind, value: Value) -> bool:
        return has_lifetime(kind, value)

    def read_lifetimes(self, scope: Scope, slot: Slot, members: Collection[Member]) -> dict[Member, Lifetime]:
        self.mischief.fail("read_lifetimes")
        keys = (Key(scope.kind, slot, member) for member in members)
        return {key.member: self.lifetimes[key] for key in keys if key in self.lifetimes}

    def find_owned(self, kind: Kind, families: Iterable[int], marks: Marks) -> Iterable[Scope]:
        return find_owned(kind, families, marks)

    def must_keep_mark(self, drift: Drift) -> bool:
        return not self.can_mark_again and STAMPS[drift.kind].is_mark_alone(drift)

    def announce(self, link: Link, address: bytes) -> None:
        self.mischief.fail("announce")
        self.announced.append((link.name, address))

    def hear_echo(self, *, wanted: bool) -> None:
        self.mischief.fail("hear_echo")
        self.hears_echo = wanted

    def listen_for(self, interest: Interest | None) -> None:
        self.mischief.fail("listen_for")
        self.interest = interest

    def follow(self, kinds: Collection[Kind]) -> None:
        self.mischief.fail("follow")
        self.followed = set(kinds)

    def identify(self, port: int) -> Process | None:
        return Process(port, "stranger") if port == STRANGER else None

    def glance(self, port: int) -> None:
        assert port in {self.port, STRANGER}

    def find_loss(self, is_simple: Callable[[Kind, Member, Value], bool]) -> Loss | None:
        """Of routes alone, as the real one."""
        if self._peeked or not (self._events and self.can_be_peeked):
            return None
        self._peeked, self._events = self.mischief.deliver(self._events), []
        if len(self._peeked) != 1 or self._events:
            return None
        [event] = self._peeked
        if not isinstance(event, ObjectEvent) or event.kind is not Kind.ROUTE or not event.is_removal:
            return None
        if not is_simple(event.kind, event.members[0], event.value):
            return None
        return Loss(event.kind, event.slot, event.members[0], event.value, event.port)

    def put_back(self, loss: Loss) -> tuple[Failure, ...]:
        operation = Operation(Verb.ADD, loss.kind, loss.slot, (loss.member,), loss.value, None, Flaw.MISSING)
        self.reflexes += 1
        [failures] = self.apply(operation)
        self._is_alone = True
        return failures

    def read_events(self) -> list[Event]:
        self.mischief.fail("read_events")
        delivered, self._peeked = self._peeked, []
        if not self._is_alone:
            waiting, self._events = self._events, []
            self.mischief.fail("read_events amid")  # they are lost
            delivered += self.mischief.deliver(waiting)
        self._is_alone = False
        self.overruns += sum(isinstance(event, Overrun) for event in delivered)
        return join_alike(delivered)

    # What a test may ask and do

    def request(self, verb: Verb, key: Key, value: Value, port: int = STRANGER) -> int:
        """One request; returns its errno. ``verb`` is none that comes to several."""
        return request(self, verb, key, value, port)

    def make_link(self, name: str, *, is_up: bool = True, ifindex: int = 0, kind: str = "") -> int:
        """A new link; returns its ifindex."""
        return links.add_link(self, name, is_up=is_up, ifindex=ifindex, kind=kind)

    def change_link(self, ifindex: int, **changes: object) -> None:
        """Other properties than ``is_up``: carrier, name, MAC. Routes stay, and no route event tells of it."""
        self.put_link(self.links[ifindex]._replace(**changes))  # type: ignore[arg-type]

    def set_up(self, ifindex: int) -> None:
        """``ip link set up``."""
        links.set_up(self, ifindex)

    def set_down(self, ifindex: int) -> None:
        """``ip link set down``."""
        links.set_down(self, ifindex)

    def delete_link(self, ifindex: int) -> None:
        """``ip link delete``."""
        links.remove_link(self, ifindex)

    def tell(self, event: Event) -> None:
        """Put an event in the queue."""
        self._events.append(event)

    # What both ask for

    def sysctls_of(self, ifindex: int) -> LinkSysctls:
        """As the test says, for every link; nobody needs link-local addresses."""
        del ifindex
        return LinkSysctls(promotes_secondaries=self.promotes_secondaries, makes_link_local=False)

    def notify_of_link(self, link: Link, *, is_removal: bool = False) -> None:
        """As a fact and as an object. Who asked for it is not told (rtmsg_ifinfo mostly passes port 0)."""
        self.tell(LinkEvent(link, is_removal))
        value = LinkValue(self.marks.get(link.ifindex, 0), link.kind, link.is_up, self.tunnels.get(link.ifindex))
        how = (is_removal, False, False, KERNEL)
        self.tell(ObjectEvent(Kind.LINK, LinkSlot(), (LinkMember(link.name),), value, *how))

    def _request_for_us(self, operation: Operation, verb: Verb, member: Member, value: Value) -> int:
        self.mischief.meanwhile()
        key = Key(operation.kind, operation.slot, member)
        self.writes += 1
        self.requested.append((verb, key, value))
        self.inspect(verb, key, value)
        error = self.mischief.refuse(operation, member) or self.request(verb, key, value, self.port)
        if not error and operation.lifetime is not None and verb is not Verb.DELETE:
            self.lifetimes[key] = operation.lifetime
        return error

    def notify(self, key: Key, value: Value, port: int, *, is_removal: bool = False, flag: str = "") -> None:
        """An event, for whoever hears of such."""
        if isinstance(key.member, AddressMember) and family_of(key.member.address) == IPV6:
            port = KERNEL  # inet6_ifa_notify in net/ipv6/addrconf.c
        if key.kind in FOLLOWED and key.kind not in self.followed:
            return
        is_echo = port == self.port and key.kind not in FOLLOWED
        if not (self.hears_echo if is_echo else self._is_news(key, value)):
            return
        if isinstance(key.member, AddressMember):
            self._events.append(AddressEvent(key.member, as_fact(key.member, value), is_removal))
        kind, slot, member = key
        how = (is_removal, flag == "replace", flag == "excl", port)
        self._events.append(ObjectEvent(kind, slot, (member,), value, *how))

    def _is_news(self, key: Key, value: Value) -> bool:
        """Does a filter let through what others did?"""
        if self.interest is None or not isinstance(key.member, bytes):
            return True
        return self.interest.covers(key.member, value.protocol)


def _list_local(addresses: Iterable[AddressMember]) -> Iterator[Standing]:
    """The kernel's routes to addresses themselves, which nothing here looks at: in table local, and /128 in main."""
    for member in addresses:
        family = family_of(member.address)
        prefix = host_prefix(member.address)
        value = RouteValue(names.LOCAL, names.PROTOCOL_KERNEL, hops=(Hop(member.dev),))
        yield Standing(RouteSlot(family, names.TABLE_LOCAL, 0), prefix, value)
        if family == IPV6 and member.prefixlen == prefix[-1]:
            yield Standing(RouteSlot(family, names.TABLE_MAIN, CONNECTED_METRIC[family]), prefix, value)


def join_alike(events: list[Event]) -> list[Event]:
    """What happened to many routes in the same way, one right after another, is one event."""
    joined: list[Event] = []
    for event in events:
        last = joined[-1] if joined else None
        is_alike = (
            isinstance(event, ObjectEvent)
            and isinstance(last, ObjectEvent)
            and event.kind is Kind.ROUTE
            and event._replace(members=()) == last._replace(members=())
        )
        if is_alike:
            assert isinstance(event, ObjectEvent)
            assert isinstance(last, ObjectEvent)
            joined[-1] = last._replace(members=(*last.members, *event.members))
        else:
            joined.append(event)
    return joined
