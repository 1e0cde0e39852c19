"""Services and servers as the genl family IPVS writes them, both ways.

What is read is brought to one form: no flag of the kernel's own, timeout and prefix length only where there is
persistence, a tunnel only where packets go through one. What is sent names every attribute, since SET takes an absent
one for zero. Here must never live: a socket, a claim, what an errno means.

Sources: include/uapi/linux/ip_vs.h; ip_vs_genl_parse_service, ip_vs_genl_fill_service, ip_vs_genl_dump_dest in
net/netfilter/ipvs/ip_vs_ctl.c. Numbers are in host order unless they are named as big-endian.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from sys import byteorder
from typing import Final, NamedTuple, TypeAlias

from routed.kernel.codec.attributes import (
    HEADER_SIZE,
    MalformedMessage,
    attribute,
    attribute_text,
    attribute_u32,
    number,
    text,
    walk,
)
from routed.model.ipvs import (
    IPIP,
    KNOWN_FLAGS,
    PERSISTENT,
    TUNNEL,
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    Traffic,
)
from routed.model.net import ADDRESS_LENGTH, FAMILY_OF_LENGTH, IPV4

# Commands. FLUSH (17) takes the services of everybody, and nothing here sends it.
NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE = 1, 2, 3, 4
NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = 5, 6, 7, 8
SET_CONFIG, GET_CONFIG = 12, 13

_HEAD: Final = Struct("=BBH")  # struct genlmsghdr: command, version, reserved
_VERSION: Final = 1
_NESTED: Final = 0x8000  # NLA_F_NESTED
_SERVICE, _DEST = 1, 2  # IPVS_CMD_ATTR_*
_TIMEOUTS: Final = (4, 5, 6)  # TCP, TCP after FIN, UDP

_AF, _IPPROTO, _ADDR, _PORT, _FWMARK, _SCHEDULER, _FLAGS, _TIMEOUT, _NETMASK, _STATS, _ENGINE, _STATS64 = range(1, 13)
_FLAGS_MASK: Final = Struct("=II")  # struct ip_vs_flags: the flags, and those of them that are meant
_EVERY_FLAG: Final = 0xFFFFFFFF
_PORT_NUMBER: Final = Struct("!H")
_NUMBER: Final = Struct("=H")
_MASK: Final = Struct("!I")

_D_ADDR, _D_PORT, _D_FORWARD, _D_WEIGHT, _D_UPPER, _D_LOWER, _D_ACTIVE, _D_INACTIVE, _D_PERSISTENT = range(1, 10)
_D_STATS, _D_AF, _D_STATS64, _D_TUNNEL, _D_TUNNEL_PORT, _D_TUNNEL_FLAGS = range(10, 16)
_FORWARD_MASK: Final = 7  # IP_VS_CONN_F_FWD_MASK

_CONNECTIONS, _BYTES_IN, _BYTES_OUT, _RATE = 1, 4, 5, 6  # IPVS_STATS_ATTR_*

Attributes: TypeAlias = dict[int, bytes]


class Timeouts(NamedTuple):
    """After how many seconds the kernel forgets a connection, in one network namespace; 0 leaves one as it is."""

    tcp: int = 0
    tcp_fin: int = 0
    udp: int = 0


# --- requests ---------------------------------------------------------------------------------------------------------


def _request(command: int, attributes: bytes = b"") -> bytes:
    return _HEAD.pack(command, _VERSION, 0) + attributes


def _nest(type_: int, attributes: bytes) -> bytes:
    return attribute(type_ | _NESTED, attributes)


def _service_key(family: int, member: ServiceMember) -> bytes:
    """The attributes by which the kernel finds a service."""
    head = attribute(_AF, _NUMBER.pack(family))
    if member.fwmark:
        return head + attribute_u32(_FWMARK, member.fwmark)
    return (
        head
        + attribute(_IPPROTO, _NUMBER.pack(member.ipproto))
        + attribute(_ADDR, member.address.ljust(16, b"\0"))
        + attribute(_PORT, _PORT_NUMBER.pack(member.port))
    )


def encode_service(command: int, slot: ServiceSlot, member: ServiceMember, value: ServiceValue) -> bytes:
    """NEW_SERVICE or SET_SERVICE, with everything that the value says."""
    value = normalise_service(slot.family, value)
    parts = [_service_key(slot.family, member), attribute_text(_SCHEDULER, value.scheduler)]
    if value.engine:  # an absent one takes the engine away
        parts.append(attribute_text(_ENGINE, value.engine))
    parts += (
        attribute(_FLAGS, _FLAGS_MASK.pack(value.flags, _EVERY_FLAG)),
        attribute_u32(_TIMEOUT, value.timeout),
        attribute(_NETMASK, _encode_length(slot.family, value.prefixlen)),
    )
    return _request(command, _nest(_SERVICE, b"".join(parts)))


def encode_service_key(command: int, slot: ServiceSlot | ServerSlot, member: ServiceMember) -> bytes:
    """DEL_SERVICE, GET_SERVICE of one, or GET_DEST: by the key alone."""
    return _request(command, _nest(_SERVICE, _service_key(slot.family, member)))


def encode_services_request() -> bytes:
    """GET_SERVICE for a dump of all services of both families."""
    return _request(GET_SERVICE)


def _server_key(member: ServerMember) -> bytes:
    family = FAMILY_OF_LENGTH[len(member.address)]
    return (
        attribute(_D_AF, _NUMBER.pack(family))
        + attribute(_D_ADDR, member.address.ljust(16, b"\0"))
        + attribute(_D_PORT, _PORT_NUMBER.pack(member.port))
    )


def encode_server(command: int, slot: ServerSlot, member: ServerMember, value: ServerValue) -> bytes:
    """NEW_DEST or SET_DEST, with everything that the value says."""
    value = normalise_server(value)
    server = (
        _server_key(member),
        attribute_u32(_D_FORWARD, value.forward),
        attribute_u32(_D_WEIGHT, value.weight),
        attribute(_D_TUNNEL, bytes((value.tunnel,))),
        attribute(_D_TUNNEL_PORT, _PORT_NUMBER.pack(value.tunnel_port)),
        attribute(_D_TUNNEL_FLAGS, _NUMBER.pack(value.tunnel_flags)),
        attribute_u32(_D_UPPER, value.upper),
        attribute_u32(_D_LOWER, value.lower),
    )
    service = _nest(_SERVICE, _service_key(slot.family, slot.service))
    return _request(command, service + _nest(_DEST, b"".join(server)))


def encode_server_removal(slot: ServerSlot, member: ServerMember) -> bytes:
    """DEL_DEST: by the keys alone."""
    service = _nest(_SERVICE, _service_key(slot.family, slot.service))
    return _request(DEL_DEST, service + _nest(_DEST, _server_key(member)))


def encode_timeouts(timeouts: Timeouts) -> bytes:
    """SET_CONFIG."""
    parts = zip(_TIMEOUTS, timeouts, strict=True)
    return _request(SET_CONFIG, b"".join(attribute_u32(type_, seconds) for type_, seconds in parts))


def encode_timeouts_request() -> bytes:
    """GET_CONFIG."""
    return _request(GET_CONFIG)


# --- answers ----------------------------------------------------------------------------------------------------------


def _open(data: bytes, start: int, end: int, nest: int) -> Attributes:
    """The attributes of one nest of a message, from its netlink header at ``start``."""
    payload = _take(walk(data, start + HEADER_SIZE + _HEAD.size, end), nest)
    return walk(payload, 0, len(payload))


def open_service(data: bytes, start: int, end: int) -> Attributes:
    """The attributes of the service in one message. Raises MalformedMessage."""
    return _open(data, start, end, _SERVICE)


def open_server(data: bytes, start: int, end: int) -> Attributes:
    """The attributes of the server in one message. Raises MalformedMessage."""
    return _open(data, start, end, _DEST)


def decode_service(attributes: Attributes) -> tuple[ServerSlot, ServiceValue]:
    """Which service it is, and its content without an owner. Raises MalformedMessage."""
    place = decode_service_key(attributes)
    flags = _take(attributes, _FLAGS)
    if len(flags) != _FLAGS_MASK.size:
        raise MalformedMessage(f"flags of {len(flags)} bytes")
    value = ServiceValue(
        protocol=0,
        scheduler=text(_take(attributes, _SCHEDULER)),
        flags=_FLAGS_MASK.unpack(flags)[0],
        timeout=number(_take(attributes, _TIMEOUT)),
        prefixlen=_decode_length(place.family, _take(attributes, _NETMASK)),
        engine=text(attributes.get(_ENGINE, b"")),
    )
    return place, normalise_service(place.family, value)


def decode_service_key(attributes: Attributes) -> ServerSlot:
    """Which service is meant. Raises MalformedMessage."""
    family = number(_take(attributes, _AF), 2)
    if family not in ADDRESS_LENGTH:
        raise MalformedMessage(f"a service of family {family}")
    return ServerSlot(family, _decode_service_key(family, attributes))


def _decode_service_key(family: int, attributes: Attributes) -> ServiceMember:
    if _FWMARK in attributes:
        return ServiceMember(fwmark=number(attributes[_FWMARK]))
    return ServiceMember(
        number(_take(attributes, _IPPROTO), 2),
        _decode_address(family, _take(attributes, _ADDR)),
        _decode_port(_take(attributes, _PORT)),
    )


def decode_server_key(attributes: Attributes, family: int) -> ServerMember:
    """Which server of a service of this family is meant. Raises MalformedMessage."""
    if _D_AF in attributes:  # before Linux 3.18 it is that of the service
        family = number(attributes[_D_AF], 2)
    if family not in ADDRESS_LENGTH:
        raise MalformedMessage(f"a server of family {family}")
    return ServerMember(_decode_address(family, _take(attributes, _D_ADDR)), _decode_port(_take(attributes, _D_PORT)))


def decode_server(attributes: Attributes, family: int) -> tuple[ServerMember, ServerValue]:
    """A server of a service of this family, and its content without an owner. Raises MalformedMessage."""
    member = decode_server_key(attributes, family)
    needed = (_take(attributes, type_) for type_ in (_D_FORWARD, _D_WEIGHT, _D_UPPER, _D_LOWER))
    optional = (attributes.get(type_, default) for type_, default in _OPTIONAL)
    return member, _decode_content(*needed, *optional)


_OPTIONAL: Final = ((_D_TUNNEL, b"\0"), (_D_TUNNEL_PORT, b"\0\0"), (_D_TUNNEL_FLAGS, b"\0\0"))  # not of old kernels


@lru_cache(maxsize=1024)
def _decode_content(
    forward: bytes, weight: bytes, upper: bytes, lower: bytes, tunnel: bytes, tunnel_port: bytes, tunnel_flags: bytes
) -> ServerValue:
    """One value for all servers that are alike, of which there may be thousands."""
    value = ServerValue(
        protocol=0,
        forward=number(forward) & _FORWARD_MASK,
        weight=number(weight),
        upper=number(upper),
        lower=number(lower),
        tunnel=number(tunnel, 1),
        tunnel_port=_decode_port(tunnel_port),
        tunnel_flags=number(tunnel_flags, 2),
    )
    return normalise_server(value)


def decode_service_traffic(attributes: Attributes) -> Traffic:
    """What is counted of a service, without its connections of the moment: those are counted of its servers."""
    counts = _open_counts(attributes.get(_STATS64) or attributes.get(_STATS, b""))
    return Traffic(
        connections=counts.get(_CONNECTIONS, 0),
        rate=counts.get(_RATE, 0),
        bytes_in=counts.get(_BYTES_IN, 0),
        bytes_out=counts.get(_BYTES_OUT, 0),
    )


def decode_server_traffic(attributes: Attributes) -> Traffic:
    """What is counted of a server."""
    counts = _open_counts(attributes.get(_D_STATS64) or attributes.get(_D_STATS, b""))
    return Traffic(
        active=number(attributes.get(_D_ACTIVE, bytes(4))),
        inactive=number(attributes.get(_D_INACTIVE, bytes(4))),
        persistent=number(attributes.get(_D_PERSISTENT, bytes(4))),
        connections=counts.get(_CONNECTIONS, 0),
        rate=counts.get(_RATE, 0),
        bytes_in=counts.get(_BYTES_IN, 0),
        bytes_out=counts.get(_BYTES_OUT, 0),
    )


def decode_timeouts(data: bytes, start: int, end: int) -> Timeouts:
    """The answer to GET_CONFIG. Raises MalformedMessage."""
    attributes = walk(data, start + HEADER_SIZE + _HEAD.size, end)
    return Timeouts(*(number(attributes.get(type_, bytes(4))) for type_ in _TIMEOUTS))


def _open_counts(payload: bytes) -> dict[int, int]:
    """The counters of one nest: of 32 bits each in STATS but for the bytes, of 64 in STATS64."""
    return {type_: int.from_bytes(one, byteorder) for type_, one in walk(payload, 0, len(payload)).items()}


# --- the form ---------------------------------------------------------------------------------------------------------


def normalise_service(family: int, value: ServiceValue) -> ServiceValue:
    """As it is compared: the kernel keeps a timeout and a netmask without persistence too, and uses neither."""
    flags = value.flags & KNOWN_FLAGS
    if flags & PERSISTENT:
        return value if flags == value.flags else value._replace(flags=flags)
    return value._replace(flags=flags, timeout=0, prefixlen=8 * ADDRESS_LENGTH[family])


def normalise_server(value: ServerValue) -> ServerValue:
    """As it is compared: what is said of a tunnel that no packet goes through is nothing."""
    if value.forward == TUNNEL:
        return value
    return value._replace(tunnel=IPIP, tunnel_port=0, tunnel_flags=0)


_NO_LENGTH: Final = -1  # of a mask of others with holes, which no prefix length says: it is never as wanted


def _encode_length(family: int, length: int) -> bytes:
    """A prefix length as NETMASK: of IPv4 a big-endian mask, of IPv6 the length itself."""
    if family == IPV4:
        return _MASK.pack(_EVERY_FLAG << (32 - length) & _EVERY_FLAG)
    return length.to_bytes(4, byteorder)


def _decode_length(family: int, payload: bytes) -> int:
    if len(payload) != _MASK.size:
        raise MalformedMessage(f"a netmask of {len(payload)} bytes")
    if family != IPV4:
        return int.from_bytes(payload, byteorder)
    length = int.from_bytes(payload, "big").bit_count()
    return length if _encode_length(IPV4, length) == payload else _NO_LENGTH


def _take(attributes: Attributes, type_: int) -> bytes:
    payload = attributes.get(type_)
    if payload is None:
        raise MalformedMessage(f"attribute {type_} is missing")
    return payload


def _decode_address(family: int, payload: bytes) -> bytes:
    width = ADDRESS_LENGTH[family]
    if len(payload) < width:
        raise MalformedMessage(f"an address of {width} bytes has {len(payload)}")
    return payload[:width]


def _decode_port(payload: bytes) -> int:
    if len(payload) != _PORT_NUMBER.size:
        raise MalformedMessage(f"a port of {len(payload)} bytes")
    port: int = _PORT_NUMBER.unpack(payload)[0]
    return port
