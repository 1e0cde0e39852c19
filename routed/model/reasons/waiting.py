"""Why something cannot be in the kernel yet."""

from __future__ import annotations

from enum import Enum, auto

from routed.model.reasons.value import Detailed, Reason


class NotTold(Detailed):
    """A source has not told it yet."""

    what: str
    which: str | bytes | int
    why: Reason | None = None


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


class NoNexthop(Detailed):
    """A next hop object could not be put."""

    id: int


class NoCarrier(Detailed):
    """A link is up and cannot carry anything."""

    link: str


class LinkDown(Detailed):
    """A link is down."""

    link: str
    gateway: bytes = b""  # that would be on it


class NoIpv6(Detailed):
    """The kernel speaks no IPv6 on a link."""

    link: str
    mtu: int  # of the link


class OffNetwork(Detailed):
    """A gateway is on no network of this host."""

    gateway: bytes


class NoRoutes(Detailed):
    """A routing table has none, and the files put none into it."""

    table: int


class TooOld(Detailed):
    """The kernel does not know a word."""

    word: str
    release: str  # of Linux that brought it


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
    word: str  # of the file that names it: src, node, local
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
