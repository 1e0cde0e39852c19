"""Memberships: the sources of members of the files in force, as the service has them.

Each is asked in its own way, and whatever it says is taken in by one table (``core.membership``); what comes of it is
delivered as a fact. Here belongs when a source is asked, what is kept over a restart, and what status says. Here must
never live what the bytes of a source mean (``members``).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from routed.audit.member_words import describe_broken
from routed.audit.reasons import describe_reason
from routed.core import membership
from routed.daemon.followers import FOLLOWERS, Provided
from routed.daemon.storage import NEW, replace_file
from routed.members.document import DocumentError, format_document, format_member, parse_document
from routed.members.lines import read_kept
from routed.model.documents import BrokenDocument, MemberDocument, MemberSourceDocument
from routed.model.entries import Intent
from routed.model.etcd import Registered, Unregistered
from routed.model.facts import Fact, FactKey, Facts, Freshness
from routed.model.members import MemberSource, Present, Roster, Snapshot, key_of
from routed.model.reasons import Reason, SourceFailed, join_reasons
from routed.model.shared import Shared

if TYPE_CHECKING:  # only who runs commands pays for it
    from routed.daemon.helpers import Lease

SAVE_EVERY: Final = 1.0  # seconds between two writings of one cache
PATIENCE: Final = 2.0  # seconds that a start waits for its sources
AGAIN: Final = 60.0  # seconds after a defect of ours until a source is asked again
ASKED: Final = "asked"  # the key of what is kept beside a document
NOTHING: Final[Mapping[str, Any]] = {}
SILENT: Final = frozenset({Freshness.STALE, Freshness.CACHED})  # nothing is heard of it

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class Followed:
    """One source that is followed."""

    source: MemberSource
    roster: Roster = membership.NOBODY
    state: Freshness = Freshness.LOADING
    since: float = 0.0  # when it came into its state
    revision: str = ""
    task: asyncio.Task[None] | None = None
    files_changed: asyncio.Event = field(default_factory=asyncio.Event)
    facts_changed: asyncio.Event = field(default_factory=asyncio.Event)
    registration: Registered | Unregistered | None = None  # is this host a member? None: it does not ask for that
    heard: asyncio.Event = field(default_factory=asyncio.Event)  # did it say anything yet, be it why not?
    timer: asyncio.TimerHandle | None = None
    saver: asyncio.TimerHandle | None = None
    saved: float = -SAVE_EVERY  # when it was kept last
    kept: Mapping[str, Present] | None = None  # on disk; None: nobody knows
    sizes: tuple[int, int] = (0, 0)  # bytes of the document there, and of the changes behind it

    def make_fact(self) -> Fact:
        """What is delivered of it."""
        return Fact(self.roster, self.state)


class Memberships:
    """Follows the sources of one daemon. Made inside its asyncio loop."""

    def __init__(
        self,
        folder: Path,
        deliver: Callable[[Mapping[FactKey, Fact]], None],
        tell: Callable[[MemberSource, Roster, Fact], None],
        clock: Callable[[], float],
        *,
        find_facts: Callable[[], Facts] = Facts,
        tell_registration: Callable[[MemberSource, Registered | Unregistered], None] = lambda *_: None,
        may_keep: bool = True,
        may_register: bool = True,
        lease_helpers: Callable[[], Lease] | None = None,
    ) -> None:
        """``folder`` keeps the members over a restart. ``tell`` is told of each turn: who was a member, the fact.

        ``lease_helpers`` gives those who run commands; without it they are had for a while.
        """
        self._folder = folder
        self._deliver = deliver
        self._tell = tell
        self._clock = clock
        self._find_facts = find_facts
        self._tell_registration = tell_registration
        self._may_keep = may_keep
        self._may_register = may_register
        self._lease_helpers = lease_helpers or _lease_briefly
        self._followed: dict[str, Followed] = {}
        self._verified: Mapping[str, Any] = NOTHING

    def list_kept(self) -> dict[str, Snapshot]:
        """Who is a member now, of each source that is kept over a restart and of which anything is known."""
        return {
            name: membership.make_snapshot(one.roster)
            for name, one in self._followed.items()
            if one.source.is_cached and one.state is not Freshness.LOADING
        }

    def follow(self, intent: Intent) -> None:
        """Ask these sources from now on, as far as entries use them. One that is as before goes on."""
        sources = find_sources(intent)
        former: dict[str, Followed] = {}
        for name, one in list(self._followed.items()):
            if name not in sources or replace_origin(one.source, sources[name]) != sources[name]:
                former[name] = self._followed.pop(name)
                self._end(former[name])
        for name, source in sources.items():
            if name in self._followed:
                self._followed[name].source = source
            else:
                self._begin(source, former.get(name))
        self._deliver({key_of(name): one.make_fact() for name, one in self._followed.items()})

    async def prepare(self, intent: Intent, verified: Mapping[str, Any] = NOTHING) -> dict[FactKey, Fact]:
        """Follow these before they are in force, and wait a moment for what can be known at once: who is a member.

        ``verified`` is the document of each source that their revision was verified with.
        """
        self._verified = verified
        self.follow(intent)
        await self.settle()
        return {key_of(name): one.make_fact() for name, one in self._followed.items()}

    async def foretell(self, intent: Intent) -> dict[FactKey, Fact]:
        """Who would be a member if these were in force. Nothing changes by it, and this host is told of to nobody."""
        told: dict[FactKey, Fact] = {}
        sources = find_sources(intent)
        known = {
            name: one
            for name, one in self._followed.items()
            if name in sources and replace_origin(one.source, sources[name]) == sources[name]
        }
        other = Memberships(
            self._folder,
            told.update,
            lambda *_: None,
            self._clock,
            find_facts=self._find_facts,
            may_keep=False,
            may_register=False,
            lease_helpers=self._lease_helpers,
        )
        unknown = tuple(source for source in intent.member_sources if source.name not in known)
        await other.prepare(replace(intent, member_sources=unknown))
        await other.stop()
        return told | {key_of(name): one.make_fact() for name, one in known.items()}

    def look(self) -> None:
        """A file may have changed. Who waits until everything is known waits for what it says now."""
        for one in self._followed.values():
            if one.source.options.watched:
                one.heard.clear()
            one.files_changed.set()

    def note_facts(self) -> None:
        """This host may have other addresses."""
        for one in self._followed.values():
            one.facts_changed.set()

    async def settle(self) -> None:
        """Wait a moment for what can be known at once: a start shall not begin without the members."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                for one in list(self._followed.values()):
                    await one.heard.wait()

    def let_go(self) -> None:
        """The operator lets those go who are held now."""
        for one in self._followed.values():
            if one.roster.held:
                self._put(one, membership.let_go(one.roster, one.source, self._clock()), one.state)

    async def stop(self) -> None:
        """Ask nothing more. Who is a member is kept for the next start."""
        tasks = [one.task for one in self._followed.values() if one.task]
        for one in self._followed.values():
            self._end(one)
            self._save(one)
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- one source -----------------------------------------------------------------------------------------------

    def _begin(self, source: MemberSource, former: Followed | None) -> None:
        one = self._followed[source.name] = self._make(source, former)
        self._arm(one)
        one.task = asyncio.get_running_loop().create_task(self._follow(one))

    def _make(self, source: MemberSource, former: Followed | None) -> Followed:
        """With whom is known of it: what it had before the start, or when its revision was verified.

        Where neither is known, with whom a source of this name had that is told of in another way.
        """
        one = Followed(source, since=self._clock())
        if (verified := self._find_verified(source)) is not None and (former is not None or not self._is_own(source)):
            one.roster, one.state = membership.restore(verified, source), Freshness.CACHED
        elif former is not None and former.state is not Freshness.LOADING:
            one.roster = membership.restore(membership.make_snapshot(former.roster), source)
            one.state = Freshness.CACHED
        elif source.is_cached and (kept := self._load(source)) is not None:
            one.roster, one.state = membership.restore(kept, source), Freshness.CACHED
            one.kept = one.roster.present
        return one

    def _find_verified(self, source: MemberSource) -> Snapshot | None:
        document = self._verified.get(source.name) if source.is_cached else None
        if document is None:
            return None
        try:
            return parse_document(json.dumps(document).encode(), keeps_order=True)
        except DocumentError as error:
            _LOGGER.warning("with whom source/%s was verified is not known: %s", source.name, error)
            return None

    def _is_own(self, source: MemberSource) -> bool:
        """Is what is kept of a source of this name told by one that is asked in the same way?"""
        try:
            document = json.loads(self._path(source).read_bytes().partition(b"\n")[0])
            return bool(document[ASKED] == name_question(source))
        except (OSError, ValueError, LookupError, TypeError):
            return False

    def _end(self, one: Followed) -> None:
        for handle in (one.timer, one.saver):
            if handle:
                handle.cancel()
        if one.task:
            one.task.cancel()

    async def _follow(self, one: Followed) -> None:
        """Ask it until nobody wants it any more."""
        while True:
            follow = FOLLOWERS[one.source.type](self._provide(one))
            try:
                await follow(one.source.options, partial(self._hear, one))
            except Exception as error:  # a defect of ours says nothing of the members
                _LOGGER.exception("source/%s is not followed for a while, by a defect in routed", one.source.name)
                self._hear(one, SourceFailed(one.source.type, f"{type(error).__name__}: {error}"))
            await asyncio.sleep(AGAIN)

    def _provide(self, one: Followed) -> Provided:
        return Provided(
            one.files_changed,
            self._lease_helpers,
            self._folder,
            self._find_facts,
            one.facts_changed,
            self._may_register,
            partial(self._note_registration, one),
        )

    def _note_registration(self, one: Followed, state: Registered | Unregistered) -> None:
        before, one.registration = one.registration, state
        if type(before) is not type(state) or (isinstance(state, Unregistered) and before != state):
            self._tell_registration(one.source, state)

    def _hear(self, one: Followed, said: Snapshot | Reason) -> None:
        if self._followed.get(one.source.name) is not one:
            return
        if isinstance(said, Snapshot):
            self.take(one, said)
        else:
            self.fail(one, said)
        one.heard.set()

    def take(self, one: Followed, snapshot: Snapshot) -> None:
        """A source spoke."""
        one.revision = snapshot.revision
        is_first = one.state is Freshness.LOADING and not snapshot.is_complete
        state = Freshness.LOADING if is_first else Freshness.LIVE
        self._put(one, membership.take(one.roster, snapshot, one.source, self._clock()), state)

    def fail(self, one: Followed, why: Reason) -> None:
        """A source says nothing. Nobody is gone for that."""
        state = Freshness.STALE if one.state is Freshness.LIVE else one.state
        self._put(one, one.roster._replace(failure=why), state)

    def _put(self, one: Followed, roster: Roster, state: Freshness) -> None:
        before = one.make_fact()
        if state is not one.state:
            one.since = self._clock()
        one.roster, one.state = roster, state
        self._arm(one)
        fact = one.make_fact()
        if fact == before:
            return
        self._tell(one.source, before.value, fact)
        self._deliver({key_of(one.source.name): fact})
        if one.source.is_cached and one.saver is None:
            delay = max(0.0, one.saved + SAVE_EVERY - self._clock())
            one.saver = asyncio.get_running_loop().call_later(delay, self._save, one)

    def _arm(self, one: Followed) -> None:
        """Members whose time is over go by themselves."""
        if one.timer:
            one.timer.cancel()
        one.timer = None
        moments = [membership.find_next(one.roster)]
        if one.roster.present:
            moments.append(self._find_end(one))
        if due := [moment for moment in moments if moment is not None]:
            delay = max(0.0, min(due) - self._clock())
            one.timer = asyncio.get_running_loop().call_later(delay, self._expire, one)

    def _expire(self, one: Followed) -> None:
        now = self._clock()
        end = self._find_end(one)
        is_over = end is not None and now >= end
        roster = membership.expire(one.roster, now)
        self._put(one, membership.forget(roster) if is_over else roster, one.state)

    @staticmethod
    def _find_end(one: Followed) -> float | None:
        """When nobody is a member any more of a source that says nothing; None: never."""
        if one.state not in SILENT or one.source.stale_after is None:
            return None
        return one.since + one.source.stale_after

    # --- over a restart -------------------------------------------------------------------------------------------

    def _path(self, source: MemberSource) -> Path:
        return self._folder / f"{source.name}.json"

    def _load(self, source: MemberSource) -> Snapshot | None:
        """Whom it had; nobody where that says nothing that can be understood."""
        path = self._path(source)
        try:
            return read_kept(path.read_bytes(), _parse_kept)
        except FileNotFoundError:
            return None
        except (OSError, DocumentError) as error:
            _LOGGER.warning("the members of source/%s before are not known: %s: %s", source.name, path, error)
            return None

    def _save(self, one: Followed) -> None:
        """Whoever came, went or changed is written behind what is kept; all of them where that would be the longer."""
        one.saver, one.saved = None, self._clock()
        present = Shared.of(one.roster.present)
        may_keep = self._may_keep and one.source.is_cached
        if not may_keep or one.state in {Freshness.LOADING, Freshness.CACHED} or present == one.kept:
            return
        path = self._path(one.source)
        try:
            if one.kept is not None and one.sizes[1] < one.sizes[0]:
                change = membership.make_change(one.kept, present)._replace(revision=one.revision)
                line = _write_line(one.source, change)
                with path.open("r+b") as file:
                    file.seek(sum(one.sizes))
                    file.write(line)
                one.sizes = one.sizes[0], one.sizes[1] + len(line)
            else:
                line = _write_line(one.source, membership.make_snapshot(one.roster)._replace(revision=one.revision))
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_file(path, line, new=path.with_name(path.name + NEW))
                one.sizes = len(line), 0
        except OSError as error:
            one.kept = None
            _LOGGER.warning("the members of source/%s cannot be kept: %s: %s", one.source.name, path, error)
        else:
            one.kept = present

    # --- status ---------------------------------------------------------------------------------------------------

    def summarise(self) -> str:
        """The beginning of a headline where a source says nothing, or members are held; it ends with a semicolon."""
        told = [(one, _find_fault(one)) for one in self._followed.values()]
        return "".join(f"source/{one.source.name}: {describe_reason(why)}; " for one, why in told if why)

    def list_rosters(self) -> list[tuple[str, Freshness, Roster]]:
        """Every source by its name, how it is, and who is a member."""
        return [(one.source.name, one.state, one.roster) for one in self._followed.values()]

    def describe(self, facts: Facts, moment: Callable[[float], str]) -> list[MemberSourceDocument]:
        """Every source, in the order of the files."""
        own = {address.address for address in facts.addresses.values()}
        return [_describe(one, own, moment) for one in self._followed.values()]


