"""A program as a source of members: run again and again, or once for as long as it goes on.

The helper of the checks runs it, and nothing of it has the rights of this process. Whoever is cancelled closes the
connection, and with it the helper ends the program and whatever it started. Here must never live what a document means
(``members.document``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from os import strerror
from socket import socket
from typing import Final

from routed.daemon.followers import Deliver
from routed.daemon.helpers import Lease
from routed.members.document import MOST_BYTES, DocumentError, parse_document
from routed.members.lines import Lines, read_lines
from routed.members.pauses import find_pause
from routed.model.checks import CheckType
from routed.model.members import ExecSource
from routed.model.reasons import Finding, Mute, Probed, Reason, SourceFailed, SourceMute
from routed.probes.ask import BadAnswerError
from routed.probes.command import begin, hear, judge
from routed.probes.dialogue import CommandResult, CommandRun

FOREVER: Final = 1e13  # seconds
PATIENCE: Final = 5.0  # seconds more than the time of a run, which the helper watches
BREATH: Final = 0.05  # seconds between two looks at a stream that wrote something
LONGEST_PAUSE: Final = 60.0  # seconds until a program that failed is started again, or ``every``


async def follow(lease_helpers: Callable[[], Lease], options: ExecSource, deliver: Deliver) -> None:
    """Say what it writes, or why it says nothing; then it is started again."""
    loop, failures, helpers = asyncio.get_running_loop(), 0, None
    try:
        while True:
            began = loop.time()
            try:
                helpers = helpers or lease_helpers()
                failure = await _run(helpers, options, deliver)
            except OSError as error:
                failure = _describe_error(error)
            lasted = loop.time() - began
            if failure is None:
                failures, pause = 0, max(BREATH, options.every - lasted)
            else:
                deliver(failure)
                failures = failures + 1 if lasted < LONGEST_PAUSE else 1
                pause = find_pause(failures, max(LONGEST_PAUSE, options.every))
            await asyncio.sleep(pause)
    finally:
        if helpers:
            helpers.close()


async def _run(helpers: Lease, options: ExecSource, deliver: Deliver) -> Reason | None:
    """One run; why it said nothing, or nothing any more. Raises OSError."""
    path = helpers.find_path(options.user)
    if isinstance(path, Probed):
        return path
    request = CommandRun(options.command, options.timeout if options.every else FOREVER, options.user, is_told=True)
    try:
        with begin(request, path) as one:
            if options.every:
                return await _read_once(one, request, deliver)
            return await _read_on(one, request, options, deliver)
    except BadAnswerError as bad:
        return Probed(CheckType.EXEC, bad.finding, bad.detail)
    except (DocumentError, ValueError) as error:
        return SourceFailed(options.command[0], str(error))


async def _read_once(one: socket, request: CommandRun, deliver: Deliver) -> Reason | None:
    """One document, whatever its lines. Raises BadAnswerError, DocumentError, OSError and ValueError."""
    content = bytearray()
    try:
        async with asyncio.timeout(request.timeout + PATIENCE):
            while not isinstance(said := await hear(one), CommandResult):
                content += said
                if len(content) > MOST_BYTES:
                    raise DocumentError(f"it writes more than {MOST_BYTES} bytes")
    except TimeoutError:
        return Probed(CheckType.EXEC, Finding.SILENCE, f"{request.timeout:g} s")
    judge(request, said)
    deliver((await asyncio.to_thread(parse_document, bytes(content)))._replace(gone=None))
    return None


async def _read_on(one: socket, request: CommandRun, options: ExecSource, deliver: Deliver) -> Reason:
    """A document a line, until it ends. Raises BadAnswerError, DocumentError, OSError and ValueError."""
    lines, is_whole = Lines(), False  # what a change says of who is gone counts after a complete document
    try:
        async with asyncio.timeout(options.timeout) as limit:
            while not isinstance(said := await hear(one), CommandResult):
                if written := lines.feed(said):
                    snapshot = await asyncio.to_thread(read_lines, written)
                    is_whole |= snapshot.is_complete
                    deliver(snapshot if is_whole else snapshot._replace(gone=None))
                    limit.reschedule(None)
                    await asyncio.sleep(BREATH)  # who writes without end is read no faster
    except TimeoutError:
        return SourceMute(options.command[0], Mute.LATE, f"{options.timeout:g} s")
    judge(request, said)
    return SourceMute(options.command[0], Mute.ENDED)


def _describe_error(error: OSError) -> Probed:
    return Probed(CheckType.EXEC, Finding.LOCAL, strerror(error.errno) if error.errno else error.strerror or str(error))
