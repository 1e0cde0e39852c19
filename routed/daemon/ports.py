"""What the story asks of the kernel about the host, and what a dump is.

``routed.kernel.Kernel`` answers it, and so does the fake one of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from typing import Protocol

from routed.model.change import Failure
from routed.model.events import Event, Interest, Loss
from routed.model.facts import GatewayLink, HostAddress, Link, Way
from routed.model.link_sysctls import LinkSysctls
from routed.model.lookup import Decision, Question
from routed.model.objects import AddressMember, Chunk, Kind, Member, Standing, Value
from routed.model.process import Process


class ReadableDump(Protocol):
    """One dump, whole. The fingerprint tells it from any other; who knows it need not iterate over the chunks."""

    fingerprint: bytes

    def chunks(self) -> Iterator[Chunk]:
        """What stands, in the kernel's order. Once only."""

    def discard(self) -> Iterator[None]:
        """Instead of iterating: give its memory back, in slices."""


class HostKernel(Protocol):
    """What the kernel says of the host, and of what changes. Who keeps objects in it is a ``dataplane``."""

    port: int  # the port id of our requests
    hears_echo: bool  # as ``hear_echo`` left it
    interest: Interest | None  # as ``listen_for`` left it

    @property
    def overruns(self) -> int:
        """How often events were lost."""

    def read_links(self) -> Generator[None, None, dict[int, Link]]:
        """All links by ifindex, read in slices, between which changes may be made.

        Of this, ``read_addresses`` and the dumps of rtnetlink one at a time.
        """

    def read_addresses(self) -> Generator[None, None, dict[AddressMember, HostAddress]]:
        """All addresses of the host, read in slices. Where they never hold still, all that were seen.

        What events tell meanwhile is newer.
        """

    def locate_gateways(
        self,
        gateways: Iterable[bytes],
        own: Mapping[bytes, int],
        links: Collection[int],
        before: Mapping[bytes, int] | None = None,
    ) -> dict[bytes, GatewayLink]:
        """The links on which these gateways are, by table main; those that it does not reach are left out.

        ``own`` are the addresses of this host and the links that hold them, ``links`` those that are up, ``before``
        those where gateways were: they stay there while they can.
        """

    def look_up(self, addresses: Iterable[bytes]) -> dict[bytes, Way]:
        """How the kernel would send a packet to these addresses; those it cannot reach are left out."""

    def find_winner(self, question: Question, links: Mapping[str, int]) -> Decision:
        """Which route the kernel would send this packet by now. ``links`` are the ifindexes of those it names.

        Raises OSError where it gives no answer.
        """

    def read_default_routes(self) -> tuple[Standing, ...]:
        """The routes to destination zero, of any length, in the kernel's order."""

    def read_kernel_routes(self) -> tuple[Standing, ...]:
        """The routes that the kernel made itself, of both families, in all tables."""

    def find_unknown(self, attributes: Iterable[int]) -> frozenset[int]:
        """Those of these attributes of rules that the kernel would pass over in silence."""

    def read_drivers(self, links: Iterable[Link]) -> dict[int, str]:
        """The drivers of these links, by ifindex."""

    def read_link_sysctls(self, links: Iterable[Link]) -> dict[int, LinkSysctls]:
        """The sysctls of these links by which the kernel lets other things happen, by ifindex."""

    def announce(self, link: Link, address: bytes) -> None:
        """Tell the neighbours on this link that ``address`` is here. Raises OSError."""

    def hear_echo(self, *, wanted: bool) -> None:
        """Shall events of our own changes of routes be delivered? Off while a large plan is carried out.

        Its routes are dumped afterwards anyway. What we change of addresses is always heard: facts come from it.
        """

    def listen_for(self, interest: Interest | None) -> None:
        """Of which routes of others shall changes be delivered? None: of all."""

    def follow(self, kinds: Collection[Kind]) -> None:
        """Of which kinds that few files use shall changes be delivered? Before the dumps that need it."""

    def identify(self, port: int) -> Process | None:
        """Who is behind the port id of an event, as far as it can be told quickly."""

    def glance(self, port: int, /) -> None:
        """Take what vanishes first of who is behind a port id; ``identify`` is asked next, and reads the rest."""

    def find_loss(self, is_simple: Callable[[Kind, Member, Value], bool], /) -> Loss | None:
        """The simple object that went, if that is the only event that waits; it goes on waiting."""

    def put_back(self, loss: Loss) -> tuple[Failure, ...]:
        """Put again what ``find_loss`` found, as an addition; ``read_events`` gives that event alone then."""

    def read_events(self) -> list[Event]:
        """All events that wait, without blocking."""


class WithoutEvents:
    """What of a kernel nobody needs who hears no events, which whoever ``kernel`` is in use by hears meanwhile."""

    def __init__(self, kernel: HostKernel) -> None:
        self.port = kernel.port
        self.overruns = 0
        self.hears_echo = kernel.hears_echo
        self.interest = kernel.interest

    def read_events(self) -> list[Event]:
        """None."""
        return []

    def identify(self, port: int) -> Process | None:
        """Nobody: there are no events to ask about."""

    def hear_echo(self, *, wanted: bool) -> None:
        """Nobody hears anything."""

    def listen_for(self, interest: Interest | None) -> None:
        """The news that are delivered stay those of whoever hears them."""

    def follow(self, kinds: Collection[Kind]) -> None:
        """Of no kind are changes heard."""

    def glance(self, _port: int, /) -> None:
        """Nobody is looked at."""

    def find_loss(self, _is_simple: Callable[[Kind, Member, Value], bool], /) -> Loss | None:
        """None, as there are no events."""

    def put_back(self, loss: Loss) -> tuple[Failure, ...]:
        """To ask for it is a defect."""
        raise AssertionError(f"nobody was told of {loss}")
