"""Services of IPVS, their servers, and its timeouts as text, in the words of ``ipvsadm -Ln``, and as JSON.

Here must never live: anything about other kinds (``model.text``, which has a row for each).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routed.model import ipvs
from routed.model.ipvs import (
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
from routed.model.net import ADDRESS_LENGTH, IPV6, format_address, format_endpoint

if TYPE_CHECKING:
    from routed.model.text import Json, Vocabulary


def format_service_key(slot: ServiceSlot, member: ServiceMember, _vocabulary: Vocabulary) -> str:
    """``TCP 10.0.0.1:443``, ``FWM 7``, as ``ipvsadm`` has it."""
    if member.fwmark:
        return f"FWM {member.fwmark}" + (" IPv6" if slot.family == IPV6 else "")
    word = ipvs.IPPROTOS.get(member.ipproto, str(member.ipproto)).upper()
    return f"{word} {format_endpoint(member.address, member.port)}"


def format_service(slot: ServiceSlot, member: ServiceMember, value: ServiceValue, vocabulary: Vocabulary) -> str:
    """``TCP 10.0.0.1:443 rr persistent 10800``."""
    words = [format_service_key(slot, member, vocabulary), value.scheduler]
    words += [",".join(flags)] if (flags := _list_flags(value)) else []
    if value.flags & ipvs.PERSISTENT:
        words += ["persistent", str(value.timeout)]
        if value.prefixlen != ADDRESS_LENGTH[slot.family] * 8:
            words += ["mask", str(value.prefixlen)]
    words += ["pe", value.engine] if value.engine else []
    return " ".join(words)


def service_to_json(
    slot: ServiceSlot, member: ServiceMember, value: ServiceValue | None, vocabulary: Vocabulary
) -> Json:
    """A service with the words of the file."""
    json: Json = _place_to_json(slot.family, member)
    if value is None:
        return json
    json["scheduler"] = value.scheduler
    optional: dict[str, Any] = {
        "flags": _list_flags(value),
        "persistence": value.timeout if value.flags & ipvs.PERSISTENT else 0,
        "persistence_prefix": 0 if value.prefixlen == ADDRESS_LENGTH[slot.family] * 8 else value.prefixlen,
        "persistence_engine": value.engine,
        "others": "keep" if value.is_shared else "",
        "protocol": vocabulary.protocol(value.protocol) if value.protocol else "",
    }
    return json | {name: setting for name, setting in optional.items() if setting}


def format_server_key(slot: ServerSlot, member: ServerMember, vocabulary: Vocabulary) -> str:
    """``TCP 10.0.0.1:443 -> 10.0.0.11:6443``."""
    service = format_service_key(ServiceSlot(slot.family), slot.service, vocabulary)
    return f"{service} -> {format_endpoint(member.address, member.port)}"


def format_server(slot: ServerSlot, member: ServerMember, value: ServerValue, vocabulary: Vocabulary) -> str:
    """``TCP 10.0.0.1:443 -> 10.0.0.11:6443 masq weight 1``."""
    words = [format_server_key(slot, member, vocabulary), ipvs.FORWARDS.get(value.forward, str(value.forward))]
    if value.forward == ipvs.TUNNEL and value.tunnel != ipvs.IPIP:
        words.append(ipvs.TUNNELS.get(value.tunnel, str(value.tunnel)))
    words += ["weight", str(value.weight)]
    words += ["max", str(value.upper)] if value.upper else []
    words += ["min", str(value.lower)] if value.lower else []
    return " ".join(words)


def server_to_json(slot: ServerSlot, member: ServerMember, value: ServerValue | None, vocabulary: Vocabulary) -> Json:
    """A server with the words of the file, and the service that it is of."""
    json: Json = {
        "service": _place_to_json(slot.family, slot.service),
        "address": format_address(member.address),
        "port": member.port,
    }
    if value is None:
        return json
    json |= {"forward": ipvs.FORWARDS.get(value.forward, value.forward), "weight": value.weight}
    optional: dict[str, Any] = {
        "max_connections": value.upper,
        "min_connections": value.lower,
        "tunnel": ipvs.TUNNELS.get(value.tunnel, value.tunnel) if value.forward == ipvs.TUNNEL else "",
        "tunnel_port": value.tunnel_port,
        "tunnel_flags": value.tunnel_flags,
        "protocol": vocabulary.protocol(value.protocol) if value.protocol else "",
    }
    return json | {name: setting for name, setting in optional.items() if setting}


def format_timeout_key(_slot: TimeoutSlot, member: TimeoutMember, _vocabulary: Vocabulary) -> str:
    """``tcp_fin``, as the file has it."""
    return member.word


def format_timeout(_slot: TimeoutSlot, member: TimeoutMember, value: TimeoutValue, _vocabulary: Vocabulary) -> str:
    """``tcp_fin 120s``."""
    return f"{member.word} {value.seconds}s"


def timeout_to_json(
    _slot: TimeoutSlot, member: TimeoutMember, value: TimeoutValue | None, vocabulary: Vocabulary
) -> Json:
    """A timeout in seconds."""
    json: Json = {"connections": member.word}
    if value is None:
        return json
    json["timeout"] = value.seconds
    return json | ({"protocol": vocabulary.protocol(value.protocol)} if value.protocol else {})


def _place_to_json(family: int, member: ServiceMember) -> Json:
    if member.fwmark:
        return {"fwmark": member.fwmark, "family": "ipv6" if family == IPV6 else "ipv4"}
    ipproto = ipvs.IPPROTOS.get(member.ipproto, member.ipproto)
    return {"ipproto": ipproto, "address": format_address(member.address), "port": member.port}


def _list_flags(value: ServiceValue) -> list[str]:
    """By the words of the file; those of schedulers that have no words for them as ``ipvsadm`` counts them."""
    first, second = ("fallback", "port") if value.scheduler in ipvs.HASHING else ("flag-1", "flag-2")
    named = {
        ipvs.SCHEDULER_1: first, ipvs.SCHEDULER_2: second, ipvs.SCHEDULER_3: "flag-3", ipvs.ONE_PACKET: "one-packet"
    }  # fmt: skip
    return [word for bit, word in named.items() if value.flags & bit]
