"""Why a source of members says nothing, or does not take what this host says of itself."""

from __future__ import annotations

from enum import Enum, auto

from routed.model.reasons.value import Detailed


class Snag(Enum):
    """What stands between a source and us."""

    SILENT = auto()  # no answer in time
    UNREACHABLE = auto()  # the system's own words: refused, reset, no route, no such name
    CLOSED = auto()  # the far end closed the connection
    MUTE = auto()  # likewise, before it said anything
    CERTIFICATE = auto()  # we do not believe the far end
    HANDSHAKE = auto()  # it does not believe us, or speaks no TLS
    NO_FILE = auto()  # a file of ours is not as it has to be
    NO_LEADER = auto()  # it lost the others of its cluster
    NO_USER = auto()  # it wants to know who we are
    WRONG_PASSWORD = auto()
    NO_TOKEN = auto()  # it forgot that we logged in, twice
    FORBIDDEN = auto()  # this user may not do that
    COMMON_NAME = auto()  # it takes no certificate with a common name while it has users
    GATEWAY = auto()  # its gateway does not reach the server behind it
    STRANGE = auto()  # what answers is no etcd, or not one that we know
    REFUSED = auto()  # it says no in its own words
    TOO_LARGE = auto()
    NAME_TAKEN = auto()  # another host that lives has the name of this one
    LEASE_OVER = auto()  # the lease of this host has run out
    DELETED = auto()  # somebody deleted what this host said of itself
    LOCAL = auto()  # a defect of ours


class Snagged(Detailed):
    """A source cannot be heard, or does not hear us."""

    who: str  # whom we asked, such as https://192.0.2.1:2379
    snag: Snag
    detail: str = ""  # the system's or the far end's own words, a path, a user
