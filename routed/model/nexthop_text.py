"""Next hops as text and as JSON, in the words of ``ip nexthop``.

Here belongs what ``model.text`` has a row for. Links and protocols come as the names that the caller has for them.
"""

from __future__ import annotations

from typing import Any, Protocol

from routed.model.attributes import NEXTHOP_WORDS, format_words, has_more, list_words
from routed.model.net import format_address
from routed.model.objects import Leg, NexthopMember, NexthopSlot, NexthopValue, Resilient


class LinkNames(Protocol):
    """How links and protocols are called: ``model.text.Vocabulary``."""

    def link(self, index: int) -> str:
        """That of an ifindex."""

    def protocol(self, number: int) -> str:
        """That of a protocol number."""


def format_nexthop_key(_slot: NexthopSlot, member: NexthopMember, _names: LinkNames) -> str:
    """``id 7``."""
    return f"id {member.id}"


def format_nexthop(slot: NexthopSlot, member: NexthopMember, value: NexthopValue, names: LinkNames) -> str:
    """A next hop as ``ip nexthop`` prints it."""
    words = [format_nexthop_key(slot, member, names)]
    if value.group:
        words += ["group", "/".join(map(_format_leg, value.group)), *_format_resilient(value.resilient)]
    words += format_words(NEXTHOP_WORDS, value.extra)
    if value.gateway:
        words += ["via", format_address(value.gateway)]
    if value.dev:
        words += ["dev", names.link(value.dev)]
    words += ["blackhole"] if value.blackhole else []
    words += ["proto", names.protocol(value.protocol)]
    words += ["onlink"] if value.onlink else []
    is_more = has_more(NEXTHOP_WORDS, value.extra)
    return " ".join([*words, "(with attributes that routed has no word for)"] if is_more else words)


def _format_leg(leg: Leg) -> str:
    return f"{leg.id},{leg.weight}" if leg.weight != 1 else str(leg.id)


def _format_resilient(resilient: Resilient | None) -> list[str]:
    if resilient is None:
        return []
    each = zip(resilient._fields, resilient, strict=True)
    return ["type", "resilient", *(word for name, number in each for word in (name, str(number)))]


def nexthop_to_json(
    _slot: NexthopSlot, member: NexthopMember, value: NexthopValue | None, names: LinkNames
) -> dict[str, Any]:
    """A next hop with the keys of ``ip -j nexthop``."""
    json: dict[str, Any] = {"id": member.id}
    if value is None:
        return json
    if value.group:
        json["group"] = [{"id": leg.id} | ({"weight": leg.weight} if leg.weight != 1 else {}) for leg in value.group]
    if value.resilient:
        json |= {"type": "resilient", "resilient_args": value.resilient._asdict()}
    if value.gateway:
        json["gateway"] = format_address(value.gateway)
    if value.dev:
        json["dev"] = names.link(value.dev)
    if value.blackhole:
        json["blackhole"] = None
    json |= dict(list_words(NEXTHOP_WORDS, value.extra))
    json["protocol"] = names.protocol(value.protocol)
    return json | ({"flags": ["onlink"]} if value.onlink else {})
