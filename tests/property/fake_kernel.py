"""A kernel in memory that behaves as Linux 6.18 was measured to behave, and misbehaves where a test tells it to.

It answers ``daemon.ports.HostKernel`` and, as rtnetlink does, ``daemon.dataplane.Dataplane``. Here belongs what the
kernel does, never what routed should do about it: nothing of ``routed.core`` is used, and of ``routed.kernel`` only
what a protocol number means, and which values go by themselves. What it leaves out: next hop objects, VRFs, DAD.

Sources: fib_table_insert and fib_table_delete in net/ipv4/fib_trie.c, fib_sync_down_dev in net/ipv4/fib_semantics.c,
fib6_add_rt2node in net/ipv6/ip6_fib.c, ip6_route_del in net/ipv6/route.c, fib_nl_newrule in net/core/fib_rules.c; all
were tried out with ``ip`` as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from errno import EADDRNOTAVAIL, EBUSY, EEXIST, EHOSTUNREACH, EINVAL, ENETDOWN, ENETUNREACH, ENODEV, ENOENT, ESRCH
from itertools import chain, groupby, islice
from typing import Any, ClassVar, Final

from routed.kernel.codec import has_lifetime
from routed.kernel.stamp import STAMPS, find_owned, make_stamp
from routed.model import names
from routed.model.change import Drift, Failure, Operation, Verb
from routed.model.events import KERNEL, AddressEvent, Event, Interest, LinkEvent, ObjectEvent, Overrun
from routed.model.facts import GatewayLink, HostAddress, Link, Way
from routed.model.lifetime import Lifetime
from routed.model.lookup import Decision, Question
from routed.model.net import IPV4, IPV6, family_of, host_prefix, is_inside, network_of, parse_prefix
from routed.model.objects import (
    AddressMember,
    AddressValue,
    AlikeRoutes,
    Chunk,
    Hop,
    Key,
    Kind,
    Member,
    RouteSlot,
    RouteValue,
    Scope,
    Slot,
    Standing,
    Value,
)
from routed.model.owner import Marks, Stamp
from routed.model.prefixes import Packed
from routed.model.process import Process
from tests.property.fake_lines import ORDERS, as_they_came, delete_rule, insert_rule, list_secondaries
from tests.property.fake_links import delete_link, insert_link, list_links, tell_of_link
from tests.property.fake_lookup import look_up
from tests.property.fake_routes import delete_route, insert_route

OUR_PORT: Final = 1000
STRANGER: Final = 4242  # the port id of whoever else changes something
CONNECTED_METRIC: Final = {IPV4: 0, IPV6: 256}  # IP6_RT_PRIO_ADDRCONF
LINK_LOCAL: Final = parse_prefix("fe80::/10")
CHUNK: Final = 512  # objects in one piece of a dump
SLICES: Final = 2  # in which a dump is read
BATCH: Final = 4  # requests in one piece of an operation: few, so that much can happen in between
APPEND: Final = "append"  # NLM_F_APPEND; only strangers use it

STEPS: Final = {
    Verb.ADD: ((Verb.ADD, False),),
    Verb.REPLACE: ((Verb.REPLACE, False),),
    Verb.PREPEND: ((Verb.PREPEND, False),),
    Verb.CHANGE: ((Verb.DELETE, True), (Verb.PREPEND, False)),
    Verb.DELETE: ((Verb.DELETE, False),),
}
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
        for (slot, value), alike in groupby(self._standings, lambda one: (one.slot, one.value)):
            rest = iter(alike)
            while chunk := list(islice(rest, CHUNK)):
                prefixes = [one.member for one in chunk if isinstance(one.member, bytes)]
                if isinstance(slot, RouteSlot) and len(prefixes) > 1:
                    yield AlikeRoutes(slot, Packed(b"".join(prefixes), len(prefixes[0])), value)
                else:
                    yield chunk


@dataclass(slots=True)
class FakeKernel:
    """The routing state of one network namespace."""

    name: ClassVar[str] = "rtnetlink"  # as a dataplane
    kinds: ClassVar[tuple[Kind, ...]] = tuple(STAMPS)
    poll_interval: ClassVar[float | None] = None
    has_echo: ClassVar[bool] = True
    mischief: Mischief = field(default_factory=Mischief)
    port: int = OUR_PORT
    writes: int = 0
    can_mark_again: bool = True
    promotes_secondaries: bool = True  # net.ipv4.conf.*.promote_secondaries
    overruns: int = 0
    links: dict[int, Link] = field(default_factory=dict)
    marks: dict[int, int] = field(default_factory=dict)  # ifindex → the protocol number in the alias
    announced: list[tuple[str, bytes]] = field(default_factory=list)
    objects: dict[Kind, dict[Slot, dict[Member, list[Value]]]] = field(
        default_factory=lambda: {kind: {} for kind in STAMPS}
    )
    lost: list[Standing] = field(default_factory=list)  # of what ``read_kernel_routes`` tells
    lifetimes: dict[Key, Lifetime] = field(default_factory=dict)  # of what goes by itself; they do not count down
    asked: list[Question] = field(default_factory=list)  # which route decides
    requested: list[tuple[Verb, Key, Value]] = field(default_factory=list)  # every request of ours, as it was sent
    inspect: Callable[[Verb, Key, Value], None] = lambda _verb, _key, _value: None  # sees each of them first
    watch: Callable[[], None] = lambda: None  # called after every change of a table
    _events: list[Event] = field(default_factory=list)
    hears_echo: bool = True
    interest: Interest | None = None

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
            best = self._look_up(gateway)
            if gateway not in found and best is not None and best.hops and not is_inside(gateway, LINK_LOCAL):
                found[gateway] = GatewayLink(best.hops[0].dev, not best.hops[0].gateway)
        return found

    def look_up(self, addresses: Iterable[bytes]) -> dict[bytes, Way]:
        self.mischief.fail("look_up")
        best = {address: self._look_up(address) for address in addresses}
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

    def read_drivers(self, links: Iterable[Link]) -> dict[int, str]:
        return {link.ifindex: link.kind for link in links if link.kind}

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
                if _is_in(standing, scope) and (standing.slot, standing.member) not in seen:
                    there.setdefault((standing.slot, standing.member), []).append(standing)
            share = len(there) if slice_ == SLICES - 1 else len(there) // SLICES
            seen |= dict(islice(there.items(), share))
            yield
            self.mischief.meanwhile()
            self.mischief.fail("read_dump amid")
        return FakeDump(list(chain.from_iterable(seen.values())))

    def apply(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:
        for start in range(0, len(operation.members), BATCH):
            failures: list[Failure] = []
            self.mischief.fail("apply")
            for verb, is_of_before in STEPS[operation.verb]:
                before = operation.value if operation.before is None else operation.before
                value = before if is_of_before else operation.value
                for member in operation.members[start : start + BATCH]:
                    error = self._request_for_us(operation, verb, member, value)
                    if error and not (verb is Verb.DELETE and error in GONE):
                        failures.append(Failure(member, error, os.strerror(error)))
            self.mischief.fail("apply answered")  # it was done, and nobody was told
            yield tuple(failures)

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

    def identify(self, port: int) -> Process | None:
        return Process(port, "stranger") if port == STRANGER else None

    def read_events(self) -> list[Event]:
        self.mischief.fail("read_events")
        waiting, self._events = self._events, []
        self.mischief.fail("read_events amid")  # they are lost
        delivered = self.mischief.deliver(waiting)
        self.overruns += sum(isinstance(event, Overrun) for event in delivered)
        return join_alike(delivered)

    # What a test may ask and do

    def addresses(self) -> dict[AddressMember, HostAddress]:
        """All addresses, as facts."""
        return {
            member: _as_fact(member, values[0])
            for members in self.objects[Kind.ADDRESS].values()
            for member, values in members.items()
            if isinstance(member, AddressMember)
        }

    def stand(self, kind: Kind) -> Iterator[Standing]:
        """Everything of a kind, in the kernel's order: aliases of one key follow each other."""
        if kind is Kind.LINK:
            yield from list_links(self)
        for slot, members in self.objects[kind].items():
            for member, values in ORDERS.get(kind, as_they_came)(slot, members):
                for value in values:
                    yield Standing(slot, member, value)

    def standing(self, key: Key) -> tuple[Value, ...]:
        """All that stands under a key, first what carries traffic."""
        if key.kind is Kind.LINK:
            return tuple(value for _, member, value in list_links(self) if member == key.member)
        return tuple(self.objects[key.kind].get(key.slot, {}).get(key.member, ()))

    def request(self, verb: Verb | str, key: Key, value: Value, port: int = STRANGER) -> int:
        """One request; returns its errno. ``verb`` is a Verb (no CHANGE) or APPEND."""
        if verb is Verb.DELETE:
            return DELETERS[key.kind](self, key, value, port)
        return INSERTERS[key.kind](self, verb, key, value, port)

    def make_link(self, name: str, *, is_up: bool = True, ifindex: int = 0, kind: str = "") -> int:
        """A new link; returns its ifindex."""
        ifindex = ifindex or max(self.links, default=0) + 1
        self.links[ifindex] = Link(ifindex, name, is_up, has_carrier=is_up, kind=kind)
        self._tell_of_link(self.links[ifindex])
        return ifindex

    def change_link(self, ifindex: int, **changes: object) -> None:
        """Other properties than ``is_up``: carrier, name, MAC. Routes stay, and no route event tells of it."""
        self.links[ifindex] = self.links[ifindex]._replace(**changes)  # type: ignore[arg-type]
        self._tell_of_link(self.links[ifindex])

    def set_up(self, ifindex: int) -> None:
        """``ip link set up``: the IPv4 networks of its addresses come back, nothing else does."""
        self.change_link(ifindex, is_up=True, has_carrier=True)
        for standing in list(self.stand(Kind.ADDRESS)):
            if isinstance(standing.member, AddressMember) and standing.member.dev == ifindex:
                self._add_network(standing.member, standing.value)

    def set_down(self, ifindex: int) -> None:
        """``ip link set down``: IPv4 routes go without a word, IPv6 routes and global addresses with one."""
        self.change_link(ifindex, is_up=False, has_carrier=False)
        for key, value in list(self._routes_over(ifindex)):
            if all(not self._is_up(hop.dev) for hop in value.hops):
                self._take(key, value, KERNEL, is_announced=key.slot.family == IPV6)
        for slot, member, value in list(self.stand(Kind.ADDRESS)):
            is_here = isinstance(member, AddressMember) and member.dev == ifindex
            if is_here and slot.family == IPV6 and value.scope == names.UNIVERSE:
                delete_address(self, Key(Kind.ADDRESS, slot, member), value, KERNEL)

    def delete_link(self, ifindex: int) -> None:
        """``ip link delete``: as down, the addresses go with a word, and then the link."""
        for key, value in list(self._routes_over(ifindex)):
            self._take(key, value, KERNEL, is_announced=key.slot.family == IPV6)
        for slot, member, value in list(self.stand(Kind.ADDRESS)):
            if isinstance(member, AddressMember) and member.dev == ifindex:
                delete_address(self, Key(Kind.ADDRESS, slot, member), value, KERNEL)
        self._tell_of_link(self.links.pop(ifindex), is_removal=True)
        self.marks.pop(ifindex, None)

    def tell(self, event: Event) -> None:
        """Put an event in the queue."""
        self._events.append(event)

    # What both ask for

    def _tell_of_link(self, link: Link, *, is_removal: bool = False) -> None:
        self.tell(LinkEvent(link, is_removal))
        tell_of_link(self, link, is_removal=is_removal)

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

    def _under(self, key: Key) -> list[Value]:
        return self.objects[key.kind].setdefault(key.slot, {}).setdefault(key.member, [])

    def _put(self, key: Key, values: list[Value]) -> None:
        """Let this stand under a key."""
        members = self.objects[key.kind].setdefault(key.slot, {})
        if values:
            members[key.member] = values
        else:
            members.pop(key.member, None)
        self.watch()

    def _take(self, key: Key, value: Value, port: int, *, is_announced: bool = True) -> None:
        """Remove one object from under a key."""
        left = list(self.standing(key))
        left.remove(value)
        self._put(key, left)
        if is_announced:
            self._announce(key, value, port, is_removal=True)

    def _announce(self, key: Key, value: Value, port: int, *, is_removal: bool = False, flag: str = "") -> None:
        if isinstance(key.member, AddressMember) and family_of(key.member.address) == IPV6:
            port = KERNEL  # inet6_ifa_notify in net/ipv6/addrconf.c
        if not (self.hears_echo if port == self.port else self._is_news(key, value)):
            return
        if isinstance(key.member, AddressMember):
            self._events.append(AddressEvent(key.member, _as_fact(key.member, value), is_removal))
        kind, slot, member = key
        how = (is_removal, flag == "replace", flag == "excl", port)
        self._events.append(ObjectEvent(kind, slot, (member,), value, *how))

    def _is_news(self, key: Key, value: Value) -> bool:
        """Does a filter let through what others did?"""
        if self.interest is None or not isinstance(key.member, bytes):
            return True
        return self.interest.covers(key.member, value.protocol)

    def _routes_over(self, ifindex: int) -> Iterator[tuple[Key, RouteValue]]:
        for slot, member, value in self.stand(Kind.ROUTE):
            if any(hop.dev == ifindex for hop in value.hops):
                yield Key(Kind.ROUTE, slot, member), value

    def _is_up(self, ifindex: int) -> bool:
        link = self.links.get(ifindex)
        return link is not None and link.is_up

    def _is_local(self, address: bytes) -> bool:
        return any(member.address == address for member in self.addresses())

    def _look_up(self, address: bytes) -> RouteValue | None:
        """The route of table main that carries an address: longest prefix, then lowest metric."""
        family = family_of(address)
        tables = [slot for slot in self.objects[Kind.ROUTE] if isinstance(slot, RouteSlot)]
        tables = [slot for slot in tables if (slot.family, slot.table, slot.tos) == (family, names.TABLE_MAIN, 0)]
        tables = [slot for slot in tables if not slot.source]  # who asks names no source
        tables.sort(key=lambda slot: slot.metric)
        for length in range(len(address) * 8, -1, -1):
            prefix = network_of(address, length)
            for slot in tables:
                values = self.objects[Kind.ROUTE][slot].get(prefix)
                if values:
                    return values[0]  # type: ignore[no-any-return]
        return None

    def _refusal_of(self, family: int, value: RouteValue) -> int:
        """The errno of a route that cannot be, 0 when it can."""
        for hop in value.hops:
            if hop.dev not in self.links:
                return ENODEV
            if not hop.gateway and not self._is_up(hop.dev):
                return ENETDOWN
            if hop.gateway and not self._reaches(hop):
                return ENETUNREACH if family == IPV4 else EHOSTUNREACH
        return EINVAL if value.src and not self._is_local(value.src) else 0

    def _reaches(self, hop: Hop) -> bool:
        if not self._is_up(hop.dev):
            return False
        if hop.onlink or is_inside(hop.gateway, LINK_LOCAL):
            return True
        best = self._look_up(hop.gateway)
        return best is not None and any(leg.dev == hop.dev and not leg.gateway for leg in best.hops)

    def _add_network(self, member: AddressMember, value: AddressValue) -> None:
        """The kernel's own route to the network of an address."""
        if self._is_up(member.dev) and not value.flags & names.IFA_NOPREFIXROUTE and not _is_host(member):
            key, route = _network_of(member, value)
            if route not in self.standing(key):
                is_first = not self.standing(key)
                self._put(key, [*self.standing(key), route])
                self._announce(key, route, KERNEL, flag="excl" if is_first else "")

    def _forget_address(self, member: AddressMember, value: AddressValue) -> None:
        """What goes or changes with an address: its network, routes over a link without one, preferred sources."""
        key, route = _network_of(member, value)
        if route in self.standing(key):
            self._take(key, route, KERNEL)
        others = self.addresses()
        if len(member.address) == 4 and not any(o.dev == member.dev and len(o.address) == 4 for o in others):
            for over, lost in list(self._routes_over(member.dev)):
                if over.slot.family == IPV4 and len(lost.hops) == 1:
                    self._take(over, lost, KERNEL, is_announced=False)
        if self._is_local(member.address):
            return
        for slot, prefix, user in list(self.stand(Kind.ROUTE)):
            if user.src == member.address:
                where = Key(Kind.ROUTE, slot, prefix)
                if slot.family == IPV4:
                    self._take(where, user, KERNEL)
                else:
                    self._put(where, [v._replace(src=b"") if v == user else v for v in self.standing(where)])


