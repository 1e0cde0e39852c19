"""``routed apply``: put the files in force now, and wait for the verified result."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from routed.cli.client import ClientError, call, call_telling
from routed.cli.exits import Exit
from routed.cli.plan_text import render_held, render_refusals, render_shadowed, render_waiting
from routed.cli.problems import read_problems, show_problems
from routed.cli.terminal import complain, say, say_json, wants_color
from routed.model.documents import ApplyDocument


def run(options: Namespace) -> Exit:
    """Have the daemon do it, or with ``--direct`` do it here."""
    if not options.direct:
        return ask_daemon(options, "Reload", {"confirm": options.confirm, "comment": options.comment})
    if options.confirm is not None:
        complain("--direct leaves nobody behind who could undo it: --confirm needs the daemon")
        return Exit.USAGE
    return _apply_directly(options)


def ask_daemon(options: Namespace, method: str, parameters: dict[str, Any]) -> Exit:
    """Have the daemon put something in force, and show what came of it; of a trial, wait for a word on it."""
    given = {name: value for name, value in parameters.items() if value not in {None, ""}}
    try:
        answer = _call(options, method, {"force": options.force, **given})
    except KeyboardInterrupt:
        complain("the daemon goes on with it all the same: routed status tells what came of it")
        raise
    except ClientError as error:
        complain(str(error))
        return error.code
    result = cast(ApplyDocument, answer)
    code = show_result(result, options)
    trial = result.get("trial")
    if given.get("confirm") and "deployment" not in result and not result["problems"]:
        complain("the daemon is of a version that knows no trials: this is in force, and does not undo itself")
        return Exit.FAILED
    if trial is None or options.json:
        return code
    from routed.cli.trial import follow  # most changes are none

    return follow(options, result["revision"], trial, code)


def _call(options: Namespace, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """On a terminal with a line that says how far it is. Raises ClientError."""
    if options.quiet or options.json or not sys.stderr.isatty():
        return call(options.runtime_dir, method, parameters, options.timeout)
    from routed.cli import progress  # nothing that a script waits for

    with progress.shown(sys.stderr) as tell:
        return call_telling(options.runtime_dir, method, parameters, options.timeout, tell)


def show_result(result: ApplyDocument, options: Namespace) -> Exit:
    """Print what came of it. Returns the exit code."""
    if options.json:
        say_json(result)
    else:
        show_problems(read_problems(result["problems"]), options)
        for notice in result.get("notices", []):
            sys.stderr.write(notice + "\n")
        for sentence in describe_trouble(result):
            complain(sentence)
        for failure in result["failures"]:
            place = f" ({failure['origin']})" if failure["origin"] else ", which no entry wants"
            complain(f"{failure['entry']} {failure['object']}{place}: {failure['reason']}".lstrip())
        if not options.quiet:
            for line in render_result(result, is_colored=wants_color(options, sys.stdout), now=datetime.now(UTC)):
                say(line)
    return judge(result)


def render_result(result: ApplyDocument, *, is_colored: bool, now: datetime | None = None) -> Iterator[str]:
    """The lines for stdout. Problems and failures are not among them: they are messages."""
    if result["problems"]:
        return
    yield from render_refusals("Left alone:", result["refusals"], is_colored=is_colored)
    yield from render_waiting(result["waiting"], is_colored=is_colored)
    yield from render_held(result.get("held", []), now=now, is_colored=is_colored)
    yield from render_shadowed(result.get("shadowed", []), is_colored=is_colored)
    counts = {"changed": result["changed"], "in sync": result["in_sync"], **_count_others(result)}
    told = [f"{count} {what}" for what, count in counts.items() if count or what in {"changed", "in sync"}]
    subject = f"Revision {result['revision']} is" if result["revision"] else "The files are"
    yield f"{subject} in force: {', '.join(told)}."


def describe_trouble(result: ApplyDocument) -> Iterator[str]:
    """What keeps the result from being certain, or from lasting."""
    if "unknown" in result:
        yield (
            f"the pass did not come to its end ({result['unknown']}): what the kernel holds is not known until it was "
            "read again, which routed goes on to try; routed status tells when"
        )
    if "unsaved" in result:
        yield f"after a restart routed would not know that these files are in force: {result['unsaved']}"


def _count_others(result: ApplyDocument) -> dict[str, int]:
    """How many objects are not in sync. A daemon of an older version counts only what it lists."""
    counts = result.get("counts")
    if counts is None:
        return {
            "failed": len(result["failures"]),
            "left alone": sum(refusal["count"] for refusal in result["refusals"]),
            "waiting": len(result["waiting"]),
        }
    left_alone = counts.get("drift", 0) + counts.get("conflict", 0) + result.get("leftovers", 0)
    return {"failed": counts.get("failed", 0), "left alone": left_alone} | {
        state: counts.get(state, 0)
        for state in ("waiting", "withheld", "shadowed", "degraded", "held", "paused", "draining")
    }


def judge(result: ApplyDocument) -> Exit:
    """The exit code of a result."""
    if result["problems"]:
        return Exit.INVALID
    is_bad = bool(result["failures"] or result.get("shadowed") or result.get("counts", {}).get("degraded"))
    if is_bad or "unknown" in result or "unsaved" in result:
        return Exit.FAILED
    is_held = result.get("held") or any(refusal["by_guard"] for refusal in result["refusals"])
    return Exit.REFUSED if is_held else Exit.DONE


def _apply_directly(options: Namespace) -> Exit:
    from routed.daemon import direct, lock, storage  # the other way needs nothing of this
    from routed.intent.load import load  # likewise
    from routed.intent.problems import IntentError  # likewise

    try:
        intent, told = load(Path(options.config))
        folders = Path(options.state_dir), Path(options.runtime_dir)
        result = direct.apply_once(intent, *folders, map(str, told), force=options.force)
    except IntentError as error:
        show_problems(error.problems, options)
        return Exit.INVALID
    except lock.AlreadyRunningError as error:
        complain(str(error))
        return Exit.REFUSED
    except PermissionError as error:
        complain(f"{error.filename or 'the kernel'}: --direct changes routes, for which it takes root: use sudo")
        return Exit.NOT_PERMITTED
    except (storage.StateError, OSError) as error:
        complain(str(error))
        return Exit.FAILED
    return show_result(result, options)
