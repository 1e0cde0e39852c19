"""Why a server that no entry wants stays for a while, and why it goes then."""

from __future__ import annotations

from routed.model.reasons.value import Detailed


class Draining(Detailed):
    """It gets no new connections, and goes when it has none, or at this moment."""

    until: int  # seconds of Unix time


class Drained(Detailed):
    """It had its time."""

    is_empty: bool  # nothing is connected any more; else its time is over
