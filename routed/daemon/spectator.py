"""The kernel as a spectator sees it: everything can be asked, nothing changed, and no event is taken from anybody.

A plan is made with it, by the same code that a pass runs on the kernel itself. Here must never live: what is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping
from typing import NoReturn

from routed.daemon.ports import HostKernel, WithoutEvents
from routed.model.facts import GatewayLink, HostAddress, Link, Way
from routed.model.link_sysctls import LinkSysctls
from routed.model.lookup import Decision, Question
from routed.model.objects import AddressMember, Standing


class Spectator(WithoutEvents):
    """Answers ``ports.HostKernel`` by another one that is in use meanwhile."""

    def __init__(self, kernel: HostKernel) -> None:
        super().__init__(kernel)
        self._kernel = kernel

    def read_links(self) -> Generator[None, None, dict[int, Link]]:
        """As ``ports.HostKernel`` says; so are all that read."""
        return self._kernel.read_links()

    def read_addresses(self) -> Generator[None, None, dict[AddressMember, HostAddress]]:  # noqa: D102
        return self._kernel.read_addresses()

    def locate_gateways(  # noqa: D102
        self,
        gateways: Iterable[bytes],
        own: Mapping[bytes, int],
        links: Collection[int],
        before: Mapping[bytes, int] | None = None,
    ) -> dict[bytes, GatewayLink]:
        return self._kernel.locate_gateways(gateways, own, links, before)

    def look_up(self, addresses: Iterable[bytes]) -> dict[bytes, Way]:  # noqa: D102
        return self._kernel.look_up(addresses)

    def find_winner(self, question: Question, links: Mapping[str, int]) -> Decision:  # noqa: D102
        return self._kernel.find_winner(question, links)

    def read_default_routes(self) -> tuple[Standing, ...]:  # noqa: D102
        return self._kernel.read_default_routes()

    def read_kernel_routes(self) -> tuple[Standing, ...]:  # noqa: D102
        return self._kernel.read_kernel_routes()

    def find_unknown(self, attributes: Iterable[int]) -> frozenset[int]:  # noqa: D102
        return self._kernel.find_unknown(attributes)

    def read_drivers(self, links: Iterable[Link]) -> dict[int, str]:  # noqa: D102
        return self._kernel.read_drivers(links)

    def read_link_sysctls(self, links: Iterable[Link]) -> dict[int, LinkSysctls]:  # noqa: D102
        return self._kernel.read_link_sysctls(links)

    def announce(self, link: Link, address: bytes) -> NoReturn:
        """A spectator tells nobody: to ask it is a defect."""
        raise AssertionError(f"a plan does not announce {(link, address)}")
