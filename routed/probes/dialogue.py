"""What the daemon and the helper that runs commands say to each other, on a connection of its own for each command.

    daemon → helper    {"command": ["/usr/lib/…/check_x", "-H", …], "timeout": 2.0, "user": "", "is_told": false}
    helper → daemon    >what it printed              as it comes, where the request says ``is_told``
    helper → daemon    {"end": "ended", "number": 2, "detail": "", "output": "CRITICAL …"}

JSON, and raw bytes behind ``>``, on a socket that keeps packets whole (SOCK_SEQPACKET). Whoever closes the connection
before ends the command. The helper imports this, so here must never live anything that is not small.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Final, NamedTuple

MOST: Final = 65536  # bytes of a packet
MOST_SECONDS: Final = 1e14  # more than any duration of the files
PIECE: Final = 32768  # bytes of output in a packet
_OUTPUT: Final = b">"
MOST_OUTPUT: Final = 4096  # bytes of the output that count; the rest is read and thrown away


class CommandEnd(Enum):
    """What became of a command."""

    ENDED = "ended"  # by itself: ``number`` is its exit code
    SIGNALLED = "signalled"  # ``number`` is the signal
    SILENT = "silent"  # it did not end in time, and was ended
    ABSENT = "absent"  # there is no such file
    WRITABLE = "writable"  # somebody else than root may write ``detail``
    NOT_EXECUTABLE = "not-executable"  # ``number`` is the error
    NO_USER = "no-user"  # the host has no such user
    OTHER_USER = "other-user"  # the helper runs as ``detail``, and may not become another
    BUSY = "busy"  # too many run
    KILLED = "killed"  # by SIGKILL, and not by the helper
    LIMITED = "limited"  # it failed, and meanwhile all commands together came to the limit ``detail``
    KEPT_RIGHTS = "kept-rights"  # the helper has a right that no command shall have: ``detail``
    STUCK = "stuck"  # this host could not start it: ``number`` is the error


class CommandRun(NamedTuple):
    """A command to be run."""

    command: tuple[str, ...]
    timeout: float  # seconds
    user: str = ""  # who has to run it; empty: the helper as it is
    is_told: bool = False  # is all of its output passed on, and only what it prints as errors kept for the end?


class CommandResult(NamedTuple):
    """What became of it."""

    end: CommandEnd
    number: int = 0
    detail: str = ""
    output: str = ""


def pack_run(request: CommandRun) -> bytes:
    """A request as a packet."""
    return json.dumps(request._asdict(), ensure_ascii=False).encode()


def unpack_run(packet: bytes) -> CommandRun:
    """Raises ValueError for anything else."""
    it = _load(packet)
    command, timeout, user = it.get("command"), it.get("timeout"), it.get("user", "")
    is_told = it.get("is_told", False)
    if not (isinstance(command, list) and command and all(isinstance(word, str) for word in command)):
        raise ValueError("it has no command")
    if not (isinstance(timeout, (int, float)) and 0 < timeout < MOST_SECONDS and isinstance(user, str)):
        raise ValueError("it has no timeout or no user")
    if not isinstance(is_told, bool):
        raise ValueError("it does not say whether the output is told")  # noqa: TRY004  of a packet, whatever is wrong
    if not command[0].startswith("/") or any("\0" in word for word in command):
        raise ValueError("its command is no absolute path")
    return CommandRun(tuple(command), float(timeout), user, is_told)


def pack_result(answer: CommandResult) -> bytes:
    """An answer as a packet."""
    return json.dumps({**answer._asdict(), "end": answer.end.value}).encode()


def pack_output(piece: bytes) -> bytes:
    """A piece of the output as a packet."""
    return _OUTPUT + piece


def unpack_said(packet: bytes) -> bytes | CommandResult:
    """A piece of the output, or what became of the command. Raises ValueError for anything else."""
    return packet[len(_OUTPUT) :] if packet.startswith(_OUTPUT) else unpack_result(packet)


def unpack_result(packet: bytes) -> CommandResult:
    """Raises ValueError for anything else."""
    it = _load(packet)
    number, detail, output = it.get("number"), it.get("detail"), it.get("output")
    if not (isinstance(number, int) and isinstance(detail, str) and isinstance(output, str)):
        raise ValueError("it is no answer")  # noqa: TRY004  of a packet, whatever is wrong with it
    return CommandResult(CommandEnd(it.get("end")), number, detail, output)


def _load(packet: bytes) -> dict[str, Any]:
    found = json.loads(packet)
    if not isinstance(found, dict):
        raise ValueError("it is no object")  # noqa: TRY004  of a packet, whatever is wrong with it
    return found
