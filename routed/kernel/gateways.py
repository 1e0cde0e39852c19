"""Which link is this gateway on, and how do packets go to this address? The kernel's own answers, by RTM_GETROUTE.

Source: inet_rtm_getroute in net/ipv4/route.c, inet6_rtm_getroute in net/ipv6/route.c.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from routed.kernel.codec.attributes import HEADER, HEADER_SIZE, REQUEST, attribute, head, message, number, walk
from routed.kernel.codec.route import HEAD, decode_route
from routed.kernel.requests import RequestSocket
from routed.model.facts import GatewayLink, Way
from routed.model.names import LOCAL, TABLE_MAIN, UNICAST
from routed.model.net import IPV4, IPV6, family_of, is_inside

_NEW_ROUTE, _GET_ROUTE = 24, 26
_DST, _OIF, _GATEWAY, _PREFSRC, _TABLE, _VIA = 1, 4, 5, 7, 15, 18
# RTM_FFIB_MATCH: answer with the route itself, as a dump would show it. IPv4 needs RTM_F_LOOKUP_TABLE as well, or says
# that every route is in main; IPv6 refuses that flag, and names the table without.
FIB_MATCH: Final = {IPV4: 0x2000 | 0x1000, IPV6: 0x2000}
# RTM_F_LOOKUP_TABLE: name the table that decided; IPv6 always does.
_LOOKUP_TABLE: Final = {IPV4: 0x1000, IPV6: 0}
_MOST_LINKS: Final = 64  # that are asked for one by one
_LINK_LOCAL: Final = bytes.fromhex("fe80") + bytes(14) + bytes((10,))
_ANSWER: Final = 1 << 16  # bytes


def locate(
    requests: RequestSocket,
    gateways: Iterable[bytes],
    own: Mapping[bytes, int],
    links: Collection[int],
    before: Mapping[bytes, int],
) -> dict[bytes, GatewayLink]:
    """Ask the kernel for each gateway (a packed address). What it cannot reach is absent.

    ``own`` are this host's addresses and their links; such a one is answered from there. A link-local gateway is absent
    too: it may be on every link, and the kernel would just name one.

    Where a gateway is is a matter of table main. A tunnel with a default route, and a rule that leads everything into
    its table, makes every address look on-link. So where another table answers, each of ``links`` is asked for: with an
    interface in the question a route that leads elsewhere does not fit (fib_table_lookup in net/ipv4/fib_trie.c,
    rt6_device_match in net/ipv6/route.c), and table main has its turn. ``before`` says on which link gateways were: one
    that can still be there is not looked for elsewhere. Raises OSError.
    """
    located: dict[bytes, GatewayLink] = {}
    for gateway in gateways:
        if gateway in own:
            located[gateway] = GatewayLink(own[gateway], is_onlink=True)
        elif (former := before.get(gateway)) and (held := _find_in_main(requests, gateway, [former])):
            located[gateway] = held
        elif not _is_link_local(gateway):
            answer = _ask(requests, gateway)
            if answer is None:
                continue
            where = answer.where if answer.table == TABLE_MAIN else _find_in_main(requests, gateway, links)
            if where is not None:
                located[gateway] = where
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
    match = _get_route(requests, address, FIB_MATCH[family_of(address)])
    winner = decode_route(match, 0, len(match)) if match else None
    return Way(dev, gateway, source, type_, winner)


class _Answer(NamedTuple):
    where: GatewayLink
    table: int  # that decided; 0 where the kernel took the link for granted


def _ask(requests: RequestSocket, gateway: bytes, dev: int = 0) -> _Answer | None:
    answer = _get_route(requests, gateway, _LOOKUP_TABLE[family_of(gateway)], dev)
    if not answer or _type_of(answer) != UNICAST:
        return None
    attributes = walk(answer, HEADER_SIZE + HEAD.size, len(answer))
    is_onlink = _GATEWAY not in attributes and _VIA not in attributes
    return _Answer(GatewayLink(number(attributes[_OIF]), is_onlink), number(attributes[_TABLE]))


def _find_in_main(requests: RequestSocket, gateway: bytes, links: Collection[int]) -> GatewayLink | None:
    """Where table main has it on-link though another table answers first."""
    for dev in links if len(links) <= _MOST_LINKS else ():
        answer = _ask(requests, gateway, dev)
        if answer is not None and answer.table == TABLE_MAIN and answer.where.is_onlink:
            return answer.where
    return None


def _get_route(requests: RequestSocket, address: bytes, flags: int, dev: int = 0) -> bytes:
    """The kernel's RTM_NEWROUTE, ``b""`` where it has no route."""
    asked = HEAD.pack(family_of(address), len(address) * 8, 0, 0, 0, 0, 0, 0, flags)
    by_link = attribute(_OIF, dev.to_bytes(4, sys.byteorder)) if dev else b""
    sequence = requests.take_numbers(1)
    requests.ask(message(_GET_ROUTE, REQUEST, sequence, asked + attribute(_DST, address) + by_link))
    answer = requests.receive(_ANSWER, sequence)
    requests.conclude()
    length, type_, _, _, _ = HEADER.unpack_from(answer)
    return answer[:length] if type_ == _NEW_ROUTE else b""


def _type_of(answer: bytes) -> int:
    return head(HEAD, answer, HEADER_SIZE, len(answer))[7]


def _is_link_local(gateway: bytes) -> bool:
    return is_inside(gateway, _LINK_LOCAL)
