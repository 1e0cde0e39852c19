"""Reasons: why something waits, was refused, was done, is looked at, is in trouble, is held or was chosen.

A reason is a value: a member of a :class:`Plain` enumeration where there is nothing to say beside it, else a
:class:`Detailed` with the data. Names of links are in it as they were when it was made, so that a link that has gone
can still be named. Whoever decides something asks for the value or its type, and two are the same when they are equal.

Here must never live a word for a person: those are made in ``audit.reasons``, which has a row for every reason. What is
text here is somebody else's: the kernel's, the operator's, a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from operator import itemgetter
from typing import Any, ClassVar, Self, TypeAlias, dataclass_transform

from routed.model.entries import Matcher
from routed.model.process import Process


class Plain(Enum):
    """Reasons with nothing to say beside them."""

    __hash__ = object.__hash__  # each is one object; Enum's own would hash its name anew each time


@dataclass_transform(frozen_default=True)
class Detailed(tuple[Any, ...]):
    """A reason with data: its annotations are the fields, as those of a dataclass.

    It is a tuple that begins with its own type. So it equals none of another type, which a NamedTuple with the same
    fields would, and compares and hashes at C speed; and a class of it is made in a fiftieth of the time that a
    dataclass takes, of which a start would notice fifty.
    """

    __slots__ = ()
    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        cls._defaults = {name: cls.__dict__[name] for name in cls._fields if name in cls.__dict__}
        for place, name in enumerate(cls._fields, 1):
            setattr(cls, name, property(itemgetter(place)))

    def __new__(cls, *given: Any, **named: Any) -> Self:
        """One with these fields, in their order or by their names."""
        rest = cls._fields[len(given) :]
        if rest or named:
            values = cls._defaults | named
            given += tuple([values[name] for name in rest])
        return tuple.__new__(cls, (cls, *given))

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self[1:]  # for a copy: what ``__new__`` takes

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self[1:], strict=True))
        return f"{type(self).__name__}({told})"


# --- why something is looked at -----------------------------------------------------------------------------------


class Deed(Plain):
    """What was done to an object, as its event tells: a verb."""

    DELETED = auto()
    ADDED = auto()
    REPLACED = auto()
    CHANGED = auto()


class Sign(Plain):
    """What else an event tells."""

    UNTOLD = auto()  # an IPv6 address was deleted; inet6_ifa_notify in net/ipv6/addrconf.c never says by whom
    EXPIRED = auto()  # the lifetime of an address was over
    DELETED_BELOW = auto()  # an alias from under a key of ours
    ALIAS_ADDED = auto()
    MARKED = auto()  # somebody added it under our protocol number
    DEFAULT_RULE = auto()  # somebody touched a rule that the kernel made
    GATEWAY = auto()  # a gateway is on another link
    OTHER_WAY = auto()  # the kernel sends packets another way


class Look(Plain):
    """Why routed looks by itself."""

    START = auto()
    STOP = auto()
    RELOAD = auto()
    DIRECT = auto()  # ``apply --direct``
    PLAN = auto()
    REGULAR = auto()  # the resync
    POLLED = auto()  # a dataplane that tells of no changes
    COMPARISON = auto()  # a dump that was read for something else
    STORM = auto()  # of so many events that no single one counts
    OVERRUN = auto()  # events were lost
    AGAIN = auto()  # to make sure of the pass before
    SEARCH = auto()  # for what carries a former protocol number
    RESTLESS = auto()  # a dump changed each time it was read
    FAILED = auto()  # a pass ended before its time
    TIME = auto()  # a resolution said when
    UNCONFIRMED = auto()  # a trial is over
    RETRY = auto()  # a hold is over
    RESUMED = auto()  # a pause is over
    VERIFY = auto()  # is what was asked for there?


class LinkTurn(Enum):
    """What can happen to a link."""

    DELETED = auto()
    APPEARED = auto()
    RENAMED = auto()
    WENT_UP = auto()
    WENT_DOWN = auto()
    HAS_CARRIER = auto()
    LOST_CARRIER = auto()
    CHANGED = auto()


class LinkChange(Detailed):
    """Something happened to a link."""

    turn: LinkTurn
    link: str  # empty where nobody knew it
    now: str = ""  # its name after it was renamed


class AddressTurn(Enum):
    """What can happen to an address of this host."""

    REMOVED = auto()
    REMOVED_BY_US = auto()
    EXPIRED = auto()
    CAME = auto()  # or changed


class AddressChange(Detailed):
    """Something happened to an address of this host."""

    turn: AddressTurn
    address: bytes
    prefixlen: int = 0
    link: str = ""  # empty where only the address counts, on whichever link; then the length says nothing


class Chosen(Detailed):
    """An ``[[interface]]`` means another link."""

    selector: str
    link: str  # empty for none


class FileChanged(Detailed):
    """A file that is followed changed on disk."""

    file: str


class FactChanged(Detailed):
    """A source told something else than before."""

    what: str
    which: str | bytes | int


class RolledBack(Detailed):
    """Somebody asked for a revision."""

    revision: int


# --- why something cannot be in the kernel yet ----------------------------------------------------------------------


class NotTold(Detailed):
    """A source has not told it yet."""

    what: str
    which: str | bytes | int


class Outdated(Detailed):
    """A source told it some time ago, and may tell something else by now."""

    what: str
    which: str | bytes | int
    freshness: str  # a word of model.facts.Freshness


class NoLink(Detailed):
    """A link does not exist."""

    link: str
    selector: str = ""  # the ``[[interface]]`` that means it


class NotChosen(Detailed):
    """An ``[[interface]]`` means nothing yet."""

    selector: str


class LinkDown(Detailed):
    """A link is down."""

    link: str
    gateway: bytes = b""  # that would be on it


class OffNetwork(Detailed):
    """A gateway is on no network of this host."""

    gateway: bytes


class NoAddress(Detailed):
    """A link has no address that stands for this host."""

    link: str
    selector: str


class ManyAddresses(Detailed):
    """A link has several of them, of which one should be meant."""

    selector: str
    link: str
    addresses: tuple[bytes, ...]


class Lack(Enum):
    """Why an address cannot be spoken from."""

    ABSENT = auto()
    TENTATIVE = auto()
    FAILED_DAD = auto()


class Unusable(Detailed):
    """This host cannot speak from an address."""

    address: bytes
    word: str  # of the file that names it: src, node
    lack: Lack


class NoHolder(Detailed):
    """The address of a node is there, and its link was not heard of yet."""

    address: bytes


class LinkTaken(Detailed):
    """A link that is to be made is there already, and is another kind of link."""

    link: str
    kind: str  # empty for hardware


class NotFirst(Detailed):
    """A VIP must not be the first address of its link."""

    link: str
    network: bytes = b""  # in which the host's own address is missing; empty where any will do


class Stuck(Detailed):
    """A VIP is the primary address of its network, and another one could go with it."""

    network: bytes
    link: str
    other: bytes


# --- which way the condition of a VIP stands, and whether its route works -----------------------------------------


class NoHostAddress(Plain):
    """Why Kubernetes would find no address of this host."""

    NO_DEFAULT_ROUTE = auto()
    NO_INTERFACE = auto()
    NO_GLOBAL_ADDRESS = auto()


class Needed(Plain):
    """Why the route of a VIP is needed."""

    ALWAYS = auto()  # as the file says
    UNCERTAIN = auto()  # it stands, and what would be without it is not known for sure


class Condition(Detailed):
    """The route of a VIP is needed, or is not."""

    is_needed: bool
    why: Reason


class DefaultAddress(Detailed):
    """The address that Kubernetes would take for this host's, by its default route."""

    address: bytes


