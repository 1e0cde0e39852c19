"""In which order endpoints are asked, how long to wait in between, and when a source says nothing.

One is asked until it fails, then the next at once. A whole round that failed is a failure of the source; before the
next round there is a pause, which grows. No clock here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from routed.model.etcd import Endpoint, Unheard
from routed.model.reasons import Reason, join_reasons

FIRST: Final = 0.1  # seconds of the first pause
LAST: Final = 5.0
HEALTHY: Final = 10.0  # seconds that a connection has to last so that its end is the first of a row


class Turns:
    """The endpoints of one source."""

    def __init__(self, endpoints: tuple[Endpoint, ...], jitter: Callable[[], float]) -> None:
        """``jitter``: a number from 0 to 1, another one each time."""
        self._endpoints = endpoints
        self._jitter = jitter
        self._place = 0
        self._row = 0  # connections that ended soon
        self._why: dict[Endpoint, Reason | None] = {}  # of each that failed since the source last told something
        self._told: Unheard | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Whose turn it is."""
        return self._endpoints[self._place]

    def begin(self) -> None:
        """All is well, as at the beginning."""
        self.hear()
        self._row = 0

    def hear(self) -> None:
        """The source told something."""
        self._why.clear()
        self._told = None

    def end(self, why: Reason | None, lasted: float) -> Unheard | None:
        """A connection is over after so many seconds: a failure of the source, if it is another one than before."""
        self._why.pop(self.endpoint, None)
        self._why[self.endpoint] = why
        self._place = (self._place + 1) % len(self._endpoints)
        self._row = 1 if lasted >= HEALTHY else self._row + 1
        reason = join_reasons(one for one in self._why.values() if one)
        if len(self._why) < len(self._endpoints) or reason is None or self._told == Unheard(reason):
            return None
        self._told = Unheard(reason)
        return self._told

    @property
    def pause(self) -> float:
        """Seconds until the next begins."""
        rounds, rest = divmod(self._row, len(self._endpoints))
        if rest:
            return 0.0
        return min(LAST, FIRST * (1 << min(rounds - 1, 10))) * (1 + self._jitter()) / 2