def insert_address(kernel: FakeKernel, verb: Verb | str, key: Key, value: AddressValue, port: int) -> int:
    """RTM_NEWADDR: a replacement changes lifetimes, metric and, where it can, protocol, and is always announced."""
    member = key.member
    assert isinstance(member, AddressMember)
    if member.dev not in kernel.links:
        return ENODEV
    standing = kernel.standing(key)
    if standing and verb is not Verb.REPLACE:
        return EEXIST
    if standing:
        keeps_protocol = len(member.address) == 4 and not kernel.can_mark_again
        value = standing[0]._replace(
            protocol=standing[0].protocol if keeps_protocol else value.protocol,
            metric=value.metric,
            deprecated=value.deprecated,
            dynamic=value.dynamic,
        )
    kernel._put(key, [value])
    kernel._announce(key, value, port)
    kernel._add_network(member, value)
    return 0


def delete_address(kernel: FakeKernel, key: Key, _value: AddressValue, port: int) -> int:
    """RTM_DELADDR by its key: whose it is does not matter."""
    member = key.member
    assert isinstance(member, AddressMember)
    standing = kernel.standing(key)
    if not standing:
        return EADDRNOTAVAIL
    falling = [] if kernel.promotes_secondaries else list(list_secondaries(kernel, key))
    for going in (key, *falling):
        value = kernel.standing(going)[0]
        kernel._take(going, value, port)
        kernel._forget_address(going.member, value)  # type: ignore[arg-type]
    return 0


