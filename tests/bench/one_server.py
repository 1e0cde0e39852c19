"""What one member's change costs a service of few servers and of many, in one run: a line for each, and the ratio.

    python -m tests.bench.one_server [FEW MANY [TURNS]]

The servers of the service are members of a source. Not every kernel has IPVS, so the daemon runs without its loop, in
this process, and the peer of its requests is that of the tests; what that one takes is left out. Both take turns. With
``ROUTED_BENCH_PROFILE=FILE`` what takes the time with many is written there, and the times say nothing.
"""

from __future__ import annotations

import cProfile
import os
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import ClassVar, Final

from routed.core import membership
from routed.kernel.dump import finish
from routed.model.facts import Fact, Freshness
from routed.model.members import Member, Roster, Snapshot, key_of
from tests.property import rig
from tests.property.fake_ipvs import FakeIpvs, FakeSocket
from tests.property.test_services import Scene
from tests.unit.intent.intent_help import read

DEFAULTS: Final = (50, 5000, 5)  # few, many, turns
AT_ONCE: Final = 10  # changes in a turn
PIECE: Final = 60  # servers in one datagram of a dump
TEXT: Final = """
[[source]]
name = "web"
type = "file"
path = "web.json"
addresses_within = ["10.0.0.0/8"]
max_loss = "off"
[[service]]
name = "a"
listen = "10.0.0.1:443"
scheduler = "wrr"
servers = { for_each = "@web", address = "{address}:443", weight = "{weight}" }
"""


def a_member(number: int, weight: int) -> Member:
    return Member(f"n{number:05}", addresses=(bytes((10, 1, number >> 8, number & 255)),), weight=weight)


class Peer(FakeSocket):
    """The peer of the daemon's requests, and the seconds of processor that it took."""

    spent: ClassVar[float] = 0.0

    def ask(self, packed: bytes | bytearray) -> None:
        began = time.process_time()
        super().ask(packed)
        Peer.spent += time.process_time() - began

    def receive(self, size: int, first: int, count: int = 1) -> bytes:
        began = time.process_time()
        try:
            return super().receive(size, first, count)
        finally:
            Peer.spent += time.process_time() - began


class Kernel(FakeIpvs):
    """Whose peer is that one."""

    def connect(self) -> FakeSocket:
        return Peer(self)

    def read_table(self) -> Generator[None, None, bytes | None]:
        began = time.process_time()
        text = finish(super().read_table())
        Peer.spent += time.process_time() - began
        yield
        return text


@dataclass
class Subject:
    """A daemon with one service."""

    count: int
    scene: Scene
    roster: Roster = membership.NOBODY
    done: int = 0
    spent: list[float] = field(default_factory=list)  # ms a change, of each turn

    def begin(self) -> None:
        self.scene.peer.piece = PIECE
        intent = read(TEXT)
        self.source = intent.member_sources[0]
        self.scene.rig.kernel.read_events()
        self.scene.rig.host.wanted.intent = intent
        self.scene.rig.reconciler.begin()
        self.scene.rig.enforce(intent)
        self.take(Snapshot(tuple(a_member(number, 1) for number in range(self.count))))
        assert len(self.scene.weights()) == self.count
        self.scene.peer.asked.clear()

    def take(self, snapshot: Snapshot) -> None:
        self.roster = membership.take(self.roster, snapshot, self.source, self.scene.rig.now)
        self.scene.rig.engine.deliver({key_of("web"): Fact(self.roster, Freshness.LIVE)})
        self.scene.rig.run(0.5)

    def change_some(self, profile: cProfile.Profile | None = None) -> None:
        """One member after another."""
        began, peers = time.process_time(), Peer.spent
        with profile or nullcontext():
            for _ in range(AT_ONCE):
                self.done += 1
                changed = a_member((self.done * 7919) % self.count, 2 + self.done % 100)
                self.take(Snapshot((changed,), is_complete=False))
        own = time.process_time() - began - (Peer.spent - peers)
        self.spent.append(own * 1000 / AT_ONCE)


def main() -> None:
    """Measure both."""
    few, many, turns = [*map(int, sys.argv[1:]), *DEFAULTS[len(sys.argv) - 1 :]]
    rig.MOST_STEPS = 1_000_000
    file = os.environ.get("ROUTED_BENCH_PROFILE", "")
    profile = cProfile.Profile(time.thread_time) if file else None
    with tempfile.TemporaryDirectory() as name:
        subjects = [Subject(count, Scene(Path(name, str(count)), Kernel())) for count in (few, many)]
        for subject in subjects:
            subject.begin()
        for _ in range(turns):
            subjects[0].change_some()
            subjects[1].change_some(profile)
    for subject in subjects:
        spent = sorted(subject.spent)
        asked = len(subject.scene.peer.asked) / subject.done
        sys.stdout.write(
            f"{subject.count} servers: {median(spent):.2f} ms of processor a change ({spent[0]:.2f}-{spent[-1]:.2f}), "
            f"{asked:.1f} requests\n"
        )
    sys.stdout.write(f"{many} to {few}: {median(subjects[1].spent) / median(subjects[0].spent):.2f}\n")
    if profile:
        profile.dump_stats(file)


if __name__ == "__main__":
    main()