def _lease_briefly() -> Lease:
    from routed.daemon.helpers import BriefLease  # noqa: PLC0415  only who runs commands pays for it

    return BriefLease()


def _write_line(source: MemberSource, snapshot: Snapshot) -> bytes:
    question = {ASKED: name_question(source)} if snapshot.is_complete else {}
    return json.dumps(format_document(source.name, snapshot) | question).encode() + b"\n"


def _find_fault(one: Followed) -> Reason | None:
    return join_reasons(reason for reason in (one.roster.why, one.roster.failure) if reason)


def _describe(one: Followed, own: AbstractSet[bytes], moment: Callable[[float], str]) -> MemberSourceDocument:
    present = [it for _, it in sorted(one.roster.present.items())]
    why = _find_fault(one)
    document = MemberSourceDocument(
        source=one.source.name,
        type=one.source.type,
        origin=str(one.source.origin),
        state=one.state,
        since=moment(one.since),
        reason=describe_reason(why) if why else "",
        revision=one.revision,
        members=[cast(MemberDocument, format_member(it.member)) for it in present],
        own=[it.member.name for it in present if not own.isdisjoint(it.member.addresses)],
        held=sorted(one.roster.held),
        going=[it.member.name for it in present if it.until is not None],
        broken=[BrokenDocument(name=it.name, why=describe_broken(it)) for it in one.roster.broken],
    )
    if one.roster.held_since is not None:
        document["held_since"] = moment(one.roster.held_since)
    if one.registration is not None:
        document["registered"] = not isinstance(one.registration, Unregistered)
        if isinstance(one.registration, Unregistered):
            document["unregistered"] = describe_reason(one.registration.why)
    return document