INSERTERS: Final[dict[Kind, Callable[[FakeKernel, Verb | str, Key, Any, int], int]]] = {
    Kind.LINK: insert_link,
    Kind.ADDRESS: insert_address,
    Kind.ROUTE: insert_route,
    Kind.RULE: insert_rule,
}
DELETERS: Final[dict[Kind, Callable[[FakeKernel, Key, Any, int], int]]] = {
    Kind.LINK: delete_link,
    Kind.ADDRESS: delete_address,
    Kind.ROUTE: delete_route,
    Kind.RULE: delete_rule,
}


def _is_in(standing: Standing, scope: Scope) -> bool:
    slot = standing.slot
    table = slot.table if isinstance(slot, RouteSlot) else 0
    return (
        slot.family == scope.family
        and scope.table in {0, table}
        and scope.protocol in {0, standing.value.protocol}
        and (not scope.type or scope.type == standing.value.type)
    )


def _as_fact(member: AddressMember, value: AddressValue) -> HostAddress:
    return HostAddress(*member, value.scope, value.protocol, is_deprecated=value.deprecated)


def _is_host(member: AddressMember) -> bool:
    return member.prefixlen == len(member.address) * 8


def _list_local(addresses: Iterable[AddressMember]) -> Iterator[Standing]:
    """The kernel's routes to addresses themselves, which nothing here looks at: in table local, and /128 in main."""
    for member in addresses:
        family = family_of(member.address)
        prefix = host_prefix(member.address)
        value = RouteValue(names.LOCAL, names.PROTOCOL_KERNEL, hops=(Hop(member.dev),))
        yield Standing(RouteSlot(family, names.TABLE_LOCAL, 0), prefix, value)
        if family == IPV6 and member.prefixlen == prefix[-1]:
            yield Standing(RouteSlot(family, names.TABLE_MAIN, CONNECTED_METRIC[family]), prefix, value)


def _network_of(member: AddressMember, value: AddressValue) -> tuple[Key, RouteValue]:
    family = family_of(member.address)
    slot = RouteSlot(family, names.TABLE_MAIN, value.metric or CONNECTED_METRIC[family])
    is_ipv4 = family == IPV4
    route = RouteValue(
        names.UNICAST,
        names.PROTOCOL_KERNEL,
        names.LINK if is_ipv4 else names.UNIVERSE,
        (Hop(member.dev),),
        member.address if is_ipv4 else b"",
    )
    return Key(Kind.ROUTE, slot, network_of(member.address, member.prefixlen)), route


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
