"""The pass, or the plan, that is under way, and the short passes amid it.

A long pass is interrupted where events tell of single objects: a short pass puts these right at once. What holds then:

* **The short one knows better.** ``overtaken`` has exactly the keys that short passes looked at since the long one
  began. What that one saw of them may be older, so they are in none of its plans (``observe``), nothing about them is
  over by it (``aftermath``), and where it is refused one of them it looks again instead of failing (``carry_out``).
* **Only the newest echo counts.** ``echo`` has, of each key, the last that the kernel told of our own changes since the
  long one began: the value that we put, None where we took it away. What is not in it was not told.
* **What was put ahead is asked for.** Where a reflex acted (``reflex``), the next pass asks for the same, and takes
  what the kernel said to that.
* **Who verifies by the echo hears it.** It is heard always, but while a pass carries out many changes, which it
  verifies by dumps; a short pass amid that one hears it for as long as it takes, and afterwards it is as before.

One at a time is under way, so this is one object, which a plan shares with the state that it was copied from: what a
short pass overtakes on the one it overtakes on the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from routed.daemon.ports import HostKernel
from routed.model.change import Failure, Operation, Verb
from routed.model.events import Loss, ObjectEvent
from routed.model.objects import Key, Value


class Ahead(NamedTuple):
    """What was put before the pass that will ask for it, and what the kernel said."""

    loss: Loss
    failures: tuple[Failure, ...]

    def is_all_of(self, operation: Operation) -> bool:
        """Is it what this operation asks for?"""
        loss = self.loss
        return operation[:5] == (Verb.ADD, loss.kind, loss.slot, (loss.member,), loss.value) and not operation.lifetime


@dataclass(slots=True)
class UnderWay:
    """What dies with a pass, as far as others have to do with it. See the head of this module."""

    overtaken: set[Key] = field(default_factory=set)
    ahead: Ahead | None = None
    echo: dict[Key, Value | None] = field(default_factory=dict)
    is_asking: bool = False  # for what the files need to know of the host, and what depends on it is not resolved yet
    asked: int = 0  # objects that the plan under way asks the kernel for; 0 while it asks for none, or for few
    answered: int = 0  # of these

    def begin(self) -> None:
        """The next one is under way."""
        self.overtaken.clear()
        self.echo.clear()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Until what depends on the answers is resolved."""
        self.is_asking = True
        try:
            yield
        finally:
            self.is_asking = False

    @contextmanager
    def counting(self, asked: int) -> Iterator[None]:
        """While so many objects are asked for, it is known how many were answered."""
        before = self.asked, self.answered
        self.asked, self.answered = asked, 0
        try:
            yield
        finally:
            self.asked, self.answered = before

    def note_answered(self, count: int) -> None:
        """The kernel has answered for so many more."""
        self.answered += count

    def put_ahead(self, loss: Loss, failures: tuple[Failure, ...]) -> None:
        """This was put before the pass that will ask for it, and the kernel said so much to it."""
        self.ahead = Ahead(loss, failures)

    def overtake(self, keys: Iterable[Key]) -> None:
        """A short pass has looked at these."""
        self.overtaken.update(keys)

    def take_ahead(self) -> Ahead | None:
        """What was put before this pass, which now knows of it."""
        taken, self.ahead = self.ahead, None
        return taken

    def hear(self, event: ObjectEvent) -> None:
        """The kernel told of a change of our own."""
        kind, slot, value = event.kind, event.slot, None if event.is_removal else event.value
        for member in event.members:
            self.echo[Key(kind, slot, member)] = value


@contextmanager
def hearing(kernel: HostKernel, *, wanted: bool) -> Iterator[None]:
    """Hear, or do not hear, of our own changes for a while."""
    before = kernel.hears_echo
    if before != wanted:
        kernel.hear_echo(wanted=wanted)
    try:
        yield
    finally:
        if before != wanted:
            kernel.hear_echo(wanted=before)
