"""Plans as text: one paragraph a step, in the order of the files, and a last line that counts.

Pure: a document in, lines out. The symbols say everything; colour only repeats them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, TypeVar

from routed.audit.figures import format_count, name_some
from routed.audit.printable import make_printable
from routed.cli.ages import format_age
from routed.cli.terminal import BLUE, BOLD, CYAN, GREEN, MAGENTA, RED, YELLOW, paint
from routed.model.documents import (
    AbsenceDocument,
    FailureDocument,
    HeldDocument,
    KernelStepDocument,
    PlanDocument,
    PrintedPlanDocument,
    RefusalDocument,
    StateChangeDocument,
    StepDocument,
    WaitingDocument,
)

_Placed = TypeVar("_Placed", StepDocument, RefusalDocument, WaitingDocument, FailureDocument, HeldDocument)

GOES, COMES = "x", "*"  # of what the kernel does by itself
MARK: Final = "="  # of what stands as it shall, and gets our mark
COLORS: Final = {"+": GREEN, "~": YELLOW, "-": RED, "!": CYAN, MARK: BLUE}
TOTALS: Final = {"+": "to add", "~": "to change", "!": "to repair", "-": "to remove", MARK: "to mark"}
# What is not known of each kind of thing that is assumed.
UNTOLD: Final = {"link": "Not told: links that go with it, such as a VLAN, or a bridge without ports."}
NOTHING: Final = "Nothing to do: the kernel is as the files say."


def render_plan(
    plan: PrintedPlanDocument,
    *,
    is_colored: bool,
    files: Sequence[str] = (),
    now: datetime | None = None,
    is_verbose: bool = False,
) -> list[str]:
    """All lines of a plan; ``files`` are in the order in which they are read. Without ``now`` nothing has an age.

    What only gets our mark is counted; verbose, it is shown.
    """
    lines = list(_render_case(plan, is_colored=is_colored))
    shown = [step for step in plan["steps"] if is_verbose or step["symbol"] != MARK]
    lines += [line for step in _sort(shown, files) for line in _render_step(step, is_colored=is_colored)]
    lines += _render_kernel(plan.get("afterwards", []), is_colored=is_colored)
    lines += render_refusals("Left alone:", _sort(plan["refusals"], files), is_colored=is_colored)
    lines += render_refusals("Worth knowing:", _sort(plan["notes"], files), is_colored=is_colored)
    lines += render_waiting(_sort(plan["waiting"], files), is_colored=is_colored)
    lines += render_held(_sort(plan.get("held", []), files), now=now, is_colored=is_colored)
    lines += _render_held_steps(_sort(plan.get("held_steps", []), files), is_colored=is_colored)
    lines += render_shadowed(_sort(plan.get("shadowed", []), files), is_colored=is_colored)
    lines += render_absent(plan.get("absent", []))
    refused = _sort(plan.get("refused", []), files)
    lines += render_shadowed(refused, title="The kernel would refuse:", is_colored=is_colored)
    lines += _render_changes(plan.get("changes", []), is_colored=is_colored)
    if "ways" in plan:
        from routed.cli.plan_ways_text import render_ways  # few plans need it

        lines += render_ways(plan["ways"], is_colored=is_colored)
    return [*lines, _render_total(plan, is_colored=is_colored)]


def _sort(items: Iterable[_Placed], files: Sequence[str]) -> list[_Placed]:
    """By the place of their entries in the files; what no entry wants comes last, and equals stay as they are."""
    ranks = {file: rank for rank, file in enumerate(files)}

    def find_place(item: _Placed) -> tuple[int, int]:
        file, _, line = item["origin"].rpartition(":")
        return ranks.get(file, len(ranks) + (not file)), int(line) if line.isdecimal() else 0

    return sorted(items, key=find_place)


def _render_case(plan: PlanDocument, *, is_colored: bool) -> Iterator[str]:
    """In which case it is the plan, and what the kernel does then by itself. Nothing where nothing is assumed."""
    if "case" not in plan:
        if assumed := plan.get("assumed"):  # a daemon of before does not say more
            yield make_printable(f"Assumed: {', '.join(assumed)}")
        return
    yield paint(make_printable(f"{plan['case'][:1].upper()}{plan['case'][1:]}:"), BOLD, is_colored=is_colored)
    yield from _render_kernel(plan["kernel"], is_colored=is_colored)
    kinds = {assumed.partition(":")[0] for assumed in plan.get("assumed", [])}
    yield from (f"  {untold}" for kind, untold in UNTOLD.items() if kind in kinds)
    if plan["kernel"] and plan["steps"]:
        yield paint("Then routed does this:", BOLD, is_colored=is_colored)


def _render_kernel(steps: Collection[KernelStepDocument], *, is_colored: bool) -> Iterator[str]:
    """What the kernel does by itself. Its routes of table local are a number."""
    shown = [step for step in steps if step["ip"].get("table") != "local"]
    for step in shown:
        line = make_printable(f"{step['symbol']} {_name(step['entry'], step['kind'])}  {_show(step)}")
        yield paint(line, MAGENTA, is_colored=is_colored)
        if step["before"] and step["after"]:
            yield make_printable(f"      was: {step['before']}")
    if hidden := sum(step["count"] for step in steps) - sum(step["count"] for step in shown):
        yield f"  {'and ' if shown else ''}{format_count(hidden, 'route')} of table local"
    if steps:
        yield f"  The kernel does that by itself: {GOES} goes, {COMES} comes or changes."


def _render_changes(changes: Iterable[StateChangeDocument], *, is_colored: bool) -> Iterator[str]:
    """Which entries come into another state. Nothing at all when none does."""
    for number, one in enumerate(changes):
        if number == 0:
            yield paint("Other states:", BOLD, is_colored=is_colored)
        why = f": {one['reason']}" if one["reason"] else ""
        yield make_printable(f"  {one['entry']}: {one['before'] or 'not there'} -> {one['after'] or 'not there'}{why}")


def render_refusals(title: str, refusals: Iterable[RefusalDocument], *, is_colored: bool) -> Iterator[str]:
    """What is left alone, why, and what stands there. Nothing at all when there is none."""
    for number, refusal in enumerate(refusals):
        if number == 0:
            yield paint(title, BOLD, is_colored=is_colored)
        name, place = _name(refusal["entry"], refusal["kind"]), f" ({refusal['origin']})" if refusal["origin"] else ""
        yield make_printable(f"  {name} {refusal['object']}{place}: {refusal['reason']}")
        if refusal["standing"]:
            yield make_printable(f"      there now: {refusal['standing']}")


def render_waiting(waiting: Iterable[WaitingDocument], *, title: str = "Waiting:", is_colored: bool) -> Iterator[str]:
    """What waits, and for what. Nothing at all when nothing does."""
    for number, wait in enumerate(waiting):
        if number == 0:
            yield paint(title, BOLD, is_colored=is_colored)
        yield make_printable(f"  {wait['entry']} ({wait['origin']}): {wait['reason']}")


def render_held(held: Iterable[HeldDocument], *, now: datetime | None, is_colored: bool) -> Iterator[str]:
    """Whose members are held, why, who they are and since when. Nothing at all when none is."""
    for number, one in enumerate(held):
        if number == 0:
            yield paint("Held, until routed apply --force lets them go:", BOLD, is_colored=is_colored)
        age = f" for {format_age(one['since'], now)}" if now else ""
        yield make_printable(f"  {one['entry']} ({one['origin']}): {one['reason']}: {name_some(one['members'])}{age}")


def _render_held_steps(steps: Sequence[StepDocument], *, is_colored: bool) -> Iterator[str]:
    """What becomes of the objects then."""
    if steps:
        yield paint("Then this is done:", BOLD, is_colored=is_colored)
    for step in steps:
        yield from _render_step(step, is_colored=is_colored)


def render_shadowed(
    shadowed: Iterable[FailureDocument], *, title: str = "Shadowed:", is_colored: bool
) -> Iterator[str]:
    """What stands, and something that is not ours decides. Nothing at all when there is none."""
    for number, one in enumerate(shadowed):
        if number == 0:
            yield paint(title, BOLD, is_colored=is_colored)
        yield make_printable(f"  {one['entry']} {one['object']} ({one['origin']}): {one['reason']}")


def render_absent(absent: Iterable[AbsenceDocument]) -> Iterator[str]:
    """Rules of the kernel that are missing: routed does not put them back."""
    for one in absent:
        told = f"The kernel's own {one['family']} rules are missing: {one['missing']}"
        yield make_printable(f"{told}; {one['command']} brings them back")


def _render_step(step: StepDocument, *, is_colored: bool) -> Iterator[str]:
    symbol = step["symbol"]
    yield paint(
        make_printable(f"{symbol} {_name(step['entry'], step['kind'])}  {_show(step)}"),
        COLORS[symbol],
        is_colored=is_colored,
    )
    if step["before"] and step["after"]:
        yield make_printable(f"      was: {step['before']}")
    yield make_printable("      " + ": ".join(part for part in (step["origin"], step["reason"]) if part))


def _show(step: StepDocument | KernelStepDocument) -> str:
    """The object of a step, or how many there are and the first of them."""
    shown = step["after"] or step["before"]
    if step["symbol"] == "!" and not step["after"]:  # else it would read as if that were to be there
        shown = f"delete {shown}"
    if step["count"] > 1:
        return f"{format_count(step['count'], step['kind'])}: {step['object']}, such as {shown}"
    return shown


def _render_total(plan: PlanDocument, *, is_colored: bool) -> str:
    counts: Counter[str] = Counter()
    # the mark of a rule is part of its key, so there are two steps for one object: one comes, the other goes
    marked = {(step["kind"], step["object"]): step["count"] for step in plan["steps"] if step["symbol"] == MARK}
    counts[MARK] = sum(marked.values())
    for step in plan["steps"]:
        if step["symbol"] != MARK:
            counts[step["symbol"]] += step["count"]
    parts = [
        paint(f"{counts[symbol]} {what}", COLORS[symbol], is_colored=is_colored)
        for symbol, what in TOTALS.items()
        if counts[symbol]
    ]
    left_alone = sum(refusal["count"] for refusal in plan["refusals"])
    others = [f"{left_alone} left alone"] if left_alone else []
    others += [f"{len(plan['waiting'])} waiting"] if plan["waiting"] else []
    others += [f"{len(held)} held"] if (held := plan.get("held")) else []
    others += [f"{len(shadowed)} shadowed"] if (shadowed := plan.get("shadowed")) else []
    if parts and counts.total() > counts[MARK]:
        return f"Plan: {', '.join(parts + others)}."
    if parts:
        marks = f"{format_count(counts[MARK], 'object')} get{'s' * (counts[MARK] == 1)} routed's mark (-v lists them)"
        return f"Nothing to do: {', '.join([marks, *others])}."
    return f"Nothing to do: {', '.join(others)}." if others else NOTHING


def _name(entry: str, kind: str) -> str:
    return entry or kind
