"""Answers what the core asks about packets: of the kernel, and of nothing that is remembered from another time.

Here must never live: what to ask, or what an answer means (``core.effect``, ``core.lifelines``).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeVar

from routed.daemon.dataplane import Dataplanes
from routed.daemon.ports import HostKernel
from routed.model.lookup import Around, Lookup, Question
from routed.model.net import family_of, network_of
from routed.model.objects import AlikeRoutes, Kind, Scope, Standing

T = TypeVar("T")


class Lookups:
    """What one look asks. The default routes are read once for all of it. Raises OSError throughout."""

    def __init__(self, kernel: HostKernel, dataplanes: Dataplanes, links: Mapping[str, int]) -> None:
        self.count = 0  # of questions, so far
        self._kernel = kernel
        self._dataplanes = dataplanes
        self._links = links  # the ifindexes of those that a question may name
        self._defaults: tuple[Standing, ...] | None = None

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
        sought = {network_of(address, length) for length in range(len(address) * 8 + 1)}
        scope = Scope(Kind.ROUTE, family_of(address), asked.table, type=asked.type)
        dump = yield from self._dataplanes.by_kind[Kind.ROUTE].read_dump(scope)
        found: list[Standing] = []
        for chunk in dump.chunks():
            if isinstance(chunk, AlikeRoutes):
                found += [Standing(chunk.slot, prefix, chunk.value) for prefix in sought if prefix in chunk.members]
            else:
                found += [one for one in chunk if one.member in sought]
            yield None
        return found
