"""Tuning: which sysctls stand otherwise than the services in force take. Read when somebody asks, and now and then.

The unit may not write them, so it is told. Nothing of it is imported on a host without services.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from routed.daemon.host import Host
from routed.model.documents import SysctlDocument
from routed.model.entries import Intent
from routed.model.objects import Kind
from routed.model.sysctls import SysctlNeed

ROOT: Final = Path("/proc/sys")
AGE: Final = 60.0  # seconds after which the sentence for the service manager reads them again


class Tuning:
    """What is lacking, as it was last seen."""

    def __init__(self, host: Host, root: Path = ROOT, clock: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._root = root
        self._clock = clock
        self._seen: tuple[Intent, float] | None = None  # what was in force then, and when
        self._found: list[SysctlDocument] = []
        self._taken: tuple[Intent, int, tuple[SysctlNeed, ...]] | None = None  # by which files and revision of facts

    def look(self) -> list[SysctlDocument]:
        """What is lacking now."""
        self._seen = (self._find_whole(), self._clock())
        self._found = []
        if self._has_services():
            from routed.audit.sysctls import describe_lack  # noqa: PLC0415  only hosts with services pay for it
            from routed.core.sysctls import find_lacks  # noqa: PLC0415

            lacks = find_lacks(self._list_needs(self._find_whole()), self._read)
            self._found = [describe_lack(lack) for lack in lacks]
        return self._found

    def _has_services(self) -> bool:
        return bool(self._host.wanted.desired.wants.get(Kind.SERVICE))

    def _find_whole(self) -> Intent:
        """What is in force; with all that members make, who may be many, where it matters here."""
        return self._host.wanted.find_whole() if self._has_services() else self._host.wanted.intent

    def _list_needs(self, intent: Intent) -> tuple[SysctlNeed, ...]:
        """Found anew where they may be others: of ten thousand services and VIPs it takes a third of a second."""
        from routed.core.sysctls import find_needs  # noqa: PLC0415

        facts = self._host.world.facts
        taken = self._taken
        if taken is None or taken[0] is not intent or taken[1] != facts.revision:
            needs = find_needs(intent.entries, facts, dict(intent.settings.ipvs.sysctl))
            self._taken = taken = (intent, facts.revision, needs)
        return taken[2]

    def summarise(self) -> str:
        """The beginning of a headline where something is lacking; it ends with a semicolon."""
        if self._seen is None or self._seen[0] is not self._find_whole() or self._clock() - self._seen[1] > AGE:
            self.look()
        if not self._found:
            return ""
        count = len(self._found)
        what = f"{self._found[0]['sysctl']} is" if count == 1 else f"{count} sysctls are"
        return f"{what} not as the services take it; "

    def _read(self, name: tuple[str, ...]) -> int | None:
        try:
            return int(self._root.joinpath(*name).read_bytes())
        except (OSError, ValueError):
            return None
