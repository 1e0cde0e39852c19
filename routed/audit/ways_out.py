"""What would change it: for each reason that keeps something from being as the file says, what ends that.

One row a reason. A way out is a sentence without a full stop that says what somebody can do, or what routed waits for.
Here must never live the reason's own words (``reasons``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from routed.model.net import format_address
from routed.model.reasons import (
    Ambiguous,
    CarriesSession,
    Claimed,
    CutsOff,
    Detailed,
    FirstContact,
    Flaw,
    Fought,
    Lack,
    LeftAlone,
    LinkDown,
    LinkTaken,
    ManyAddresses,
    ManyGone,
    NoAddress,
    NoCarrier,
    NoHolder,
    NoInterface,
    NoIpv6,
    NoLink,
    NoNexthop,
    NoRoutes,
    NotChosen,
    NotFirst,
    NotTold,
    Observed,
    OffNetwork,
    Outdated,
    Overruled,
    Paused,
    Plain,
    Probed,
    Reason,
    Required,
    SaidNo,
    Standstill,
    Stuck,
    TooMany,
    TooOld,
    Unusable,
    WouldFall,
)

_LET_GO: Final = "routed apply --force"
_LACKS: Final = {
    Lack.ABSENT: "it comes to this host",
    Lack.TENTATIVE: "duplicate address detection is over",
    Lack.FAILED_DAD: "no other host has it: take it from that one, and put it here again",
}


def _end_requirement(it: Required) -> str:
    turn = "down" if it.is_up else "up"
    if "/" in it.check:
        return f"{it.check} is {turn}"
    return f"check/{it.check} is {turn}, or is said to be: routed override check/{it.check} {turn}"


OF_PLAIN: Final[Mapping[Plain, str]] = {
    LeftAlone.OBSERVED: 'write enforce = "repair"',
    LeftAlone.ONCE: 'write enforce = "repair"',
    LeftAlone.REFUSED: 'write on_conflict = "replace", or take away what stands there',
    LeftAlone.KERNELS_OWN: "what stands there goes with its address or link",
    LeftAlone.UNDECIDED: "let one link alone fit the [[interface]]: routed select says why several do",
    LeftAlone.NOT_ON_DISK: "routed apply",
    Flaw.DUPLICATE: "take the address from the other host",
    Standstill.EMPTY: _LET_GO,
}

OF_DETAILED: Final[Mapping[type[Detailed], Callable[[Any], str]]] = {
    NoLink: lambda it: f"link {it.link} appears",
    NotChosen: lambda it: f"a link fits: routed select @{it.selector}",
    NoInterface: lambda it: f"a link fits: routed select @{it.selector}",
    Ambiguous: lambda it: f"one link alone fits: routed select @{it.selector}",
    LinkDown: lambda it: f"ip link set {it.link} up",
    NoCarrier: lambda it: f"link {it.link} gets a carrier",
    NoNexthop: lambda it: f"next hop {it.id} comes: its own entry says when",
    NoIpv6: lambda it: f"an MTU of 1280 or more on {it.link}, and disable_ipv6 0",
    TooOld: lambda it: f"a kernel of Linux {it.release} or later, or an entry without {it.word}",
    NoRoutes: lambda it: f"a route comes into table {it.table}, or the files put one there",
    OffNetwork: lambda it: f"this host gets an address in the network of {format_address(it.gateway)}",
    NoAddress: lambda it: f"link {it.link} gets an address",
    ManyAddresses: lambda _: "write the address that is meant",
    Unusable: lambda it: _LACKS[it.lack],
    NoHolder: lambda _: "its link is told by the kernel",
    LinkTaken: lambda it: f"ip link delete {it.link}, or another name in the file",
    NotFirst: lambda it: f"{it.link} gets an address of its own",
    Stuck: lambda _: "put both anew by hand, that one first",
    NotTold: lambda it: f"{it.what} {it.which!s} is told",
    Outdated: lambda it: f"{it.what} {it.which!s} is told again",
    Required: _end_requirement,
    Probed: lambda _: "the next answer",
    Paused: lambda _: "routed resume {entry}",
    Fought: lambda _: "the other process leaves it alone; any routed apply tries again at once",
    Observed: lambda it: OF_PLAIN.get(it.word, ""),
    FirstContact: lambda _: 'write on_conflict = "replace"',
    TooMany: lambda _: _LET_GO,
    ManyGone: lambda _: _LET_GO,
    CutsOff: lambda _: _LET_GO,
    WouldFall: lambda _: _LET_GO,
    CarriesSession: lambda _: _LET_GO,
    SaidNo: lambda _: "it is tried again by itself",
    Overruled: lambda _: "what decides goes, or comes behind: routed why ADDRESS has the whole way",
    Claimed: lambda it: f"take it out of one of the two: {it.entry} has it now",
}


def find_way_out(reason: Reason | None, entry: str = "") -> str:
    """What would change it for this entry; nothing where nothing has to, or nobody knows."""
    if reason is None:
        return ""
    if isinstance(reason, Plain):
        return OF_PLAIN.get(reason, "")
    describe = OF_DETAILED.get(type(reason))
    return describe(reason).replace("{entry}", entry).rstrip() if describe else ""
