"""What the entries in force want of rules and tables for one address: for who explains the way of a packet there.

A pure reading of the host, as ``status`` is. Objects are given without loss, in the form of ``model.handover``: who
asks has the kernel's own before it, and compares. Here must never live: which route decides (``core.lookup``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from routed.audit.actors import name_actor
from routed.audit.reasons import describe_reason
from routed.core.desired import Members, Resolution
from routed.core.entries import ENTRIES
from routed.core.kinds import KINDS
from routed.core.troubles import State, Trouble
from routed.daemon.host import Host
from routed.daemon.status import Moment
from routed.model import names
from routed.model.change import Want
from routed.model.handover import HandoverError, ValueCodec, make_codec
from routed.model.net import family_of, is_inside, network_of
from routed.model.objects import Hop, Key, Kind, Member, RouteValue, Value
from routed.model.reasons import Claimed, join_reasons
from routed.model.why_documents import MakerDocument, WantDocument, WantsDocument


class WantedObject(NamedTuple):
    """One object that an entry wants, with its key and its content."""

    key: Key
    value: Value


def describe_wants(host: Host, address: bytes, moment: Moment, config: str) -> WantsDocument:
    """Every route for this address and every rule of its family that an entry wants, and how it stands with them."""
    marks = host.wanted.marks
    wants = [
        WantDocument(
            entry=resolution.entry.name,
            origin=str(resolution.entry.origin),
            state=str(trouble.state),
            reason=describe_reason(trouble.reason),
            since=moment(trouble.since),
            packed=_pack(key, _fill(value, marks.protocol)),
        )
        for resolution, key, value in _list_wanted(host, address)
        for trouble in (_find_trouble(host, resolution, key, value),)
    ]
    return WantsDocument(
        schema="routed.wants/1",
        config=config,
        protocol=marks.protocol,
        protocols=sorted(marks.further),
        former_protocols=sorted(marks.former),
        wants=wants,
        makers=list(_list_makers(host, address)),
        tables={str(number): name for number, name in host.wanted.intent.table_names.items()},
    )


def read_object(packed: dict[str, Any]) -> WantedObject:
    """The object of one of these documents. Raises HandoverError."""
    decode = _make_codec().decode
    try:
        key = Key(Kind(packed["kind"]), decode(packed["slot"]), decode(packed["member"]))
        return WantedObject(key, decode(packed["value"]))
    except (KeyError, TypeError) as error:
        raise HandoverError(f"this is no object: {error}") from None


def _pack(key: Key, value: Value) -> dict[str, Any]:
    encode = _make_codec().encode
    packed: dict[str, Any] = {"kind": str(key.kind)}
    return packed | {"slot": encode(key.slot), "member": encode(key.member), "value": encode(value)}


def _make_codec() -> ValueCodec:
    return make_codec(OBJECT_TYPES)


_Wanted: TypeAlias = tuple[Resolution, Key, Value | None]  # None while the content cannot be known yet

# Which members of a slot are for an address, by the prefixes that hold it. A rule is asked whatever it is for.
_CHOICES: Final[Mapping[Kind, Callable[[Members, Sequence[bytes]], Iterable[tuple[Member, Want]]]]] = {
    Kind.ROUTE: lambda members, prefixes: ((one, want) for one in prefixes if (want := members.get(one))),
    Kind.RULE: lambda members, _prefixes: members.items(),
}
OBJECT_TYPES: Final = tuple(one for kind in _CHOICES for one in KINDS[kind].types)  # that make up such an object


def _list_wanted(host: Host, address: bytes) -> Iterator[_Wanted]:
    """By the index of what is wanted: there may be very many entries, and prefixes in one of them."""
    prefixes = [network_of(address, length) for length in range(len(address) * 8, -1, -1)]
    family, desired = family_of(address), host.wanted.desired
    for kind, choose in _CHOICES.items():
        for slot, members in desired.wants[kind].items():
            if slot.family == family:
                for member, want in choose(members, prefixes):
                    yield desired.resolutions[want.entry.name], Key(kind, slot, member), want.value
    for resolution in desired.resolutions.values():
        if resolution.withheld or resolution.entry.name in desired.clashes:
            yield from _list_beside(host, resolution, family, prefixes)


def _list_beside(host: Host, resolution: Resolution, family: int, prefixes: Sequence[bytes]) -> Iterator[_Wanted]:
    """What an entry would come to if it were not withheld, or what of it another one has."""
    entry, sets = resolution.entry, resolution.sets
    if resolution.withheld:
        sets = ENTRIES[type(entry)].resolve(entry, host.world.facts, entry.protocol or host.wanted.marks.protocol).sets
    for group in sets:
        if group.kind in _CHOICES and group.slot.family == family:
            members = Members()
            members.add(group.members, Want(entry, group.value))
            for member, _ in _CHOICES[group.kind](members, prefixes):
                key = Key(group.kind, group.slot, member)
                want = host.wanted.desired.get(key)
                if want is None or want.entry.name != entry.name:
                    yield resolution, key, group.value


def _fill(value: Value | None, protocol: int) -> Value:
    """The content; of a route whose way is not known yet a hop to nowhere stands for that."""
    return RouteValue(names.UNICAST, protocol, hops=(Hop(0),)) if value is None else value


def _find_trouble(host: Host, resolution: Resolution, key: Key, value: Value | None) -> Trouble:
    """How it stands with one object."""
    name, ledger = resolution.entry.name, host.ledger
    since = ledger.since.get(name, 0.0)
    if resolution.withheld:
        return Trouble(State.WITHHELD, resolution.withheld, since)
    if value is None:
        return Trouble(State.WAITING, join_reasons(one.reason for one in resolution.waiting), since)
    want = host.wanted.desired.get(key)
    if want is not None and want.entry.name != name:
        return Trouble(State.CONFLICT, Claimed(want.entry.name), since)
    known = host.world.find_unread(key.kind, key.slot) or ledger.troubles.get(key) or ledger.shadowed.get(key)
    if known is not None:
        return known
    paused = ledger.holds.find_pause(name)
    if paused is not None:
        return Trouble(State.PAUSED, paused.reason, paused.since)
    return Trouble(State.IN_SYNC, None, since)


def _list_makers(host: Host, address: bytes) -> Iterator[MakerDocument]:
    """Who put there what others have for this address, as far as an event told."""
    for key in host.ledger.makers:
        if key.kind not in _CHOICES or not is_inside(address, KINDS[key.kind].find_place(key.slot, key.member)):
            continue
        cause = host.ledger.find_maker(key)
        who = name_actor(cause.port, cause.process).words if cause else ""
        if who:
            yield MakerDocument(packed=_pack(key, None), who=who)
