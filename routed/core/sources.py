"""The table of sources: who fills which facts, what makes it needed, and what makes it ask again.

A row is named by what its facts are keys of (``FactKey.what``). How the kernel is asked stands in ``daemon.facts``,
which has a question for each row. The rows are asked in this order, since some answers are made from others.

Whatever the kernel does not know is told by sources of their own, which answer when they like: they deliver
(``engine.deliver``), and one row stands for all of them. Only what the files ask for is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from routed.core.needs import Needs
from routed.model.facts import Behind, Fact, FactKey, Facts, Freshness, GatewayLink, HostAddress, Link
from routed.model.objects import AddressMember
from routed.model.shared import Shared

TOLD: Final = "told"  # something was delivered
CLOCK: Final = "clock"  # a moment came that a fact depends on
BEHIND: Final = "behind"  # a route that the kernel makes for an address of the files came or went
DRAIN: Final = "drain"  # the operator drains a server, or no more
MEMBER: Final = "member"  # members make other entries, which need to know more
RISE: Final = "rise"  # servers came, and begin slowly: that is noted as they are resolved, and forgotten here
ATTRIBUTE: Final = "attribute"  # of a rule: does this kernel know it?
ROUTE: Final = "route"  # the kernel may send packets another way now


class SourceRow(NamedTuple):
    """What the core must know of a source."""

    fills: str  # the field of Facts
    is_needed: Callable[[Needs], bool]
    # It is asked again when something is new of one of these: another source, or what events and the clock tell. Events
    # keep links and addresses up to date themselves; a full pass asks every source.
    follows: frozenset[str]
    find_changed: Callable[[Any, Any], Iterable[str | bytes | int]]  # (before, after) → which of its facts differ


def _list_changed(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Any]:
    return (which for which in old.keys() | new.keys() if old.get(which) != new.get(which))


def _list_changed_gateways(old: Mapping[bytes, GatewayLink], new: Mapping[bytes, GatewayLink]) -> Iterator[bytes]:
    """A fleet has thousands, and few change."""
    return (one.key for one in Shared.of(new).find_differing(old) if one.before != one.after)


def _list_changed_links(old: Mapping[int, Link], new: Mapping[int, Link]) -> Iterator[str | int]:
    for index in _list_changed(old, new):
        yield index
        for link in (old.get(index), new.get(index)):
            if link:
                yield link.name
                yield from link.altnames


def _list_changed_addresses(
    old: Mapping[AddressMember, HostAddress], new: Mapping[AddressMember, HostAddress]
) -> Iterator[str | bytes | int]:
    changed = {member for member, _ in old.items() ^ new.items()}  # a host may have thousands, and few change
    if changed:
        yield ""  # any of them
    for member in changed:
        yield member.address
        yield member.dev
    left, right = ([one for one in order if one not in changed] if changed else list(order) for order in (old, new))
    if left != right:  # the order, which == does not tell
        yield from _list_changed(_group_by_link(left), _group_by_link(right))


def _group_by_link(addresses: Iterable[AddressMember]) -> dict[int, list[AddressMember]]:
    groups: dict[int, list[AddressMember]] = {}
    for member in addresses:
        groups.setdefault(member.dev, []).append(member)
    return groups


def _list_changed_routes(old: frozenset[Behind] | None, new: frozenset[Behind] | None) -> set[bytes]:
    return {behind.prefix for behind in (old or frozenset()) ^ (new or frozenset())}


def _list_changed_numbers(old: frozenset[int], new: frozenset[int]) -> frozenset[int]:
    return old ^ new


def _list_whether_changed(old: object, new: object) -> Iterator[str]:
    if old != new:
        yield ""


HOST: Final = frozenset({"link", "address", ROUTE, MEMBER})

SOURCES: Final[dict[str, SourceRow]] = {
    TOLD: SourceRow("told", lambda needs: bool(needs.facts), frozenset({TOLD, CLOCK}), lambda _old, _new: ()),
    # everything that is said of an object names its link, those of others too
    "link": SourceRow("links", lambda _: True, frozenset(), _list_changed_links),
    "address": SourceRow("addresses", lambda needs: needs.has_addresses, frozenset(), _list_changed_addresses),
    "gateway": SourceRow("gateways", lambda needs: bool(needs.gateways), HOST, _list_changed_gateways),
    "way": SourceRow("ways", lambda needs: bool(needs.destinations), HOST, _list_changed),
    "way-without-ours": SourceRow(
        "ways_without_ours", lambda needs: bool(needs.vips), frozenset({"way"}), _list_changed
    ),
    "default-routes": SourceRow(
        "default_routes", lambda needs: needs.has_default_routes, HOST, _list_whether_changed
    ),
    BEHIND: SourceRow(
        "behind", lambda needs: bool(needs.behind), frozenset({"link", "address", BEHIND}), _list_changed_routes
    ),
    DRAIN: SourceRow("drained", lambda needs: needs.has_parts, frozenset({DRAIN}), _list_changed),
    RISE: SourceRow("risen", lambda needs: needs.has_parts, frozenset({CLOCK}), lambda _old, _new: ()),
    ATTRIBUTE: SourceRow("unknown", lambda needs: bool(needs.attributes), frozenset({MEMBER}), _list_changed_numbers),
    "driver": SourceRow("drivers", lambda needs: needs.has_drivers, frozenset({"link"}), _list_changed),
    "selector": SourceRow(
        "chosen",
        lambda needs: needs.has_selectors,
        frozenset({"link", "address", "gateway", "way", "default-routes", "driver", CLOCK}),
        _list_changed,
    ),
}  # fmt: skip


def list_asked(news: Collection[str], needs: Needs, *, is_full: bool) -> list[str]:
    """The sources to be asked again, in order, when something is new of these; of those that the files need."""
    asked: list[str] = []
    for name, row in SOURCES.items():
        if row.is_needed(needs) and (is_full or not row.follows.isdisjoint([*news, *asked])):
            asked.append(name)
    return asked


def find_changed_facts(old: Facts, new: Facts) -> set[FactKey]:
    """The facts that differ between two moments, under the names by which resolutions read them."""
    changed: set[FactKey] = set()
    if old is new:
        return changed
    for name, row in SOURCES.items():
        before, after = getattr(old, row.fills), getattr(new, row.fills)
        if before is not after:
            changed.update(FactKey(name, which) for which in row.find_changed(before, after))
    for key in _list_changed(old.told, new.told):
        if old.find(key)[:2] != new.find(key)[:2]:  # since when, and for how long, makes nothing else of an entry
            changed.add(key)
    return changed


def ask_for(facts: Facts, needs: Needs, now: float) -> Facts:
    """The store that these files ask for. What was told stays, what was not asked for until now is loading."""
    told = {key: facts.told.get(key) or Fact(since=now) for key in needs.facts}
    return facts.put(told=told, service_addresses=needs.service_addresses)


def deliver(facts: Facts, told: Mapping[FactKey, Fact], now: float) -> Facts:
    """The store after a source told this. What no file asks for is not kept."""
    new = {}
    for key, fact in told.items():
        if before := facts.told.get(key):
            since = before.since if before.state is fact.state else now
            new[key] = fact._replace(since=since, until=fact.until if fact.state is Freshness.LIVE else None)
    return facts.put(told={**facts.told, **new})


def expire(facts: Facts, now: float) -> dict[FactKey, Fact]:
    """What was told, where what was not told again in time is stale."""
    return {
        key: fact._replace(state=Freshness.STALE, since=fact.until, until=None)
        if fact.state is Freshness.LIVE and fact.until is not None and fact.until <= now
        else fact
        for key, fact in facts.told.items()
    }
