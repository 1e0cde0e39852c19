"""The words of the reasons on the way of a packet: a part of ``reasons``, which has the table of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import strerror
from typing import Any, Final

from routed.model.net import format_address
from routed.model.reasons import (
    Aside,
    AtRule,
    Detailed,
    Difference,
    Disagreement,
    Doubt,
    InTheWay,
    NotFor,
    NotForwarded,
    Plain,
    SourceRefused,
)

PLAIN_WORDS: Final[Mapping[Plain, str]] = {
    AtRule.DECIDES: "decides",
    AtRule.DROPS: "drops it",
    AtRule.EXCLUDED: "not for it: not",
    AtRule.UNREADABLE: "not understood",
    AtRule.NOTHING: "does nothing",
    AtRule.JUMPS: "leads on",
    AtRule.JUMPED_OVER: "jumped over",
    AtRule.NO_TARGET: "leads nowhere",
    AtRule.NO_ROUTE: "no route there",
    AtRule.NOT_USABLE: "no usable route there",
    AtRule.THROWN: "thrown on",
    AtRule.TOO_WIDE: "suppressed: prefix too short",
    AtRule.OF_GROUP: "suppressed: group of the link",
    AtRule.MERGED: "a longer prefix in main",
    Aside.ON_LINK: "no table has a way by this link, so the kernel takes the address to be on it",
    Aside.VRF_TABLE: "no rule is asked about an address of one link: it is looked up in the table of the link's VRF",
    Aside.VRF_ITSELF: "an address of one link is on none of a VRF itself: name one of the links in it",
    Aside.MULTICAST: "the kernel asks no table about a group or a broadcast where a link is named",
    Aside.NO_GATEWAY: "a group or a broadcast goes to no gateway: the kernel sends it out of the link",
    Aside.LINK_DOWN: "the link to which it is bound is down",
    Aside.LOOPBACK: "127.0.0.0/8 does not come in by a link, unless route_localnet is 1",
    InTheWay.MORE_SPECIFIC: "a more specific route is in front",
    InTheWay.MORE_SPECIFIC_SOURCE: "a route for fewer sources is in front",
    InTheWay.LOWER_METRIC: "a lower metric is in front",
    InTheWay.FIRST: "another route with the same metric is in front",
    InTheWay.TOS: "a route for this tos is in front",
    InTheWay.EARLIER_RULE: "an earlier rule is in front",
    InTheWay.NOT_REACHED: "no rule leads this packet to it",
    InTheWay.OTHER_TOS: "it is for another tos",
    InTheWay.OTHER_SOURCE: "it is for other sources",
    InTheWay.OTHER_LINK: "the packet is bound to another link",
    InTheWay.DEAD: "nothing can go by it now",
    InTheWay.UNSEEN: "not looked at: routes with `from` are at its prefix, and none is for this source",
    Doubt.NOT_OWN: "the source is not this host's: say --iif, by which link the packet comes in",
    Doubt.MULTICAST: "no table decides",
    Doubt.NOT_YET: "it is not so yet",
}

_DIFFERENCES: Final[Mapping[Difference, str]] = {
    Difference.ERROR: "answers otherwise",
    Difference.ROUTE: "takes another route",
    Difference.HOP: "sends it another way",
    Difference.SOURCE: "sends it from another address",
}


def _describe_refusal(it: SourceRefused) -> str:
    why = "which is this host's own" if it.is_own else "since its way back is another one (rp_filter) or none"
    return f"what comes in by {it.link} from {format_address(it.source)} is dropped, {why}"


def _describe_disagreement(it: Disagreement) -> str:
    error = f": {strerror(it.errno)}" if it.errno else ""
    return f"the kernel itself {_DIFFERENCES[it.difference]}{error}"


WORDS: Final[Mapping[type[Detailed], Callable[[Any], str]]] = {
    NotFor: lambda it: f"not for it: {it.selector}",
    NotForwarded: lambda it: f"this host does not forward what comes in by {it.link}: {it.sysctl} is 0",
    SourceRefused: _describe_refusal,
    Disagreement: _describe_disagreement,
}
