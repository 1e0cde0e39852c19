"""The way of a packet for a person: what decides, which rules it passed, what stands behind, and what the kernel says.

Made from the document alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import Final

from routed.audit.printable import make_printable
from routed.cli.terminal import BOLD, GREEN, RED, YELLOW, paint
from routed.model.why_documents import (
    DecisionDocument,
    HopDocument,
    KernelDocument,
    OutrankedDocument,
    OwnedDocument,
    WayChangeDocument,
    WayStepDocument,
    WhyDocument,
)

LEAST_WIDTH: Final = 80
_OUTCOMES: Final = {
    "sent": "goes {0}",
    "here": "is for this host",
    "broadcast": "is a broadcast",
    "anycast": "is for this host (anycast)",
    "multicast": "goes to a group",
    "dropped": "is dropped: {1}",
    "lost": "goes nowhere: {1}",
}
_COLORS: Final = {"dropped": RED, "lost": RED}


def find_width() -> int:
    """The columns of the terminal, and never fewer than eighty."""
    return max(LEAST_WIDTH, get_terminal_size((LEAST_WIDTH, 24)).columns)


def fold(text: str, indent: int, width: int, more: int = 2) -> list[str]:
    """A sentence in lines of this width, those after the first further in."""
    return wrap(
        make_printable(text),
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + more),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def render_way(document: WhyDocument, *, is_colored: bool, width: int = 0) -> Iterator[str]:
    """The whole answer."""
    width = width or find_width()
    color = _COLORS.get(document["decision"]["outcome"], GREEN)
    first, *rest = fold(_head(document), 0, width)
    yield paint(first, color, is_colored=is_colored)
    yield from (paint(line, color, is_colored=is_colored) for line in rest)
    yield from render_decision(document, 2, width)
    yield ""
    yield paint("rules, in their order", BOLD, is_colored=is_colored)
    for step in document["steps"]:
        yield from _render_step(step, 2, width)
    if not document["steps"]:
        yield "  none is asked"
    near, far = _sort_outranked(document["outranked"])
    for outranked in near:
        yield ""
        yield from _render_outranked(outranked, width, is_colored=is_colored)
    if far:
        yield ""
        yield from fold(f"for it as well, and behind: {', '.join(far)}", 0, width)
    yield ""
    yield from render_kernel(document["kernel"], width, is_colored=is_colored)
    for unknown in document["unknown"]:
        yield from fold(f"not known, since {unknown}", 0, width)


def _head(document: WhyDocument) -> str:
    return f"{name_packet(document)} {say_outcome(document)}"


def name_packet(document: WhyDocument | WayChangeDocument) -> str:
    """Its address, and what was said of it."""
    return document["address"] + "".join(f" {word} {one}" for word, one in document["packet"].items())


def say_outcome(document: WhyDocument) -> str:
    """What becomes of the packet: ``goes via 192.0.2.1 dev eth0``."""
    decision, said = document["decision"], document["packet"]
    way = " or ".join(map(format_hop, decision["hops"]))
    source = document["kernel"]["source"] or decision["source"]
    is_one_way = (
        decision["outcome"] == "sent" and len(decision["hops"]) == 1 and not decision["equals"]
    )  # has one source
    chosen = f" from {source}" if source and is_one_way and "from" not in said and "otherwise" not in document else ""
    return f"{_OUTCOMES[decision['outcome']].format(way, decision['error'])}{chosen}"


def render_decision(document: WhyDocument, indent: int, width: int) -> Iterator[str]:
    """What decides, and whose that is."""
    for line in _explain_decision(document["decision"]):
        yield from fold(line, indent, width)
    if "otherwise" in document:
        yield from fold("a flow that would leave by a suppressed hop goes on:", indent, width)
        for line in _explain_decision(document["otherwise"]):
            yield from fold(line, indent + 2, width)


def format_hop(hop: HopDocument) -> str:
    """One way out: ``via 192.0.2.1 dev eth0``."""
    gateway = f"via {hop['gateway']} " if hop["gateway"] else ""
    return f"{gateway}dev {hop['dev']}"


def _explain_decision(decision: DecisionDocument) -> Iterator[str]:
    if "route" in decision:
        yield f"by {decision['route']['object']}: {name_owner(decision['route'])}"
    if "rule" in decision:
        led = "led there " if "route" in decision else ""
        yield f"{led}by rule {decision['rule']['object']}: {name_owner(decision['rule'])}"
    if len(decision["hops"]) > 1:
        yield "each flow takes one of these hops"
    if decision["equals"]:
        others = "; ".join(one["object"] for one in decision["equals"])
        yield f"of equal default routes the first is taken whose gateway answers: {others}"
    for one in decision["unseen"]:
        yield f"not looked at: {one['object']}, since routes with `from` are at its prefix, and none is for this source"
    if decision["aside"]:
        yield decision["aside"]


def name_owner(one: OwnedDocument) -> str:
    """Whose it is, and who put it there."""
    if one["entry"]:
        return f"{one['entry']} ({one['origin']})"
    whose = {
        "left over": "ours, and no entry wants it",
        "kernel": "the kernel's own",
        "foreign": f"protocol {one['protocol']}",
    }.get(one["owner"], "ours")
    return f"{whose}, put there by {one['who']}" if one["who"] else whose


def _render_step(step: WayStepDocument, indent: int, width: int) -> Iterator[str]:
    entry = step["rule"]["entry"]
    whose = f" ({entry})" if entry else ""
    route = f": {step['route']['object']}" if "route" in step and step["why"] != "decides" else ""
    rule = step["rule"]["object"]
    line = f"{rule}{whose}: {step['reason']}{route}"
    if len(line) + indent <= width:
        yield " " * indent + make_printable(line)
        return
    yield from fold(f"{rule}{whose}", indent, width, 4)
    yield from fold(f"{step['reason']}{route}", indent + 2, width)


def _sort_outranked(every: Sequence[OutrankedDocument]) -> tuple[list[OutrankedDocument], list[str]]:
    """What is told whole; and the names of what is behind ours, or behind the kernel's for fewer addresses."""
    near, far = [], []
    for one in every:
        first = one["in_front"][0] if one["in_front"] else None
        is_as_meant = first is not None and (
            first["owner"] == "ours" or (first["owner"] == "kernel" and one["why"] in {"more-specific", "earlier-rule"})
        )
        if one["stands"] and one["state"] in {"", "in-sync"} and is_as_meant:
            far.append(one["object"]["entry"])
        else:
            near.append(one)
    return near, list(dict.fromkeys(far))


