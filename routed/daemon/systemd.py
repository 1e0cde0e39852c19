"""What the service manager is told, and what it asks for: the notification protocol of sd_notify(3).

Spoken by systemd's own library where it is installed, else by its socket. Here must never live: a decision about when
to say what.

Outside a service (no ``NOTIFY_SOCKET``) nothing is imported and every call does nothing, so that the daemon runs the
same in a container, in a test and under another supervisor.
"""

from __future__ import annotations

import os
import time
from errno import EAGAIN, ENOBUFS, ENOMEM
from typing import Final

from routed.audit.printable import make_printable

_PASSING: Final = frozenset({EAGAIN, ENOBUFS, ENOMEM})


def notify_ready(status: str) -> bool:
    """The first pass, or a reload, is over; ``status`` is the sentence that ``systemctl status`` shows.

    False where it could not be told: who waits for it would wait for ever, so it has to be told again.
    """
    return _notify("READY=1", _status(status))


def notify_reloading(status: str) -> None:
    """A reload begins; ``notify_ready`` has to follow.

    Type=notify-reload (systemd 253 and later) wants the moment of CLOCK_MONOTONIC in the same message as RELOADING=1,
    else it counts the reload as failed (sd_notify(3)). Older ones ignore it.
    """
    _notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", _status(status))


def notify_stopping(status: str) -> None:
    """The daemon is about to end."""
    _notify("STOPPING=1", _status(status))


def notify_status(status: str) -> None:
    """One sentence about the state of things."""
    _notify(_status(status))


def notify_watchdog() -> None:
    """The daemon is alive. Due every ``watchdog_interval()`` seconds."""
    _notify("WATCHDOG=1")


def watchdog_interval() -> float | None:
    """Seconds between two signs of life; None where nobody waits for them.

    Half of what the unit allows, as sd_watchdog_enabled(3) recommends. WATCHDOG_USEC is meant for the process
    WATCHDOG_PID names, and for every process where it is absent.
    """
    if "NOTIFY_SOCKET" not in os.environ:
        return None
    allowed = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    if not (allowed.isascii() and allowed.isdigit() and int(allowed)):
        return None
    return int(allowed) / 2_000_000


def _status(sentence: str) -> str:
    # A line break would begin another assignment.
    return f"STATUS={make_printable(' '.join(sentence.split()))}"


def _notify(*assignments: str) -> bool:
    """Tell it, if anybody waits for it. False where that may succeed a moment later.

    Routes are kept whether or not somebody listens: a dead socket is no reason to fail.
    """
    if "NOTIFY_SOCKET" not in os.environ:
        return True
    try:
        from systemd.daemon import notify  # noqa: PLC0415  only a service pays for it
    except ImportError:
        from routed.audit.systemd_sockets import notify  # noqa: PLC0415  likewise
    try:
        notify("\n".join(assignments))
    except MemoryError:  # so the library calls ENOMEM
        return False
    except OSError as error:
        return error.errno not in _PASSING
    return True
