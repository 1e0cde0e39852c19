"""Filling the facts: what events do not tell is asked of the kernel here, and nowhere else.

One question for each row of ``core.sources``; what an answer means stands in ``core`` too. Only what the files need is
asked. What other sources tell comes by ``host.deliver``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple, TypeVar

from routed.core.gateways import find_without_carrier, prefer_first
from routed.core.hear import apply_to_facts
from routed.core.select import choose, settle
from routed.core.sources import ATTRIBUTE, BEHIND, DRAIN, MEMBER, RISE, SOURCES, TOLD, expire, list_asked
from routed.core.timetable import Deadline
from routed.core.vip import find_way_without_ours, key_of
from routed.daemon.dataplane import Dataplanes
from routed.daemon.host import Host
from routed.daemon.ports import HostKernel
from routed.model.entries import Entry
from routed.model.facts import Behind, Choice, Fact, FactKey, Facts, GatewayLink, HostAddress, Link, Way, WayWithoutOurs
from routed.model.objects import AddressMember, Kind, RouteSlot, Standing
from routed.model.shared import Shared, SharedSet

T = TypeVar("T")

OF_MEMBERS: Final = frozenset({TOLD, MEMBER})  # news after which the host is as it was


class Asking(NamedTuple):
    """Who can be asked, for whom, and when it is."""

    kernel: HostKernel
    dataplanes: Dataplanes
    host: Host
    now: float
    is_more_asked: bool = False  # is the host as it was, and only more is to be known of it?


def gather(
    kernel: HostKernel, dataplanes: Dataplanes, host: Host, news: Collection[str], now: float, *, is_full: bool
) -> Iterator[None]:
    """Ask again whom these news concern, or everybody; what was not heard otherwise is forgotten. Raises OSError."""
    host.world.look_at(now)
    asked = list_asked(news, host.wanted.needs, is_full=is_full)
    is_more_asked = not is_full and not set(news) - OF_MEMBERS
    if is_full:
        host.world.note_asked(frozenset())
    for name in asked:
        answer = QUESTIONS[name](Asking(kernel, dataplanes, host, now, is_more_asked))
        value = (yield from answer) if isinstance(answer, Generator) else answer
        host.world.note(**{SOURCES[name].fills: value})
    if is_full:
        rest = {row.fills: getattr(_NOTHING, row.fills) for name, row in SOURCES.items() if name not in asked}
        host.world.note(**rest)


def prove(kernel: HostKernel, host: Host) -> None:
    """Ask again how packets to the VIPs go, now that their routes were touched. Raises OSError."""
    if host.wanted.needs.vips:
        host.world.note(ways=kernel.look_up(host.wanted.needs.destinations))


def arm(host: Host) -> None:
    """Put into the timetable when a fact, or an entry, will change by the passing of time alone."""
    choices, selectors = host.world.choices, host.wanted.intent.selectors
    ends = (choices[one.name].since + one.hold for one in selectors if _has_rival(host, one.name))
    stale = (fact.until for fact in host.world.facts.told.values() if fact.until is not None)
    again = (
        moment for moment in host.wanted.desired.again.values() if moment > host.world.facts.moment
    )  # else it was looked at
    moments = [*ends, *stale, *again]
    host.timetable.set(Deadline.LOOK_AGAIN, min(moments, default=None))


def _expire(it: Asking) -> dict[FactKey, Fact]:
    return expire(it.host.world.facts, it.now)


def _read_links(it: Asking) -> Generator[None, None, dict[int, Link]]:
    return (yield from _follow(it, "links", it.kernel.read_links()))


def _read_addresses(it: Asking) -> Generator[None, None, dict[AddressMember, HostAddress]]:
    return (yield from _follow(it, "addresses", it.kernel.read_addresses()))


def _follow(it: Asking, name: str, reading: Generator[None, None, T]) -> Generator[None, None, T]:
    """What is read in slices, for this field of the facts. What is heard between two of them is newer."""
    with it.host.world.gather_news() as news:
        value = yield from reading
        found = Facts().put(**{name: value})
        for event in news:
            apply_to_facts(found, event)
    return value


def _locate_gateways(it: Asking) -> Shared[bytes, GatewayLink]:
    """All of them; of a host that is as it was only those that nobody asked for until now."""
    world, wanted = it.host.world, it.host.wanted.needs.gateways
    new = SharedSet.of(wanted).find_new(world.asked) if it.is_more_asked else None
    known = Shared[bytes, GatewayLink]() if new is None else Shared.of(world.facts.gateways)
    found = _locate(it, wanted if new is None else new)
    world.note_asked(wanted)
    return known.put(found)


def _locate(it: Asking, gateways: AbstractSet[bytes]) -> dict[bytes, GatewayLink]:
    facts = it.host.world.facts
    own = {fact.address: fact.dev for fact in facts.addresses.values()}
    links = [link.ifindex for link in facts.links.values() if link.is_up]
    told = ((gateway, facts.gateways.get(gateway)) for gateway in gateways)
    before = {gateway: where.dev for gateway, where in told if where and where.is_onlink}
    located = it.kernel.locate_gateways(gateways, own, links, before)
    # a link that was not heard of yet will be news, and then the gateways are asked for again
    known = {gateway: where for gateway, where in located.items() if where.dev in facts.links}
    elsewhere = [gateway for gateway in gateways if gateway not in known or not known[gateway].is_onlink]
    return prefer_first(known | find_without_carrier(elsewhere, facts), _list_wanted_addresses(it.host), facts)


def _list_wanted_addresses(host: Host) -> Iterator[tuple[AddressMember, Entry]]:
    for there in host.wanted.desired.wants[Kind.ADDRESS].values():
        for member, want in there.single.items():
            assert isinstance(member, AddressMember)
            yield member, want.entry


def _look_up(it: Asking) -> dict[bytes, Way]:
    return it.kernel.look_up(it.host.wanted.needs.destinations)


def _find_ways_without_ours(it: Asking) -> dict[bytes, WayWithoutOurs]:
    facts, stamps = it.host.world.facts, it.dataplanes.stamps(it.host.wanted.marks)
    return {
        vip.prefix: find_way_without_ours(
            vip.prefix, facts.ways, facts.ways_without_ours.get(vip.prefix), stamps[key_of(vip).kind]
        )
        for vip in it.host.wanted.needs.vips
    }


def _read_default_routes(it: Asking) -> tuple[Standing, ...]:
    return it.kernel.read_default_routes()


def _read_behind(it: Asking) -> frozenset[Behind]:
    wanted, found = it.host.wanted.needs.behind, set[Behind]()
    for slot, prefix, value in it.kernel.read_kernel_routes():
        if prefix in wanted:
            assert isinstance(slot, RouteSlot)
            found.update(Behind(slot.table, slot.metric, prefix, hop.dev) for hop in value.hops)
    return frozenset(found)


def _list_rising(it: Asking) -> dict[str, dict[str, float]]:
    """Since when servers begin slowly, of the entries that time makes something else of."""
    again, known = it.host.wanted.desired.again, it.host.wanted.desired.resolutions
    risen = it.host.world.facts.risen
    return {name: parts for name, parts in risen.items() if name in again or name not in known}


def _read_drivers(it: Asking) -> dict[int, str]:
    return it.kernel.read_drivers(it.host.world.facts.links.values())


def _choose_all(it: Asking) -> dict[str, Choice]:
    """The choice in force of every ``[[interface]]``."""
    choices = {}
    for selector in it.host.wanted.intent.selectors:
        found = choose(selector, it.host.world.facts).choice
        choices[selector.name] = settle(it.host.world.choices.get(selector.name), found, selector.hold, it.now)
    it.host.world.note_chosen(choices)
    return {name: one.choice for name, one in choices.items()}


def _has_rival(host: Host, name: str) -> bool:
    return name in host.world.choices and host.world.choices[name].rival is not None


_NOTHING: Final = Facts()

# An answer, or what gives it in slices. Those of ``TOLD`` were delivered; only time changes them here.
QUESTIONS: Final[dict[str, Callable[[Asking], Any]]] = {
    TOLD: _expire,
    "link": _read_links,
    "address": _read_addresses,
    "gateway": _locate_gateways,
    "way": _look_up,
    "way-without-ours": _find_ways_without_ours,
    "default-routes": _read_default_routes,
    BEHIND: _read_behind,
    DRAIN: lambda it: it.host.ledger.holds.list_drained(it.now),
    RISE: _list_rising,
    ATTRIBUTE: lambda it: it.kernel.find_unknown(it.host.wanted.needs.attributes),
    "driver": _read_drivers,
    "selector": _choose_all,
}
