"""Plans as text: one paragraph a step, and a last line that counts.

Pure: a document in, lines out. The symbols say everything; colour only repeats them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from routed.audit.figures import format_count
from routed.audit.printable import make_printable
from routed.cli.terminal import BOLD, CYAN, GREEN, RED, YELLOW, paint
from routed.model.documents import (
    AbsenceDocument,
    FailureDocument,
    PlanDocument,
    RefusalDocument,
    StepDocument,
    WaitingDocument,
)

COLORS: Final = {"+": GREEN, "~": YELLOW, "-": RED, "!": CYAN}
TOTALS: Final = {"+": "to add", "~": "to change", "!": "to repair", "-": "to remove"}
NOTHING: Final = "Nothing to do: the kernel is as the files say."


def render_plan(plan: PlanDocument, *, is_colored: bool) -> list[str]:
    """All lines of a plan."""
    lines = [make_printable(f"Assumed: {', '.join(assumed)}")] if (assumed := plan.get("assumed")) else []
    lines += [line for step in plan["steps"] for line in _render_step(step, is_colored=is_colored)]
    lines += render_refusals("Left alone:", plan["refusals"], is_colored=is_colored)
    lines += render_refusals("Worth knowing:", plan["notes"], is_colored=is_colored)
    lines += render_waiting(plan["waiting"], is_colored=is_colored)
    lines += render_shadowed(plan.get("shadowed", []), is_colored=is_colored)
    lines += render_absent(plan.get("absent", []))
    return [*lines, _render_total(plan)]


def render_refusals(title: str, refusals: Iterable[RefusalDocument], *, is_colored: bool) -> Iterator[str]:
    """What is left alone, why, and what stands there. Nothing at all when there is none."""
    for number, refusal in enumerate(refusals):
        if number == 0:
            yield paint(title, BOLD, is_colored=is_colored)
        name, place = _name(refusal["entry"], refusal["kind"]), f" ({refusal['origin']})" if refusal["origin"] else ""
        yield make_printable(f"  {name} {refusal['object']}{place}: {refusal['reason']}")
        if refusal["standing"]:
            yield make_printable(f"      there now: {refusal['standing']}")


def render_waiting(waiting: Iterable[WaitingDocument], *, is_colored: bool) -> Iterator[str]:
    """What waits, and for what. Nothing at all when nothing does."""
    for number, wait in enumerate(waiting):
        if number == 0:
            yield paint("Waiting:", BOLD, is_colored=is_colored)
        yield make_printable(f"  {wait['entry']} ({wait['origin']}): {wait['reason']}")


def render_shadowed(shadowed: Iterable[FailureDocument], *, is_colored: bool) -> Iterator[str]:
    """What stands, and something that is not ours decides. Nothing at all when there is none."""
    for number, one in enumerate(shadowed):
        if number == 0:
            yield paint("Shadowed:", BOLD, is_colored=is_colored)
        yield make_printable(f"  {one['entry']} {one['object']} ({one['origin']}): {one['reason']}")


def render_absent(absent: Iterable[AbsenceDocument]) -> Iterator[str]:
    """Rules of the kernel that are missing: routed does not put them back."""
    for one in absent:
        told = f"The kernel's own {one['family']} rules are missing: {one['missing']}"
        yield make_printable(f"{told}; {one['command']} brings them back")


def _render_step(step: StepDocument, *, is_colored: bool) -> Iterator[str]:
    symbol, shown = step["symbol"], step["after"] or step["before"]
    if step["count"] > 1:
        shown = f"{format_count(step['count'], step['kind'])}: {step['object']}, such as {shown}"
    yield paint(
        make_printable(f"{symbol} {_name(step['entry'], step['kind'])}  {shown}"), COLORS[symbol], is_colored=is_colored
    )
    if step["before"] and step["after"]:
        yield make_printable(f"      was: {step['before']}")
    yield make_printable("      " + ": ".join(part for part in (step["origin"], step["reason"]) if part))


def _render_total(plan: PlanDocument) -> str:
    counts: Counter[str] = Counter()
    for step in plan["steps"]:
        counts[step["symbol"]] += step["count"]
    parts = [f"{counts[symbol]} {what}" for symbol, what in TOTALS.items() if counts[symbol]]
    left_alone = sum(refusal["count"] for refusal in plan["refusals"])
    others = [f"{left_alone} left alone"] if left_alone else []
    others += [f"{len(plan['waiting'])} waiting"] if plan["waiting"] else []
    others += [f"{len(shadowed)} shadowed"] if (shadowed := plan.get("shadowed")) else []
    if parts:
        return f"Plan: {', '.join(parts + others)}."
    return f"Nothing to do: {', '.join(others)}." if others else NOTHING


def _name(entry: str, kind: str) -> str:
    return entry or kind