class NoWayWithout(Detailed):
    """Without a route of ours the kernel would not reach this."""

    prefix: bytes


class KernelChooses(Detailed):
    """By itself the kernel would speak to this from that source."""

    source: bytes
    prefix: bytes


class NoWay(Detailed):
    """The kernel does not reach a VIP."""

    address: bytes


class OwnAddress(Detailed):
    """A VIP is an address of this host, so no packet to it is routed."""

    address: bytes


class OtherSource(Detailed):
    """Packets to a VIP leave from another address than the node's."""

    address: bytes
    source: bytes  # empty for none
    winner: str = ""  # the route that they take, as ``ip route`` has it


# --- why a VIP is announced -----------------------------------------------------------------------------------------


class CameTo(Detailed):
    """A VIP came to a link."""

    link: str


class InUse(Detailed):
    """The link of a VIP came into use."""

    link: str


# --- what is wrong with an object, and is put right ----------------------------------------------------------------


class Flaw(Plain):
    """How an object differs from the file."""

    MISSING = auto()
    UNWANTED = auto()  # ours, and no entry wants it
    BEHIND = auto()  # a foreign one comes first under its key
    IN_FRONT = auto()  # of the host's own address
    EXTRA = auto()  # more stands under its key
    PUT_BACK = auto()  # no entry wants its place any more, in which something stood before


