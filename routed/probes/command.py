"""EXEC: does a command end with 0? The helper runs it; nothing of it runs with the rights of this process.

Here stands also how whoever else has a command run hears what it prints.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import strerror
from typing import Final

from routed.model.checks import Check, Target
from routed.model.reasons import Finding
from routed.probes.ask import BadAnswerError
from routed.probes.dialogue import MOST, CommandEnd, CommandResult, CommandRun, pack_run, unpack_said
from routed.probes.sockets import Path

HELPER_ENDED: Final = "whoever runs commands here ended meanwhile"
MOST_WORDS: Final = 160  # characters of the first line of the output that are told


async def probe(check: Check, target: Target, path: Path) -> str:
    """Have it run once; the first line of its output. Raises BadAnswerError, OSError and ValueError.

    The helper watches the time. Who is cancelled closes the connection, and with it the helper ends the command.
    """
    del target
    request = CommandRun(check.command, check.timeout, check.user)
    with begin(request, path) as one:
        said = await hear(one)
    return judge(request, said) if isinstance(said, CommandResult) else ""


@contextmanager
def begin(request: CommandRun, path: Path) -> Iterator[socket.socket]:
    """A connection on which a command runs, until it is closed. Raises BadAnswerError and OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as one:
        try:
            one.connect(path.helper)
        except (FileNotFoundError, ConnectionRefusedError):
            raise BadAnswerError(Finding.NO_HELPER, path.helper) from None
        try:
            one.send(pack_run(request))
        except ConnectionError:
            raise OSError(0, HELPER_ENDED) from None
        yield one


async def hear(one: socket.socket) -> bytes | CommandResult:
    """The next piece of its output, or what became of it. Raises OSError and ValueError."""
    try:
        packet = await asyncio.get_running_loop().sock_recv(one, MOST)
    except ConnectionError:  # of the helper, and so nothing of what the command would have said
        packet = b""
    if not packet:
        raise OSError(0, HELPER_ENDED)
    return unpack_said(packet)


def judge(check: Check | CommandRun, answer: CommandResult) -> str:
    """The first line of the output of what ended with 0. Raises BadAnswerError and OSError."""
    if answer.end is CommandEnd.ENDED and answer.number == 0:
        return find_first_line(answer.output)
    if answer.end not in MEANINGS:
        raise OSError(0, LACKS[answer.end].format(answer.detail) if answer.end in LACKS else strerror(answer.number))
    finding, describe = MEANINGS[answer.end]
    raise BadAnswerError(finding, describe(check, answer))


def find_first_line(output: str) -> str:
    """Of what a command printed, as much as is worth telling, without what no line has."""
    line = next((line for line in output.splitlines() if line.strip()), "")
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(line.split()))[:MOST_WORDS]


def _describe_end(answer: CommandResult) -> str:
    line = find_first_line(answer.output)
    return f"{answer.number}: {line}" if line else str(answer.number)


def _name_signal(number: int) -> str:
    return next((one.name for one in signal.Signals if one.value == number), str(number))


# What says more of this host than of the command.
LACKS: Final[dict[CommandEnd, str]] = {
    CommandEnd.BUSY: "too many commands run",
    CommandEnd.KILLED: "somebody killed it by SIGKILL, as the kernel does when memory runs out",
    CommandEnd.LIMITED: "it failed while all commands together came to {0}= of their unit",
}

# Every other end is this host's own.
MEANINGS: Final[dict[CommandEnd, tuple[Finding, Callable[[Check | CommandRun, CommandResult], str]]]] = {
    CommandEnd.ENDED: (Finding.EXITED, lambda _, answer: _describe_end(answer)),
    CommandEnd.SIGNALLED: (Finding.SIGNALLED, lambda _, answer: _name_signal(answer.number)),
    CommandEnd.SILENT: (Finding.SILENCE, lambda check, _: f"{check.timeout:g} s"),
    CommandEnd.ABSENT: (Finding.NO_COMMAND, lambda check, _: check.command[0]),
    CommandEnd.WRITABLE: (Finding.WRITABLE, lambda _, answer: answer.detail),
    CommandEnd.NOT_EXECUTABLE: (
        Finding.NOT_EXECUTABLE,
        lambda check, answer: f"{check.command[0]}: {strerror(answer.number)}",
    ),
    CommandEnd.NO_USER: (Finding.NO_USER, lambda _, answer: answer.detail),
    CommandEnd.KEPT_RIGHTS: (Finding.NOT_HARMLESS, lambda _, answer: answer.detail),
    CommandEnd.OTHER_USER: (Finding.OTHER_USER, lambda _, answer: answer.detail),
}
