"""Which link is this gateway on? The kernel's own answer, one RTM_GETROUTE for each.

Source: inet_rtm_getroute in net/ipv4/route.c, inet6_rtm_getroute in net/ipv6/route.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from socket import socket
from struct import Struct
from typing import Final

from routed.kernel.codec.attributes import HEADER, HEADER_SIZE, REQUEST, attribute, message, number, walk
from routed.model.facts import GatewayLink
from routed.model.names import UNICAST
from routed.model.net import family_of, is_inside

_HEAD: Final = Struct("=BBBBBBBBI")  # struct rtmsg
_NEW_ROUTE, _GET_ROUTE = 24, 26
_DST, _OIF, _GATEWAY, _VIA = 1, 4, 5, 18
_LINK_LOCAL: Final = bytes.fromhex("fe80") + bytes(14) + bytes((10,))
_ANSWER: Final = 1 << 16  # bytes


def locate(requests: socket, gateways: Iterable[bytes], own: Mapping[bytes, int]) -> dict[bytes, GatewayLink]:
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


def _ask(requests: socket, gateway: bytes) -> GatewayLink | None:
    head = _HEAD.pack(family_of(gateway), len(gateway) * 8, 0, 0, 0, 0, 0, 0, 0)
    requests.send(message(_GET_ROUTE, REQUEST, 1, head + attribute(_DST, gateway)))
    answer = requests.recv(_ANSWER)
    length, type_, _, _, _ = HEADER.unpack_from(answer)
    if type_ != _NEW_ROUTE or _HEAD.unpack_from(answer, HEADER_SIZE)[7] != UNICAST:
        return None
    attributes = walk(answer, HEADER_SIZE + _HEAD.size, length)
    return GatewayLink(number(attributes[_OIF]), _GATEWAY not in attributes and _VIA not in attributes)


def _is_link_local(gateway: bytes) -> bool:
    return is_inside(gateway, _LINK_LOCAL)
