"""What comes in by a link: is it let through to where the tables lead it?

Two things may be in the way that no table shows: this host does not forward, or it does not believe the source.
Here must never live: which route decides (``core.lookup``, which hands in how a packet is looked up).
Sources: ip_route_input_slow, __mkroute_input in net/ipv4/route.c; fib_validate_source in net/ipv4/fib_frontend.c;
ip6_forward in net/ipv6/ip6_output.c.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EHOSTUNREACH, EINVAL
from typing import Final

from routed.core.tables import is_multicast
from routed.model import names
from routed.model.fib import Entrance, Explanation, Fib
from routed.model.lookup import Flow, Question
from routed.model.net import IPV4, family_of, is_loopback
from routed.model.objects import Hop
from routed.model.reasons import Aside, NotForwarded, SourceRefused

_HERE: Final = frozenset({names.LOCAL, 3})  # RTN_BROADCAST
_STRICT: Final = 1  # of rp_filter

Walk = Callable[[Fib, Question, str], Explanation]  # the last is the link in whose VRF is looked


def look_at_entrance(fib: Fib, walked: Explanation, walk: Walk) -> Explanation:
    """The same with what keeps the packet from going on, if it came in by a link."""
    flow = walked.question.flow
    if not flow.iif:
        return walked
    is_here = walked.route is not None and walked.route.value.type in _HERE
    if family_of(walked.question.destination) != IPV4:
        if walked.errno or is_here or fib.forwards_ipv6:
            return walked
        return walked._replace(aside=NotForwarded(flow.iif, "net.ipv6.conf.all.forwarding"))
    entrance = fib.entrances.get(flow.iif, Entrance())
    if _is_martian(flow.source, entrance):
        return walked._replace(errno=EINVAL, aside=SourceRefused(flow.source, flow.iif, is_own=False))
    if is_loopback(walked.question.destination) and not entrance.takes_loopback:
        return walked._replace(errno=EINVAL, aside=Aside.LOOPBACK)
    if not entrance.forwards and (walked.errno or not is_here):
        return walked._replace(errno=EHOSTUNREACH, aside=NotForwarded(flow.iif, f"net.ipv4.conf.{flow.iif}.forwarding"))
    if walked.errno or _is_believed(fib, walked, entrance, walk, is_here=is_here):
        return walked
    refused = SourceRefused(flow.source, flow.iif, is_own=flow.source in fib.own)
    return walked._replace(errno=EINVAL, aside=refused)


def _is_martian(source: bytes, entrance: Entrance) -> bool:
    """Is it an address that nobody can have elsewhere?"""
    if not source or is_multicast(source) or source == b"\xff" * 4:
        return True
    return source[0] == 0 or (is_loopback(source) and not entrance.takes_loopback)


def _is_believed(fib: Fib, walked: Explanation, entrance: Entrance, walk: Walk, *, is_here: bool) -> bool:
    """IPv4: is it looked up where an answer would go, and may a packet come from there?"""
    flow = walked.question.flow
    came_by, out = fib.links.get(flow.iif), "" if is_here else fib.name_link(walked.hops[0].dev)
    goes_back = out == flow.iif and entrance.sends_redirects
    if not entrance.rp_filter and not goes_back:
        if entrance.accepts_local:
            return True
        if fib.is_merged:
            return flow.source not in fib.own
    mark = flow.mark if entrance.uses_mark else 0
    back = Flow(walked.question.destination, out, "", mark, flow.tos, flow.ipproto, flow.dport, flow.sport)
    way = walk(fib, Question(flow.source, back), flow.iif)
    if way.route is None or way.errno:
        return not entrance.rp_filter
    is_local = way.route.value.type == names.LOCAL and entrance.accepts_local
    if way.route.value.type != names.UNICAST and not is_local:
        return False
    if came_by is not None and any(_is_on(fib, hop, came_by.ifindex) for hop in way.route.value.hops):
        return True
    return not entrance.rp_filter or (entrance.rp_filter != _STRICT and entrance.has_address)


def _is_on(fib: Fib, hop: Hop, ifindex: int) -> bool:
    """Does it leave by this link, or by one in this VRF (nhc_l3mdev_matches_dev)?"""
    return hop.dev == ifindex or any(link.ifindex == hop.dev and link.master == ifindex for link in fib.links.values())
