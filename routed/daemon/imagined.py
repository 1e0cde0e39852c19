"""The host as it would be: a kernel in memory for a plan, and the other dataplanes with what was asked of them.

Answers what ``ports.HostKernel`` and ``dataplane.Dataplane`` ask by ``core.linux``. A pass on it is the pass that it
would be, and nothing of it reaches the kernel. Here must never live what the kernel does (``core.linux``), or which
passes are made (``supposing``).
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from itertools import count
from os import strerror
from typing import Final

from routed.core.kinds import KINDS
from routed.core.linux import answers, requests
from routed.core.linux.lookup import look_up
from routed.core.linux.show import fill, fill_kernel_routes, is_in, make_chunks
from routed.core.linux.state import LINUX_KINDS, LinuxState
from routed.daemon.dataplane import Beside, Dataplane, Dataplanes
from routed.daemon.ports import HostKernel, ReadableDump, WithoutEvents
from routed.model.assumption import TooMuchError
from routed.model.change import Failure, Operation, Verb
from routed.model.facts import GatewayLink, HostAddress, Link, Way
from routed.model.lifetime import Lifetime
from routed.model.link_sysctls import LinkSysctls
from routed.model.lookup import Decision, Question
from routed.model.objects import AddressMember, Chunk, Key, Member, Scope, Slot, Standing, Value

GONE: Final = frozenset({2, 3, 19, 99})  # ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL: of a deletion these mean "done"


def read_state(
    kernel: HostKernel, dataplanes: Dataplanes, most: int | None = None
) -> Generator[None, None, LinuxState]:
    """All that stands on this host, read in slices. Raises OSError, and TooMuchError above ``most`` objects."""
    state = LinuxState()
    state.links = dict((yield from kernel.read_links()))
    state.sysctls = kernel.read_link_sysctls(state.links.values())
    for kind in LINUX_KINDS:
        for family in KINDS[kind].families:
            dump = yield from dataplanes.by_kind[kind].read_dump(Scope(kind, family))
            for _ in fill(state, kind, family, dump.chunks()):
                if most is not None and state.count_objects() > most:
                    raise TooMuchError
                yield
    fill_kernel_routes(state, kernel.read_kernel_routes())
    return state


class ImaginedDump:
    """What would stand. No two are taken for the same."""

    _numbers = count()

    def __init__(self, standings: Iterable[Standing]) -> None:
        self.fingerprint = f"imagined {next(self._numbers)}".encode()
        self._standings = standings

    def chunks(self) -> Iterator[Chunk]:
        """In the kernel's order."""
        return make_chunks(self._standings)

    def discard(self) -> Iterator[None]:
        """There is nothing to be given back."""
        yield


class _Imagined(Beside):
    """A dataplane of which nothing goes by itself."""

    def read_lifetimes(self, scope: Scope, slot: Slot, members: Collection[Member]) -> Mapping[Member, Lifetime]:
        """What goes by itself is no matter of a plan."""
        del scope, slot, members
        return {}


