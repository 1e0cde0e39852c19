"""Answers what the core asks about packets: of the kernel, and of nothing that is remembered from another time.

Here must never live: what to ask, or what an answer means (``core.effect``, ``core.lifelines``).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

from routed.daemon.dataplane import Dataplanes
from routed.daemon.ports import HostKernel
from routed.model.lookup import Around, Lookup, Question
from routed.model.net import family_of, network_of
from routed.model.objects import AlikeRoutes, Chunk, Kind, Member, Scope, Standing

T = TypeVar("T")

_Part: TypeAlias = AlikeRoutes | Mapping[Member, list[Standing]]  # of a dump, to look a prefix up in


class Lookups:
    """What one look asks. Default routes and dead ends are read once for all of it. Raises OSError throughout."""

    def __init__(self, kernel: HostKernel, dataplanes: Dataplanes, links: Mapping[str, int]) -> None:
        self.count = 0  # of questions, so far
        self._kernel = kernel
        self._dataplanes = dataplanes
        self._links = links  # the ifindexes of those that a question may name
        self._defaults: tuple[Standing, ...] | None = None
        self._dead_ends: dict[Scope, list[_Part]] = {}  # routes of all types are too many to keep

    def drive(self, asking: Generator[Lookup, Any, T]) -> Generator[None, None, T]:
        """Answer every question, and return what comes of it."""
        answer: Any = None
        while True:
            try:
                asked = asking.send(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            self.count += 1
            answer = yield from self._answer(asked)

    def _answer(self, asked: Lookup) -> Generator[None, None, Any]:
        if isinstance(asked, Question):
            return self._kernel.find_winner(asked, self._links)
        if isinstance(asked, Around):
            return (yield from self._read_around(asked))
        if self._defaults is None:
            self._defaults = self._kernel.read_default_routes()
        return [one for one in self._defaults if one.slot[:2] == asked]  # type: ignore[index]

    def _read_around(self, asked: Around) -> Generator[None, None, list[Standing]]:
        address = asked.address
        sought = [network_of(address, length) for length in range(len(address) * 8 + 1)]
        scope = Scope(Kind.ROUTE, family_of(address), asked.table, type=asked.type)
        if scope in self._dead_ends:
            return [one for part in self._dead_ends[scope] for one in _pick(part, sought)]
        dump = yield from self._dataplanes.by_kind[Kind.ROUTE].read_dump(scope)
        found: list[Standing] = []
        kept: list[_Part] = []
        for chunk in dump.chunks():
            part = _index(chunk)
            found += _pick(part, sought)
            if asked.type:
                kept.append(part)
            yield None
        if asked.type:
            self._dead_ends[scope] = kept
        return found


def _index(chunk: Chunk) -> _Part:
    if isinstance(chunk, AlikeRoutes):
        return chunk
    by_member: dict[Member, list[Standing]] = {}
    for one in chunk:
        by_member.setdefault(one.member, []).append(one)
    return by_member


def _pick(part: _Part, sought: Iterable[bytes]) -> Iterator[Standing]:
    for prefix in sought:
        if not isinstance(part, AlikeRoutes):
            yield from part.get(prefix, ())
        elif prefix in part.members:
            yield Standing(part.slot, prefix, part.value)
