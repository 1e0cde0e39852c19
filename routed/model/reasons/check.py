"""What came of the question of a check, and what it means for the entries that require it."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from routed.model.reasons.value import Detailed, Reason, split_reasons


class Finding(Enum):
    """What came of one question."""

    GOOD = auto()
    SILENCE = auto()  # no answer in time
    FILTERED = auto()  # likewise, and the kernel drops answers that come in by this link: rp_filter is strict
    REFUSED = auto()
    RESET = auto()
    CLOSED = auto()  # the far end said less than was expected, and closed
    UNREACHABLE = auto()  # a router, or the neighbour's silence, says so
    NO_GATEWAY = auto()  # whom the question was to be handed to says nothing
    CERTIFICATE = auto()
    HANDSHAKE = auto()
    STATUS = auto()
    MALFORMED = auto()
    UNEXPECTED = auto()  # the text is not in it
    NO_RECORD = auto()
    ABSENT = auto()  # no such file
    SAYS_DOWN = auto()  # the file says so
    SAYS = auto()  # the agent of a server: that it takes no new connections
    NO_HEADERS = auto()  # the file with the headers of the question is not as it has to be
    NO_LINK = auto()  # the link of the check is not there
    NO_CARRIER = auto()  # or cannot carry anything
    LOCAL = auto()  # this host could not even ask: nothing is known
    EXITED = auto()  # the command ended, and not with 0
    SIGNALLED = auto()  # a signal ended it
    NO_HELPER = auto()  # nobody runs commands here
    NOT_HARMLESS = auto()  # whoever would run commands here cannot give up the rights of this process
    NO_USER = auto()  # the host has no such user
    OTHER_USER = auto()  # commands are run by this one, who cannot become another
    NO_COMMAND = auto()
    NOT_EXECUTABLE = auto()
    WRITABLE = auto()  # somebody else than root may write what is asked
    NO_SOCKET = auto()  # this process may not have the socket that the question needs
    NO_ISSUERS = auto()  # the file of issuers is not there, or none is in it


# Until somebody changes something on this host the check cannot be made. Like LOCAL this says nothing of who is asked.
IMPOSSIBLE: Final = frozenset(
    {
        Finding.NO_HELPER,
        Finding.NOT_HARMLESS,
        Finding.NO_USER,
        Finding.OTHER_USER,
        Finding.NO_COMMAND,
        Finding.NOT_EXECUTABLE,
        Finding.WRITABLE,
        Finding.NO_HEADERS,
        Finding.NO_SOCKET,
        Finding.NO_ISSUERS,
    }
)


class Probed(Detailed):
    """What came of the last question of a check."""

    check: str  # its type
    finding: Finding
    detail: str = ""  # the system's or the far end's own words, a status, a path
    times: int = 1  # in a row


class Lossy(Detailed):
    """Too many questions to a target got no answer."""

    share: float  # 0 to 1
    most: float
    window: float  # seconds


class Slow(Detailed):
    """The answers of a target take too long."""

    rtt: float  # the median, in seconds
    most: float
    window: float


class TooFew(Detailed):
    """Not enough of the targets are up."""

    up: int
    need: int
    of: int
    why: Reason | None  # of the first that is down


class TooFewServers(Detailed):
    """Not enough of the servers of a service are up."""

    up: int
    need: int
    of: int
    why: Reason | None  # of the first that is down


class ServerOut(Detailed):
    """A server gets no new connections."""

    address: bytes
    port: int
    why: Reason


class Required(Detailed):
    """A check is not as an entry requires it."""

    check: str
    is_up: bool
    why: Reason | None


def is_by_check(reason: Reason) -> bool:
    """Is it what a check says, or that and more?"""
    return any(isinstance(one, (Required, ServerOut)) for one in split_reasons(reason))
