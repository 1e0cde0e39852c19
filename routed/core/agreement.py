"""Does what was explained agree with what the kernel itself answers? A difference is told, never smoothed over.

Here must never live: how the kernel is asked (``kernel.fib``), or what a route means.
"""

from __future__ import annotations

from collections.abc import Collection
from errno import EHOSTUNREACH, EXDEV

from routed.core.tables import is_for_several
from routed.model import names
from routed.model.fib import Explanation, FibRoute
from routed.model.lookup import Decision, Sent
from routed.model.objects import Hop, RouteSlot, RouteValue, Standing
from routed.model.reasons import Aside, Difference, Disagreement, SourceRefused


def find_disagreement(
    explained: Explanation, decision: Decision, sent: Sent, source: bytes | None = None
) -> Disagreement | None:
    """Where the kernel's answers are others than the explanation has it; None where they are the same.

    ``source`` is the one that it would choose; None: that is not known.
    """
    if explained.aside is Aside.MULTICAST:
        return None
    if explained.otherwise is not None and find_disagreement(explained.otherwise, decision, sent) is None:
        return None
    is_assumed = explained.aside is Aside.ON_LINK
    flow = explained.question.flow
    errno = EHOSTUNREACH if is_assumed else explained.errno  # of what is assumed the kernel shows no route
    if not _is_same_error(explained, decision.errno, errno):
        return Disagreement(Difference.ERROR, decision.errno)
    winner = _undo_type(explained, decision.winner)
    if winner is not None and not any(is_same(one, winner) for one in list_possible(explained)):
        return Disagreement(Difference.ROUTE, 0, decision.winner)
    if not _is_same_error(explained, sent.errno, explained.errno):
        return Disagreement(Difference.ERROR, sent.errno)
    hops = {hop for one in list_possible(explained) for hop in _list_hops(explained, one)} or set(explained.hops)
    if not sent.errno and not _goes_by(sent, explained, hops):
        return Disagreement(Difference.HOP, sent=(sent.dev, sent.gateway))
    if (
        source is not None
        and not (sent.errno or flow.source or flow.iif)
        and source != (sent.source or bytes(len(source)))
    ):
        return Disagreement(Difference.SOURCE)
    return None


def _is_same_error(explained: Explanation, answered: int, errno: int) -> bool:
    """Linux 6.1 says EXDEV, and 6.18 EINVAL, where rp_filter does not believe a source (fib_validate_source)."""
    return answered == errno or (answered == EXDEV and isinstance(explained.aside, SourceRefused))


def _undo_type(explained: Explanation, shown: Standing | None) -> Standing | None:
    """The kernel shows a route of what is for several as one of the packet's type, and not of its own."""
    if shown is None or not is_for_several(explained.question.destination) or explained.route is None:
        return shown
    assert isinstance(shown.value, RouteValue)
    return shown._replace(value=shown.value._replace(type=explained.route.value.type))


def list_possible(explained: Explanation) -> tuple[FibRoute, ...]:
    """The routes of which one decides."""
    return explained.equals or ((explained.route,) if explained.route else ())


def is_same(route: FibRoute, shown: Standing) -> bool:
    """Is this the route that the kernel shows? Of IPv6 it shows the hops in an order of its own.

    The table is not looked at while local and main are one: the kernel says main then of both.
    """
    slot = shown.slot
    assert isinstance(slot, RouteSlot)
    value = shown.value._replace(hops=_sort_hops(shown.value.hops))
    is_place = slot == route.slot and shown.member == route.prefix
    return is_place and value == route.value._replace(hops=_sort_hops(route.value.hops))


def _sort_hops(hops: Collection[Hop]) -> tuple[Hop, ...]:
    return tuple(sorted(hops))


def _list_hops(explained: Explanation, route: FibRoute) -> Collection[Hop]:
    if route is explained.route:
        return explained.hops
    hops = route.value.hops
    return [hop._replace(gateway=b"") for hop in hops] if explained.aside is Aside.NO_GATEWAY else hops


def _goes_by(sent: Sent, explained: Explanation, hops: Collection[Hop]) -> bool:
    """Does it go by one of these? What ends at this host goes by lo, whichever link has the address."""
    route = None if explained.aside is Aside.ON_LINK else explained.route
    if route is not None and route.value.type != names.UNICAST:
        return sent.type == route.value.type
    return any((hop.dev, hop.gateway) == (sent.dev, sent.gateway) for hop in hops)
