"""The routing state of one network namespace: links, addresses, routes and rules as they stand, and nothing else.

Who changes it does so through ``put`` and ``take``, so that whoever has to tell of it may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from routed.core.linux.order import ORDERS, as_they_came
from routed.model.events import KERNEL
from routed.model.facts import HostAddress, Link
from routed.model.link_sysctls import DEFAULT_SYSCTLS, LinkSysctls
from routed.model.names import BLACKHOLE
from routed.model.objects import (
    AddressMember,
    Hop,
    Ipip,
    Key,
    Kind,
    LinkMember,
    LinkSlot,
    LinkValue,
    Member,
    NexthopMember,
    NexthopSlot,
    NexthopValue,
    RouteSlot,
    RouteValue,
    Slot,
    Standing,
    Value,
)

LOOPBACK: Final = "lo"
LINUX_KINDS: Final = (
    Kind.LINK, Kind.ADDRESS, Kind.NEIGHBOUR, Kind.PROXY, Kind.NEXTHOP, Kind.ROUTE, Kind.RULE,
)  # fmt: skip


@dataclass(slots=True)
class LinuxState:
    """What stands in one network namespace."""

    links: dict[int, Link] = field(default_factory=dict)
    marks: dict[int, int] = field(default_factory=dict)  # ifindex → the protocol number in the alias
    tunnels: dict[int, Ipip] = field(default_factory=dict)  # ifindex → what an IPIP link has
    objects: dict[Kind, dict[Slot, dict[Member, Sequence[Value]]]] = field(
        default_factory=lambda: {kind: {} for kind in LINUX_KINDS}
    )
    sysctls: dict[int, LinkSysctls] = field(default_factory=dict)  # ifindex → where they are not the default
    missing_drivers: set[str] = field(default_factory=set)  # kinds of link that nobody can make
    has_host_routes: bool = True  # are the kernel's routes to single addresses, of table local and not, among these?
    can_mark_again: bool = True  # does an IPv4 address that stands take another protocol? Before Linux 6.4 it does not
    lengths: dict[int, set[int]] = field(default_factory=dict)  # family → of the prefixes of its routes, and of before
    watch: Callable[[], None] = lambda: None  # called after every change of a table

    def copy(self) -> LinuxState:
        """The same, to be changed by itself."""
        objects = {
            kind: {slot: dict(members) for slot, members in slots.items()} for kind, slots in self.objects.items()
        }
        return LinuxState(
            dict(self.links), dict(self.marks), dict(self.tunnels), objects, dict(self.sysctls),
            self.missing_drivers, self.has_host_routes, self.can_mark_again,
            {family: set(lengths) for family, lengths in self.lengths.items()},
        )  # fmt: skip

    # --- what stands ------------------------------------------------------------------------------------------------

    def addresses(self) -> dict[AddressMember, HostAddress]:
        """All addresses, as facts, in the kernel's order within each family."""
        return {
            one.member: as_fact(one.member, one.value)
            for one in self.stand(Kind.ADDRESS)
            if isinstance(one.member, AddressMember)
        }

    def stand(self, kind: Kind) -> Iterator[Standing]:
        """Everything of a kind, in the kernel's order: aliases of one key follow each other."""
        if kind is Kind.LINK:
            yield from self.list_links()
        for slot, members in self.objects[kind].items():
            for member, values in ORDERS.get(kind, as_they_came)(slot, members):
                for value in values:
                    yield Standing(slot, member, value)

    def list_links(self) -> Iterator[Standing]:
        """Every link as an object."""
        for link in self.links.values():
            mark, data = self.marks.get(link.ifindex, 0), self.tunnels.get(link.ifindex)
            yield Standing(LinkSlot(), LinkMember(link.name), LinkValue(mark, link.kind, link.is_up, data))

    def standing(self, key: Key) -> tuple[Value, ...]:
        """All that stands under a key, first what carries traffic."""
        if key.kind is Kind.LINK:
            return tuple(value for _, member, value in self.list_links() if member == key.member)
        return tuple(self.objects[key.kind].get(key.slot, {}).get(key.member, ()))

    def addresses_of(self, ifindex: int, family: int) -> list[tuple[Key, Value]]:
        """The addresses of one family on a link, in the kernel's order."""
        return [
            (Key(Kind.ADDRESS, slot, member), value)
            for slot, member, value in self.stand(Kind.ADDRESS)
            if isinstance(member, AddressMember) and member.dev == ifindex and slot.family == family
        ]

    def count_objects(self) -> int:
        """How many keys something stands under."""
        return sum(len(members) for slots in self.objects.values() for members in slots.values())

    def routes_over(self, ifindex: int) -> Iterator[tuple[Key, RouteValue]]:
        """The routes of which a leg is on this link."""
        for slot, members in self.objects[Kind.ROUTE].items():
            for member, values in members.items():
                for value in values:
                    if any(hop.dev == ifindex for hop in value.hops):
                        yield Key(Kind.ROUTE, slot, member), value

    def routes_by(self, nexthop: int) -> Iterator[tuple[Key, RouteValue]]:
        """The routes that use this next hop object."""
        for slot, members in self.objects[Kind.ROUTE].items():
            for member, values in members.items():
                for value in values:
                    if value.nhid == nexthop:
                        yield Key(Kind.ROUTE, slot, member), value

    def find_nexthop(self, nexthop: int) -> NexthopValue | None:
        """The next hop object of this number."""
        members = self.objects[Kind.NEXTHOP].get(NexthopSlot(), {})
        value: NexthopValue | None = next(iter(members.get(NexthopMember(nexthop), ())), None)
        return value

    def show(self, value: RouteValue) -> RouteValue:
        """A route with where its next hop object leads, as the kernel shows it (fib_dump_info, rt6_fill_node)."""
        if not value.nhid:
            return value
        hops = tuple(self._list_hops(value.nhid))
        if len(hops) == 1:
            hops = (hops[0]._replace(weight=1),)
        return value._replace(hops=hops, type=value.type if hops else BLACKHOLE)

    def _list_hops(self, nexthop: int) -> Iterator[Hop]:
        value = self.find_nexthop(nexthop)
        if value is not None and value.dev:
            yield Hop(value.dev, value.gateway, 1, value.onlink)
        for leg in value.group if value else ():
            yield from (hop._replace(weight=leg.weight) for hop in self._list_hops(leg.id))

    def routes_from(self, address: bytes) -> Iterator[tuple[Key, RouteValue]]:
        """The routes that prefer this source."""
        for slot, members in self.objects[Kind.ROUTE].items():
            for member, values in members.items():
                for value in values:
                    if value.src == address:
                        yield Key(Kind.ROUTE, slot, member), value

    def find_link(self, name: str) -> Link | None:
        """The link of that name or altname, which is one's alone (__dev_get_by_name in net/core/dev.c)."""
        return next((link for link in self.links.values() if link.name == name or name in link.altnames), None)

    def is_up(self, ifindex: int) -> bool:
        """Is there such a link, and is it up?"""
        link = self.links.get(ifindex)
        return link is not None and link.is_up

    def is_loopback(self, ifindex: int) -> bool:
        """Is this the link of the host to itself?"""
        link = self.links.get(ifindex)
        return link is not None and link.name == LOOPBACK

    def is_local(self, address: bytes) -> bool:
        """Is this an address of the host?"""
        return any(
            member.address == address
            for members in self.objects[Kind.ADDRESS].values()
            for member in members
            if isinstance(member, AddressMember)
        )

    def sysctls_of(self, ifindex: int) -> LinkSysctls:
        """The sysctls of a link."""
        return self.sysctls.get(ifindex, DEFAULT_SYSCTLS)

    def table_for(self, ifindex: int, table: int) -> int:
        """Where the kernel puts its own routes over a link: a VRF has one table for all of them."""
        link = self.links.get(ifindex)
        master = self.links.get(link.master) if link else None
        return (link and link.table) or (master and master.table) or table

    # --- changes ----------------------------------------------------------------------------------------------------

    def put(self, key: Key, values: Sequence[Value]) -> None:
        """Let this stand under a key, and nothing else."""
        members = self.objects[key.kind].setdefault(key.slot, {})
        if values:
            members[key.member] = tuple(values)
            self.note_lengths(key.slot, (key.member,))
        else:
            members.pop(key.member, None)
        self.watch()

    def note_lengths(self, slot: Slot, members: Iterable[Member]) -> None:
        """Prefixes of such a length are to be looked for."""
        if isinstance(slot, RouteSlot):
            self.lengths.setdefault(slot.family, set()).update(member[-1] for member in members)

    def take(self, key: Key, value: Value, port: int = KERNEL, *, is_told: bool = True) -> None:
        """Remove one object from under a key."""
        left = list(self.standing(key))
        left.remove(value)
        self.put(key, left)
        if is_told:
            self.notify(key, value, port, is_removal=True)

    def put_link(self, link: Link) -> None:
        """Let this be a link, as it is now."""
        self.links[link.ifindex] = link
        self.notify_of_link(link)

    def take_link(self, ifindex: int) -> None:
        """Remove a link."""
        self.notify_of_link(self.links.pop(ifindex), is_removal=True)
        self.marks.pop(ifindex, None)
        self.tunnels.pop(ifindex, None)

    def notify(self, key: Key, value: Value, port: int, *, is_removal: bool = False, flag: str = "") -> None:
        """The kernel tells of a change. Here nobody listens."""

    def notify_of_link(self, link: Link, *, is_removal: bool = False) -> None:
        """The kernel tells of a link. Here nobody listens."""


