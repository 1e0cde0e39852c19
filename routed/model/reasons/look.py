"""Why routed looks: what an event tells, what changed, what routed does by itself, and why a pass ended."""

from __future__ import annotations

from enum import Enum, auto

from routed.model.reasons.value import Detailed, Plain


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
    IN_LINE = auto()  # something came or went beside it, and either may be in front now
    MARKED = auto()  # somebody added it under our protocol number
    DEFAULT_RULE = auto()  # somebody touched a rule that the kernel made
    GATEWAY = auto()  # a gateway is on another link
    OTHER_WAY = auto()  # the kernel sends packets another way
    PUT_UNDER = auto()  # what it stands on was put, or put anew


class Look(Plain):
    """Why routed looks by itself."""

    START = auto()
    STOP = auto()
    RELOAD = auto()
    ENFORCE = auto()  # the files in force are not all carried out
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
    OTHER_ALTNAMES = auto()
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


class AgentSaid(Detailed):
    """The agent of a server told another share of its weight, or falls silent."""

    check: str


class RolledBack(Detailed):
    """Somebody asked for a revision."""

    revision: int


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
