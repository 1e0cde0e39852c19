"""IPVS among the dataplanes: opened when a file has services, or when something is claimed from before.

Most hosts have none of it, and pay nothing for it. Here must never live: what is read or asked (``kernel.ipvs``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from routed.daemon.ports import ReadableDump
from routed.kernel.stamp import stamp_by_number
from routed.model.change import Drift, Failure, Operation
from routed.model.ipvs import ServerMember, ServerSlot, Traffic
from routed.model.lifetime import Lifetime
from routed.model.objects import Key, Kind, Member, Scope, Slot, Value
from routed.model.owner import Marks, Stamp

if TYPE_CHECKING:  # imported when it is needed
    from routed.kernel.ipvs.dataplane import Ipvs

CLAIMS: Final = "ipvs.jsonl"  # in the state folder


class SeldomIpvs:
    """Answers ``dataplane.Dataplane`` by ``kernel.ipvs``, once it is needed. Without a state folder nothing is ours."""

    name: Final = "ipvs"
    kinds: Final = (Kind.SERVICE, Kind.SERVER, Kind.TIMEOUT)
    has_echo: Final = False

    def __init__(
        self, state_dir: Path | None, *, may_write: bool, poll_interval: float, make: Callable[[], Ipvs] | None = None
    ) -> None:
        """``make`` opens another one than that of this kernel."""
        self.poll_interval = poll_interval
        self._state_dir = state_dir
        self._may_write = may_write
        self._make = make or self._open_kernels
        self._opened: Ipvs | None = None

    @property
    def opened(self) -> Ipvs:
        """It is needed now."""
        if self._opened is None:
            self._opened = self._make()
        return self._opened

    def _open_kernels(self) -> Ipvs:
        from routed.daemon.claims import ClaimsFile, NoClaims, SeenClaims  # noqa: PLC0415
        from routed.kernel.ipvs.dataplane import Ipvs  # noqa: PLC0415

        if self._state_dir is None:
            return Ipvs(NoClaims())
        file = ClaimsFile(self._state_dir)
        return Ipvs(file if self._may_write else SeenClaims(file))

    def suspect(self, key: Key | None) -> None:
        """Whatever it looks like, read the service of this object, or all of them, at the next look."""
        self.opened.suspect(key)

    def follow_family(self, tell: Callable[[int], None]) -> None:
        """Tell of the id of the genl family, now and whenever it is another one; 0 for not known."""
        self.opened.on_family = tell
        tell(self.opened.family)

    def read_dump(self, scope: Scope) -> Generator[None, None, ReadableDump]:
        """As ``Dataplane`` says; so do all."""
        return self.opened.read_dump(scope)

    def read_traffic(self, place: ServerSlot) -> tuple[Traffic, Mapping[ServerMember, Traffic]]:
        """What is counted of a service and its servers. Raises OSError."""
        return self.opened.read_traffic(place)

    def apply(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:  # noqa: D102
        return self.opened.apply(operation)

    def find_owned(self, kind: Kind, families: Iterable[int], marks: Marks) -> Iterable[Scope]:
        """Nothing is ours before anything was claimed; what may not be looked at may be there, and a dump says why."""
        is_claimed = self._state_dir is not None and _may_exist(self._state_dir / CLAIMS)
        return self.opened.find_owned(kind, families, marks) if is_claimed or self._opened else ()

    def make_stamp(self, kind: Kind, marks: Marks) -> Stamp:
        """By the number that is read from a claim."""
        del kind
        return stamp_by_number(marks)

    def must_keep_mark(self, drift: Drift) -> bool:  # noqa: D102
        return self.opened.must_keep_mark(drift)

    def has_lifetime(self, kind: Kind, value: Value) -> bool:  # noqa: D102
        return self.opened.has_lifetime(kind, value)

    def read_lifetimes(  # noqa: D102
        self, scope: Scope, slot: Slot, members: Collection[Member]
    ) -> Mapping[Member, Lifetime]:
        return self.opened.read_lifetimes(scope, slot, members)


def _may_exist(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True
