"""Which link is this gateway on, and how do packets go to this address? The kernel's own answers, by RTM_GETROUTE.

Source: inet_rtm_getroute in net/ipv4/route.c, inet6_rtm_getroute in net/ipv6/route.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from routed.kernel.codec.attributes import HEADER, HEADER_SIZE, REQUEST, attribute, head, message, number, walk
from routed.kernel.codec.route import HEAD, decode_route
from routed.kernel.requests import RequestSocket
from routed.model.facts import GatewayLink, Way
from routed.model.names import LOCAL, UNICAST
from routed.model.net import IPV4, IPV6, family_of, is_inside

_NEW_ROUTE, _GET_ROUTE = 24, 26
_DST, _OIF, _GATEWAY, _PREFSRC, _VIA = 1, 4, 5, 7, 18
# RTM_F_FIB_MATCH: answer with the route itself, as a dump would show it. IPv4 needs RTM_F_LOOKUP_TABLE as well, or says
# that every route is in main; IPv6 refuses that flag, and names the table without.
_FIB_MATCH: Final = {IPV4: 0x2000 | 0x1000, IPV6: 0x2000}
_LINK_LOCAL: Final = bytes.fromhex("fe80") + bytes(14) + bytes((10,))
_ANSWER: Final = 1 << 16  # bytes


def locate(requests: RequestSocket, gateways: Iterable[bytes], own: Mapping[bytes, int]) -> dict[bytes, GatewayLink]:
    """Ask the kernel for each gateway (a packed address). What it cannot reach is absent.

    ``own`` are this host's addresses and their links; such a one is answered from there. A link-local gateway is absent
    too: it may be on every link, and the kernel would just name one. Raises OSError.
    """
    located: dict[bytes, GatewayLink] = {}
    for gateway in gateways:
        if gateway in own:
            located[gateway] = GatewayLink(own[gateway], is_onlink=True)
        elif not _is_link_local(gateway):
            answer = _ask(requests, gateway)
            if answer is not None:
                located[gateway] = answer
    return located


def look_up(requests: RequestSocket, addresses: Iterable[bytes]) -> dict[bytes, Way]:
    """How packets of this host to each address go: link, gateway, source, and the route that is used.

    What is not reached is absent. Raises OSError.
    """
    return {address: way for address in addresses if (way := _find_way(requests, address))}


def _find_way(requests: RequestSocket, address: bytes) -> Way | None:
    answer = _get_route(requests, address, 0)
    type_ = _type_of(answer) if answer else 0
    if type_ not in {UNICAST, LOCAL}:
        return None
    attributes = walk(answer, HEADER_SIZE + HEAD.size, len(answer))
    gateway = attributes.get(_GATEWAY) or attributes.get(_VIA, b"")[2:]
    source, dev = attributes.get(_PREFSRC, b""), number(attributes.get(_OIF, bytes(4)))
    match = _get_route(requests, address, _FIB_MATCH[family_of(address)])
    winner = decode_route(match, 0, len(match)) if match else None
    return Way(dev, gateway, source, type_, winner)


def _ask(requests: RequestSocket, gateway: bytes) -> GatewayLink | None:
    answer = _get_route(requests, gateway, 0)
    if not answer or _type_of(answer) != UNICAST:
        return None
    attributes = walk(answer, HEADER_SIZE + HEAD.size, len(answer))
    return GatewayLink(number(attributes[_OIF]), _GATEWAY not in attributes and _VIA not in attributes)


def _get_route(requests: RequestSocket, address: bytes, flags: int) -> bytes:
    """The kernel's RTM_NEWROUTE, ``b""`` where it has no route."""
    asked = HEAD.pack(family_of(address), len(address) * 8, 0, 0, 0, 0, 0, 0, flags)
    sequence = requests.take_numbers(1)
    requests.ask(message(_GET_ROUTE, REQUEST, sequence, asked + attribute(_DST, address)))
    answer = requests.receive(_ANSWER, sequence)
    requests.conclude()
    length, type_, _, _, _ = HEADER.unpack_from(answer)
    return answer[:length] if type_ == _NEW_ROUTE else b""


def _type_of(answer: bytes) -> int:
    return head(HEAD, answer, HEADER_SIZE, len(answer))[7]


def _is_link_local(gateway: bytes) -> bool:
    return is_inside(gateway, _LINK_LOCAL)