def _render_outranked(one: OutrankedDocument, width: int, *, is_colored: bool) -> Iterator[str]:
    thing = one["object"]
    origin = f" ({thing['origin']})" if thing["origin"] else ""
    first, *rest = fold(f"{thing['entry'] or thing['kind']} does not decide{origin}", 0, width)
    yield paint(first, YELLOW, is_colored=is_colored)
    yield from rest
    yield from fold(thing["object"], 2, width)
    if not one["stands"] or one["state"] not in {"", "in-sync"}:
        since = f" since {one['since']}" if one["since"] else ""
        why = f": {one['reason']}" if one["reason"] and one["state"] != "shadowed" else ""  # that is in front
        stands = "it is" if one["stands"] else "it does not stand, and is" if one["state"] else "it does not stand"
        yield from fold(f"{stands} {one['state']}{since}{why}", 2, width)
    for number, rival in enumerate(one["in_front"]):
        told = "then comes" if number else one["hindrance"]
        yield from fold(f"{told}: {rival['object']}: {name_owner(rival)}", 2, width)
    if one["hindrance"] and not one["in_front"]:
        yield from fold(one["hindrance"], 2, width)
    for step in one["passed"]:
        yield from _render_step(step, 4, width)


def render_kernel(kernel: KernelDocument, width: int, *, is_colored: bool) -> Iterator[str]:
    """What the kernel itself answers."""
    if kernel["agrees"]:
        yield "the kernel itself answers the same"
        return
    told = kernel["reason"]
    if kernel["agrees"] is None:
        yield from fold(f"the kernel was not asked: {told}", 0, width)
        return
    for line in fold(f"{told}; believe the kernel, and report this", 0, width):
        yield paint(line, RED, is_colored=is_colored)
    if kernel["route"]:
        yield from fold(f"its route: {kernel['route']}", 2, width)
    if "hop" in kernel:
        yield from fold(f"it sends the packet {format_hop(kernel['hop'])}", 2, width)
