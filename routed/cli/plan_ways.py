"""``routed plan --why``: how packets would go when all of the plan is done, beside how they go now."""

from __future__ import annotations

from argparse import Namespace

from routed.cli.exits import CommandError, Exit
from routed.cli.packet import find_given, make_flow, read_address
from routed.model.documents import PlanDocument, PrintedPlanDocument
from routed.model.lookup import Question
from routed.model.why_documents import WayChangeDocument


def read_questions(options: Namespace) -> tuple[Question, ...]:
    """The packets that are asked about. Raises CommandError."""
    if not options.why and (given := find_given(options)):
        raise CommandError(f"--{given} is said of a packet: say --why ADDRESS", Exit.USAGE)
    addresses = dict.fromkeys(map(_read, options.why))
    return tuple(Question(address, make_flow(options, address)) for address in addresses)


def _read(text: str) -> bytes:
    address = read_address(text)
    if address is None:
        raise CommandError(f"{text} is no address; names are not looked up", Exit.USAGE)
    return address


def list_addresses(questions: tuple[Question, ...]) -> tuple[bytes, ...]:
    """To which they go, in their order, and then from which: an answer has to find its way as well."""
    sources = (question.flow.source for question in questions)
    return tuple(dict.fromkeys([*(question.destination for question in questions), *filter(None, sources)]))


def add_ways(document: PlanDocument, options: Namespace, questions: tuple[Question, ...]) -> PrintedPlanDocument:
    """The plan with how each of these packets goes now and then, in place of what decides. Raises CommandError."""
    from routed.cli.why import find_wants, look_now, read_host_names  # few plans need it, nor …
    from routed.daemon.then import read_change
    from routed.daemon.way_then import Case, describe_way_change

    then, names = document.pop("then"), read_host_names()
    change = read_change(then)
    ways: list[WayChangeDocument] = []
    for question, wants in zip(questions, then["wants"], strict=False):  # sources stand behind them
        known = find_wants(options, question.destination)
        case = Case(change, wants, known.unknown)
        ways.append(describe_way_change(look_now(question), known.wants, known.unknown, case, names))
    return {**document, "ways": ways}
