"""Links as rtnetlink writes them (struct ifinfomsg and IFLA_*): read only, links are facts.

Source: include/uapi/linux/if_link.h; rtnl_fill_ifinfo in net/core/rtnetlink.c.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from routed.kernel.codec.attributes import HEADER_SIZE, attribute_u32, head, number, text, walk
from routed.model.facts import Link

_HEAD: Final = Struct("=BBHiII")  # family, padding, type, index, flags, change
_ADDRESS, _NAME, _MASTER, _LINKINFO, _EXT_MASK = 1, 3, 10, 18, 29
_INFO_KIND: Final = 1
_UP: Final = 0x1
_LOWER_UP: Final = 0x10000
_SKIP_STATISTICS: Final = 0x8  # RTEXT_FILTER_SKIP_STATS

LINKS_REQUEST: Final = _HEAD.pack(0, 0, 0, 0, 0, 0) + attribute_u32(_EXT_MASK, _SKIP_STATISTICS)


def decode_link(data: bytes, start: int, end: int) -> Link | None:
    """One link, from its netlink header at ``start``.

    None for a message of another family than AF_UNSPEC: a bridge announces its ports under AF_BRIDGE, and a port that
    leaves a bridge would look like a link that went away. Raises MalformedMessage.
    """
    family, _, _, ifindex, flags, _ = head(_HEAD, data, start + HEADER_SIZE, end)
    if family:
        return None
    attributes = walk(data, start + HEADER_SIZE + _HEAD.size, end)
    info = attributes.get(_LINKINFO, b"")
    return Link(
        ifindex=ifindex,
        name=text(attributes.get(_NAME, b"")),
        is_up=bool(flags & _UP),
        has_carrier=bool(flags & _LOWER_UP),
        kind=text(walk(info, 0, len(info)).get(_INFO_KIND, b"")),
        mac=attributes.get(_ADDRESS, b""),
        master=number(attributes.get(_MASTER, bytes(4))),
    )
