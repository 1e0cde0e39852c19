"""Orders: what the operator says for a while. A pause of an entry, what a check counts as, a server to be drained.

They are holds, kept over a restart. Here must never live: who may give them (``control``), or what they come to
(``core.holds``, ``core.services``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from routed.audit import notices
from routed.audit.reasons import describe_paused
from routed.audit.records import Record
from routed.core.entries import list_parts
from routed.core.sources import DRAIN
from routed.daemon.askers import name_asker
from routed.daemon.checking import Checking
from routed.daemon.clients import Peer
from routed.daemon.control import Refused, UnknownEntry
from routed.daemon.host import Host
from routed.model.change import Cause
from routed.model.entries import Enforce, Entry
from routed.model.reasons import LeftAlone, Look, Paused, Reason

EVERYTHING: Final = ""  # the subject of a pause of everything
LEFT: Final = {Enforce.OBSERVE: LeftAlone.OBSERVED, Enforce.ONCE: LeftAlone.ONCE}


class Orders:
    """Takes them, keeps them, and has the host looked at again."""

    def __init__(
        self,
        host: Host,
        checking: Checking,
        save: Callable[[float], None],
        say: Callable[[Record], None],
        pump: Callable[[], None],
    ) -> None:
        self._host = host
        self._checking = checking
        self._save = save
        self._say = say
        self._pump = pump

    def pause(self, entry: str | None, seconds: float, words: str, asker: Peer) -> None:
        """Stop enforcing an entry, or everything, for a while. Raises UnknownEntry."""
        self._hold(self._find_subject(entry), seconds, Paused(words, name_asker(asker)))

    def override(self, check: str, seconds: float, words: str, asker: Peer, *, is_up: bool) -> None:
        """Have a check count as up or down for a while, whatever it finds. Raises UnknownEntry."""
        if check not in self._checking.list_names():
            raise UnknownEntry(entry=check)
        self._hold(check, seconds, Paused(words, name_asker(asker), is_up))

    def drain(self, server: str, seconds: float, words: str, asker: Peer) -> None:
        """Have a server get no new connections for a while, whatever else is said of it.

        Raises UnknownEntry, and Refused where its service is left alone: nothing would come of it.
        """
        resolution = self._host.wanted.desired.resolutions.get(server.partition("[")[0])
        if resolution is None or server not in list_parts(resolution.entry):
            raise UnknownEntry(entry=server)
        if why := self._find_why_left(resolution.entry):
            raise Refused(reason=f"{resolution.entry.name} is left alone: {describe_paused(why)}")
        self._hold(server, seconds, Paused(words, name_asker(asker), is_drain=True))

    def resume(self, entry: str | None) -> None:
        """Enforce again, at once. Raises UnknownEntry."""
        subject = self._find_subject(entry)
        if self._host.ledger.holds.resume(subject):
            self._save(time.monotonic())
            self._say(notices.note_resumed(subject, is_over=False))
            self._host.make_dirty(self._host.schedule.dirt, [subject], Cause(None, Look.RESUMED))
            self.judge_again()

    def note_ended(self, subjects: Iterable[str]) -> None:
        """The time of these is over."""
        for subject in subjects:
            self._say(notices.note_resumed(subject, is_over=True))
        self._save(time.monotonic())
        self.judge_again()

    def judge_again(self) -> None:
        """Something was said of a check or of a server, or is over."""
        self._host.ask_again(DRAIN)
        self._checking.judge_again()
        self._pump()

    def _hold(self, subject: str, seconds: float, reason: Paused) -> None:
        now, holds = time.monotonic(), self._host.ledger.holds
        how, is_drain = reason.ruling, reason.is_drain
        holds.pause(subject, reason.words, now + seconds, now, reason.author, ruling=how, is_drain=is_drain)
        self._save(now)
        self._say(notices.note_paused(subject, seconds, reason))
        self.judge_again()

    def _find_subject(self, entry: str | None) -> str:
        if entry is None or entry == EVERYTHING:
            return EVERYTHING
        known = self._host.wanted.desired.resolutions
        paused = self._host.ledger.holds.list_pauses()  # a server or a member may have gone meanwhile
        named = {*known, *self._checking.list_names(), *paused}
        if entry in named:
            return entry
        alike = sorted(name for name in named if name.partition("/")[2] == entry)
        if not alike:
            raise UnknownEntry(entry=entry)
        if len(alike) > 1:
            raise Refused(reason=f"{entry} may be {' or '.join(alike)}: write which")
        return alike[0]

    def _find_why_left(self, entry: Entry) -> Reason | None:
        """Why what stands is not changed, whatever the entry comes to."""
        pause = self._host.ledger.holds.find_pause(entry.name)
        return pause.reason if pause else LEFT.get(entry.enforce)
