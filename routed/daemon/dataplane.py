"""Dataplanes: who reads and changes the objects of which kinds, and knows whose they are.

rtnetlink (``routed.kernel.Kernel``) is one. What the story does with a kind it does through the dataplane of that kind;
what the kernel says of the host is another seam (``ports.HostKernel``), even where one object answers both. Here must
never live: what one of them is made of, or a question for one by its name.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NoReturn, Protocol

from routed.daemon.flows import Flows
from routed.daemon.ipvs import SeldomIpvs
from routed.daemon.ports import ReadableDump
from routed.model.change import Drift, Failure, Operation
from routed.model.lifetime import Lifetime
from routed.model.objects import Kind, Member, Scope, Slot, Value
from routed.model.owner import Marks, Stamp, Stamps

POLL_INTERVAL: Final = 5.0  # seconds


class Dataplane(Protocol):
    """Objects of some kinds, as the story sees them."""

    @property
    def name(self) -> str:
        """By which its polls are told from those of others."""

    @property
    def kinds(self) -> Collection[Kind]:
        """What it serves; no other dataplane does."""

    @property
    def poll_interval(self) -> float | None:
        """Seconds after which it has to be read again, where anything is wanted of it. None: events tell of changes."""

    @property
    def has_echo(self) -> bool:
        """Do events tell of our own changes as well? They prove a few; where there is no echo, a dump proves all."""

    def read_dump(self, scope: Scope) -> Generator[None, None, ReadableDump]:
        """All objects of a scope, read in slices, between which changes may be made; one scope at a time.

        Raises OSError: EBUSY where it never held still. Of a dataplane that has to be polled any error means that it
        alone is out of order: what it holds is unknown until the next poll.
        """

    def apply(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:
        """Carry out an operation, batch by batch; each item is what was refused of one batch. A thread may do it.

        What is put is stamped as its value says. Raises OSError: of a dataplane that has to be polled it means that the
        whole operation failed, of any other it ends the pass.
        """

    def make_stamp(self, kind: Kind, marks: Marks) -> Stamp:
        """Whose the objects of a kind are while these protocol numbers are ours; cheap to ask for again."""

    def has_lifetime(self, kind: Kind, value: Value) -> bool:
        """Does an object with this content go by itself?"""

    def read_lifetimes(self, scope: Scope, slot: Slot, members: Collection[Member]) -> Mapping[Member, Lifetime]:
        """What is left of these objects, of those that go by themselves; no other reading may be under way.

        Raises OSError.
        """

    def find_owned(self, kind: Kind, families: Iterable[int], marks: Marks) -> Iterable[Scope]:
        """The dumps in which everything of a kind is seen that is ours."""

    def must_keep_mark(self, drift: Drift) -> bool:
        """Is nothing wrong but a mark that cannot be changed? Then it works, and stays whose it is."""


class Dataplanes:
    """All dataplanes, each to be had by the kinds that it serves."""

    def __init__(self, *dataplanes: Dataplane, flows: Flows | None = None) -> None:
        """``flows`` are ended that lead to what was removed; None: nothing is done about them."""
        self.flows = flows
        self.by_kind: Mapping[Kind, Dataplane] = {kind: one for one in dataplanes for kind in one.kinds}
        self.echoing = frozenset(kind for kind, one in self.by_kind.items() if one.has_echo)
        # those that have no events, with the seconds between two looks at them
        self.polled = tuple((one, one.poll_interval) for one in dataplanes if one.poll_interval is not None)
        self._dataplanes = dataplanes
        self._marks: Marks | None = None
        self._stamps: Stamps = {}

    def stamps(self, marks: Marks) -> Stamps:
        """The stamp of every kind while these protocol numbers are ours."""
        if marks != self._marks:
            self._stamps = {kind: one.make_stamp(kind, marks) for kind, one in self.by_kind.items()}
            self._marks = marks
        return self._stamps

    def observed(self) -> Dataplanes:
        """The same, to be read and not to be changed: what a plan is made with."""
        return Dataplanes(*map(ReadOnly, self._dataplanes))


def find_dataplanes(kernel: Dataplane, state_dir: Path | None = None, *, may_write: bool = False) -> Dataplanes:
    """Every dataplane that there is, beside that of ``kernel``. Who makes another one adds it here.

    ``state_dir`` has what is known of ours beside the kernel; who does not write it changes nothing either.
    """
    ipvs = SeldomIpvs(state_dir, may_write=may_write, poll_interval=POLL_INTERVAL)
    return Dataplanes(kernel, ipvs, flows=Flows() if may_write else None)


class Beside:
    """What a dataplane knows of its objects, by one that is in use meanwhile."""

    def __init__(self, dataplane: Dataplane) -> None:
        self.name = dataplane.name
        self.kinds: Collection[Kind] = dataplane.kinds
        self.poll_interval = dataplane.poll_interval
        self.has_echo = dataplane.has_echo
        self.make_stamp = dataplane.make_stamp
        self.has_lifetime = dataplane.has_lifetime
        self.find_owned = dataplane.find_owned
        self.must_keep_mark = dataplane.must_keep_mark


class ReadOnly(Beside):
    """Answers ``Dataplane`` by another one, as long as nothing is changed."""

    def __init__(self, dataplane: Dataplane) -> None:
        super().__init__(dataplane)
        self.read_dump = dataplane.read_dump
        self.read_lifetimes = dataplane.read_lifetimes

    def apply(self, operation: Operation) -> NoReturn:
        """Who reads only changes nothing: to ask for it is a defect."""
        raise AssertionError(f"a plan does not carry out {operation}")