def as_fact(member: AddressMember, value: Value) -> HostAddress:
    """An address as the fact that it is."""
    return HostAddress(
        *member, value.scope, value.protocol, is_deprecated=value.deprecated, has_failed_dad=value.has_failed
    )


class Change(NamedTuple):
    """What stands otherwise under one key."""

    key: Key
    before: tuple[Value, ...]
    after: tuple[Value, ...]


def compare(before: LinuxState, after: LinuxState, kinds: Iterable[Kind] = LINUX_KINDS) -> Iterator[Change]:
    """What stands otherwise in ``after``. Of links it is only whether they are there, and up."""
    for kind in kinds:
        if kind is Kind.LINK:
            yield from _compare_links(before, after)
            continue
        old, new = before.objects[kind], after.objects[kind]
        for slot in [*old, *(slot for slot in new if slot not in old)]:
            mine, theirs = old.get(slot, {}), new.get(slot, {})
            for member in [*mine, *(member for member in theirs if member not in mine)]:
                left, right = mine.get(member, ()), theirs.get(member, ())
                if left is not right and tuple(left) != tuple(right):
                    yield Change(Key(kind, slot, member), tuple(left), tuple(right))


def _compare_links(before: LinuxState, after: LinuxState) -> Iterator[Change]:
    old = {member: value for _, member, value in before.list_links()}
    new = {member: value for _, member, value in after.list_links()}
    for member in [*old, *(member for member in new if member not in old)]:
        if old.get(member) != new.get(member):
            left, right = ((one[member],) if member in one else () for one in (old, new))
            yield Change(Key(Kind.LINK, LinkSlot(), member), left, right)
