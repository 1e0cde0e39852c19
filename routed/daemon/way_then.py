"""How the way of a packet changes in another case, as a document: what decides now, what would then, what is otherwise.

Now is as ``way`` has read and asked the kernel; then is the same with a change of it. Here must never live: what such a
case comes to (``supposing``), or how the document is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from routed.core.linux.fib import change_fib
from routed.core.lookup import explain
from routed.daemon.way import Answers, Describer, describe_flow, find_missing_link, make_vocabulary
from routed.model.fib import Fib, FibChange
from routed.model.net import format_address
from routed.model.reasons import Doubt
from routed.model.why_documents import DecisionDocument, WantsDocument, WayChangeDocument, WhyDocument


class Case(NamedTuple):
    """What is otherwise."""

    change: FibChange
    wants: WantsDocument  # then
    unknown: Sequence[str] = ()


def describe_way_change(
    now: Answers, wants: WantsDocument, unknown: Sequence[str], case: Case, host_names: Mapping[str, Mapping[int, str]]
) -> WayChangeDocument:
    """The way now and then. ``unknown`` is what is not known of entries now, and why."""
    question = now.question
    known = Describer(now, wants, make_vocabulary(now.fib, wants, host_names)).describe(unknown)
    document = WayChangeDocument(
        address=format_address(question.destination), packet=describe_flow(question.flow), differs=["packet"], now=known
    )
    fib = change_fib(now.fib, case.change)
    if lacks := _find_lack(now, fib):
        document["lacks"] = lacks
        return document
    then = Answers(question, fib, explain(fib, question), difference=Doubt.NOT_YET)
    document["then"] = Describer(then, case.wants, make_vocabulary(fib, case.wants, host_names)).describe(case.unknown)
    document["differs"] = list_differences(known, document["then"])
    return document


def _find_lack(now: Answers, fib: Fib) -> str:
    """What this host has to have for there to be such a packet, and has no more."""
    flow = now.question.flow
    if missing := find_missing_link(fib, flow):
        return f"link {missing}"
    is_lost = not flow.iif and flow.source in now.fib.own and flow.source not in fib.own
    return f"address {format_address(flow.source)}" if is_lost else ""


def list_differences(now: WhyDocument, then: WhyDocument) -> list[str]:
    """What of the decision is another one: a word for each. A source that is not known is no other one."""
    differing = [word for word, look in _ASPECTS.items() if look(now) != look(then)]
    sources = {side["decision"]["source"] for side in (now, then)}
    return [*differing, *(["source"] if len(sources - {""}) > 1 else [])]


def _find_hops(decision: DecisionDocument) -> tuple[Any, ...]:
    return decision["hops"], [one["object"] for one in decision["equals"]]


def _find_owner(decision: DecisionDocument) -> tuple[tuple[str, str], ...]:
    """Whose the route and the rule are: in which line of a file is no matter."""
    owned = (decision[kind] for kind in ("route", "rule") if kind in decision)
    return tuple((one["owner"], one["entry"]) for one in owned)


_ASPECTS: Final[Mapping[str, Callable[[WhyDocument], Any]]] = {
    "outcome": lambda it: [it["decision"][word] for word in ("outcome", "error", "aside")],
    "hops": lambda it: _find_hops(it["decision"]),
    "route": lambda it: it["decision"].get("route", {}).get("object"),
    "rule": lambda it: it["decision"].get("rule", {}).get("object"),
    "owner": lambda it: _find_owner(it["decision"]),
    "otherwise": lambda it: _find_hops(it["otherwise"]) if "otherwise" in it else None,
}
