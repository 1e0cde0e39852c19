"""Drift, plan and outcome: what is wrong, what to do about it, and what became of it.

Everything here speaks of *groups*: objects of one want that share their trouble and its cure. A repair of one deleted
route is a group of one; a cold start with a million prefixes is one group of a million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from routed.model.drain import NOTHING_LEAVES, Leaving
from routed.model.entries import Entry
from routed.model.lifetime import Lifetime
from routed.model.objects import Kind, Member, Slot, Standing, Value
from routed.model.process import Process
from routed.model.reasons import Draining, Reason, SaidNo, Unseen


class Want(NamedTuple):
    """The content that an entry wants under its keys."""

    entry: Entry
    value: Value | None  # None: not known yet; what stands under the key is left alone meanwhile
    also: tuple[Value, ...] = ()  # other contents that are as good, if they stand there already
    is_in_front: bool = False  # what stands has to be put anew, behind what has to come first
    theirs: Value | None = None  # what somebody else has there just as it is written: taken for now, and given back


class Nature(StrEnum):
    """How the kernel differs from the file."""

    MISSING = "missing"  # nothing of ours stands there, and nothing foreign is in the way
    DIFFERENT = "different"  # ours, with another content
    FOREIGN = "foreign"  # somebody else's object in our place
    BEHIND = "behind"  # ours is there, but a foreign alias comes first
    EXTRA = "extra"  # ours is right, but carries something more: an alias or a leg of a multipath route
    IN_FRONT = "in front"  # ours, as wanted, but in front of what has to come first
    OUT_OF_ORDER = "out of order"  # ours, as wanted, but not in the order of the files among those of its line
    SURPLUS = "surplus"  # ours by its mark, and no entry wants it; or an entry says that it is to be gone for now
    TAKEN = "taken"  # somebody else had it, we took it away, and no entry says so any more
    FORMER = "former"  # ours of before, while what shall stand in its place is not known yet


class Drift(NamedTuple):
    """A group of objects that differ from the file in the same way."""

    nature: Nature
    kind: Kind
    slot: Slot
    members: Sequence[Member]  # very many prefixes are packed
    want: Want | None  # None for a surplus
    standing: tuple[Value, ...] = ()  # what is there under the key, in the kernel's order
    # What stands in line with it under other keys, in the kernel's order: what goes with it where it has to be put
    # anew, or what stands in front of it.
    others: tuple[Standing, ...] = ()
    whose: Entry | None = None  # of a surplus: the entry that has what it stands in, or does not want it just now

    @property
    def entry_name(self) -> str:
        """Of the entry that it belongs to; empty where that is none."""
        entry = self.want.entry if self.want else self.whose
        return entry.name if entry else ""


class Verb(StrEnum):
    """What an operation asks of the kernel. All but ``DELETE`` add."""

    ADD = "add"  # NLM_F_CREATE | NLM_F_EXCL
    REPLACE = "replace"  # NLM_F_CREATE | NLM_F_REPLACE
    PREPEND = "prepend"  # NLM_F_CREATE: in front of the aliases of the key
    CHANGE = "change"  # replace that also needs the old one gone first, as an address label does
    DELETE = "delete"  # by full specification
    APPEND = "append"  # NLM_F_CREATE | NLM_F_APPEND: behind the aliases of the key
    ARRANGE = "arrange"  # several of these, one after another: what shall stand under one key in an order


class AliasRequest(NamedTuple):
    """One of the requests that an arrangement is made of."""

    verb: Verb
    value: Value


class Operation(NamedTuple):
    """One request, for each member of a group."""

    verb: Verb
    kind: Kind
    slot: Slot
    members: Sequence[Member]
    value: Value  # what shall stand afterwards; of a delete: what shall go
    entry: Entry | None  # None for what no entry wants any more
    reason: Reason
    before: Value | None = None  # what stood there
    nature: Nature = Nature.MISSING
    lifetime: Lifetime | None = None  # what is left of what is put; None: it stays
    requests: tuple[AliasRequest, ...] = ()  # of an arrangement

    def spread(self) -> tuple[Operation, ...]:
        """An arrangement as the operations that it is made of. After one that failed nothing more is to be deleted."""
        return tuple(self._replace(verb=verb, value=value, before=None, requests=()) for verb, value in self.requests)

    @property
    def takes_a_place(self) -> bool:
        """Does what stood first under its key go by the request for ours?"""
        places = {Verb.REPLACE, Verb.CHANGE}
        return self.verb in places or any(request.verb in places for request in self.requests)

    @property
    def takes_away(self) -> bool:
        """Does something do less work after this than before? A server that begins to drain does."""
        return self.verb is Verb.DELETE or isinstance(self.reason, Draining)


class Cause(NamedTuple):
    """Why something is looked at: the port id behind it (0 is the kernel, None is not known), what for, and who."""

    port: int | None
    reason: Reason
    process: Process | None = None  # behind the port id, where that is known


class Refusal(NamedTuple):
    """A group of objects that was left alone on purpose."""

    drift: Drift
    reason: Reason
    by_guard: bool  # held by max_deletes or a first contact; otherwise by the entry's own word


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in this order, and what not."""

    operations: tuple[Operation, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    held: tuple[Drift, ...] = ()  # drift of objects that are left alone for a while
    notes: tuple[Drift, ...] = ()  # in order as far as we are concerned, but worth a word
    former: tuple[Drift, ...] = ()  # what stays, and does its work, until what shall stand there is known
    draining: tuple[Refusal, ...] = ()  # what no entry wants, and stays until nothing is connected
    leaving: Leaving = NOTHING_LEAVES  # what of that is to be remembered


class Failure(NamedTuple):
    """The kernel's own words about one member of an operation."""

    member: Member
    errno: int
    text: str  # empty where the kernel said yes, and does not show it
    why: Reason | None = None  # where that says more than the kernel

    @property
    def reason(self) -> Reason:
        """Why it failed; one value for all that failed alike."""
        return self.why or _explain(self.errno, self.text)


@lru_cache(maxsize=64)
def _explain(errno: int, text: str) -> Reason:
    return SaidNo(errno, text) if text else Unseen(errno)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one operation."""

    operation: Operation
    cause: Cause
    failures: tuple[Failure, ...] = ()
    elapsed: float = 0.0  # seconds, from the moment the drift was seen
    flows: Mapping[Member, int] | None = None  # that were ended, of those removed members which clients still sent to

    @property
    def done(self) -> Sequence[Member]:
        """The members for which the kernel said yes."""
        if not self.failures:
            return self.operation.members
        failed = {failure.member for failure in self.failures}
        return tuple(member for member in self.operation.members if member not in failed)
