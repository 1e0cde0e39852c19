"""Why the route of a VIP is needed or not, whether it works, and why a VIP is announced."""

from __future__ import annotations

from enum import auto

from routed.model.reasons.value import Detailed, Plain, Reason


class NoHostAddress(Plain):
    """Why Kubernetes would find no address of this host."""

    NO_DEFAULT_ROUTE = auto()
    NO_INTERFACE = auto()
    NO_GLOBAL_ADDRESS = auto()
    NONE_AT_ALL = auto()  # of those of Kubernetes and of IPVS alike


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


class CameTo(Detailed):
    """A VIP came to a link."""

    link: str


class InUse(Detailed):
    """The link of a VIP came into use."""

    link: str


class AlsoStands(Detailed):
    """The address of a VIP stands once more, under another length."""

    address: bytes
    prefixlen: int
    link: str
