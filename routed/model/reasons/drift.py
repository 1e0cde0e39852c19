"""What is wrong with an object, and why it is left as it is."""

from __future__ import annotations

from enum import auto

from routed.model.objects import Key
from routed.model.process import Process
from routed.model.reasons.value import Detailed, Plain, Reason


class Flaw(Plain):
    """How an object differs from the file."""

    MISSING = auto()
    UNWANTED = auto()  # ours, and no entry wants it
    BEHIND = auto()  # a foreign one comes first under its key
    IN_FRONT = auto()  # of the host's own address
    EXTRA = auto()  # more stands under its key
    OUT_OF_ORDER = auto()  # not in the order of the files
    IN_PLACE = auto()  # a foreign one in front of it selects the same
    DUPLICATE = auto()  # an address that failed duplicate detection
    FORMER = auto()  # of before; what shall stand in its place is not known yet
    PUT_BACK = auto()  # no entry wants its place any more, in which something stood before


class OtherMark(Detailed):
    """It is as wanted, but marked as somebody else's."""

    field: str  # that has the mark


class Differs(Detailed):
    """An object has another content."""

    fields: tuple[str, ...]  # in which it differs, by the names of the model
    is_foreign: bool = False


class LeftAlone(Plain):
    """Why an object is not touched."""

    OBSERVED = auto()  # enforce = "observe"
    ONCE = auto()  # enforce = "once"
    REFUSED = auto()  # on_conflict = "refuse"
    KERNELS_OWN = auto()  # the kernel made what stands in its place
    UNDECIDED = auto()  # an [[interface]] that could be several may mean it
    NOT_ON_DISK = auto()  # the files on disk are not in force, and may want it
    BESIDE = auto()  # it is in order, and so is the stranger beside it
    NOT_KNOWN = auto()  # it may stand in the place of something, and what that was cannot be read


class WouldFall(Detailed):
    """It is out of order, and others could go while it is put in order."""

    addresses: tuple[bytes, ...]


class CarriesSession(Detailed):
    """It is out of order, and the operator may be logged in over one that would be put anew for that."""

    address: bytes


class Withdrawn(Detailed):
    """The entry that wanted it does not want it just now."""

    entry: str
    why: Reason  # what it waits for, or how its condition stands


class Observed(Detailed):
    """It differs, and the entry says to leave it."""

    word: LeftAlone
    flaw: Reason  # how it differs


class FirstContact(Detailed):
    """It would take the place of a foreign default route, or of the route of an SSH session."""

    peer: bytes = b""  # of the session


class TooMany(Detailed):
    """Too many objects would go at once."""

    total: int
    owned: int
    allowed: int


class SaidNo(Detailed):
    """The kernel said no."""

    errno: int
    words: str  # its own, with a hint where they leave something open


class Unseen(Detailed):
    """The kernel said yes, and does not show it."""

    errno: int  # that this counts as


class Fought(Detailed):
    """Another process undid our repairs."""

    times: int
    seconds: int  # within which
    port: int | None = None  # of the last one; None where that is told elsewhere
    process: Process | None = None


class Paused(Detailed):
    """The operator paused it."""

    words: str  # his own, perhaps none
    author: str = ""  # who he is, where that is known
    ruling: bool | None = None  # of a check: it counts as up, or as down; None: as it did when it was paused
    is_drain: bool = False  # of a server: it gets no new connections


class StoodOn(Detailed):
    """Others stand on it, and would go with it."""

    other: Key  # the first of them
    total: int


class Claimed(Detailed):
    """Another entry wants the same object."""

    entry: str
