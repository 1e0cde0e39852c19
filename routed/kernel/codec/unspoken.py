"""The names of attributes that routed has no word for, as ``ip`` calls them: for who has to tell what it left out.

Source: include/uapi/linux/rtnetlink.h (RTA_*), include/uapi/linux/fib_rules.h (FRA_*).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from routed.kernel.codec.attributes import MalformedMessage, walk
from routed.model.objects import Kind

UNSPOKEN: Final[Mapping[Kind, Mapping[int, str]]] = {
    Kind.ROUTE: {
        2: "from", 11: "realms", 16: "mark", 18: "via inet6", 19: "as to", 20: "pref", 21: "encap", 22: "encap",
        23: "expires", 26: "ttl-propagate", 30: "nhid",
    },
    Kind.NEXTHOP: {7: "encap", 8: "encap", 11: "fdb"},
    Kind.RULE: {
        11: "realms", 12: "tun_id", 25: "dscp", 26: "flowlabel", 27: "flowlabel", 28: "a mask of sport",
        29: "a mask of dport", 30: "a mask of dscp",
    },
}  # fmt: skip


def name_unspoken(kind: Kind, extra: bytes) -> str:
    """The attributes in ``extra``, such as "nhid and expires"; "an attribute" where they cannot be read."""
    try:
        numbers = walk(extra, 0, len(extra))
    except MalformedMessage:
        return "an attribute"
    known = UNSPOKEN.get(kind, {})
    of_encap = [number for number in sorted(numbers) if known.get(number) == "encap"]
    if of_encap:  # the first says which it is
        from routed.model import encap  # noqa: PLC0415  only who has one pays for it

        known = {**known, **dict.fromkeys(of_encap, encap.name(numbers[of_encap[0]]))}
    found = dict.fromkeys(known.get(number, f"the attribute {number}") for number in sorted(numbers))
    return " and ".join(found) or "an attribute"
