"""What clients may ask of a service: ``control.Backend``, answered from what it has.

Nothing is decided here: each answer is made where its words are. What few ask for is imported when it is asked for.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from routed import __version__
from routed.audit.reasons import describe_reason
from routed.core.assumptions import AssumptionError, read_assumptions
from routed.daemon.askers import name_asker
from routed.daemon.clients import Peer
from routed.daemon.control import NotAssumable, Refused, UnknownEntry
from routed.daemon.engine import Inquiry
from routed.daemon.moments import format_moment, make_moment
from routed.daemon.results import (
    describe_plan,
    describe_revision,
    describe_sources,
    describe_trial,
)
from routed.daemon.status import (
    Moment,
    count_states,
    describe_absent,
    describe_entries,
    describe_leftovers,
    describe_pauses,
)
from routed.daemon.storage import StateError
from routed.daemon.traffic import add_traffic
from routed.intent.problems import IntentError
from routed.model.assumption import TooMuchError
from routed.model.documents import (
    ApplyDocument,
    EntryDocument,
    MemberSourcesDocument,
    OutcomeDocument,
    PlanDocument,
    ProgressDocument,
    RevisionsDocument,
    SourcesDocument,
    StatusDocument,
)
from routed.model.graph_document import GraphDocument
from routed.model.metrics import MetricsDocument
from routed.model.why_documents import WantsDocument, WhyEntryDocument

if TYPE_CHECKING:  # it need not know who asks it
    from routed.daemon.service import Service


class ClientAnswers:
    """Answers the clients of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def status(self, entry: str | None = None, address: bytes = b"") -> StatusDocument:
        """Every entry and its objects, or those of one name or for one address, from memory."""
        moment, sysctls = make_moment(), self._service.tuning.look()
        document = StatusDocument(
            schema="routed.status/1",
            version=__version__,
            pid=os.getpid(),
            since=format_moment(self._service.began_at),
            config=str(self._service.files.config),
            protocol=self._service.host.wanted.intent.settings.protocol,
            protocols=sorted(self._service.host.wanted.marks.further),
            former_protocols=sorted(self._service.host.wanted.former_protocols),
            revision=self._service.keeper.revision,
            files=self._service.deployer.describe_files(),
            state=self._service.summarise_all(),
            unsaved=self._service.keeper.unsaved,
            repairs=self._service.tally.repairs,
            overruns=self._service.kernel.overruns,
            last_resync=moment(self._service.last_resync),
            entries=self._describe_entries(moment, entry or "", address),
            leftovers=describe_leftovers(self._service.host, moment),
            counts=count_states(self._service.host),
            deployment=str(self._service.keeper.deployment.phase),
            pauses=describe_pauses(self._service.host, moment),
            checks=self._service.checking.describe(moment),
            absent=describe_absent(self._service.host),
            sysctls=sysctls,
        )
        if self._service.following and (following := self._service.following.describe()):
            document["following"] = following
        if self._service.metrics and (served := self._service.metrics.describe()):
            document["metrics"] = served
        if self._service.is_coming:
            document["coming"] = self._service.keeper.revision
        if self._service.keeper.deployment.is_trial:
            document["trial"] = describe_trial(self._service.keeper.deployment)
        if self._service.reconciler.count is not None:
            add_traffic(document["entries"], document["leftovers"], self._service.host, self._service.reconciler.count)
        return document

    def _describe_entries(self, moment: Moment, asked: str, address: bytes) -> list[EntryDocument]:
        if not address:
            return describe_entries(self._service.host, moment, asked)
        from routed.daemon.status_of_address import describe_entries_of  # noqa: PLC0415  few ask that

        return describe_entries_of(self._service.host, moment, address)

    def graph(self, *, is_folded: bool) -> GraphDocument:
        """What is in force as nodes and edges, from memory."""
        from routed.daemon.graph import describe_kept_graph  # noqa: PLC0415  few look at it

        phase = str(self._service.keeper.deployment.phase)
        document = describe_kept_graph(
            self._service.host,
            self._service.keeper.revision,
            phase,
            is_on_disk=self._service.is_on_disk,
            is_folded=is_folded,
        )
        return {**document, "config": str(self._service.files.config.absolute())}

    async def plan(self, assumed: Sequence[str], asked: Sequence[bytes] = ()) -> PlanDocument:
        """What ``reload`` would do now, if these were so; and what then decides about packets to these addresses.

        Raises IntentError, NotAssumable for what cannot be assumed, and whatever kept the plan from being made.
        """
        await self._service.has_begun.wait()
        intent, problems, *_ = (await self._service.readings.read()).reading
        if intent is None:
            raise IntentError(problems)
        try:
            wanted = self._service.host.wanted
            known = wanted.find_whole() if intent.digest == wanted.intent.digest else intent  # with those of members
            inquiry = Inquiry(intent, read_assumptions(assumed, known)._replace(asked=tuple(asked)))
        except AssumptionError as error:
            raise NotAssumable(reason=describe_reason(error.why)) from None
        if memberships := self._service.make_memberships(intent):
            inquiry.told = await memberships.foretell(intent)
        await self._service.loop.make_plan(inquiry)
        if isinstance(inquiry.error, AssumptionError):
            raise NotAssumable(reason=describe_reason(inquiry.error.why))
        if isinstance(inquiry.error, TooMuchError):
            most = self._service.reconciler.most_imagined
            raise Refused(reason=f"more than {most} objects stand here, which the daemon does not keep in memory")
        if inquiry.proposal is None:
            raise inquiry.error or RuntimeError("no plan was made")
        document = await asyncio.to_thread(describe_plan, inquiry.proposal)  # what it is made from is nobody else's
        return {**document, "config": str(self._service.files.config.absolute()), "digest": intent.digest}

    async def reload(self, *, force: bool, confirm: float | None, comment: str, asker: Peer) -> ApplyDocument:
        """Put the files on disk in force and wait for the verified result, or for the reasons why not."""
        return await self._service.reload(force=force, confirm=confirm, comment=comment, asker=asker)

    async def roll_back(
        self, *, revision: int | None, force: bool, confirm: float | None, asker: Peer
    ) -> ApplyDocument:
        """Put a revision in force, whatever the files say. Raises Refused."""
        await self._service.has_begun.wait()
        return await self._service.deployer.roll_back(revision, confirm=confirm, is_forced=force, by=name_asker(asker))

    async def confirm(self, asker: Peer) -> None:
        """What is on trial is to last. Raises Refused."""
        await self._service.has_begun.wait()
        await self._service.deployer.confirm(name_asker(asker))

    def list_revisions(self) -> RevisionsDocument:
        """Every revision that is kept, the newest first. Raises Refused."""
        try:
            kept = self._service.files.revisions.list_all()
        except StateError as error:
            raise Refused(reason=str(error)) from None
        revisions = [describe_revision(one, in_force=self._service.keeper.revision) for one in kept]
        return RevisionsDocument(schema="routed.revisions/1", revisions=revisions)

    def list_members(self) -> MemberSourcesDocument:
        """Every source of members that an entry uses."""
        listed = (
            self._service.memberships.describe(self._service.host.world.facts, make_moment())
            if self._service.memberships
            else []
        )
        return MemberSourcesDocument(schema="routed.member-sources/1", sources=listed)

    def describe_metrics(self) -> MetricsDocument:
        """The state and what was counted, as Prometheus is told."""
        from routed.daemon.metrics import describe_metrics, look_at  # noqa: PLC0415  only who is asked pays for it

        return describe_metrics(look_at(self._service))

    def list_wants(self, address: bytes) -> WantsDocument:
        """What the entries in force want of rules and tables for one address."""
        from routed.daemon.wants import describe_wants  # noqa: PLC0415  asked for now and then

        return describe_wants(self._service.host, address, make_moment(), str(self._service.files.config.absolute()))

    def explain(self, entry: str) -> WhyEntryDocument:
        """Why the entries of a name are in their state. Raises UnknownEntry."""
        from routed.daemon.grounds import describe_grounds  # noqa: PLC0415  likewise

        found = describe_grounds(self._service.host, entry, make_moment(), time.monotonic())
        if not found:
            raise UnknownEntry(entry=entry)
        return WhyEntryDocument(schema="routed.why-entry/1", entry=entry, entries=found, unknown=[])

    def read_revision(self, revision: int) -> SourcesDocument:
        """The files of one. Raises Refused."""
        kept = self._service.files.revisions.find(revision)
        if kept is None:
            raise Refused(reason=f"there is no revision {revision}, or it cannot be read: see routed revisions")
        return describe_sources(kept)

    def pause(self, entry: str | None, seconds: float, reason: str, asker: Peer) -> None:
        """Stop enforcing an entry, or everything, for a while. Raises UnknownEntry."""
        self._service.orders.pause(entry, seconds, reason, asker)

    def override(self, check: str, seconds: float, reason: str, asker: Peer, *, is_up: bool) -> None:
        """Have a check count as up or down for a while, whatever it finds. Raises UnknownEntry."""
        self._service.orders.override(check, seconds, reason, asker, is_up=is_up)

    def drain(self, server: str, seconds: float, reason: str, asker: Peer) -> None:
        """Have a server get no new connections for a while, whatever else is said of it. Raises UnknownEntry."""
        self._service.orders.drain(server, seconds, reason, asker)

    def resume(self, entry: str | None) -> None:
        """Enforce again, at once. Raises UnknownEntry."""
        self._service.orders.resume(entry)

    def find_progress(self) -> ProgressDocument | None:
        """How much of what is asked of the kernel now has been answered, where that is much."""
        under_way = self._service.host.under_way
        if not under_way.asked:
            return None
        return ProgressDocument(done=min(under_way.answered, under_way.asked), total=under_way.asked)

    def subscribe(self, entry: str) -> asyncio.Queue[OutcomeDocument]:
        """A queue that gets every record from now on, or those of one entry, until it is full."""
        return self._service.voice.subscribe(entry)

    def unsubscribe(self, queue: asyncio.Queue[OutcomeDocument]) -> None:
        """No more of them."""
        self._service.voice.unsubscribe(queue)
