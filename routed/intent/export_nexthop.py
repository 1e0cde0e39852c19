"""Next hops as the TOML that an operator would have written for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routed.intent.exporting import Surroundings, UnspeakableError
from routed.model import names, net
from routed.model.attributes import NEXTHOP_WORDS, has_more, list_words
from routed.model.net import IPV6
from routed.model.objects import Kind, NexthopMember, NexthopSlot, NexthopValue, Resilient


def export_nexthop(
    _slot: NexthopSlot, value: NexthopValue, members: Sequence[NexthopMember], around: Surroundings
) -> dict[str, Any] | None:
    """A table of the file; None for what nobody wrote."""
    if value.protocol in names.NEVER_OURS:
        return None
    if has_more(NEXTHOP_WORDS, value.extra):
        what = around.name_extra(Kind.NEXTHOP, value.extra)
        raise UnspeakableError(f"it carries {what}, which the file has no word for")
    (member,) = members
    table: dict[str, Any] = {"id": member.id}
    if value.group:
        table["group"] = [{"id": leg.id} | ({"weight": leg.weight} if leg.weight != 1 else {}) for leg in value.group]
        return table | _describe_resilient(value.resilient)
    return table | {
        "via": net.format_address(value.gateway) if value.gateway else None,
        "dev": around.name_link(value.dev) if value.dev else None,
        "onlink": value.onlink,
        **dict(list_words(NEXTHOP_WORDS, value.extra)),
        "blackhole": value.blackhole,
        "family": "ipv6" if value.way_family == IPV6 and not value.gateway else None,
    }


def _describe_resilient(resilient: Resilient | None) -> dict[str, Any]:
    if resilient is None:
        return {}
    usual = Resilient()
    buckets, idle, unbalanced = resilient
    return {
        "type": "resilient",
        "buckets": buckets if buckets != usual.buckets else None,
        "idle_timer": f"{idle}s" if idle != usual.idle_timer else None,
        "unbalanced_timer": f"{unbalanced}s" if unbalanced else None,
    }


def describe_nexthop(_slot: NexthopSlot, members: Sequence[NexthopMember]) -> str:
    """What it is called where it is left out."""
    return f"nexthop {members[0].id}"
