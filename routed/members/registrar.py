"""What this host puts into etcd of itself, without sockets: calls go out, answers come in.

A lease is granted, and the key is put under it if nobody has it. Who has it is told by the uid in its value: what this
host itself left there is taken over, and another host is named and left alone. The lease is kept alive at each third of
its time; an expired one is answered with 200 and without a TTL. When the key or the lease is lost all begins anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, ClassVar, Final

from routed.members.document import format_member, read_member
from routed.members.gateway import (
    NOT_FOUND,
    Call,
    RefusedError,
    Said,
    clean,
    read_bytes,
    read_number,
    read_table,
    read_tables,
    write_bytes,
)
from routed.model import net
from routed.model.etcd import Registered, Registration, Unregistered
from routed.model.members import Snapshot
from routed.model.reasons import Reason, Snag, Snagged

AGAIN: Final = 1.0  # seconds until what went wrong is tried again; they double as long as it does so soon
LONGEST: Final = 60.0
SOON: Final = 30.0
TAKEN: Final = 5.0  # until a name that another host has is tried again
SHARES: Final = 3  # how often the lease is kept alive in its time

Enrolment = Registered | Unregistered


class Stage(Enum):
    """What is to be done next."""

    GRANT = auto()
    PUT = auto()
    TAKE_OVER = auto()
    KEEP = auto()


class Registrar:
    """The key of this host."""

    def __init__(self, prefix: str, registration: Registration) -> None:
        told = format_member(registration.member)
        self._ttl = registration.ttl
        self._member = read_member(told)  # as others read it
        self._key = f"{prefix}{registration.member.name}".encode()
        self._value = json.dumps(told, ensure_ascii=False).encode()
        self._stage = self._asked = Stage.GRANT
        self._left = 0.0  # the seconds of the lease
        self._lease = self._revision = self._found = 0
        self._put_at = -SOON
        self._row = 0  # times that the key was lost soon after it was put
        self._state: Enrolment | None = None
        self.wait = 0.0  # seconds until the next call
        self.expires = 0.0  # on the clock of ``hear``: from then on nobody need count on this host

    @property
    def is_registered(self) -> bool:
        """Does it stand there, as far as we know?"""
        return isinstance(self._state, Registered)

    def next(self) -> Call:
        """What is asked next."""
        self._asked = self._stage
        return self._CALLS[self._stage](self)

    def hear(self, who: str, answer: Said, now: float) -> Enrolment | None:
        """What an answer of that server means; told if it is another state than before. Raises RefusedError."""
        if self._stage is not self._asked:  # the key was seen to be lost meanwhile
            return None
        return self._tell(self._HEARERS[self._stage](self, who, answer.body, now))

    def refuse(self, who: str, refused: RefusedError) -> Enrolment | None:
        """A call was refused: is that the end of the lease? Else it is raised again."""
        if refused.code != NOT_FOUND or self._asked is Stage.GRANT:
            raise refused
        return self._tell(self._begin(who, Stage.GRANT, Snag.LEASE_OVER, wait=AGAIN))

    def see(self, who: str, snapshot: Snapshot, now: float) -> Enrolment | None:
        """Who is a member now: is it no longer this host, as it said?"""
        if not self.is_registered or int(snapshot.revision) < self._revision or not snapshot.lacks(self._member):
            return None
        self._row = self._row + 1 if now < self._put_at + SOON else 0
        wait = min(AGAIN * (1 << min(self._row, 10)) / 2, LONGEST) if self._row else 0.0
        return self._tell(self._begin(who, Stage.PUT, Snag.DELETED, wait=wait))

    def fail(self, why: Reason, now: float) -> Enrolment | None:
        """Nobody was reached. Is the lease over for that?"""
        if self.is_registered and now < self.expires:
            return None
        return self._tell(Unregistered(why))

    def leave(self) -> Call | None:
        """What takes this host from the members at once."""
        return Call("/lease/revoke", {"ID": str(self._lease)}) if self._lease else None

    def _tell(self, state: Enrolment | None) -> Enrolment | None:
        if state is None or state == self._state:
            return None
        self._state = state
        return state

    def _begin(self, who: str, stage: Stage, snag: Snag, detail: str = "", wait: float = 0.0) -> Unregistered:
        self._stage, self.wait = stage, wait
        return Unregistered(Snagged(who, snag, detail))

    # --- the calls ----------------------------------------------------------------------------------------------------

    def _ask_grant(self) -> Call:
        return Call("/lease/grant", {"TTL": str(self._ttl)})

    def _ask_put(self) -> Call:
        return self._ask_txn({"target": "VERSION", "result": "EQUAL", "version": "0"})

    def _ask_take_over(self) -> Call:
        return self._ask_txn({"target": "MOD", "result": "EQUAL", "mod_revision": str(self._found)})

    def _ask_txn(self, compare: Mapping[str, Any]) -> Call:
        key = write_bytes(self._key)
        put = {"key": key, "value": write_bytes(self._value), "lease": str(self._lease)}
        body = {
            "compare": [{"key": key, **compare}],
            "success": [{"request_put": put}],
            "failure": [{"request_range": {"key": key}}],
        }
        return Call("/kv/txn", body)

    def _ask_keep(self) -> Call:
        return Call("/lease/keepalive", {"ID": str(self._lease)}, is_stream=True)

    # --- the answers --------------------------------------------------------------------------------------------------

    def _hear_grant(self, _who: str, body: Mapping[str, Any], now: float) -> None:
        self._lease = read_number(body, "ID")
        self._hold(read_number(body, "TTL"), now)
        if not self._lease or not self._left:
            raise RefusedError(Snag.STRANGE, "a lease of nothing")
        self._stage, self.wait = Stage.PUT, 0.0

    def _hear_put(self, who: str, body: Mapping[str, Any], now: float) -> Enrolment | None:
        if body.get("succeeded") is True:
            self._revision = read_number(read_table(body, "header"), "revision")
            self._stage, self.wait, self._put_at = Stage.KEEP, self._left / SHARES, now
            return Registered(self._revision)
        ranges = [read_table(one, "response_range") for one in read_tables(body, "responses")]
        found = [kv for one in ranges for kv in read_tables(one, "kvs")]
        if not found:  # it went just then
            self._stage, self.wait = Stage.PUT, AGAIN
            return None
        self._found = read_number(found[0], "mod_revision")
        other = _read_value(read_bytes(found[0], "value"))
        if self._member.uid and other.get("uid") == self._member.uid:
            self._stage, self.wait = Stage.TAKE_OVER, AGAIN if self._stage is Stage.TAKE_OVER else 0.0
            return None
        return self._begin(who, Stage.PUT, Snag.NAME_TAKEN, _name_host(other), TAKEN)

    def _hear_keep(self, who: str, body: Mapping[str, Any], now: float) -> Enrolment | None:
        self._hold(read_number(body, "TTL"), now)
        if not self._left:
            return self._begin(who, Stage.GRANT, Snag.LEASE_OVER)
        self.wait = self._left / SHARES
        return Registered(self._revision)

    def _hold(self, ttl: int, now: float) -> None:
        self._left = float(ttl)
        self.expires = now + self._left

    _CALLS: ClassVar = {
        Stage.GRANT: _ask_grant,
        Stage.PUT: _ask_put,
        Stage.TAKE_OVER: _ask_take_over,
        Stage.KEEP: _ask_keep,
    }
    _HEARERS: ClassVar = {
        Stage.GRANT: _hear_grant,
        Stage.PUT: _hear_put,
        Stage.TAKE_OVER: _hear_put,
        Stage.KEEP: _hear_keep,
    }


def _read_value(value: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(value.decode())
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _name_host(value: Mapping[str, Any]) -> str:
    """Another host, by what it says of itself."""
    try:
        member = read_member({**value, "name": "it"})
    except ValueError:
        return clean("what stands there is no member")
    addresses = ", ".join(map(net.format_address, member.addresses)) or "without an address"
    return f"{addresses}, uid {member.uid or 'none'}"