class OtherMark(Detailed):
    """It is as wanted, but marked as somebody else's."""

    field: str  # that has the mark


class Differs(Detailed):
    """An object has another content."""

    fields: tuple[str, ...]  # in which it differs, by the names of the model
    is_foreign: bool = False


# --- why it is left alone -------------------------------------------------------------------------------------------


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


class Claimed(Detailed):
    """Another entry wants the same object."""

    entry: str


class Several(Detailed):
    """Several reasons at once."""

    reasons: tuple[Reason, ...]


# --- why a pass ended before its time -------------------------------------------------------------------------------


class CallFailed(Detailed):
    """A call of the system failed."""

    words: str  # the system's own


class Unreadable(Detailed):
    """What a dataplane holds cannot be read."""

    words: str  # the system's own


class Defect(Detailed):
    """Routed is wrong."""

    error: str  # the name of the exception
    words: str  # its own


# --- why a link was chosen, or was not -----------------------------------------------------------------------------


class Unchosen(Plain):
    """Why a link is not the one that is meant."""

    DOWN = auto()
    NOTHING_FITS = auto()
    ANOTHER_FIRST = auto()
    NOT_ALONE = auto()  # others fit as well


class Called(Detailed):
    """It has the name."""

    link: str


class NameFits(Detailed):
    """Its name fits a pattern."""

    pattern: str


class HasAddress(Detailed):
    """It has an address in a prefix."""

    address: bytes
    prefix: str  # as written


class Reaches(Detailed):
    """The way to a target leads over it."""

    target: str  # as written
    gateway: bytes = b""  # behind which it is; empty on-link


class HasMac(Detailed):
    """It has the MAC address."""

    mac: str  # as written


class HasDefaultRoute(Detailed):
    """The default route leads over it."""

    metric: int


class HasDriver(Detailed):
    """It has the driver."""

    driver: str


class FirstOf(Detailed):
    """It is the first of several that fit."""

    why: Reason
    links: tuple[str, ...]


class But(Detailed):
    """It fits, and is not chosen all the same."""

    why: Reason
    but: Reason


class Skipped(Detailed):
    """Its name is among those that are never meant."""

    pattern: str


class Unfit(Detailed):
    """It does not fit what decides."""

    matcher: Matcher


class NoInterface(Detailed):
    """Nothing fits an ``[[interface]]``."""

    selector: str


class Ambiguous(Detailed):
    """Several links fit an ``[[interface]]``."""

    selector: str
    links: tuple[str, ...]
    matcher: Matcher


Reason: TypeAlias = Plain | Detailed


def join_reasons(reasons: Iterable[Reason]) -> Reason | None:
    """These as one: None where there is none, and each once."""
    each = tuple(dict.fromkeys(reasons))
    return Several(each) if len(each) > 1 else next(iter(each), None)