class ImaginedKernel(WithoutEvents, _Imagined):
    """One network namespace in memory."""

    def __init__(self, kernel: HostKernel, dataplane: Dataplane, state: LinuxState) -> None:
        WithoutEvents.__init__(self, kernel)
        _Imagined.__init__(self, dataplane)
        self.state = state
        self._kernel = kernel

    # --- the host ---------------------------------------------------------------------------------------------------

    def read_links(self) -> Generator[None, None, dict[int, Link]]:
        """As ``ports.HostKernel`` says; so are all that read."""
        yield
        return dict(self.state.links)

    def read_addresses(self) -> Generator[None, None, dict[AddressMember, HostAddress]]:  # noqa: D102
        yield
        return self.state.addresses()

    def locate_gateways(  # noqa: D102
        self,
        gateways: Iterable[bytes],
        own: Mapping[bytes, int],
        links: Collection[int],
        before: Mapping[bytes, int] | None = None,
    ) -> dict[bytes, GatewayLink]:
        del links
        return answers.locate_gateways(self.state, gateways, own, before or {})

    def look_up(self, addresses: Iterable[bytes]) -> dict[bytes, Way]:  # noqa: D102
        return answers.look_up_ways(self.state, addresses)

    def find_winner(self, question: Question, links: Mapping[str, int]) -> Decision:  # noqa: D102
        return look_up(self.state, question, links)

    def read_default_routes(self) -> tuple[Standing, ...]:  # noqa: D102
        return answers.read_default_routes(self.state)

    def read_kernel_routes(self) -> tuple[Standing, ...]:  # noqa: D102
        return answers.read_kernel_routes(self.state)

    def find_unknown(self, attributes: Iterable[int]) -> frozenset[int]:  # noqa: D102
        return self._kernel.find_unknown(attributes)

    def read_drivers(self, links: Iterable[Link]) -> dict[int, str]:  # noqa: D102
        return self._kernel.read_drivers(links)

    def read_link_sysctls(self, links: Iterable[Link]) -> dict[int, LinkSysctls]:  # noqa: D102
        return {link.ifindex: self.state.sysctls_of(link.ifindex) for link in links}

    def announce(self, link: Link, address: bytes) -> None:
        """There are no neighbours."""

    # --- its objects ------------------------------------------------------------------------------------------------

    def read_dump(self, scope: Scope) -> Generator[None, None, ReadableDump]:
        """All objects of a scope."""
        yield
        return ImaginedDump(one for one in self.state.stand(scope.kind) if is_in(one, scope))

    def apply(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:
        """Carry it out, here."""
        refused = requests.carry_out(self.state, operation, self.port)
        is_deletion = operation.verb is Verb.DELETE
        yield tuple(
            Failure(key.member, error, strerror(error))
            for key, error in refused.items()
            if not (is_deletion and error in GONE)
        )


class Overlay(_Imagined):
    """Another dataplane as it stands, with what was asked of it here."""

    def __init__(self, dataplane: Dataplane) -> None:
        super().__init__(dataplane)
        self._read = dataplane.read_dump
        self._done: list[Operation] = []

    def read_dump(self, scope: Scope) -> Generator[None, None, ReadableDump]:
        """What stands there, after all that was asked. Raises OSError."""
        dump = yield from self._read(scope)
        if not self._done:
            return dump
        there: dict[Key, tuple[Value, ...]] = {}
        for chunk in dump.chunks():
            for slot, member, value in chunk if isinstance(chunk, list) else chunk.spread():
                key = Key(scope.kind, slot, member)
                there[key] = (*there.get(key, ()), value)
        for operation in self._done:
            self._lay(there, operation, scope)
        standings = (Standing(key.slot, key.member, value) for key, values in there.items() for value in values)
        return ImaginedDump(one for one in list(standings) if is_in(one, scope))

    def _lay(self, there: dict[Key, tuple[Value, ...]], operation: Operation, scope: Scope) -> None:
        keys = [Key(operation.kind, operation.slot, member) for member in operation.members]
        if operation.verb is not Verb.DELETE:
            if operation.kind == scope.kind:
                there.update(dict.fromkeys(keys, (operation.value,)))
            return
        find_whole = KINDS[scope.kind].find_whole
        for key in list(there):
            if key in keys or (find_whole is not None and find_whole(key.slot) in keys):
                del there[key]

    def apply(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:
        """Note it."""
        self._done.append(operation)
        yield ()


def imagine(kernel: HostKernel, dataplanes: Dataplanes, state: LinuxState) -> tuple[ImaginedKernel, Dataplanes]:
    """A host that stands so, in place of this one."""
    linux = dataplanes.by_kind[LINUX_KINDS[0]]
    imagined = ImaginedKernel(kernel, linux, state)
    others = {id(one): one for one in dataplanes.by_kind.values() if one is not linux}
    return imagined, Dataplanes(imagined, *map(Overlay, others.values()))
