"""``routed doctor``: what on this host works against what the files want, and the line that cures each.

It needs no daemon, and changes nothing. What could not be looked at is a finding as well, and never fine.
"""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import wrap
from typing import Final, cast

from routed.audit.diagnoses import describe_diagnosis
from routed.audit.printable import make_printable
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.plan import PATIENCE, find_marks
from routed.cli.problems import show_problems
from routed.cli.terminal import BOLD, CYAN, RED, YELLOW, paint, say, say_json, wants_color
from routed.core.doctor import EXAMINATIONS, examine
from routed.daemon.doctor import Bedside, gather
from routed.intent.load import load
from routed.intent.problems import IntentError
from routed.model.diagnosis import Ailment, Diagnosis, Hidden, Obstacle, Region, Severity
from routed.model.doctor_documents import DoctorDocument, FindingDocument
from routed.model.documents import StatusDocument

WIDTH: Final = 80  # columns
COLORS: Final = {Severity.ERROR: RED, Severity.WARNING: YELLOW, Severity.NOTE: CYAN, Severity.UNSEEN: BOLD}
RANKS: Final = (Severity.NOTE, Severity.WARNING, Severity.ERROR, Severity.UNSEEN)


def run(options: Namespace) -> Exit:
    """Examine this host by the files of ``options.config``."""
    try:
        intent = load(Path(options.config)).intent
    except IntentError as error:
        show_problems(error.problems, options)
        return Exit.INVALID
    bedside = Bedside(Path(options.state_dir))
    status, hidden = _ask_daemon(options.runtime_dir)
    patient = gather(intent, bedside, find_marks(options), status)
    if hidden:
        patient = replace(patient, is_daemon_running=True, hidden=(*patient.hidden, hidden))
    least = RANKS.index(Severity(options.severity))
    found = [one for one in examine(patient) if RANKS.index(one.severity) >= least]
    document = make_document(options.config, found)
    if options.json:
        say_json(document)
    elif not options.quiet:
        for line in render(document, is_colored=wants_color(options, sys.stdout)):
            say(line)
    return judge(found)


def judge(found: Iterable[Diagnosis]) -> Exit:
    """The exit code: what is wrong weighs more than what could not be looked at, and that is never fine."""
    found = list(found)
    if any(one.severity in {Severity.WARNING, Severity.ERROR} for one in found):
        return Exit.FAILED
    unseen = [one for one in found if one.severity is Severity.UNSEEN]
    hidden = [one.details["obstacle"] for one in unseen if one.ailment is Ailment.NOT_SEEN]
    if Obstacle.RIGHTS in hidden:
        return Exit.NOT_PERMITTED
    if hidden:
        return Exit.FAILED
    return Exit.UNAVAILABLE if unseen else Exit.DONE


def make_document(config: str, found: Iterable[Diagnosis]) -> DoctorDocument:
    """All findings, the worst first."""
    findings = [describe_diagnosis(one) for one in found]
    counts = Counter(one["severity"] for one in findings)
    return DoctorDocument(
        schema="routed.doctor/1",
        config=config,
        examined=len(EXAMINATIONS),
        findings=findings,
        counts={severity.value: counts[severity.value] for severity in Severity},
    )


def render(document: DoctorDocument, *, is_colored: bool) -> Iterator[str]:
    """Each finding with its evidence, why it matters, and its cure as lines that can be pasted."""
    for one in document["findings"]:
        head = paint(one["severity"], COLORS[Severity(one["severity"])], is_colored=is_colored)
        yield from _render_finding(one, head)
    counts = document["counts"]
    told = [f"{count} {_PLURALS[Severity(name)][count > 1]}" for name, count in counts.items() if count]
    yield ", ".join(told) if told else "nothing works against the files"


_PLURALS: Final = {
    Severity.NOTE: ("note", "notes"),
    Severity.WARNING: ("warning", "warnings"),
    Severity.ERROR: ("error", "errors"),
    Severity.UNSEEN: ("thing was not looked at", "things were not looked at"),
}


def _render_finding(one: FindingDocument, head: str) -> Iterator[str]:
    subject = f"{one['entry']}: " if one["entry"] else ""
    first, *rest = wrap(make_printable(f"{subject}{one['what']}"), WIDTH - len(one["severity"]) - 2) or [""]
    yield f"{head}: {first}"
    yield from (f"    {line}" for line in rest)
    for text in (one["where"], one["why"]):
        yield from (f"    {line}" for line in wrap(make_printable(text), WIDTH - 4, break_long_words=False))
    if one["cure"]:
        yield from _render_cure(make_printable(one["cure"]))


def _render_cure(cure: str) -> Iterator[str]:
    """In lines that a shell takes for one when all of them are pasted."""
    *parts, last = cure.split(" && ")
    for part in [*(f"{part} &&" for part in parts), last]:
        line = " "
        for word in WORDS.findall(part):
            if len(line) + len(word) + 3 > WIDTH and line.strip():
                yield f"{line} \\"
                line = "   "
            line += f" {word}"
        yield line


WORDS: Final = re.compile(r"""(?:'[^']*'|"[^"]*"|[^\s'"])+""")  # of a shell, as they are written


def _ask_daemon(runtime_dir: str) -> tuple[StatusDocument | None, Hidden | None]:
    """What it says of itself, None where it does not run; and what keeps it from saying that."""
    try:
        return cast(StatusDocument, call(runtime_dir, "GetStatus", timeout=PATIENCE)), None
    except ClientError as error:
        if error.code is Exit.UNAVAILABLE:
            return None, None
        obstacle = Obstacle.RIGHTS if error.code is Exit.NOT_PERMITTED else Obstacle.ERROR
        return None, Hidden(Region.DAEMON, obstacle, str(error))
