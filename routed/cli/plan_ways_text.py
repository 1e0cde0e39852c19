"""How the ways of packets change, for a person. Made from the documents alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from routed.cli.terminal import BOLD, YELLOW, paint
from routed.cli.why_text import find_width, fold, name_packet, render_decision, render_kernel, say_outcome
from routed.model.why_documents import WayChangeDocument, WhyDocument


def render_ways(ways: Sequence[WayChangeDocument], *, is_colored: bool, width: int = 0) -> Iterator[str]:
    """Each packet: what decides now, and what would then; or that nothing changes."""
    width = width or find_width()
    for way in ways:
        color = YELLOW if way["differs"] else BOLD
        for line in fold(f"{name_packet(way)} {_say_change(way)}", 0, width):
            yield paint(line, color, is_colored=is_colored)
        if way["differs"]:
            yield from _render_side("now", way["now"], width)
            yield from _render_then(way, width)
        else:
            yield from render_decision(way["now"], 2, width)
        if way["now"]["kernel"]["agrees"] is False:
            yield from render_kernel(way["now"]["kernel"], width, is_colored=is_colored)
    for unknown in dict.fromkeys(one for way in ways for one in way["now"]["unknown"]):
        yield from fold(f"not known, since {unknown}", 0, width)


def _say_change(way: WayChangeDocument) -> str:
    if not way["differs"]:
        return f"{say_outcome(way['now'])}, then as now:"
    if "lacks" in way:
        return "is no packet then:"
    if way["differs"] == ["source"]:
        return "goes the same way, from another address then:"
    is_seen = not {"outcome", "hops", "otherwise"}.isdisjoint(way["differs"])
    return "goes another way then:" if is_seen else "goes the same way, and something else decides then:"


def _render_then(way: WayChangeDocument, width: int) -> Iterator[str]:
    if "then" in way:
        yield from _render_side("then", way["then"], width)
    else:
        yield from fold(f"then this host has no {way.get('lacks', '')}", 2, width)


def _render_side(word: str, side: WhyDocument, width: int) -> Iterator[str]:
    yield from fold(f"{word} it {say_outcome(side)}", 2, width)
    yield from render_decision(side, 4, width)
