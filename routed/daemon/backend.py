"""What the control socket asks of the daemon: one method for each of the interface.

Here must never live: Varlink, or who may ask (``control``); what a method does (``answers``, ``orders``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from routed.daemon.clients import Peer
from routed.model.documents import (
    ApplyDocument,
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


class Backend(Protocol):
    """What the daemon does for a client. To a name that is no entry's it says ``raise UnknownEntry(entry=name)``."""

    def status(self, entry: str | None, address: bytes) -> StatusDocument:
        """Every entry and its state, or those of one name, which may lack its kind, or that are for an address."""

    def graph(self, *, is_folded: bool) -> GraphDocument:
        """What is in force as nodes and edges, with what is alike as one node."""

    async def plan(self, assumed: Sequence[str], asked: Sequence[bytes]) -> PlanDocument:
        """What would be done, if these were so: ``check:wan1=down``. Raises IntentError when the files are invalid.

        Of ``asked`` addresses it also says what would decide about packets there.
        """

    async def reload(self, *, force: bool, confirm: float | None, comment: str, asker: Peer) -> ApplyDocument:
        """Read the files, enforce them, verify. After ``confirm`` seconds it undoes itself unless it is confirmed."""

    async def roll_back(
        self, *, revision: int | None, force: bool, confirm: float | None, asker: Peer
    ) -> ApplyDocument:
        """Enforce a revision, whatever the files say."""

    def find_progress(self) -> ProgressDocument | None:
        """How far what is under way is; None where nobody knows, or it is short."""

    async def confirm(self, asker: Peer) -> None:
        """What is on trial is to last."""

    def list_revisions(self) -> RevisionsDocument:
        """Every revision that is kept."""

    def list_members(self) -> MemberSourcesDocument:
        """Every source of members that an entry uses."""

    def describe_metrics(self) -> MetricsDocument:
        """The state and what was counted, as Prometheus is told."""

    def list_wants(self, address: bytes) -> WantsDocument:
        """What the entries in force want of rules and tables for one address."""

    def explain(self, entry: str) -> WhyEntryDocument:
        """Why the entries of a name, which may lack its kind, are in their state."""

    def read_revision(self, revision: int) -> SourcesDocument:
        """The files of one."""

    def pause(self, entry: str | None, seconds: float, reason: str, asker: Peer) -> None:
        """Stop enforcing an entry, or all."""

    def override(self, check: str, seconds: float, reason: str, asker: Peer, *, is_up: bool) -> None:
        """Have a check count as up or down."""

    def drain(self, server: str, seconds: float, reason: str, asker: Peer) -> None:
        """Have a server get no new connections."""

    def resume(self, entry: str | None) -> None:
        """Enforce again."""

    def subscribe(self, entry: str) -> asyncio.Queue[OutcomeDocument]:
        """A queue of ``OUTCOMES_QUEUED`` places that gets every outcome from now on, of one entry if that is named.

        What finds it full is not put.
        """

    def unsubscribe(self, queue: asyncio.Queue[OutcomeDocument]) -> None:
        """The queue is not read any more."""
