"""Who did it: the memory over ``processes`` and ``owners``, so that a storm of one process costs one look.

What is remembered is bounded and short-lived, since pids are used again. Only the memory belongs here.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple, Protocol, TypeVar

from routed.kernel.owners import PortOwner, find_owner, is_still_owner
from routed.kernel.processes import MOST_PIDS, read_cmdline, read_process
from routed.model.process import Process

LIFE: Final = 0.1  # seconds that a look at /proc/PID holds for
MEMORY: Final = 2.0  # seconds that it holds for when the process is gone meanwhile; no pid comes back so soon
SEARCH_TIME: Final = 1.0  # seconds that a search through everybody's descriptors may take
SEARCH_AGAIN: Final = 60.0  # seconds until a port id is searched for again that was not found
MOST: Final = 256  # port ids that are remembered
STARTS: Final = 200  # programs in a second that are looked at when they start


Remembered = TypeVar("Remembered")


class Starts(Protocol):
    """Who hears of programs that are started, as ``execs.ExecWatch`` does."""

    def read(self) -> list[int]:
        """The pids since the last time."""


class _Look(NamedTuple):
    process: Process | None
    seen: float  # when it was there
    moment: float  # when it was looked for


class _Suspicion:
    """Who probably asked by sockets that were gone at once, one right after another: it was one program."""

    def __init__(self) -> None:
        self.process: Process | None = None
        self.moment = -LIFE  # of the last of them
        self.sockets = 0  # a single one may be anybody's


class Witness:
    """Names the process behind a port id. ``search`` may run in another thread, once at a time."""

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        read: Callable[[int], Process | None] = read_process,
        find: Callable[[int, Callable[[], bool]], PortOwner | None] = find_owner,
        guess: Callable[[], Process | None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._read = read
        self._find = find
        self._glimpse: tuple[int, bytes | None] | None = None  # of a port id that is asked for next
        self._looks: dict[int, _Look] = {}
        self._guess = guess
        self._suspicions: dict[int, _Suspicion] = {}  # by port id, where nobody better is found
        self._suspicion = _Suspicion()
        self._owners: dict[int, PortOwner] = {}
        self._starts: dict[int, Process] = {}  # by pid, as they were just after their start
        self._starts_seen = 0  # within the second that began at this moment
        self._second = 0.0
        self._sought: dict[int, float] = {}  # port id → when it was searched for in vain

    def identify(self, port: int) -> Process | None:
        """The process, as far as a quick look tells. To be asked at the moment of its change."""
        now = self._clock()
        look = self._looks.get(port)
        if look is None or now - look.moment > LIFE:
            process = self._look(port)
            if process is None and look is not None and port <= MOST_PIDS and now - look.seen <= MEMORY:
                look = look._replace(moment=now)  # what it did before it ended is still being read
            else:
                look = _Look(process, now, now)
            _remember(self._looks, port, look)
        return look.process

    def glance(self, port: int) -> None:
        """Take what vanishes first of who it is. The rest is read when ``identify`` is asked, right after this.

        Of a port id that is no pid there is nothing to be taken: it is asked now.
        """
        if port > MOST_PIDS or port in self._owners:
            self.identify(port)
            return
        look = self._looks.get(port)
        if look is None or self._clock() - look.moment > LIFE:
            self._glimpse = (port, read_cmdline(port))

    def note_starts(self, execs: Starts) -> None:
        """Programs were started: remember who they are, since they may be gone before they are asked for.

        At most ``STARTS`` in a second are looked at, so that a host that starts programs without end costs no more.
        """
        now = self._clock()
        if now - self._second >= 1.0:
            self._second, self._starts_seen = now, 0
        for pid in execs.read():
            self._starts_seen += 1
            if self._starts_seen <= STARTS and (process := self._read(pid)):
                _remember(self._starts, pid, process)

    def is_worth_a_search(self, port: int) -> bool:
        """Might ``search`` find the process that a quick look did not?"""
        sought = self._sought.get(port)
        return port not in self._owners and (sought is None or self._clock() - sought > SEARCH_AGAIN)

    def search(self, port: int) -> None:
        """Look for the holder of the socket. Slow; ``find_searched`` tells afterwards who it is."""
        end = self._clock() + SEARCH_TIME
        owner = self._find(port, lambda: self._clock() > end)
        if owner is None:
            _remember(self._sought, port, self._clock())
        else:
            _remember(self._owners, port, owner)

    def find_searched(self, port: int) -> Process | None:
        """Who was found by a search, whether or not the socket is still open; else who probably had it."""
        owner = self._owners.get(port)
        suspicion = self._suspicions.get(port)
        if owner:
            return owner.process
        return suspicion.process if suspicion and suspicion.sockets > 1 else None

    def _suspect(self, port: int) -> None:
        if port in self._suspicions:
            return
        now = self._clock()
        if now - self._suspicion.moment > LIFE:
            self._suspicion = _Suspicion()
        self._suspicion.moment = now
        self._suspicion.sockets += 1
        self._suspicion.process = self._suspicion.process or self._guess()
        _remember(self._suspicions, port, self._suspicion)

    def _look(self, port: int) -> Process | None:
        owner = self._owners.get(port)
        if owner is not None:
            if is_still_owner(owner):
                return owner.process
            del self._owners[port]
        if port > MOST_PIDS:
            self._suspect(port)
            return None
        glimpse, self._glimpse = self._glimpse, None
        process = read_process(port, cmdline=glimpse[1]) if glimpse and glimpse[0] == port else self._read(port)
        start = self._starts.get(port)
        if process is None or start is None:
            return process or start
        is_same = process.comm == start.comm and not process.cmdline  # it is ending, and its arguments are gone
        return process._replace(cmdline=start.cmdline) if is_same else process


def _remember(memory: dict[int, Remembered], port: int, thing: Remembered) -> None:
    if len(memory) >= MOST:
        memory.clear()
    memory[port] = thing
