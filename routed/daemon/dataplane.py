"""Dataplanes: who reads and changes the objects of which kinds, and knows whose they are.

rtnetlink (``routed.kernel.Kernel``) is one. What the story does with a kind it does through the dataplane of that kind;
what the kernel says of the host is another seam (``ports.Kernel``), even where one object answers both. Here must never
live: what one of them is made of, or a question for one by its name.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from typing import NoReturn, Protocol

from routed.daemon.ports import Dump
from routed.model.change import Drift, Failure, Operation
from routed.model.objects import Kind, Scope
from routed.model.owner import Marks, Stamp, Stamps


class Dataplane(Protocol):
    """Objects of some kinds, as the story sees them. Raises OSError throughout."""

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

    def read_dump(self, scope: Scope) -> Generator[None, None, Dump]:
        """All objects of a scope, read in slices, between which changes may be made; one scope at a time.

        Raises OSError: EBUSY where it never held still. Of a dataplane that has to be polled any error means that it
        alone is out of order: what it holds is unknown until the next poll.
        """

    def apply(self, operation: Operation) -> Iterator[tuple[Failure, ...]]:
        """Carry out an operation, batch by batch; each item is what was refused of one batch. A thread may do it.

        What is put is stamped as its value says. An OSError ends the pass, with all that it had to do: of what was not
        done, and of nothing else, the items tell.
        """

    def make_stamp(self, kind: Kind, marks: Marks) -> Stamp:
        """Whose the objects of a kind are while these protocol numbers are ours; cheap to ask for again."""

    def find_owned(self, kind: Kind, families: Iterable[int], marks: Marks) -> Iterable[Scope]:
        """The dumps in which everything of a kind is seen that is ours."""

    def must_keep_mark(self, drift: Drift) -> bool:
        """Is nothing wrong but a mark that cannot be changed? Then it works, and stays whose it is."""


class Dataplanes:
    """All dataplanes, each to be had by the kinds that it serves."""

    def __init__(self, *planes: Dataplane) -> None:
        self.by_kind: Mapping[Kind, Dataplane] = {kind: plane for plane in planes for kind in plane.kinds}
        self.echoing = frozenset(kind for kind, plane in self.by_kind.items() if plane.has_echo)
        # those that have no events, with the seconds between two looks at them
        self.polled = tuple((plane, plane.poll_interval) for plane in planes if plane.poll_interval is not None)
        self._planes = planes
        self._marks: Marks | None = None
        self._stamps: Stamps = {}

    def stamps(self, marks: Marks) -> Stamps:
        """The stamp of every kind while these protocol numbers are ours."""
        if marks != self._marks:
            self._marks, self._stamps = marks, {k: plane.make_stamp(k, marks) for k, plane in self.by_kind.items()}
        return self._stamps

    def observed(self) -> Dataplanes:
        """The same, to be read and not to be changed: what a plan is made with."""
        return Dataplanes(*map(Spectator, self._planes))


def find_dataplanes(kernel: Dataplane) -> Dataplanes:
    """Every dataplane that there is, beside that of ``kernel``. Who makes another one adds it here."""
    return Dataplanes(kernel)


class Spectator:
    """Answers ``Dataplane`` by another one that is in use meanwhile."""

    def __init__(self, plane: Dataplane) -> None:
        self._plane = plane
        self.name = plane.name
        self.kinds = plane.kinds
        self.poll_interval = plane.poll_interval
        self.has_echo = plane.has_echo
        self.read_dump = plane.read_dump
        self.make_stamp = plane.make_stamp
        self.find_owned = plane.find_owned
        self.must_keep_mark = plane.must_keep_mark

    def apply(self, operation: Operation) -> NoReturn:
        """A spectator changes nothing: to ask it is a defect."""
        raise AssertionError(f"a plan does not carry out {operation}")
