"""Why members of a fleet are not as their source says, and why one of them makes no entry."""

from __future__ import annotations

from enum import Enum, auto

from routed.model.reasons.value import Detailed, Plain


class MembersChanged(Detailed):
    """Members of a source came, went or changed."""

    source: str


class Standstill(Plain):
    """Why members stay of which a source does not tell any more."""

    EMPTY = 1  # it tells of nobody at all


class ManyGone(Detailed):
    """So many of so many would go at once."""

    gone: int
    of: int


class SourceFailed(Detailed):
    """A source says nothing, or nothing that can be understood."""

    what: str  # the file, the server
    why: str  # a sentence


class Mute(Enum):
    """Why a source says nothing, as far as that is no error of the system."""

    ENDED = auto()  # the program, which has to go on
    LATE = auto()  # it wrote no document in time


class SourceMute(Detailed):
    """A source says nothing."""

    what: str  # the program, the name that was asked for
    how: Mute
    detail: str = ""


class Lacking(Detailed):
    """A member has nothing for a key of an entry."""

    member: str
    key: str
    family: int = 0  # 0: of either


class NotFilled(Detailed):
    """What a member tells makes no value of a key."""

    member: str
    key: str
    why: str  # a sentence


class NotAllowed(Detailed):
    """A member tells an address that only this host, or a router, has."""

    member: str
    address: bytes
    is_own: bool  # else it is the gateway of a route of the files


class OutOfBounds(Detailed):
    """What a member fills is not in what the file allows its source."""

    member: str
    key: str
    given: str


class SameServer(Detailed):
    """A member tells a server that another one told before it."""

    member: str
    address: bytes
    port: int
    other: str


class More(Detailed):
    """So many reasons beside those that are told."""

    rest: int
