"""The kernel as the rest of routed sees it: facts, dumps, changes and events of one network namespace.

Here belongs only what ties sockets, codec, dump, apply and events together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from socket import socket
from time import perf_counter
from types import TracebackType
from typing import Final, Self

from routed.kernel import announce, apply, defaults, drivers, dump, filters, gateways, lookup, sockets, stamp
from routed.kernel.codec import CODECS, Decoder, MalformedMessage, has_lifetime, messages
from routed.kernel.codec.address import decode_address
from routed.kernel.codec.link import LINKS_REQUEST, decode_link
from routed.kernel.dump import Dump
from routed.kernel.events import EventReader
from routed.kernel.filters import Program
from routed.kernel.lifetimes import read_lifetimes
from routed.kernel.owners import guess_asker
from routed.kernel.reflex import RouteReflex
from routed.kernel.requests import DEADLINE, RequestSocket
from routed.kernel.witness import Witness
from routed.model.change import Drift, Failure, Operation, Verb
from routed.model.events import Event, Interest, Loss
from routed.model.facts import GatewayLink, HostAddress, Link, Way
from routed.model.lifetime import Lifetime
from routed.model.link_sysctls import LinkSysctls
from routed.model.lookup import Decision, Question
from routed.model.names import PROTOCOL_KERNEL
from routed.model.net import FAMILIES
from routed.model.objects import AddressMember, Kind, Member, Scope, Slot, Standing, Value
from routed.model.owner import Marks, Stamp
from routed.model.process import Process

_GET_LINK: Final = 18
FEW: Final = 64  # members of an arrangement for which one request after another is made
MARKS_AGAIN: Final = (6, 4)  # the first Linux where an IPv4 address that stands takes another protocol


def read_version() -> tuple[int, int]:
    """The version of Linux, of which the first two numbers count; (0, 0) where it is not told."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


