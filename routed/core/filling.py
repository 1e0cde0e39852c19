"""Filling: what one member makes of a table with ``for_each``, or of the servers of one.

A member fills some keys, and what it fills is parsed as that key's value. It chooses nothing else: no interface, no
table, no priority. Here must never live: who is a member (``membership``), or what all of them make (``for_each``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any, Final, NamedTuple, TypeAlias

from routed.core.references import is_own_address
from routed.model.entries import (
    AddressEntry,
    EachEntry,
    EachServer,
    Entry,
    HeldVipEntry,
    HopSpec,
    RouteEntry,
    RuleEntry,
    ServerSpec,
    VipEntry,
    Where,
)
from routed.model.facts import Facts
from routed.model.members import FIELD, HEAVIEST, LABEL_FIELD, Member
from routed.model.net import (
    ADDRESS_LENGTH,
    contains,
    family_of,
    format_address,
    format_prefix,
    host_prefix,
    is_inside,
    network_of,
    parse_address,
    parse_prefix,
)
from routed.model.reasons import (
    Detailed,
    Lacking,
    NotAllowed,
    NotFilled,
    OutOfBounds,
    Reason,
)
from routed.model.servers import find_target

MOST_PORT: Final = 65535

# What stands for one thing for each member: a table, or the servers of one.
Each: TypeAlias = EachEntry | EachServer
Filled: TypeAlias = bytes | int  # an address or a prefix, packed; or a number


def _each(one: Any) -> list[str]:
    return [] if one in {None, 0, ""} else [str(one)]


# How the texts of a member are found for what may stand in braces (``model.members.FIELDS``).
TEXTS: Final[dict[str, Callable[[Member], list[str]]]] = {
    "address": lambda member: [format_address(one) for one in _first_of_each(member.addresses)],
    "addresses": lambda member: [format_address(one) for one in member.addresses],
    "prefix": lambda member: [format_prefix(one) for one in _first_of_each(member.prefixes)],
    "prefixes": lambda member: [format_prefix(one) for one in member.prefixes],
    "port": lambda member: _each(member.port),
    "weight": lambda member: [] if member.weight is None else [str(member.weight)],
}


def _first_of_each(packed: Iterable[bytes]) -> Iterator[bytes]:
    """The first of each family."""
    seen: set[int] = set()
    for one in packed:
        if family_of(one) not in seen:
            seen.add(family_of(one))
            yield one


def _find_texts(template: str, member: Member) -> list[str]:
    """What a member makes of a text, one for each of its values."""
    labels = dict(member.labels)
    found = [
        _each(labels.get(name.removeprefix(LABEL_FIELD))) if name.startswith(LABEL_FIELD) else TEXTS[name](member)
        for name in FIELD.findall(template)
    ]
    return [_put_in(template, values) for values in product(*found)]


def _put_in(template: str, values: Iterable[str]) -> str:
    rest = iter(values)
    return FIELD.sub(lambda _: next(rest), template)


def _parse_host(text: str) -> bytes:
    """An address with its length, as a prefix whose host bits may be set."""
    address, _, length = text.partition("/")
    packed = parse_address(address)
    width = len(packed) * 8
    if length and not (length.isdecimal() and int(length) <= width):
        raise ValueError(f'"{text}" is no address with a prefix length')
    return packed + bytes((int(length) if length else width,))


def _parse_number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text[: len(str(most)) + 1]) <= most):
            raise ValueError(f'"{text}" is no number from {least} to {most}')
        return int(text)

    return parse


class FillRow(NamedTuple):
    """How one key of one kind of entry, or of a server, is filled."""

    parse: Callable[[str], Filled]  # raises ValueError
    put: Callable[[Any, tuple[Any, ...]], Any]  # (entry, its values of one family) → the entry
    takes_all: bool = False  # several values are one entry
    is_host: bool = False  # the address of one host, whatever the length of its network
    is_elsewhere: bool = False  # no address of this host
    is_anybody: bool = False  # the gateway of another route may be meant as well
    default: str = ""  # for who has nothing to fill it with; empty: it makes none then


def _put_hop(entry: RouteEntry, values: tuple[bytes, ...]) -> RouteEntry:
    (hop,) = entry.hops or (HopSpec(),)
    return replace(entry, hops=(hop._replace(via=values[0]),))


def _put_to(entry: RouteEntry, values: tuple[bytes, ...]) -> RouteEntry:
    return replace(entry, prefixes={family_of(values[0]): frozenset(values)})


def _put_source(entry: RuleEntry, values: tuple[bytes, ...]) -> RuleEntry:
    return replace(entry, families=(family_of(values[0]),), rule=entry.rule._replace(source=values[0]))


def _put_destination(entry: RuleEntry, values: tuple[bytes, ...]) -> RuleEntry:
    return replace(entry, families=(family_of(values[0]),), rule=entry.rule._replace(destination=values[0]))


def _put_held(entry: AddressEntry, values: tuple[bytes, ...]) -> AddressEntry:
    return replace(entry, address=values[0][:-1], prefixlen=values[0][-1])


# The keys that a member may fill (``model.members.FILLED``).
FILLS: Final[dict[type[Any], dict[str, FillRow]]] = {
    RouteEntry: {
        "to": FillRow(parse_prefix, _put_to, takes_all=True, is_elsewhere=True),
        "via": FillRow(parse_address, _put_hop, is_elsewhere=True),
        "src": FillRow(parse_address, lambda entry, values: replace(entry, src=values[0])),
    },
    RuleEntry: {
        "from": FillRow(parse_prefix, _put_source),
        "to": FillRow(parse_prefix, _put_destination),
    },
    AddressEntry: {"address": FillRow(_parse_host, _put_held, is_host=True)},
    HeldVipEntry: {"address": FillRow(_parse_host, _put_held, is_host=True)},
    VipEntry: {
        "address": FillRow(
            _parse_host, lambda entry, values: replace(entry, prefix=network_of(values[0][:-1], values[0][-1]))
        )
    },
    ServerSpec: {
        "address": FillRow(parse_address, lambda server, values: server._replace(address=values[0]), is_anybody=True),
        "port": FillRow(_parse_number(1, MOST_PORT), lambda server, values: server._replace(port=values[0])),
        "weight": FillRow(
            _parse_number(0, HEAVIEST),
            lambda server, values: server._replace(value=server.value._replace(weight=values[0])),
            default="1",
        ),
    },
}  # fmt: skip


class Made(NamedTuple):
    """What one member makes of a table, or of the servers of one."""

    member: Member
    entries: tuple[Entry, ...] = ()
    lacking: tuple[Reason, ...] = ()  # why it makes no more
    since: int = 0  # see ``Present``
    servers: tuple[ServerSpec, ...] = ()


class Neighbourhood(NamedTuple):
    """What decides beside the members themselves."""

    own: frozenset[bytes]  # addresses that stand for this host
    networks: frozenset[bytes]  # in which it is
    gateways: frozenset[bytes]  # of the routes that the files have beside it


def find_neighbourhood(entries: Iterable[Entry], facts: Facts) -> Neighbourhood:
    """Those of a host, and of the entries that are written."""
    held = facts.addresses.values()
    return Neighbourhood(
        frozenset(fact.address for fact in held if is_own_address(fact, facts)),
        frozenset(network_of(fact.address, fact.prefixlen) for fact in held),
        frozenset(hop.via for entry in entries if isinstance(entry, RouteEntry) for hop in entry.every_hop if hop.via),
    )


def is_meant(member: Member, where: Where, around: Neighbourhood) -> bool:
    """Is this member one of those that the table wants?"""
    if where.is_self is not None and where.is_self is around.own.isdisjoint(member.addresses):
        return False
    if where.on_link is not None:
        is_on_link = any(is_inside(one, network) for one in member.addresses for network in around.networks)
        if is_on_link is not where.on_link:
            return False
    if where.is_ready is not None and where.is_ready is not (member.is_ready and not member.is_terminating):
        return False
    return set(where.labels) <= set(member.labels)


def make_entries(each: EachEntry, member: Member, around: Neighbourhood) -> Made:
    """What one member makes of a table."""
    made, lacking = _fill_all(each, member, around)
    named = (replace(one, name=name_part(each, member.name, number)) for number, one in enumerate(made))
    return Made(member, tuple(named), lacking)


def make_servers(each: EachServer, member: Member, around: Neighbourhood) -> Made:
    """What one member makes of the servers of a service."""
    made, lacking = _fill_all(each, member, around)
    return Made(member, lacking=lacking, servers=tuple(_find_checked(each, server) for server in made))


def _find_checked(each: EachServer, server: ServerSpec) -> ServerSpec:
    """With who is asked by its check."""
    if server.check is None:
        return server
    template, _ = server.check
    target = find_target((server.address, server.port), each.ports, has_port=each.has_port)
    return server._replace(check=(template, target) if target else None)


MAKE: Final[dict[type[Any], Callable[[Any, Member, Neighbourhood], Made]]] = {
    EachEntry: make_entries,
    EachServer: make_servers,
}


def _fill_all(each: Each, member: Member, around: Neighbourhood) -> tuple[list[Any], tuple[Reason, ...]]:
    """All that one member makes, and why it makes no more."""
    if not is_meant(member, each.where, around):
        return [], ()
    lacking: list[Reason] = []
    values: dict[str, list[Filled]] = {fill.key: [] for fill in each.fills}
    rows = FILLS[type(each.body)]
    for fill in each.fills:
        default = rows[fill.key].default
        for text in _find_texts(fill.template, member) or ([default] if default else []):
            value = _read(each, fill.key, text, member, around)
            if isinstance(value, Detailed):
                lacking.append(value)
            elif value not in values[fill.key]:
                values[fill.key].append(value)
    made: list[Any] = []
    for family in each.families:
        of_family = {key: [one for one in found if _is_of(one, family)] for key, found in values.items()}
        if all(of_family.values()):
            made += _fill(each, of_family)
        elif any(one for found in of_family.values() for one in found if isinstance(one, bytes)) and not lacking:
            lacking.append(Lacking(member.name, _find_empty(of_family), family))
    if not (made or lacking):
        family = each.families[0] if len(each.families) == 1 else 0
        lacking.append(Lacking(member.name, _find_empty(values) or each.fills[0].key, family))
    return made, tuple(lacking)


def _is_of(value: Filled, family: int) -> bool:
    """Does it suit this family? A number suits both."""
    return not isinstance(value, bytes) or family_of(value) == family


def _find_empty(values: Mapping[str, list[Filled]]) -> str:
    return next((key for key, found in values.items() if not found), "")


def _read(each: Each, key: str, text: str, member: Member, around: Neighbourhood) -> Filled | Detailed:
    """The value that a text is for a key, or why it cannot be one."""
    row = FILLS[type(each.body)][key]
    try:
        value = row.parse(text)
    except ValueError as error:
        return NotFilled(member.name, key, str(error))
    if not isinstance(value, bytes):
        return value
    host = value[:-1] if row.is_host else find_host(value)
    if not _is_within(host, value, each):
        return OutOfBounds(member.name, key, text)
    if not row.is_anybody and (host in around.gateways or (row.is_elsewhere and host in around.own)):
        return NotAllowed(member.name, host, host in around.own)
    return value


def _is_within(host: bytes, value: bytes, each: Each) -> bool:
    """Does the file allow it? Remote words must never move a default route, nor what others have."""
    prefix = value if len(value) == len(host) + 1 else host_prefix(host) if host else value
    network = network_of(prefix[:-1], prefix[-1])
    bounds = (*each.prefixes_within, *(each.addresses_within if host else ()))
    return any(contains(wide, network) for wide in bounds)


def find_host(value: bytes) -> bytes:
    """The one address that a packed address or prefix is; nothing where it is a network."""
    if len(value) in ADDRESS_LENGTH.values():
        return value
    return value[:-1] if value == host_prefix(value[:-1]) else b""


def _fill(each: Each, values: Mapping[str, list[Filled]]) -> Iterator[Any]:
    rows = FILLS[type(each.body)]
    single = [key for key in values if not rows[key].takes_all]
    for chosen in product(*(values[key] for key in single)):
        entry: Any = each.body
        for key, value in zip(single, chosen, strict=True):
            entry = rows[key].put(entry, (value,))
        for key in values.keys() - set(single):
            entry = rows[key].put(entry, tuple(values[key]))
        yield entry


def name_part(each: EachEntry, member: str, number: int) -> str:
    """What the entry of a member is called: ``route/pods[node2]``, and ``route/pods[node2+2]`` for its second."""
    return f"{each.name}[{member}{f'+{number + 1}' if number else ''}]"
