"""What an IPIP link has beyond any link (IFLA_IPTUN_* in its IFLA_INFO_DATA), both ways.

Whatever the file has no word for is named as none in each request, so that a change in place takes it away as well:
what a request leaves out the kernel keeps of some, and forgets of others.

Source: include/uapi/linux/if_tunnel.h; ipip_fill_info, ipip_netlink_parms and ipip_changelink in net/ipv4/ipip.c;
ip_tunnel_netlink_parms in net/ipv4/ip_tunnel_core.c; ip_tunnel_update in net/ipv4/ip_tunnel.c.
"""

from __future__ import annotations

from typing import Final

from routed.kernel.codec.attributes import address, attribute, number, raw, walk
from routed.model.objects import Ipip

_LINK, _LOCAL, _REMOTE, _TTL, _TOS, _PROTO, _PMTUDISC = 1, 2, 3, 4, 5, 9, 10
_ENCAP_TYPE, _ENCAP_FLAGS, _ENCAP_SPORT, _ENCAP_DPORT, _COLLECT_METADATA, _FWMARK = 15, 16, 17, 18, 19, 20
_ANY: Final = bytes(4)
_BYTE: Final = 1

_NOTHING_ELSE: Final = b"".join(
    attribute(type_, bytes(size))
    for type_, size in (
        (_LINK, 4),
        (_TOS, 1),
        (_ENCAP_TYPE, 2),
        (_ENCAP_FLAGS, 2),
        (_ENCAP_SPORT, 2),
        (_ENCAP_DPORT, 2),
        (_FWMARK, 4),
    )
)


def decode_ipip(data: bytes, mtu: int) -> Ipip:
    """What stands in IFLA_INFO_DATA. Raises MalformedMessage.

    An attribute of zeros says nothing, be it one of a kernel that is newer than this.
    """
    attributes = walk(data, 0, len(data))
    local, remote = (address(attributes.pop(end, _ANY), len(_ANY)) for end in (_LOCAL, _REMOTE))
    ttl, pmtudisc, carries = (
        number(attributes.pop(type_, bytes((default,))), _BYTE)
        for type_, default in ((_TTL, 0), (_PMTUDISC, 1), (_PROTO, Ipip._field_defaults["carries"]))
    )
    return Ipip(
        local=b"" if local == _ANY else local,
        mtu=mtu,
        ttl=ttl,
        pmtudisc=bool(pmtudisc),
        remote=b"" if remote == _ANY else remote,
        carries=carries,
        is_external=attributes.pop(_COLLECT_METADATA, None) is not None,
        extra=raw({type_: payload for type_, payload in attributes.items() if any(payload)}),
    )


def encode_ipip(value: Ipip) -> bytes:
    """The content of IFLA_INFO_DATA."""
    return (
        attribute(_LOCAL, value.local or _ANY)
        + attribute(_REMOTE, value.remote or _ANY)
        + attribute(_TTL, bytes((value.ttl,)))
        + attribute(_PMTUDISC, bytes((value.pmtudisc,)))
        + attribute(_PROTO, bytes((value.carries,)))
        + _NOTHING_ELSE
    )
