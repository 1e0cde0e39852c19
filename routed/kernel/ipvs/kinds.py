"""The kinds of IPVS: how each is listed and asked for, and what is refused of it. One row a kind.

Here must never live: a socket, or when something is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from errno import ENOENT, ESRCH
from functools import lru_cache
from typing import Any, Final, NamedTuple

from routed.kernel.ipvs import codec
from routed.kernel.ipvs.claims import Claims
from routed.kernel.ipvs.refusals import (
    MISLED,
    explain_server,
    explain_service,
    find_server_fault,
    find_service_fault,
    is_misled,
)
from routed.kernel.ipvs.survey import SeenService, Survey
from routed.model.change import Verb
from routed.model.ipvs import ServerMember, ServerSlot, ServerValue, ServiceMember, ServiceSlot, ServiceValue
from routed.model.objects import Kind, Standing, Value

GONE: Final = frozenset({ENOENT, ESRCH})  # of a removal these mean "done"


class IpvsRow(NamedTuple):
    """What is needed to read and change objects of one kind."""

    list: Callable[[Claims, ServerSlot, SeenService], Iterator[Standing]]  # what there is of a service
    find_fault: Callable[[Survey, Claims, Any, Any, Any], str]  # (…, slot, member, value) → what would be swallowed
    new: int  # commands
    set: int
    encode: Callable[[int, Any, Any, Any], bytes]  # (command, slot, member, value)
    encode_removal: Callable[[Any, Any], bytes]  # (slot, member)
    explain: Callable[[int, Any, Any, Any], str]  # (errno, slot, member, value)
    form: Callable[[Any, Any], Value]  # (slot, value) → what of it is sent


class IpvsStep(NamedTuple):
    """One message for each member of an operation."""

    is_removal: bool = False
    is_new: bool = False


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


ROWS: Final[Mapping[Kind, IpvsRow]] = {
    Kind.SERVICE: IpvsRow(
        list_service,
        _find_service_fault,
        codec.NEW_SERVICE,
        codec.SET_SERVICE,
        codec.encode_service,
        lambda slot, member: codec.encode_service_key(codec.DEL_SERVICE, slot, member),
        explain_service,
        lambda slot, value: codec.normalise_service(slot.family, value)._replace(protocol=0, is_shared=False),
    ),
    Kind.SERVER: IpvsRow(
        list_servers,
        _find_server_fault,
        codec.NEW_DEST,
        codec.SET_DEST,
        codec.encode_server,
        codec.encode_server_removal,
        explain_server,
        lambda _slot, value: codec.normalise_server(value)._replace(protocol=0),
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
