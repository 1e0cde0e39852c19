"""``routed why``: which way a packet goes and what decides that; or why an entry is in its state.

The kernel is read here, with the rights of this user. What is ours and how it stands with it the daemon says; without
one it is read from the files, and the command says what nobody knows then.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from routed.cli.client import ClientError, call
from routed.cli.exits import CommandError, Exit
from routed.cli.packet import find_given, make_flow, read_address
from routed.cli.terminal import say, say_json, wants_color
from routed.model.lookup import Question
from routed.model.net import format_address
from routed.model.why_documents import WantsDocument

if TYPE_CHECKING:  # imported where it is read
    from routed.daemon.way import Answers

PATIENCE: Final = 10.0  # seconds for the daemon to say what it knows
WITHOUT_DAEMON: Final = (
    "the daemon does not run: what failed or is held, what checks found, and who put there what others have"
)


def run(options: Namespace) -> Exit:
    """Explain ``options.subject``."""
    address = read_address(options.subject)
    if address is not None:
        return _run_address(options, Question(address, make_flow(options, address)))
    from routed.cli.why_entry import run_entry

    if given := find_given(options):
        raise CommandError(f"--{given} is said of a packet, and {options.subject} is no address", Exit.USAGE)
    return run_entry(options)


def _run_address(options: Namespace, question: Question) -> Exit:
    from routed.cli.why_text import render_way
    from routed.daemon.way import Describer, make_vocabulary

    known = find_wants(options, question.destination)
    answers = look_now(question)
    vocabulary = make_vocabulary(answers.fib, known.wants, read_host_names())
    document = Describer(answers, known.wants, vocabulary).describe(known.unknown)
    if options.json:
        say_json(document)
    elif not options.quiet:
        say("\n".join(render_way(document, is_colored=wants_color(options, sys.stdout))))
    return Exit.FAILED if document["kernel"]["agrees"] is False else Exit.DONE


def look_now(question: Question) -> Answers:
    """What the kernel holds for this packet, and answers. Raises CommandError."""
    from routed.daemon.way import UnknownLinkError, look

    try:
        return look(question)
    except UnknownLinkError as error:
        raise CommandError(f"there is no link {error}", Exit.FAILED) from None
    except OSError as error:
        raise CommandError(f"the kernel cannot be read: {error.strerror or error}", Exit.FAILED) from None


class KnownWants(NamedTuple):
    """What is known of our entries."""

    wants: WantsDocument
    unknown: tuple[str, ...] = ()  # what is not, and why


def find_wants(options: Namespace, address: bytes) -> KnownWants:
    """From the daemon, where it runs by these files; else from the files."""
    try:
        asked = {"address": format_address(address)}
        answer = cast(WantsDocument, call(options.runtime_dir, "GetWants", asked, timeout=PATIENCE))
    except ClientError as error:
        if error.code is Exit.UNAVAILABLE:
            return _read_wants(options, address, (WITHOUT_DAEMON,))
        return _read_wants(options, address, (f"the daemon does not say: {error}",))
    if Path(answer["config"]) != Path(options.config).absolute():
        return _read_wants(options, address, (f"the daemon reads other files: {answer['config']}",))
    return KnownWants(answer)


def _read_wants(options: Namespace, address: bytes, unknown: tuple[str, ...]) -> KnownWants:
    from routed.cli.plan import find_marks
    from routed.daemon import direct
    from routed.daemon.storage import StateError
    from routed.daemon.wants import describe_wants
    from routed.intent.load import load
    from routed.intent.problems import IntentError

    marks = find_marks(options)
    try:
        intent = load(Path(options.config)).intent
        host = direct.foresee(intent, Path(options.state_dir), marks)
    except IntentError as error:
        first = error.problems[0].place
        return KnownWants(
            _want_nothing(options, marks), (*unknown, f"the files are not valid ({first}): what entries want")
        )
    except (StateError, OSError) as error:
        return KnownWants(_want_nothing(options, marks), (*unknown, f"{error}: what entries want"))
    return KnownWants(describe_wants(host, address, lambda _: "", options.config), unknown)


def _want_nothing(options: Namespace, marks: frozenset[int]) -> WantsDocument:
    from routed.model.entries import Settings

    return WantsDocument(
        schema="routed.wants/1",
        config=options.config,
        protocol=next(iter(marks), Settings().protocol),
        protocols=[],
        former_protocols=sorted(marks),
        wants=[],
        makers=[],
        tables={},
    )


def read_host_names() -> dict[str, dict[int, str]]:
    """The names of tables and protocols, as iproute2 has them on this host."""
    from routed.intent.names import find_name_files, read_names
    from routed.model.entries import Source

    found = read_names(Source(str(path), path.read_bytes(), "names") for path in find_name_files(Path("/")))
    return {
        "tables": {number: name for name, number in found.tables.items()},
        "protocols": {number: name for name, number in found.protocols.items()},
    }
