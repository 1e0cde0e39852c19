"""Who is below a prefix of etcd, followed without sockets: bytes come in, snapshots come out.

On each connection the same: what has changed since the revision that we know, and how many keys are there now? Where
what we know and what has changed come to that many, we know all, and nobody is read twice; else somebody has gone, and
all is read. Then the watch, from the next revision on, so that nothing is lost between the two.

A watch may be deaf and look alive: etcd tells of progress every ten minutes at the most (its default). So the same
question is put on a second connection after each silence, and a watch that did not tell what the answer tells is left.

The revision is that of what was read and of the events, and never that of a notice of progress: etcd before 3.5.8 may
send one ahead of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from routed.members.document import MOST_MEMBERS
from routed.members.gateway import (
    Call,
    RefusedError,
    Said,
    end_of,
    read_bytes,
    read_number,
    read_table,
    read_tables,
    tell_words,
    write_bytes,
)
from routed.members.keys import Keys
from routed.members.session import Login, Session
from routed.model.etcd import EtcdSettings
from routed.model.members import Snapshot
from routed.model.reasons import Snag


class Consequence(NamedTuple):
    """What came of some bytes."""

    send: bytes = b""
    told: Snapshot | None = None
    refused: RefusedError | None = None  # the connection is over, and this is why
    is_over: bool = False  # the connection is over; where nothing is refused, another has to begin


class Known(NamedTuple):
    """The state of etcd of which we know all. What has another cluster, or is older, is another etcd."""

    cluster: int = 0
    term: int = 0
    revision: int = 0

    def is_behind(self, now: Known) -> bool:
        """Can what we know have become ``now``?"""
        return self.cluster == now.cluster and self.term <= now.term and self.revision <= now.revision


NOTHING: Final = Known()


class Follower:
    """One source."""

    def __init__(self, settings: EtcdSettings, login: Login) -> None:
        self._prefix = settings.prefix.encode()
        self._keys = Keys(self._prefix, settings.format)
        self._login = login
        self._known = NOTHING
        self._session: Session | None = None
        self._asked = NOTHING  # since when we asked for changes
        self.is_watching = False

    def begin(self, host: str) -> Consequence:
        """On a new connection. The other must not be used any more."""
        self.is_watching = False
        self._session = Session(host, self._login)
        try:
            return Consequence(self._read_since(self._known))
        except RefusedError as refused:
            return Consequence(refused=refused, is_over=True)

    def receive(self, data: bytes) -> Consequence:
        """Bytes of the connection; none are its end. Raises nothing."""
        assert self._session, "a connection begins first"
        try:
            heard = self._session.receive(data)
            step = self._take(heard.answers)
            return step._replace(send=heard.send + step.send)
        except RefusedError as refused:
            return Consequence(refused=refused, is_over=True)

    def check(self) -> Call:
        """What is asked on another connection when the watch is silent."""
        return self._make_read(self._known)

    def is_confirmed(self, answer: Said) -> bool:
        """Is what we know now still all, as this answer to the check tells it? Raises RefusedError."""
        now = _read_header(answer.body)
        if now.revision <= self._known.revision:  # the watch has told that, and more, since it was asked
            return self._known.cluster == now.cluster
        is_all = not read_tables(answer.body, "kvs") and read_number(answer.body, "count") == len(self._keys)
        if is_all and self._known.is_behind(now):
            self._known = now
            return True
        return False

    def _take(self, answers: Iterable[Said]) -> Consequence:
        step, has_news = Consequence(), False
        for answer in answers:
            if not self.is_watching:
                step = self._take_read(answer)
                continue
            if answer.is_end:
                raise RefusedError(Snag.CLOSED)
            has_news |= self._take_watch(answer.body)
            if answer.body.get("canceled") is True:
                step = self._take_cancel(answer.body)
                break
        return step._replace(told=self._keys.show_changed(self._known.revision)) if has_news else step

    # --- what is read -------------------------------------------------------------------------------------------------

    def _read_since(self, known: Known) -> bytes:
        assert self._session
        self._asked = known
        return self._session.call(self._make_read(known))

    def _make_read(self, known: Known) -> Call:
        body: dict[str, Any] = self._make_range()
        if known.revision:
            body["min_mod_revision"] = str(known.revision + 1)
        return Call("/kv/range", body)

    def _make_range(self) -> dict[str, Any]:
        return {"key": write_bytes(self._prefix), "range_end": write_bytes(end_of(self._prefix))}

    def _take_read(self, answer: Said) -> Consequence:
        now, count = _read_header(answer.body), read_number(answer.body, "count")
        if count > MOST_MEMBERS:
            raise RefusedError(Snag.TOO_LARGE, f"{count} keys")
        if self._asked.revision and not self._asked.is_behind(now):
            return Consequence(self._read_since(NOTHING))
        pairs = [self._read_pair(kv) for kv in read_tables(answer.body, "kvs")]
        if not self._asked.revision:
            if len(dict(pairs)) != count:
                raise RefusedError(Snag.STRANGE, "not all keys came")
            self._keys.replace(pairs)
        else:
            for key, value in pairs:
                self._keys.put(key, value)
            if len(self._keys) != count:
                return Consequence(self._read_since(NOTHING))
        self._known = now
        return Consequence(self._watch(), self._keys.show(now.revision))

    def _read_pair(self, kv: Mapping[str, Any]) -> tuple[bytes, bytes]:
        key = read_bytes(kv, "key")
        if not self._keys.has(key):
            raise RefusedError(Snag.STRANGE, "a key that was not asked for")
        return key, read_bytes(kv, "value")

    # --- what the watch tells ---------------------------------------------------------------------------------------

    def _watch(self) -> bytes:
        assert self._session
        self.is_watching = True
        wish = {**self._make_range(), "start_revision": str(self._known.revision + 1), "progress_notify": True}
        return self._session.call(Call("/watch", {"create_request": wish}, is_stream=True))

    def _take_watch(self, body: Mapping[str, Any]) -> bool:
        has_news, revision = False, self._known.revision
        for event in read_tables(body, "events"):
            kv = read_table(event, "kv")
            key, value = self._read_pair(kv)
            is_delete = event.get("type") == "DELETE"
            has_news |= self._keys.delete(key) if is_delete else self._keys.put(key, value)
            revision = max(revision, read_number(kv, "mod_revision"))
        self._known = self._known._replace(revision=revision)  # now, since all events of a revision come at once
        if len(self._keys) > MOST_MEMBERS:
            raise RefusedError(Snag.TOO_LARGE, f"{len(self._keys)} keys")
        return has_news

    def _take_cancel(self, body: Mapping[str, Any]) -> Consequence:
        if read_number(body, "compact_revision"):  # what we know is older than what etcd keeps: read again
            return Consequence(is_over=True)
        words = body.get("cancel_reason", "")
        assert self._session
        raise self._session.explain(tell_words(words if isinstance(words, str) else ""))


def _read_header(body: Mapping[str, Any]) -> Known:
    header = read_table(body, "header")
    return Known(*(read_number(header, key) for key in ("cluster_id", "raft_term", "revision")))
