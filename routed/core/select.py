"""Choosing an interface: which link an ``[[interface]]`` means now, and why every other one is not it.

Pure: facts in, a choice out. When another choice is followed is :func:`settle`'s word; who uses ``@name`` and how
stands in ``references``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from routed.model.entries import How, Matcher, Selector
from routed.model.facts import Choice, Facts, Link
from routed.model.names import TABLE_MAIN, UNICAST
from routed.model.net import IPV4, is_inside
from routed.model.objects import RouteSlot, RouteValue, Standing
from routed.model.reasons import (
    Ambiguous,
    But,
    Called,
    FirstOf,
    HasAddress,
    HasDefaultRoute,
    HasDriver,
    HasMac,
    NameFits,
    NoInterface,
    Reaches,
    Reason,
    Skipped,
    Unchosen,
    Unfit,
)


class Candidate(NamedTuple):
    """One link of the host, and why it won or lost."""

    dev: int
    name: str
    is_chosen: bool
    why: Reason


class Judgement(NamedTuple):
    """The choice, and every link there is."""

    choice: Choice
    candidates: tuple[Candidate, ...]  # by ifindex


class SettledChoice(NamedTuple):
    """The choice in force, and another one that has not lasted long enough yet."""

    choice: Choice
    rival: Choice | None = None
    since: float = 0.0  # when the rival was first seen


class _Hit(NamedTuple):
    link: Link
    why: Reason


def choose(selector: Selector, facts: Facts) -> Judgement:
    """The link that ``selector`` means on a host of these facts.

    The first matcher that recognises any link decides; several links of one matcher are an error that names them,
    unless the selector picks the first.
    """
    links = sorted(facts.links.values())
    barred = {link.ifindex: _why_barred(selector, link) for link in links}
    losses: dict[int, Reason] = {index: why for index, why in barred.items() if why}
    hits: list[_Hit] = []
    for matcher in selector.match:
        for link in links:
            why = MATCHERS[matcher.how](matcher, link, facts)
            is_barred = matcher.how is not How.NAME and _is_skipped(selector, link)
            is_barred |= selector.up and not link.is_up
            if why and not is_barred:
                hits.append(_Hit(link, why))
            elif why and (obstacle := barred[link.ifindex]):
                losses[link.ifindex] = But(why, obstacle)
        if hits:
            return _judge(selector, matcher, hits, links, losses)
    choice = Choice(reason=NoInterface(selector.name))
    lost = tuple(
        Candidate(link.ifindex, link.name, False, losses.get(link.ifindex, Unchosen.NOTHING_FITS)) for link in links
    )
    return Judgement(choice, lost)


def settle(former: SettledChoice | None, found: Choice, hold: float, now: float) -> SettledChoice:
    """What is in force after ``found`` was chosen at the moment ``now`` (seconds), and ``hold`` seconds have to pass.

    The first choice is followed at once, and so is a link that came back under another ifindex. Any other has to last.
    """
    if former is None or not former.choice.dev or found.dev == former.choice.dev or found.name == former.choice.name:
        return SettledChoice(found)
    is_same_rival = former.rival is not None and former.rival.dev == found.dev
    since = former.since if is_same_rival else now
    return SettledChoice(found) if now - since >= hold else SettledChoice(former.choice, found, since)


def is_same_selector(one: Selector, other: Selector) -> bool:
    """Do both choose alike, wherever they stand in the files?"""
    return replace(one, origin=other.origin) == other


def _judge(
    selector: Selector, matcher: Matcher, hits: list[_Hit], links: list[Link], losses: dict[int, Reason]
) -> Judgement:
    names = tuple(hit.link.name for hit in hits)
    if len(hits) > 1 and not selector.picks_first:
        reason: Reason = Ambiguous(selector.name, names, matcher)
        winner, choice = 0, Choice(reason=reason, is_ambiguous=True)
    else:
        hit = hits[0]
        winner = hit.link.ifindex
        reason = FirstOf(hit.why, names) if len(hits) > 1 else hit.why
        within = matcher.packed if matcher.how is How.CIDR else b""
        choice = Choice(winner, hit.link.name, reason, within)
    whys = {hit.link.ifindex: hit.why for hit in hits}
    candidates = []
    for link in links:
        index = link.ifindex
        if index == winner:
            why = reason
        elif index in whys:
            why = But(whys[index], Unchosen.ANOTHER_FIRST if winner else Unchosen.NOT_ALONE)
        else:
            why = losses.get(index) or Unfit(matcher)
        candidates.append(Candidate(index, link.name, index == winner, why))
    return Judgement(choice, tuple(candidates))


def _is_skipped(selector: Selector, link: Link) -> bool:
    return any(_is_of(link, pattern) for pattern in selector.skip)


def _is_of(link: Link, pattern: str) -> bool:
    """An altname only word by word: udev gives each link some, and a pattern is meant for what links are called."""
    return fnmatchcase(link.name, pattern) or pattern in link.altnames


def _why_barred(selector: Selector, link: Link) -> Reason | None:
    """Why a link does not come into question, whatever fits; None when it does."""
    if selector.up and not link.is_up:
        return Unchosen.DOWN
    pattern = next((pattern for pattern in selector.skip if _is_of(link, pattern)), "")
    return Skipped(pattern) if pattern else None


def _match_name(matcher: Matcher, link: Link, _facts: Facts) -> Reason | None:
    return Called(matcher.text) if matcher.text in (link.name, *link.altnames) else None


def _match_regex(matcher: Matcher, link: Link, facts: Facts) -> Reason | None:
    """By its name. Altnames count where no link is called so: udev gives many links some that are alike."""
    if re.fullmatch(matcher.text, link.name):
        return NameFits(matcher.text)
    altname = next((name for name in link.altnames if re.fullmatch(matcher.text, name)), "")
    if altname and not any(re.fullmatch(matcher.text, one.name) for one in facts.links.values()):
        return NameFits(matcher.text, altname)
    return None


def _match_cidr(matcher: Matcher, link: Link, facts: Facts) -> Reason | None:
    for fact in facts.addresses.values():
        is_here = fact.dev == link.ifindex and is_inside(fact.address, matcher.packed)
        if is_here and fact.address not in facts.service_addresses:
            return HasAddress(fact.address, matcher.text)
    return None


def _match_reach(matcher: Matcher, link: Link, facts: Facts) -> Reason | None:
    way = facts.ways.get(matcher.packed)
    if way is None or way.type != UNICAST or matcher.packed in facts.service_addresses:
        return None
    if matcher.through_gateway:
        return Reaches(matcher.text, way.gateway) if way.dev == link.ifindex else None
    # Whose neighbour it is says table main; packets may go another way, such as into a tunnel that takes everything.
    near = facts.gateways.get(matcher.packed)
    return Reaches(matcher.text, b"") if near and near.is_onlink and near.dev == link.ifindex else None


def _match_mac(matcher: Matcher, link: Link, _facts: Facts) -> Reason | None:
    return HasMac(matcher.text) if link.mac == matcher.packed else None


def _match_default(_matcher: Matcher, link: Link, facts: Facts) -> Reason | None:
    best = min(filter(_is_default, facts.default_routes), key=_rank_default, default=None)
    if best is None or not any(hop.dev == link.ifindex for hop in best.value.hops):
        return None
    assert isinstance(best.slot, RouteSlot)
    return HasDefaultRoute(best.slot.metric)


def _match_driver(matcher: Matcher, link: Link, facts: Facts) -> Reason | None:
    return HasDriver(matcher.text) if facts.drivers.get(link.ifindex) == matcher.text else None


def _is_default(standing: Standing) -> bool:
    slot, prefix, value = standing
    assert isinstance(slot, RouteSlot)
    assert isinstance(prefix, bytes)
    assert isinstance(value, RouteValue)
    return slot.table == TABLE_MAIN and not slot.source and not prefix[-1] and value.type == UNICAST


def _rank_default(standing: Standing) -> tuple[bool, int]:
    """IPv4 before IPv6, then by metric; of equal ones the first."""
    assert isinstance(standing.slot, RouteSlot)
    return (standing.slot.family != IPV4, standing.slot.metric)


# Each says why it recognises a link; None when it does not.
MATCHERS: Final[dict[How, Callable[[Matcher, Link, Facts], Reason | None]]] = {
    How.NAME: _match_name,
    How.REGEX: _match_regex,
    How.CIDR: _match_cidr,
    How.CAN_REACH: _match_reach,
    How.MAC: _match_mac,
    How.DEFAULT: _match_default,
    How.DRIVER: _match_driver,
}
