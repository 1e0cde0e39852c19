"""Checking: the checks of the files in force, as the service has them. ``prober`` asks, and is made at the first need.

Here belongs what is done with a turn, and what status says of a check.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from routed.audit.reasons import describe_reason
from routed.core.health import is_no_answer
from routed.core.holds import Hold
from routed.core.quality import measure
from routed.core.timetable import Deadline
from routed.daemon.host import Host
from routed.model.checks import Check, CheckState, Ruling
from routed.model.documents import CheckDocument, TargetDocument
from routed.model.entries import Intent
from routed.model.facts import Fact, FactKey
from routed.model.net import format_endpoint
from routed.model.reasons import Paused, Probed

if TYPE_CHECKING:  # only files with checks pay for it
    from routed.daemon.helpers import Helpers, Lease
    from routed.daemon.prober import Prober, Probing


SAVE_EVERY: Final = 1.0  # seconds between two writings of what was found


class Checking:
    """Begins, follows and ends the questions of one daemon."""

    def __init__(
        self,
        kept: Path,
        host: Host,
        deliver: Callable[[Mapping[FactKey, Fact]], None],
        tell: Callable[[Check, Ruling | Probed], None],
    ) -> None:
        """``kept`` is the file for what was found, over a restart; helpers of commands listen in its folder."""
        self._kept = kept
        self._host = host
        self._deliver = deliver
        self._tell = tell
        self._intent: Intent | None = None  # whose checks are asked
        self._prober: Prober | None = None
        self._saved = 0.0
        self._helpers: Helpers | None = None  # once a command is to be run

    def follow(self, intent: Intent) -> None:
        """Ask what these files require from now on."""
        if intent is self._intent or not (self._prober or intent.checks):
            return
        self._intent = intent
        if self._prober is None:
            self._prober = self._make_prober()
        self._prober.follow(intent)

    def advance(self) -> None:
        """Ask whatever is due."""
        if self._prober is not None:
            self._prober.advance()

    async def stop(self) -> None:
        """Ask nothing more. What was found is kept for the next start."""
        if self._prober is not None:
            await self._prober.stop()
            self.save()

    def list_names(self) -> set[str]:
        """The checks of the files in force, as ``check/wan1``."""
        return {check.entry for check in self._host.wanted.find_whole().checks}

    def judge_again(self) -> None:
        """The operator said something of a check, or what he said is over."""
        if self._prober is not None:
            self._prober.judge_again()

    def describe(self, moment: Callable[[float], str]) -> list[CheckDocument]:
        """Every check of the files in force, in their order."""
        probings = self._prober.probings if self._prober else {}
        return [_describe(check, probings.get(check.name), moment) for check in self._host.wanted.find_whole().checks]

    def _make_prober(self) -> Prober:
        from routed.daemon.healths import load_healths  # noqa: PLC0415  only files with checks pay for it
        from routed.daemon.prober import Prober  # noqa: PLC0415

        kept = load_healths(self._kept, time.monotonic())
        find_facts, find_pause = (lambda: self._host.world.facts), self._find_pause
        tell, clock, lease = self._tell_turn, time.monotonic, self.lease_helpers
        return Prober(find_facts, self._deliver, tell, self._remind, find_pause, clock, kept, lease)

    def lease_helpers(self) -> Lease:
        """Those who run commands, for a check or for whoever else has some. Raises OSError."""
        from routed.daemon.helpers import Helpers  # noqa: PLC0415  only who runs commands pays for it

        self._helpers = self._helpers or Helpers(self._kept.parent)
        return self._helpers.lease()

    def _find_pause(self, check: Check) -> Hold | None:
        hold = self._host.ledger.holds.active.get(check.entry)
        return hold if hold is not None and hold.until > time.monotonic() else None

    def _remind(self, moment: float | None) -> None:
        if moment is None:
            self._host.timetable.cancel(Deadline.PROBE)
        else:
            self._host.timetable.bring_forward(Deadline.PROBE, moment)

    def _tell_turn(self, check: Check, found: Ruling | Probed) -> None:
        due = self._saved + SAVE_EVERY
        if time.monotonic() >= due:
            self.save()  # what was told is known after a restart
        else:  # very many may turn at once
            self._host.timetable.bring_forward(Deadline.HEALTHS, due)
        self._tell(check, found)

    def save(self) -> None:
        """Keep what was found for the next start."""
        from routed.daemon.healths import save_healths  # noqa: PLC0415

        if self._prober is not None:
            self._saved = time.monotonic()
            save_healths(self._kept, self._prober.list_healths(), time.monotonic())


def _describe(check: Check, probing: Probing | None, moment: Callable[[float], str]) -> CheckDocument:
    ruling = probing.ruling if probing else None
    state = verdict = CheckState.UNKNOWN if ruling is None else CheckState.UP if ruling.is_up else CheckState.DOWN
    since = moment(ruling.since) if ruling else ""
    reason = describe_reason(ruling.why) if ruling else "" if probing else _tell_why_not_asked(check)
    if probing and probing.failure and not (ruling and isinstance(ruling.why, Paused)):
        state, since, reason = CheckState.FAILED, moment(probing.failed_at), describe_reason(probing.failure)
    elif ruling and ruling.is_unanswered:
        state = CheckState.UNKNOWN
    document = CheckDocument(
        check=check.entry,
        type=check.type,
        state=state,
        since=since,
        reason=reason,
        counts_as=verdict if ruling and (state is CheckState.FAILED or ruling.is_unanswered) else "",
        origin=str(check.origin),
        late=round(probing.lateness, 3) if probing else 0.0,
        targets=_describe_targets(check, probing, moment) if probing else [],
    )
    if ruling and ruling.share is not None:
        document["share"] = ruling.share
    return document


def _tell_why_not_asked(check: Check) -> str:
    return "it has no target, so it is a template" if check.is_template else "no entry requires it, so it is not asked"


def _describe_targets(check: Check, probing: Probing, moment: Callable[[float], str]) -> list[TargetDocument]:
    documents = []
    for target in check.targets:
        health = probing.find_health(target)
        document = TargetDocument(
            target=format_endpoint(*target) if target.address else check.subject,
            state=health.verdict,
            since=moment(health.since) if health.verdict is not CheckState.UNKNOWN else "",
            last=describe_reason(health.last),
            asked=moment(health.asked) if health.asked is not None else "",
            seconds=0.0 if is_no_answer(health.last) else round(probing.seconds.get(target, 0.0), 6),
        )
        quality = measure(health.samples)
        if quality.asked:
            document["loss"] = round(quality.loss, 6)
        if quality.rtt is not None:
            document["rtt"] = round(quality.rtt, 6)
        documents.append(document)
    return documents
