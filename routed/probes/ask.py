"""Ask: one question of one check to one target, whatever its type.

The table of types, and what an error of the system means for a check. What this host itself is short of says nothing of
the target, and is told apart.
"""

from __future__ import annotations

import asyncio
import errno
from importlib import import_module
from os import strerror
from typing import Final, NamedTuple

from routed.model.checks import Check, CheckType, Target
from routed.model.reasons import Finding, Probed
from routed.probes.sockets import NoSocketError, Path, drops_answers
from routed.tls import find_fault

MODULES: Final[dict[CheckType, str]] = {
    CheckType.ICMP: "icmp",
    CheckType.ARP: "neighbour",
    CheckType.TCP: "stream",
    CheckType.TLS: "stream",
    CheckType.HTTP: "http",
    CheckType.HTTPS: "http",
    CheckType.DNS: "datagram",
    CheckType.UDP: "datagram",
    CheckType.FILE: "file",
    CheckType.EXEC: "command",
    CheckType.AGENT: "agent",
}  # of routed.probes; each has a coroutine ``probe``, which may return what is worth telling of a good answer

# What the target, or the way to it, is the reason of. Every other error is this host's own.
MEANINGS: Final[dict[int, Finding]] = {
    errno.ECONNREFUSED: Finding.REFUSED,
    errno.ECONNRESET: Finding.RESET,
    errno.EPIPE: Finding.RESET,
    errno.ECONNABORTED: Finding.RESET,
    errno.EHOSTUNREACH: Finding.UNREACHABLE,  # the neighbour is silent, or a router says so
    errno.EHOSTDOWN: Finding.UNREACHABLE,
    errno.ETIMEDOUT: Finding.SILENCE,
    errno.EPROTO: Finding.MALFORMED,
}
# Seconds more than the time of a check, where another process watches over that time.
PATIENCE: Final[dict[CheckType, float]] = {CheckType.EXEC: 5.0}
# Seconds after the end of the time in which this host has to notice that: later it may have missed an answer.
SLACK: Final = 0.25
SHARES: Final = {Finding.SILENCE: 1.0, Finding.NO_GATEWAY: 0.9}  # of its time, after which each is found


class BadAnswerError(Exception):
    """The target answered, and not as it should."""

    def __init__(self, finding: Finding, detail: str = "") -> None:
        super().__init__(finding, detail)
        self.finding = finding
        self.detail = detail


class Answered(NamedTuple):
    """What came of a question, and how long it took in seconds."""

    probed: Probed
    seconds: float


async def ask(check: Check, target: Target, path: Path) -> Answered:
    """Put the question once. Raises nothing but CancelledError."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    finding, detail = await _try(check, target, path)
    seconds = loop.time() - began
    late = seconds - check.timeout * SHARES.get(finding, 0.0)
    if finding in SHARES and late > SLACK:
        finding, detail = Finding.LOCAL, f"this host was busy for {late:.1f} s"
    if finding is Finding.SILENCE and target.address and drops_answers(target.address, path):
        finding = Finding.FILTERED
    return Answered(Probed(check.type, finding, detail), seconds)


async def _try(check: Check, target: Target, path: Path) -> tuple[Finding, str]:
    try:
        probe = import_module(f"routed.probes.{MODULES[check.type]}").probe
        async with asyncio.timeout(check.timeout + PATIENCE.get(check.type, 0.0)):
            said = await probe(check, target, path)
    except BadAnswerError as bad:
        return bad.finding, bad.detail
    except NoSocketError as refusal:
        return Finding.NO_SOCKET, str(refusal)
    except TimeoutError:
        return Finding.SILENCE, f"{check.timeout:g} s"
    except EOFError:
        return Finding.CLOSED, ""
    except OSError as error:
        if fault := find_fault(error):
            return (Finding.CERTIFICATE if fault.is_about_certificate else Finding.HANDSHAKE), fault.words
        number = error.errno or (errno.ECONNRESET if isinstance(error, ConnectionError) else 0)  # asyncio's has none
        return MEANINGS.get(number, Finding.LOCAL), strerror(number) if number else error.strerror or str(error)
    except Exception as error:  # noqa: BLE001  a defect of ours says nothing of the target
        return Finding.LOCAL, f"{type(error).__name__}: {error}"
    return Finding.GOOD, said or ""
