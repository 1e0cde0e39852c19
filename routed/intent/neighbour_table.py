"""``[[neighbour]]`` as the model has it, and back. Only files with neighbours pay for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from routed.intent.checks import MULTICAST
from routed.intent.convert import Draft, FaultsError, OtherFiles
from routed.intent.problems import Fault
from routed.intent.schema_neighbour import NeighbourTable
from routed.model.entries import NeighbourEntry
from routed.model.net import IPV6, family_of, format_address, is_inside


def convert_neighbour(head: dict[str, Any], spec: NeighbourTable, others: OtherFiles) -> Draft:
    """One ``[[neighbour]]``. Raises FaultsError with everything that is wrong with it."""
    del others
    if faults := tuple(_check(spec)):
        raise FaultsError(*faults)
    assert spec.to is not None
    entry = NeighbourEntry(
        **head,
        to=spec.to,
        dev=spec.dev or "",
        lladdr=spec.lladdr or b"",
        router=spec.router,
        proxy=spec.proxy,
    )
    return Draft(entry, (format_address(spec.to), entry.dev, *(["proxy"] if spec.proxy else [])))


def _check(spec: NeighbourTable) -> Iterator[Fault]:
    for key in ("to", "dev"):
        if getattr(spec, key) is None:
            yield Fault((), f"`{key}` is missing")
    if spec.to is not None and (not any(spec.to) or is_inside(spec.to, MULTICAST[family_of(spec.to)])):
        yield Fault(("to",), f"`to`: {format_address(spec.to)} is not the address of a host")
    if spec.proxy and spec.lladdr is not None:
        yield Fault(("lladdr",), "`lladdr`: of a proxy it is that of the interface", "leave `lladdr` out")
    if not spec.proxy and spec.lladdr is None:
        yield Fault((), "`lladdr` is missing", "its link address; or proxy = true, to answer in its place")
    if spec.router and spec.to is not None and family_of(spec.to) != IPV6:
        yield Fault(("router",), "`router` is for IPv6 only")