class Kernel:
    """One network namespace: that of the thread which opens it. One thread at a time. Raises OSError throughout.

    What is read in slices has a socket of its own: between two of them the caller may ask anything else, but read
    nothing else in slices. No answer within ``deadline`` seconds is an OSError, ETIMEDOUT.
    """

    name: Final = "rtnetlink"  # as a dataplane
    kinds: Final = tuple(CODECS)
    poll_interval: Final = None
    has_echo: Final = True

    def __init__(
        self,
        request_buffer: int = sockets.REQUEST_BUFFER,
        event_buffer: int = sockets.EVENT_BUFFER,
        deadline: float = DEADLINE,
    ) -> None:
        self._requests = RequestSocket(request_buffer, deadline, self._follow_port)
        self._dumps = RequestSocket(request_buffer, deadline)
        self._event_buffer = event_buffer
        self._event_socket: socket | None = None
        self._reader: EventReader | None = None
        self._packets: socket | None = None  # for announcements, from the first on
        self._decoder = Decoder()
        self._reflex = RouteReflex(self._decoder.routes)
        self._pace = apply.Pace()
        self.port = self._requests.port  # the port id of our own changes in notifications
        self.witness = Witness(guess=guess_asker)
        self.writes = 0  # change requests sent
        self._can_mark_again = read_version() >= MARKS_AGAIN
        self.hears_echo = True  # are events of our own changes of routes delivered?
        self.interest: Interest | None = None  # as ``listen_for`` left it
        self._filters = self._make_filters(None)
        self._followed: set[Kind] = set()  # as ``follow`` left it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all sockets. May be called twice."""
        for opened in (self._requests, self._dumps, self._event_socket, self._packets):
            if opened is not None:
                opened.close()
        self._event_socket = self._reader = self._packets = None

    @property
    def overruns(self) -> int:
        """How often the event socket lost events (ENOBUFS)."""
        return self._reader.overruns if self._reader else 0

    @property
    def malformed(self) -> int:
        """Messages that were skipped because they could not be read."""
        return self._decoder.malformed

    def read_links(self) -> Generator[None, None, dict[int, Link]]:
        """All links by ifindex, read in slices."""
        found: dict[int, Link] = {}
        raw = yield from dump.read_in_slices(self._dumps, _GET_LINK, LINKS_REQUEST)
        for datagram in raw.datagrams:
            for _, _, start, end in messages(datagram):
                try:
                    decoded = decode_link(datagram, start, end)
                except MalformedMessage:
                    self._decoder.count_malformed()
                else:
                    if decoded is not None:
                        found[decoded[1].ifindex] = decoded[1]
        return found

    def read_addresses(self) -> Generator[None, None, dict[AddressMember, HostAddress]]:
        """All addresses of both families, as facts, in the kernel's order, read in slices.

        Where they never hold still these are all that were seen: some may be gone. Every change meanwhile is an event
        too, if events were opened before, and puts that right.
        """
        found: dict[AddressMember, HostAddress] = {}
        codec = CODECS[Kind.ADDRESS]
        for family in FAMILIES:
            body = codec.dump_body(Scope(Kind.ADDRESS, family))
            for datagram in (yield from dump.read_all_that_was_there(self._dumps, codec.get, body)):
                for _, _, start, end in messages(datagram):
                    try:
                        decoded = decode_address(datagram, start, end)
                    except MalformedMessage:
                        self._decoder.count_malformed()
                    else:
                        if decoded is not None:
                            fact = decoded[1]
                            found[AddressMember(fact.dev, fact.address, fact.prefixlen)] = fact
        return found

    def locate_gateways(
        self,
        wanted: Iterable[bytes],
        own: Mapping[bytes, int],
        links: Collection[int],
        before: Mapping[bytes, int] | None = None,
    ) -> dict[bytes, GatewayLink]:
        """The link of each gateway (a packed address) by table main; what that does not reach is absent.

        ``own`` are the addresses of this host: such a one is on the link that holds it. A link-local gateway is absent:
        it says no link. ``links`` are those that are up. ``before`` are the links where gateways were: they stay
        there while they can.
        """
        return gateways.locate(self._requests, wanted, own, links, before or {})

    def look_up(self, addresses: Iterable[bytes]) -> dict[bytes, Way]:
        """How the kernel would send a packet to each of these addresses now; what it cannot reach is absent."""
        return gateways.look_up(self._requests, addresses)

    def find_winner(self, question: Question, links: Mapping[str, int]) -> Decision:
        """Which route the kernel would send this packet by now. ``links`` are the ifindexes of those it names."""
        return lookup.find_winner(self._requests, question, links)

    def read_default_routes(self) -> tuple[Standing, ...]:
        """The routes to destination zero, of any length: of table main for IPv4, of all tables for IPv6."""
        return defaults.read_default_routes(self._requests)

    def read_kernel_routes(self) -> tuple[Standing, ...]:
        """The routes that the kernel made itself, of both families, in all tables. Few, whoever else has a million."""
        scopes = [Scope(Kind.ROUTE, family, 0, PROTOCOL_KERNEL) for family in FAMILIES]
        return tuple(standing for scope in scopes for chunk in self.dump(scope) for standing in chunk)

    def read_drivers(self, links: Iterable[Link]) -> dict[int, str]:
        """The names of the drivers of these links, by ifindex, as ``ethtool -i`` says them."""
        return drivers.read_drivers(links)

    def find_unknown(self, attributes: Iterable[int]) -> frozenset[int]:
        """Those of these attributes of rules that this kernel does not know."""
        from routed.kernel.knowledge import find_unknown  # noqa: PLC0415  few files need it

        return find_unknown(self._requests, read_version(), attributes)

    def read_link_sysctls(self, links: Iterable[Link]) -> dict[int, LinkSysctls]:
        """The sysctls of these links by which the kernel lets other things happen, by ifindex."""
        from routed.kernel.link_sysctls import read_link_sysctls  # noqa: PLC0415  few plans need it

        return read_link_sysctls(links)

    def fingerprint(self, scope: Scope) -> bytes:
        """The digest of a raw dump: equal for equal content, nothing decoded."""
        return self.dump(scope).fingerprint

    def dump(self, scope: Scope) -> Dump:
        """What stands in one scope. Raises dump.DumpInterrupted where the table never held still."""
        return dump.finish(self.read_dump(scope))

    def read_dump(self, scope: Scope) -> Generator[None, None, Dump]:
        """The same in slices."""
        return dump.read_scope(self._dumps, scope, self._decoder)

    def has_lifetime(self, kind: Kind, value: Value) -> bool:
        """Does an object with this content go by itself?"""
        return has_lifetime(kind, value)

    def read_lifetimes(self, scope: Scope, slot: Slot, members: Collection[Member]) -> dict[Member, Lifetime]:
        """What is left of these objects, of those that go by themselves."""
        return read_lifetimes(self._dumps, scope, slot, members)

    def make_stamp(self, kind: Kind, marks: Marks) -> Stamp:
        """Whose the objects of a kind are while these protocol numbers are ours."""
        return stamp.make_stamp(kind, marks)

    def find_owned(self, kind: Kind, families: Iterable[int], marks: Marks) -> Iterable[Scope]:
        """The dumps that show everything of a kind that is ours."""
        return stamp.find_owned(kind, families, marks)

    def must_keep_mark(self, drift: Drift) -> bool:
        """Is nothing wrong but a protocol number that this kernel never changes?"""
        return not self._can_mark_again and stamp.STAMPS[drift.kind].is_mark_alone(drift)

    def apply(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:
        """Carry out one operation: an item for each batch, with the failures in it. Nothing is sent unless iterated."""
        if operation.requests:
            yield from self._arrange(operation)
            return
        hints = CODECS[operation.kind].hints(operation.value)
        for members, rounds in apply.batches(operation, self._requests, self._pace):
            began = perf_counter()
            failures: dict[Member, Failure] = {}
            left = members
            for packed, base, is_removal, pack in rounds:
                if failures:  # a round stands on the one before: what is not ours must not be marked as ours
                    left = [member for member in members if member not in failures]
                    packed = pack(left, base) if left else b""  # noqa: PLW2901  the same request for fewer members
                if left:
                    self.writes += len(left)
                    refused = apply.send_batch(self._requests, packed, left, base, is_removal=is_removal, hints=hints)
                    failures |= {failure.member: failure for failure in refused}
            self._pace.note(len(members), perf_counter() - began)
            yield tuple(failures.values())

    def _arrange(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:
        """One request after another for a few members. From what failed nothing is deleted; what can be put is."""
        members = operation.members
        for start in range(0, len(members), FEW):
            failures: dict[Member, Failure] = {}
            for part in operation._replace(members=members[start : start + FEW]).spread():
                left = part.members
                if failures and part.verb is Verb.DELETE:
                    left = [member for member in left if member not in failures]
                refused = [one for batch in self.apply(part._replace(members=left)) for one in batch]
                failures = {failure.member: failure for failure in refused} | failures
            yield tuple(failures.values())

    def announce(self, link: Link, address: bytes) -> None:
        """Tell the neighbours on this link that ``address`` is here. EPERM without CAP_NET_RAW."""
        if self._packets is None:
            self._packets = announce.open_socket()
        announce.send(self._packets, link, address)

    def open_events(self) -> None:
        """Subscribe. To be called before the first dump, so that no change falls in between."""
        self._event_socket = sockets.open_event_socket(self._event_buffer)
        self._reader = EventReader(self._event_socket, self._decoder)

    def events_fileno(self) -> int:
        """The descriptor to wait on for events."""
        assert self._event_socket is not None, "open_events() comes first"
        return self._event_socket.fileno()

    def hear_echo(self, *, wanted: bool) -> None:
        """Shall events of our own changes of routes be delivered? Off, the kernel drops them at once."""
        assert self._event_socket is not None, "open_events() comes first"
        filters.attach(self._event_socket, self._filters[wanted])
        self.hears_echo = wanted

    def listen_for(self, interest: Interest | None) -> None:
        """Of which routes of others shall changes be delivered? None: of all. The rest the kernel drops at once."""
        assert self._event_socket is not None, "open_events() comes first"
        if interest == self.interest:
            return
        self.interest = interest
        self._renew_filters()

    def follow(self, kinds: Collection[Kind]) -> None:
        """Of which kinds that few files use shall changes be delivered? To be called before the dumps that need it."""
        assert self._event_socket is not None, "open_events() comes first"
        for kind in [kind for kind, codec in CODECS.items() if codec.group]:
            is_wanted = kind in kinds
            if is_wanted is not (kind in self._followed):
                with suppress(OSError):  # an old kernel has no such objects, and says so when one is put
                    sockets.join_group(self._event_socket, CODECS[kind].group, wanted=is_wanted)
                (self._followed.add if is_wanted else self._followed.discard)(kind)

    def _renew_filters(self) -> None:
        """Have the event socket's filter be one for the present port id and the present interest."""
        self._filters = self._make_filters(self.interest)
        if self._event_socket is None:
            return
        try:
            filters.attach(self._event_socket, self._filters[self.hears_echo])
        except OSError:  # ENOMEM: more than net.core.optmem_max allows a socket. To hear too much does no harm
            self._filters = self._make_filters(None)
            filters.attach(self._event_socket, self._filters[self.hears_echo])

    def _follow_port(self) -> None:
        """Our changes are known by another port id from now on."""
        self.port = self._requests.port
        self._renew_filters()

    def _make_filters(self, interest: Interest | None) -> dict[bool, Program]:
        """One for each answer to ``hears_echo``: it is given often, and the interest seldom changes."""
        return {answer: filters.keep_news(self.port, interest, hears_echo=answer) for answer in (False, True)}

    def identify(self, port: int) -> Process | None:
        """Who is behind the port id of an event, as far as it can be told quickly. To be asked at once."""
        return self.witness.identify(port)

    def glance(self, port: int) -> None:
        """Take what vanishes first of who is behind the port id; ``identify``, right after this, reads the rest."""
        self.witness.glance(port)

    def find_loss(self, is_simple: Callable[[Kind, Member, Value], bool]) -> Loss | None:
        """The simple object that went, if the kernel has told nothing else since. ``read_events`` tells of it as well.

        Of those that are alike but for their prefix it is asked once whether they are simple.
        """
        assert self._reader is not None, "open_events() comes first"
        datagram = self._reader.peek()
        return None if datagram is None else self._reflex.read(datagram, is_simple)

    def put_back(self, loss: Loss) -> tuple[Failure, ...]:
        """Put again at once what ``find_loss`` found. What is told of that comes with the events after the next."""
        assert self._reader is not None, "open_events() comes first"
        number = self._requests.take_numbers(1)
        self.writes += 1
        packed = self._reflex.make_request(loss, number)
        failures = apply.send_batch(self._requests, packed, (loss.member,), number, is_removal=False)
        self._reader.hold_others()  # where it could not be asked, all that waits says why things are as they are
        return tuple(failures)

    def read_events(self) -> list[Event]:
        """What the kernel told since, a limited number at a time; never blocks. Overrun stands where some were lost."""
        assert self._reader is not None, "open_events() comes first"
        return self._reader.read()
