"""Services of IPVS as the TOML that an operator would have written for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routed.intent.exporting import Surroundings, UnspeakableError
from routed.model import ipvs, net
from routed.model.ipvs import ServerMember, ServiceMember, ServiceSlot, ServiceValue
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
    has_words = value.scheduler in ipvs.HASHING or not {"fallback", "port"} & set(flags)
    is_known = not value.flags & ~(sum(ipvs.FLAG_WORDS.values()) | ipvs.PERSISTENT)
    if not (has_words and is_known) or value.scheduler == "none":
        raise UnspeakableError("it carries a flag or a scheduler that the file has no word for")
    listen = net.format_endpoint(member.address, member.port) if member.address else None
    ipproto = "" if member.ipproto == ipvs.TCP else f"/{ipvs.IPPROTOS.get(member.ipproto, member.ipproto)}"
    return {
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


def _persistence_prefix(slot: ServiceSlot, value: ServiceValue) -> int | None:
    width = net.ADDRESS_LENGTH[slot.family] * 8
    return value.prefixlen if value.flags & ipvs.PERSISTENT and value.prefixlen != width else None


def _tunnel(type_: int, port: int, flags: int) -> dict[str, Any] | None:
    table = {
        "type": ipvs.TUNNELS[type_] if type_ else None,
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
