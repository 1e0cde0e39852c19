"""Slow start: a server that comes, or returns, gets its weight in steps, since IPVS has no such thing itself.

The moment of its coming is all that is remembered; the step follows from that and the clock. Here must never live: what
makes a server come.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from routed.core.desired import Resolution
from routed.model.entries import ServerSpec, ServiceEntry
from routed.model.ipvs import ServerMember, ServerSlot, ServerValue

STEPS: Final = 5  # a fifth of the weight at once, all of it when the time is over
SHORTEST: Final = 1.0  # seconds of a step: each is a request for every server

Weights = dict[tuple[bytes, int], int | None]  # by address and port; the highest of all services. None: not known


def find_weight(weight: int, since: float, over: float, now: float) -> tuple[int, float | None]:
    """The weight at this moment of who came then, and when it is another one; None: it has all of it."""
    count = max(1, min(STEPS - 1, int(over // SHORTEST)))
    length = over / count
    step = int((now - since) // length) if length else count
    if step >= count or now < since:
        return weight, None
    found = ceil(weight * (step + 1) / (count + 1))
    later = (one for one in range(step + 1, count + 1) if ceil(weight * (one + 1) / (count + 1)) != found)
    following = next(later, None)
    return found, None if following is None else since + following * length


def find_risen(entry: ServiceEntry, before: Resolution, after: Resolution) -> list[ServerSpec]:
    """The servers that take connections from now on, and did not before; none of a service that is new itself.

    One that comes and of which nothing is known yet begins now as well: it is not there before it is up.
    """
    if not entry.slow_start or after.degraded is not None:
        return []
    old, new = _list_weights(before), _list_weights(after)
    if not any(old.values()):
        return []
    risen = {place for place, weight in new.items() if weight != 0 and old.get(place, 0) == 0}
    hosts = {address for address, _ in risen}
    return [
        one for one in entry.servers if (one.address in hosts if not one.port else (one.address, one.port) in risen)
    ]


def _list_weights(resolution: Resolution) -> Weights:
    found: Weights = {}
    for group in resolution.sets:
        if isinstance(group.slot, ServerSlot):
            weight = group.value.weight if isinstance(group.value, ServerValue) else None
            for member in group.members:
                assert isinstance(member, ServerMember)
                before = found.get(member, weight)
                found[member] = None if before is None or weight is None else max(before, weight)
    return found
