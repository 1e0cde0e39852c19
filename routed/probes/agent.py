"""AGENT: what does a server say of its load? It speaks first, one line, as to HAProxy."""

from __future__ import annotations

from asyncio import IncompleteReadError, LimitOverrunError

from routed.model.agent import read_words
from routed.model.checks import Check, Target
from routed.model.reasons import Finding
from routed.probes.ask import BadAnswerError
from routed.probes.sockets import Path
from routed.probes.stream import connect


async def probe(check: Check, target: Target, path: Path) -> str:
    """The words of its line; the end of the connection ends it as well. Raises BadAnswerError, EOFError, OSError."""
    async with connect(check, target, path) as stream:
        try:
            line = await stream.reader.readuntil(b"\n")
        except LimitOverrunError:
            raise BadAnswerError(Finding.MALFORMED, "its line does not end") from None
        except IncompleteReadError as end:
            line = end.partial
            if not line.strip():
                raise EOFError from None
    try:
        return read_words(line.decode("ascii"))
    except ValueError:  # what it said is not shown: it may be anything
        raise BadAnswerError(Finding.MALFORMED, "no word of an agent, such as 75% or drain") from None