def ask_once(intent: Intent, folder: Path, *, may_keep: bool) -> dict[FactKey, Fact]:
    """Who is a member now, by what the sources say within a moment, else by what is kept in this folder."""
    told: dict[FactKey, Fact] = {}

    async def ask() -> None:
        memberships = Memberships(
            folder, told.update, lambda *_: None, time.monotonic, may_keep=may_keep, may_register=False
        )
        memberships.follow(intent)
        await memberships.settle()
        await memberships.stop()

    asyncio.run(ask())
    return told


def find_sources(intent: Intent) -> dict[str, MemberSource]:
    """The sources that entries use, by their names."""
    used = {entry.follows for entry in intent.entries}
    return {source.name: source for source in intent.member_sources if source.name in used}


def _parse_kept(text: str) -> Any:
    """A document that is kept also says of which question it is the answer."""
    document = json.loads(text)
    return {key: value for key, value in document.items() if key != ASKED} if isinstance(document, dict) else document


def name_question(source: MemberSource) -> str:
    """The same text for sources that are asked for the same in the same way."""
    return hashlib.sha256(repr((source.type, source.options)).encode()).hexdigest()


def replace_origin(old: MemberSource, new: MemberSource) -> MemberSource:
    """The same at the place of the other: it may stand on another line."""
    return old._replace(origin=new.origin)
