"""Services of IPVS, and its timeouts, as the TOML that an operator would have written for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routed.intent.exporting import Surroundings, UnspeakableError
from routed.model import ipvs, net
from routed.model.entries import Enforce, Origin, ServiceEntry
from routed.model.ipvs import (
    ServerMember,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    TimeoutMember,
    TimeoutSlot,
    TimeoutValue,
)
from routed.model.net import IPV6
from routed.model.objects import Key, Kind, Standing
from routed.model.text import Vocabulary, format_key


def export_service(
    slot: ServiceSlot,
    value: ServiceValue,
    members: Sequence[ServiceMember],
    around: Surroundings,
) -> dict[str, Any]:
    """A service with its servers, of which the most usual way of packets is that of the service."""
    (member,), servers = members, around.parts
    forwards = [one.value.forward for one in servers if one.value.forward in ipvs.FORWARDS]
    forward = max(forwards, key=forwards.count, default=ipvs.MASQ)
    tunnel = next((_form_of(one) for one in servers if one.value.forward == ipvs.TUNNEL), (ipvs.IPIP, 0, 0))
    flags = [word for word, bit in ipvs.FLAG_WORDS.items() if value.flags & bit]
    listen = net.format_endpoint(member.address, member.port) if member.address else None
    ipproto = "" if member.ipproto == ipvs.TCP else f"/{ipvs.IPPROTOS.get(member.ipproto, member.ipproto)}"
    table = {
        "listen": listen and listen + ipproto,
        "fwmark": member.fwmark or None,
        "family": "ipv6" if member.fwmark and slot.family == IPV6 else None,
        "scheduler": value.scheduler,
        "flags": flags or None,
        "persistence": f"{value.timeout}s" if value.flags & ipvs.PERSISTENT else None,
        "persistence_prefix": _persistence_prefix(slot, value),
        "persistence_engine": value.engine or None,
        "forward": ipvs.FORWARDS[forward] if forward != ipvs.MASQ else None,
        "tunnel": _tunnel(*tunnel),
        "servers": [_server(one, member, forward, tunnel) for one in servers],
    }
    _read_back({word: item for word, item in table.items() if item is not None}, slot, member, value, servers)
    return table


def _convert(table: dict[str, Any]) -> ServiceEntry:
    """What the file would make of a table. Raises UnspeakableError where it does not take it."""
    from routed.intent.complaints import validate  # noqa: PLC0415  only hosts with services pay for all this
    from routed.intent.convert import FaultsError, OtherFiles  # noqa: PLC0415
    from routed.intent.names import Names  # noqa: PLC0415
    from routed.intent.schema_service import ServiceTable  # noqa: PLC0415
    from routed.intent.service_table import convert_service  # noqa: PLC0415

    spec = validate(ServiceTable, table)
    if isinstance(spec, tuple):
        raise UnspeakableError(f"the file does not take it: {spec[0].message}")
    head = {"name": "", "origin": Origin("", 1), "enforce": Enforce.REPAIR, "on_conflict": None}
    try:
        entry = convert_service(head, spec, OtherFiles(Names({}, {}, {}), lambda _: None)).entry
    except FaultsError as error:
        raise UnspeakableError(f"the file does not take it: {error.faults[0].message}") from None
    assert isinstance(entry, ServiceEntry)
    return entry


def _read_back(
    table: dict[str, Any], slot: ServiceSlot, member: ServiceMember, value: ServiceValue, servers: Sequence[Standing]
) -> None:
    """The kernel takes more than the file does. Raises UnspeakableError where the file would not make just this."""
    entry = _convert(table)
    (listen,) = entry.listens
    width = net.ADDRESS_LENGTH[slot.family] * 8
    made = {(one.address, one.port or listen.port): one.value for one in entry.servers}
    parts = {
        "flags": (entry.flags, value.flags),
        "persistence": (
            (entry.timeout, entry.prefixlen or width, entry.engine),
            (value.timeout, value.prefixlen, value.engine)
            if value.flags & ipvs.PERSISTENT
            else (0, width, value.engine),
        ),
        "place": (
            (listen.family or net.family_of(listen.address), listen.ipproto, listen.port),
            (slot.family, member.ipproto, member.port),
        ),
        "servers": (made, {one.member: one.value._replace(protocol=0) for one in servers}),
    }
    for what, (written, standing) in parts.items():
        if written != standing:
            raise UnspeakableError(f"the file has no words for its {what}")


def _persistence_prefix(slot: ServiceSlot, value: ServiceValue) -> int | None:
    width = net.ADDRESS_LENGTH[slot.family] * 8
    return value.prefixlen if value.flags & ipvs.PERSISTENT and value.prefixlen != width else None


def _tunnel(type_: int, port: int, flags: int) -> dict[str, Any] | None:
    table = {
        "type": ipvs.TUNNELS.get(type_, str(type_)) if type_ else None,
        "port": port or None,
        "checksum": bool(flags & ipvs.CHECKSUM),
        "remote_checksum": bool(flags & ipvs.REMOTE_CHECKSUM),
    }
    return {word: item for word, item in table.items() if item} or None


def _form_of(standing: Standing) -> tuple[int, int, int]:
    value = standing.value
    return value.tunnel, value.tunnel_port, value.tunnel_flags


def _server(standing: Standing, service: ServiceMember, forward: int, tunnel: tuple[int, ...]) -> str | dict[str, Any]:
    member, value = standing.member, standing.value
    assert isinstance(member, ServerMember)
    if value.forward not in ipvs.FORWARDS:
        raise UnspeakableError(f"one of its servers has the forward {value.forward}, which the file has no word for")
    if value.forward == ipvs.TUNNEL and _form_of(standing) != tunnel:
        raise UnspeakableError("its servers have tunnels of several forms")
    port = 0 if value.forward != ipvs.MASQ or not service.address else member.port
    address = net.format_endpoint(member.address, port)
    table = {
        "weight": value.weight if value.weight != 1 else None,
        "max_connections": value.upper or None,
        "min_connections": value.lower or None,
        "forward": ipvs.FORWARDS[value.forward] if value.forward != forward else None,
    }
    more = {word: item for word, item in table.items() if item is not None}
    return {"address": address, **more} if more else address


def describe_service(slot: ServiceSlot, members: Sequence[ServiceMember]) -> str:
    """What it is called where it is left out."""
    return f"service {format_key(Key(Kind.SERVICE, slot, members[0]), Vocabulary())}"


def export_timeout(
    _slot: TimeoutSlot, value: TimeoutValue, members: Sequence[TimeoutMember], _around: Surroundings
) -> dict[str, Any] | None:
    """A timeout that is not the kernel's own."""
    (member,) = members
    if value.seconds == ipvs.TIMEOUTS[member.word]:
        return None
    if not 1 <= value.seconds <= ipvs.LONGEST_TIMEOUT:
        raise UnspeakableError(f"the file does not take {value.seconds}s")
    return {"timeouts": {member.word: f"{value.seconds}s"}}


def describe_timeout(_slot: TimeoutSlot, members: Sequence[TimeoutMember]) -> str:
    """What it is called where it is left out."""
    return f"timeout {members[0].word}"
