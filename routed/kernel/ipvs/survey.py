"""What stands: all services and servers of the network namespace, read anew only where something may have changed.

A dump of IPVS has no generation, and goes on by counting over a table that changes meanwhile: what it shows was there,
what it lacks may be there as well. So nothing counts as gone before it was asked for by its key, or, as a server has no
such question, before dumps that show the same lacked it. Whole reads are seldom; in between, /proc says where to look
(``table``).

Here must never live: whose an object is, beyond giving up the claim of what is gone.
Source: ip_vs_genl_dump_services, ip_vs_genl_dump_dests in net/netfilter/ipvs/ip_vs_ctl.c.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable
from errno import EPROTO, ESRCH
from math import inf
from typing import Final, NamedTuple

from routed.kernel.codec.attributes import MalformedMessage
from routed.kernel.dump import finish
from routed.kernel.ipvs import codec
from routed.kernel.ipvs.claims import Claims, server_key
from routed.kernel.ipvs.codec import Timeouts
from routed.kernel.ipvs.connection import Connection, IpvsMessage
from routed.kernel.ipvs.table import Outside, ProcTable, parse_table
from routed.model.ipvs import ServerMember, ServerSlot, ServerValue, ServiceValue, Traffic
from routed.model.objects import Key, Scope

_SLICE: Final = 32  # questions between two breaths of the caller, some 2 ms
_MESSAGES: Final = 128  # messages that are decoded in between
_ATTEMPTS: Final = 10
Servers = dict[ServerMember, ServerValue]


class SeenService(NamedTuple):
    """One service as it was read; nothing here has an owner."""

    value: ServiceValue
    servers: Servers


class Glance(NamedTuple):
    """What /proc said, and when everything was read."""

    raw: bytes | None
    references: bytes | None
    table: ProcTable | None
    since: float  # when all was read


class Survey:
    """Remembers what was read. One thread at a time. Raises OSError where IPVS cannot be asked."""

    def __init__(
        self,
        connection: Connection,
        claims: Claims,
        outside: Outside,
        clock: Callable[[], float],
        trust: float,
        together: float,
    ) -> None:
        """Everything is read anew after ``trust`` seconds, whatever /proc says. ``connection`` is for nothing else.

        Different scopes that are asked for within ``together`` seconds, one after another, are shown by one look.
        """
        self._connection = connection
        self._claims = claims
        self._outside = outside
        self._clock = clock
        self._trust = trust
        self._together = together
        self._until = -inf  # when the last look was over; one that is not may never be
        self._shown: set[Scope] = set()  # by it
        self._last: Glance | None = None
        self._touched: set[ServerSlot] = set()
        self._suspected: set[ServerSlot] = set()  # who goes on changing them must not keep a look from its end
        self._is_there = True  # may the module be there?
        self.services: dict[ServerSlot, SeenService] = {}
        self.timeouts: Timeouts | None = None  # None: not asked for, or the module is not there
        self.changes = 0  # ever: what was listed before is outdated where this has grown
        self.malformed = 0

    def touch(self, places: Iterable[ServerSlot]) -> None:
        """We are about to change these services, or servers of them."""
        self._touched.update(places)

    def suspect(self, place: ServerSlot | None) -> None:
        """Somebody else may have changed this service, or (None) any of them, in a way that /proc does not show."""
        if place is None:
            self._last = None
        else:
            self._suspected.add(place)

    @property
    def is_touched(self) -> bool:
        """Have we changed something that was not read since?"""
        return bool(self._touched)

    def look(self, scope: Scope) -> Generator[None, None, None]:
        """Bring ``services`` up to date for who asks for a scope, in slices."""
        self._touched |= self._suspected
        self._suspected.clear()
        is_one_more = scope not in self._shown and self._clock() - self._until < self._together
        if not (is_one_more and self._last and not self._touched):
            self._shown.clear()
            self._until = -inf
            yield from self._look()
        self._shown.add(scope)
        self._until = self._clock()

    def look_at_timeouts(self) -> None:
        """Bring ``timeouts`` up to date after a look. /proc does not show them; to ask is one message."""
        before, self.timeouts = self.timeouts, self._ask_timeouts() if self._is_there else None
        if self.timeouts != before:
            self.changes += 1

    def _ask_timeouts(self) -> Timeouts:
        try:
            return codec.decode_timeouts(*self._connection.get(codec.encode_timeouts_request()))
        except MalformedMessage as error:
            raise OSError(EPROTO, str(error)) from error

    def _look(self) -> Generator[None, None, None]:
        yield from self._claims.load_in_slices()
        references = self._outside.read_references()
        raw = yield from self._outside.read_table()
        self._is_there = raw != b"" or bool(self._touched)
        if not self._is_there:
            self._forget_all()  # the module is not there, and asking would load it
            return
        now, last = self._clock(), self._last
        is_fresh = last is not None and last.table is not None and now - last.since < self._trust
        if last and is_fresh and (raw, references) == (last.raw, last.references) and not self._touched:
            return
        table = yield from _parse(raw)
        if last is None or not is_fresh or table is None or last.table is None:
            yield from self._read_all(table or {})
            self._last = Glance(raw, references, table, now)
        else:
            changed = {place for place in table.keys() | last.table.keys() if table.get(place) != last.table.get(place)}
            if references != last.references:
                changed |= yield from self._find_other_services()
            yield from self._read_each(changed | self._touched)
            self._last = Glance(raw, references, table, last.since)
        while self._touched:  # changed by us meanwhile
            yield from self._read_each(set(self._touched))

    def _forget_all(self) -> None:
        self._last = None
        for place in self.services.keys() | set(self._claims.places()):
            self._drop(place)
        self._give_up(self._claims.keys_alone())

    def _read_all(self, table: ProcTable) -> Generator[None, None, None]:
        found = yield from self._dump_services()
        for count, (place, value) in enumerate(found.items()):
            if place in self._touched:  # by us, after the dump
                self._read_one(place)
            else:
                self._read_servers(place, value)
            if not count % _SLICE:
                yield
        missing = (self.services.keys() | set(self._claims.places()) | table.keys()) - found.keys()
        yield from self._read_each(missing)

    def _dump_services(self) -> Generator[None, None, dict[ServerSlot, ServiceValue]]:
        found: dict[ServerSlot, ServiceValue] = {}
        messages = yield from self._connection.dump(codec.encode_services_request())
        for count, message in enumerate(messages):
            if (decoded := self._decode_service(message)) is not None:
                found[decoded[0]] = decoded[1]
            if not count % _MESSAGES:
                yield
        return found

    def _find_other_services(self) -> Generator[None, None, set[ServerSlot]]:
        """The services that a dump shows otherwise than they were read, and those that it lacks."""
        found = yield from self._dump_services()
        return {
            place
            for place in found.keys() | self.services.keys()
            if place not in self.services or found.get(place) != self.services[place].value
        }

    def _read_each(self, places: Collection[ServerSlot]) -> Generator[None, None, None]:
        for count, place in enumerate(places):
            self._read_one(place)
            if not count % _SLICE:
                yield

    def _read_one(self, place: ServerSlot) -> None:
        value = self._ask_service(place)
        if value is None:
            self._touched.discard(place)
            self._drop(place)
        else:
            self._read_servers(place, value)

    def _ask_service(self, place: ServerSlot) -> ServiceValue | None:
        """The content of one service; None where it is not there."""
        try:
            message = self._connection.get(codec.encode_service_key(codec.GET_SERVICE, place, place.service))
        except OSError as error:
            if error.errno == ESRCH:
                return None
            raise
        decoded = self._decode_service(message)
        if decoded is None:
            raise OSError(EPROTO, "the answer about a service cannot be read")
        return decoded[1]

    def _read_servers(self, place: ServerSlot, value: ServiceValue) -> None:
        """Read the servers of a service that was just seen. Nobody comes in between: it is one step."""
        claimed = self._claims.servers_of(place)
        before = self.services.get(place)
        known = claimed.keys() | (before.servers.keys() if before else set())
        found = self._dump_servers(place)
        if known - found.keys():
            if not found and self._ask_service(place) is None:  # of an absent one the list is empty, and no error
                self._touched.discard(place)
                self._drop(place)
                return
            found = self._dump_until_still(place, found, known)
        self._touched.discard(place)
        service = SeenService(value, found)
        if service != before:
            self.services[place] = service
            self.changes += 1
        self._give_up(server_key(place, member) for member in claimed.keys() - found.keys())

    def _dump_until_still(self, place: ServerSlot, found: Servers, known: Collection[ServerMember]) -> Servers:
        """The servers in this dump and in further ones, until two that follow each other show the same.

        Beside a busy writer every sixth dump lacked something that stood all the while (Linux 6.1).
        """
        last = found
        for _ in range(_ATTEMPTS):
            again = self._dump_servers(place)
            found = found | again
            if again.keys() == last.keys() or found.keys() >= set(known):
                break
            last = again
        return found

    def _dump_servers(self, place: ServerSlot) -> Servers:
        found: Servers = {}
        for message in finish(self._connection.dump(codec.encode_service_key(codec.GET_DEST, place, place.service))):
            try:
                member, value = codec.decode_server(codec.open_server(*message), place.family)
            except MalformedMessage:
                self.malformed += 1
            else:
                found[member] = value
        return found

    def _decode_service(self, message: IpvsMessage) -> tuple[ServerSlot, ServiceValue] | None:
        try:
            return codec.decode_service(codec.open_service(*message))
        except MalformedMessage:
            self.malformed += 1
            return None

    def _drop(self, place: ServerSlot) -> None:
        """A service is gone, and its servers with it."""
        if self.services.pop(place, None) is not None:
            self.changes += 1
        self._give_up(self._claims.keys_of(place))

    def _give_up(self, keys: Iterable[Key]) -> None:
        """What somebody puts there from now on is theirs."""
        if given_up := dict.fromkeys(keys):
            self._claims.settle(given_up)


def read_traffic(connection: Connection, place: ServerSlot) -> tuple[Traffic, dict[ServerMember, Traffic]]:
    """What is counted of a service, and of each of its servers. Raises OSError: ESRCH where it is not there."""
    try:
        asked = connection.get(codec.encode_service_key(codec.GET_SERVICE, place, place.service))
        service = codec.decode_service_traffic(codec.open_service(*asked))
        servers: dict[ServerMember, Traffic] = {}
        for message in finish(connection.dump(codec.encode_service_key(codec.GET_DEST, place, place.service))):
            attributes = codec.open_server(*message)
            servers[codec.decode_server(attributes, place.family)[0]] = codec.decode_server_traffic(attributes)
    except MalformedMessage as error:
        raise OSError(EPROTO, str(error)) from error
    counted = servers.values()
    return service._replace(
        active=sum(one.active for one in counted),
        inactive=sum(one.inactive for one in counted),
        persistent=sum(one.persistent for one in counted),
    ), servers


def _parse(raw: bytes | None) -> Generator[None, None, ProcTable | None]:
    """The table, where it is one that we can read."""
    try:
        return None if raw is None else (yield from parse_table(raw))
    except (ValueError, LookupError):
        return None
