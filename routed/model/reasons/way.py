"""Why a policy rule is passed on the way of a packet, what decides, and why something does not."""

from __future__ import annotations

from enum import Enum, auto

from routed.model.objects import Standing
from routed.model.reasons.value import Detailed, Plain


class AtRule(Plain):
    """What comes of one rule for one packet."""

    DECIDES = auto()  # by the route to which it leads
    DROPS = auto()  # by itself
    EXCLUDED = auto()  # it is for all others (``not``)
    UNREADABLE = auto()  # it has a selector that routed cannot read
    NOTHING = auto()  # nop: it does nothing
    JUMPS = auto()  # goto
    JUMPED_OVER = auto()  # by a goto before it
    NO_TARGET = auto()  # a goto to a rule that is not there
    NO_ROUTE = auto()  # its table has no route for the packet
    NOT_USABLE = auto()  # its table has one, and nothing can go by that now
    THROWN = auto()  # a throw route in its table sends the packet on
    TOO_WIDE = auto()  # suppress_prefixlength
    OF_GROUP = auto()  # suppress_ifgroup
    MERGED = auto()  # a longer prefix in table main comes first: local and main are one as long as no rule was added


class NotFor(Detailed):
    """A rule is not for a packet."""

    selector: str  # that does not fit, by the word of ``ip rule``


class Aside(Plain):
    """Why the tables are not what decides in the end."""

    ON_LINK = auto()  # a packet bound to a link goes there, on-link, where no table has a way (net/ipv4/route.c)
    LINK_DOWN = auto()  # a packet of IPv4 is bound to a link that is down
    LOOPBACK = auto()  # 127.0.0.0/8 does not come in by a link (route_localnet)
    VRF_TABLE = (
        auto()
    )  # IPv6: the table of a VRF is asked, and no rule, where an address means something on one link only
    VRF_ITSELF = auto()  # such a packet goes by no VRF, but by one of its links
    MULTICAST = auto()  # the kernel sends multicast and broadcast by the link that is named, or by its groups
    NO_GATEWAY = (
        auto()
    )  # what is for a group or for everybody goes to no gateway (__mkroute_output in net/ipv4/route.c)


class NotForwarded(Detailed):
    """This host does not forward what comes in by a link."""

    link: str
    sysctl: str  # that says so


class SourceRefused(Detailed):
    """What comes in by a link with this source is dropped."""

    source: bytes
    link: str
    is_own: bool  # it is an address of this host; else the way back leads elsewhere (rp_filter)


class InTheWay(Plain):
    """Why a route or a rule of ours does not decide about a packet, though it is for its destination."""

    MORE_SPECIFIC = auto()  # another route of its table has a longer prefix
    MORE_SPECIFIC_SOURCE = auto()  # another one to the same prefix is for fewer sources
    LOWER_METRIC = auto()  # another one to the same prefix has a lower metric
    FIRST = auto()  # another one to the same prefix and with the same metric comes first
    TOS = auto()  # another one is for the tos of the packet
    EARLIER_RULE = auto()  # a rule before that which leads to it
    NOT_REACHED = auto()  # no rule leads this packet to its table
    OTHER_TOS = auto()  # it is for another tos
    OTHER_SOURCE = auto()  # it is for another source
    OTHER_LINK = auto()  # the packet is bound to another link
    DEAD = auto()  # nothing can go by it now
    UNSEEN = auto()  # IPv6: routes with a source stand at its prefix, and the kernel looks at nothing else there


class Difference(Enum):
    """In what the kernel's own answer differs from what was explained."""

    ERROR = auto()  # it drops the packet, or another error says why, or it does not drop it
    ROUTE = auto()  # another route decides
    HOP = auto()  # the route is the same, and the packet leaves another way
    SOURCE = auto()  # it goes the same way, and from another address


class Disagreement(Detailed):
    """The kernel answers otherwise than what was read from it explains."""

    difference: Difference
    errno: int = 0  # that the kernel answers with; 0 where it sends the packet
    winner: Standing | None = None  # the route that it names
    sent: tuple[int, bytes] = (0, b"")  # the ifindex and the gateway that it names


class Doubt(Plain):
    """Why the kernel was not asked."""

    NOT_OWN = auto()  # the source is no address of this host, and no link is named by which the packet comes in
    MULTICAST = auto()  # no table decides
    NOT_YET = auto()  # what is explained is not so yet
