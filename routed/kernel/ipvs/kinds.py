"""The kinds of IPVS: how each is listed and asked for, and what is refused of it. One row a kind.

Here must never live: a socket, or when something is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from errno import ENOENT, ESRCH
from functools import lru_cache
from typing import Any, Final, NamedTuple

from routed.kernel.ipvs import codec
from routed.kernel.ipvs.claims import Claims, timeout_key
from routed.kernel.ipvs.refusals import (
    MISLED,
    explain_server,
    explain_service,
    explain_timeout,
    find_server_fault,
    find_service_fault,
    find_timeout_fault,
    is_misled,
)
from routed.kernel.ipvs.survey import SeenService, Survey
from routed.model.change import Verb
from routed.model.ipvs import (
    TIMEOUTS,
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
from routed.model.objects import Kind, Standing, Value

GONE: Final = frozenset({ENOENT, ESRCH})  # of a removal these mean "done"


class IpvsRow(NamedTuple):
    """What is needed to read and change objects of one kind."""

    list: Callable[[Survey, Claims, int], Iterator[Iterable[Standing]]]  # what there is of a family, piece by piece
    find_fault: Callable[[Survey, Claims, Any, Any, Any], str]  # (…, slot, member, value) → what would be swallowed
    new: int  # commands
    set: int
    encode: Callable[[int, Any, Any, Any], bytes]  # (command, slot, member, value)
    encode_removal: Callable[[Any, Any], bytes]  # (slot, member)
    explain: Callable[[int, Any, Any, Any], str]  # (errno, slot, member, value)
    form: Callable[[Any, Any], Value]  # (slot, value) → what of it is sent
    look: Callable[[Survey], None] = lambda _survey: None  # what else is asked when such objects are looked at


class IpvsStep(NamedTuple):
    """One message for each member of an operation."""

    is_removal: bool = False
    is_new: bool = False


def _list_of_each(
    list_one: Callable[[Claims, ServerSlot, SeenService], Iterable[Standing]],
) -> Callable[[Survey, Claims, int], Iterator[Iterable[Standing]]]:
    """By what there is of one service."""

    def list_all(survey: Survey, claims: Claims, family: int) -> Iterator[Iterable[Standing]]:
        for place, service in list(survey.services.items()):
            yield list_one(claims, place, service) if place.family == family else ()

    return list_all


def list_service(claims: Claims, place: ServerSlot, service: SeenService) -> Iterator[Standing]:
    """A service as an object, with its owner as the claims have it."""
    claim = claims.of_service(place)
    value = service.value
    if claim is not None:
        value = value._replace(protocol=claim.protocol, is_shared=claim.is_shared)
    yield Standing(ServiceSlot(place.family), place.service, value)


def list_servers(claims: Claims, place: ServerSlot, service: SeenService) -> Iterator[Standing]:
    """The servers of a service as objects, with their owners as the claims have it."""
    owner = claims.of_service(place)
    whole = owner.protocol if owner is not None and not owner.is_shared else 0
    claimed = claims.servers_of(place)
    for member, value in service.servers.items():
        claim = claimed.get(member)
        yield Standing(place, member, _own(value, claim.protocol if claim else whole))


def list_timeouts(survey: Survey, claims: Claims, _family: int) -> Iterator[Iterable[Standing]]:
    """The timeouts as objects, with their owners as the claims have it; none where the module is not there."""
    if survey.timeouts is not None:
        for word, seconds in survey.timeouts._asdict().items():
            member = TimeoutMember(word)
            claim = claims.get(timeout_key(member))
            yield [Standing(TimeoutSlot(), member, TimeoutValue(claim.protocol if claim else 0, seconds))]


@lru_cache(maxsize=1024)  # one value for all that are alike
def _own(value: ServerValue, protocol: int) -> ServerValue:
    return value._replace(protocol=protocol)


def _find_service_fault(
    survey: Survey, _claims: Claims, slot: ServiceSlot, member: ServiceMember, value: ServiceValue
) -> str:
    if fault := find_service_fault(slot, member, value):
        return fault
    known = survey.services.get(ServerSlot(slot.family, member))
    return MISLED if known and any(is_misled(value, server) for server in known.servers.values()) else ""


def _find_server_fault(
    survey: Survey, claims: Claims, slot: ServerSlot, _member: ServerMember, value: ServerValue
) -> str:
    known = survey.services.get(slot)
    return find_server_fault(claims.of_service(slot) or (known.value if known else None), value)


def _encode_timeout(_command: int, _slot: TimeoutSlot, member: TimeoutMember, value: TimeoutValue) -> bytes:
    return codec.encode_timeouts(codec.Timeouts(**{member.word: value.seconds}))


ROWS: Final[Mapping[Kind, IpvsRow]] = {
    Kind.SERVICE: IpvsRow(
        _list_of_each(list_service),
        _find_service_fault,
        codec.NEW_SERVICE,
        codec.SET_SERVICE,
        codec.encode_service,
        lambda slot, member: codec.encode_service_key(codec.DEL_SERVICE, slot, member),
        explain_service,
        lambda slot, value: codec.normalise_service(slot.family, value)._replace(protocol=0, is_shared=False),
    ),
    Kind.SERVER: IpvsRow(
        _list_of_each(list_servers),
        _find_server_fault,
        codec.NEW_DEST,
        codec.SET_DEST,
        codec.encode_server,
        codec.encode_server_removal,
        explain_server,
        lambda _slot, value: codec.normalise_server(value)._replace(protocol=0),
    ),
    Kind.TIMEOUT: IpvsRow(
        list_timeouts,
        lambda _survey, _claims, _slot, _member, value: find_timeout_fault(value),
        codec.SET_CONFIG,
        codec.SET_CONFIG,
        _encode_timeout,
        lambda slot, member: _encode_timeout(codec.SET_CONFIG, slot, member, TimeoutValue(0, TIMEOUTS[member.word])),
        explain_timeout,
        lambda _slot, value: value._replace(protocol=0),
        look=Survey.look_at_timeouts,
    ),
}
# Under a key stands one object: nothing is put in front of another.
STEPS: Final[Mapping[Verb, tuple[IpvsStep, ...]]] = {
    Verb.ADD: (IpvsStep(is_new=True),),
    Verb.REPLACE: (IpvsStep(),),
    Verb.CHANGE: (IpvsStep(is_removal=True), IpvsStep(is_new=True)),
    Verb.DELETE: (IpvsStep(is_removal=True),),
}


def encode(kind: Kind, step: IpvsStep, slot: Any, member: Any, value: Value) -> bytes:
    """The message of one step for one member."""
    row = ROWS[kind]
    if step.is_removal:
        return row.encode_removal(slot, member)
    return row.encode(row.new if step.is_new else row.set, slot, member, value)
