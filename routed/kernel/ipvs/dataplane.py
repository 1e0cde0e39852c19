"""IPVS as a dataplane: its services, servers and timeouts, read, changed, and known for ours by claims.

It answers ``daemon.dataplane.Dataplane``. IPVS tells of no change, so it has to be polled; a look costs little while
nothing has changed. Here belongs only what ties connection, survey and claims together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from errno import EINVAL
from itertools import count
from time import monotonic
from typing import Any, Final

from routed.kernel import stamp
from routed.kernel.ipvs.claims import ClaimOrigin, Claims, Store, place_of, read_origin
from routed.kernel.ipvs.connection import Connection, open_socket
from routed.kernel.ipvs.kinds import GONE, ROWS, STEPS, IpvsStep, encode
from routed.kernel.ipvs.survey import Survey, read_traffic
from routed.kernel.ipvs.table import Outside, ProcFiles
from routed.kernel.requests import QuestionSocket
from routed.model.change import Drift, Failure, Operation, Verb
from routed.model.ipvs import ServerMember, ServerSlot, Traffic
from routed.model.lifetime import Lifetime
from routed.model.objects import Chunk, Key, Kind, Member, Scope, Slot, Standing, Value
from routed.model.owner import Marks, Stamp

MOST: Final = 32  # messages in one sendmsg
TRUST: Final = 60.0  # seconds after which all is read anew, whatever /proc says
TOGETHER: Final = 0.05  # seconds between two scopes of one pass, which are shown by one look
_SLICE: Final = 512  # services that are listed between two breaths of the caller
_CHUNK: Final = 512  # objects in one piece of a dump
_instances = count()  # so that the dumps of one are never taken for those of another


class IpvsDump:
    """What stood in one scope. The fingerprint is the same as long as nothing of that has changed."""

    def __init__(self, fingerprint: bytes, standings: Sequence[Standing], version: tuple[int, int]) -> None:
        self.fingerprint = fingerprint
        self.standings = standings
        self.version = version  # of what it was made from

    def chunks(self) -> Iterator[Chunk]:
        """What stands, in no order that means anything."""
        for start in range(0, len(self.standings), _CHUNK):
            yield list(self.standings[start : start + _CHUNK])

    def discard(self) -> Iterator[None]:
        """Nothing to give back: the next dump may be the same."""
        yield from ()


class Ipvs:
    """Services, servers and timeouts of one network namespace, that of the thread which reads or applies first.

    One thread at a time, but for what is counted, which another may ask for meanwhile. Raises OSError throughout:
    ENOENT where this kernel has no IPVS.
    """

    name: Final = "ipvs"
    kinds: Final = tuple(ROWS)
    poll_interval: Final = 5.0
    has_echo: Final = False

    def __init__(
        self,
        store: Store,
        *,
        connect: Callable[[], QuestionSocket] = open_socket,
        outside: Outside | None = None,
        find_origin: Callable[[], ClaimOrigin] = read_origin,
        clock: Callable[[], float] = monotonic,
        trust: float = TRUST,
        together: float = TOGETHER,
    ) -> None:
        """``store`` keeps the claims; who only reads gives one that keeps nothing of what it is told."""
        self.family = 0  # the id of the genl family; not known before something was asked
        self.on_family: Callable[[int], None] = lambda _: None  # told of each other id
        self._connection = Connection(connect, self._note_family)
        self._claims = Claims(store, find_origin)
        self._reading = Connection(connect, self._note_family)  # in slices, between which something else may be asked
        self._beside = Connection(connect, self._note_family)  # for who asks while a thread applies
        self._survey = Survey(self._reading, self._claims, outside or ProcFiles(), clock, trust, together)
        self._instance = next(_instances)
        self._dumps: dict[Scope, IpvsDump] = {}

    def close(self) -> None:
        """Close the sockets. May be called twice."""
        for connection in (self._connection, self._reading, self._beside):
            connection.close()

    def suspect(self, key: Key | None) -> None:
        """Whatever /proc says, read the service of this object, or all of them, at the next look."""
        self._survey.suspect(None if key is None else place_of(key))

    def _note_family(self, family: int) -> None:
        if family != self.family:
            self.family = family
            self.on_family(family)

    @property
    def malformed(self) -> int:
        """Messages that were skipped because they could not be read."""
        return self._survey.malformed

    # --- reading --------------------------------------------------------------------------------------------------

    def read_dump(self, scope: Scope) -> Generator[None, None, IpvsDump]:
        """All services of a family, all servers of all services of a family, or the timeouts."""
        known = self._dumps.get(scope)
        while True:
            yield from self._survey.look(scope)
            ROWS[scope.kind].look(self._survey)
            version = (self._survey.changes, self._claims.changes)
            if known is not None and known.version == version:
                return known
            standings = yield from self._list(scope)
            if version == (self._survey.changes, self._claims.changes) and not self._survey.is_touched:
                break  # else we changed something meanwhile
        if known is not None and known.standings == standings:
            fingerprint = known.fingerprint
        else:
            fingerprint = f"{self._instance} {version}".encode()
        self._dumps[scope] = dump = IpvsDump(fingerprint, standings, version)
        return dump

    def _list(self, scope: Scope) -> Generator[None, None, list[Standing]]:
        standings: list[Standing] = []
        for number, some in enumerate(ROWS[scope.kind].list(self._survey, self._claims, scope.family)):
            standings += some
            if not number % _SLICE:
                yield
        return standings

    def read_traffic(self, place: ServerSlot) -> tuple[Traffic, Mapping[ServerMember, Traffic]]:
        """What the kernel counts of a service and of each of its servers, asked now. ESRCH where it is not there."""
        return read_traffic(self._beside, place)

    # --- ownership ------------------------------------------------------------------------------------------------

    def make_stamp(self, kind: Kind, marks: Marks) -> Stamp:
        """Whose the objects of a kind are while these protocol numbers are ours."""
        del kind
        return stamp.stamp_by_number(marks)

    def find_owned(self, kind: Kind, families: Iterable[int], marks: Marks) -> Iterable[Scope]:
        """The dumps that show everything of a kind that is ours: none where nothing is claimed.

        What is claimed is not known before the first dump, which reads it in slices, and which asks for nothing where
        the module is not there.
        """
        del marks
        if not self._claims.are_loaded():
            return [Scope(kind, family) for family in families]
        claimed = self._claims.families()
        return [Scope(kind, family) for family in families if family in claimed]

    def must_keep_mark(self, drift: Drift) -> bool:
        """Is nothing wrong but a mark that cannot be changed? A claim always can."""
        del drift
        return False

    def has_lifetime(self, kind: Kind, value: Value) -> bool:
        """Does an object go by itself? None does."""
        del kind, value
        return False

    def read_lifetimes(self, scope: Scope, slot: Slot, members: Collection[Member]) -> Mapping[Member, Lifetime]:
        """What is left of objects that go by themselves."""
        del scope, slot, members
        return {}

    # --- changing -------------------------------------------------------------------------------------------------

    def apply(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:
        """Carry out one operation, batch by batch: the claims of a batch first, then its requests in one go.

        What differs in the owner alone is a matter of the claim, and sends nothing.
        """
        self._connection.prepare()
        self._claims.load()
        steps = self._find_steps(operation)
        size = MOST // max(1, len(steps))
        for start in range(0, len(operation.members), size):
            yield tuple(self._apply_batch(operation, steps, operation.members[start : start + size]))

    def _find_steps(self, operation: Operation) -> tuple[IpvsStep, ...]:
        """What has to be asked for; nothing where the content is there already."""
        steps, before = STEPS[operation.verb], operation.before
        if before is not None and steps == STEPS[Verb.REPLACE]:
            form, slot = ROWS[operation.kind].form, operation.slot
            if form(slot, before) == form(slot, operation.value):
                return ()
        return steps

    def _apply_batch(
        self, operation: Operation, steps: tuple[IpvsStep, ...], members: Sequence[Any]
    ) -> Iterator[Failure]:
        kind, slot, value = operation.kind, operation.slot, operation.value
        if steps and not steps[-1].is_removal:
            find_fault = ROWS[kind].find_fault
            faults = {member: find_fault(self._survey, self._claims, slot, member, value) for member in members}
            yield from (Failure(member, EINVAL, fault) for member, fault in faults.items() if fault)
            members = [member for member, fault in faults.items() if not fault]
        keys = {member: Key(kind, slot, member) for member in members}
        before = {key: self._claims.get(key) for key in keys.values()}
        is_claimed = bool(value.protocol) and operation.verb is not Verb.DELETE
        if is_claimed:
            unclaimed = self._claim(keys, value)
            yield from unclaimed.values()
            keys = {member: key for member, key in keys.items() if member not in unclaimed}
            members = list(keys)
        if steps:
            self._survey.touch(place for key in keys.values() if (place := place_of(key)) is not None)
        failures = self._send(operation, steps, members)
        after: dict[Key, Value | None] = {}
        for member, key in keys.items():
            if member in failures:
                after[key] = before[key]
            elif is_claimed:
                after[key] = value
            else:
                after[key] = None
                place = place_of(key)
                if operation.verb is Verb.DELETE and place and key.slot != place:  # its servers went with it
                    after |= dict.fromkeys(self._claims.keys_of(place))
        self._claims.settle(after)
        yield from failures.values()

    def _claim(self, keys: Mapping[Member, Key], value: Value) -> dict[Member, Failure]:
        """Claim these before they are asked for. Returns those that cannot be kept: what is ours already stays so."""
        try:
            self._claims.put(dict.fromkeys(keys.values(), value))
        except OSError as error:
            number, text = error.errno or EINVAL, f"no claim can be kept: {error.strerror or error}"
            held = {member: self._claims.get(key) for member, key in keys.items()}
            return {
                member: Failure(member, number, text)
                for member, one in held.items()
                if one is None or one.protocol != value.protocol
            }
        return {}

    def _send(self, operation: Operation, steps: tuple[IpvsStep, ...], members: Sequence[Any]) -> dict[Member, Failure]:
        """Ask for all steps of all members; the first failure of each."""
        kind, slot, value = operation.kind, operation.slot, operation.value
        asked = [(member, step) for member in members for step in steps]
        failures: dict[Member, Failure] = {}
        if not asked:
            return failures
        errors = self._connection.request([encode(kind, step, slot, member, value) for member, step in asked])
        for (member, step), error in zip(asked, errors, strict=True):
            if error and not (step.is_removal and error in GONE) and member not in failures:
                failures[member] = Failure(member, error, ROWS[kind].explain(error, slot, member, value))
        return failures
