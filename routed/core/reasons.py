"""Causes: why something went or came, of what the kernel does itself, and of what makes it drop what stood on it.

Pure: events and facts in, causes out. Here must never live: what an event makes dirty (``hear``).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final

from routed.core.kinds import KINDS
from routed.core.sources import DRAIN
from routed.model.change import Cause, Nature
from routed.model.checks import find_ruling
from routed.model.events import KERNEL, AddressEvent, ObjectEvent
from routed.model.facts import FactKey, Facts, Link
from routed.model.net import IPV4, family_of
from routed.model.process import Process
from routed.model.reasons import (
    AddressChange,
    AddressTurn,
    AgentSaid,
    CallFailed,
    Chosen,
    Deed,
    Defect,
    FactChanged,
    LinkChange,
    LinkTurn,
    Look,
    Reason,
    Sign,
)

Identify = Callable[[int], Process | None]  # who is behind a port id now?
FOUND: Final = Cause(None, Look.COMPARISON)


def identify_nobody(_port: int) -> None:
    """Where nobody asks who did it."""


def blame(event: ObjectEvent, identify: Identify, reason: Reason) -> Cause:
    """Why objects came or changed: for this reason, and by whom."""
    return Cause(event.port, reason, None if event.port == KERNEL else identify(event.port))


def blame_removal(event: ObjectEvent, identify: Identify, reason: Reason = Deed.DELETED) -> Cause:
    """Why objects went, as far as their own event tells."""
    if event.port != KERNEL:
        return Cause(event.port, reason, identify(event.port))
    return KINDS[event.kind].blame_kernel(event.slot, event.value, reason)


def blame_lost_address(event: AddressEvent, facts: Facts, mine: int, identify: Identify) -> Cause:
    """Why the kernel dropped what stood on an address of this host; with whoever took the address away.

    ``mine`` is the port id of our own requests.
    """
    member = event.member
    turn = AddressTurn.REMOVED
    if event.port == mine:
        turn = AddressTurn.REMOVED_BY_US
    elif event.port == KERNEL and event.is_dynamic and family_of(member.address) == IPV4:
        turn = AddressTurn.EXPIRED
    reason = AddressChange(turn, member.address, member.prefixlen, facts.name_of(member.dev))
    return Cause(KERNEL, reason, None if event.port in {mine, KERNEL} else identify(event.port))


_LOSSES: Final = frozenset({Sign.EXPIRED, Sign.DELETED_BELOW, Deed.DELETED})


def is_loss(cause: Cause) -> bool:
    """Did the kernel drop something since what it stood on went, or its time was over?

    Of some routes it says so by an event of its own, before anybody knows about the link.
    """
    is_lost = isinstance(cause.reason, (AddressChange, LinkChange)) or cause.reason in _LOSSES
    return cause.port == KERNEL and is_lost


_STRANGE: Final = frozenset({Nature.FOREIGN, Nature.BEHIND})
_SURE, _LIKELY, _PERHAPS, _BARE, _NOT = 4, 3, 2, 1, 0  # how well a cause explains that something of ours is not there
# Of what nobody did, or the kernel. What is not here explains nothing: what came, a look, another fact.
_EXPLAINS: Final[Mapping[Hashable, int]] = {
    AddressTurn.REMOVED: _SURE,
    AddressTurn.REMOVED_BY_US: _SURE,
    AddressTurn.EXPIRED: _SURE,
    LinkTurn.DELETED: _SURE,
    LinkTurn.WENT_DOWN: _SURE,
    Sign.EXPIRED: _SURE,
    LinkTurn.LOST_CARRIER: _LIKELY,
    LinkTurn.CHANGED: _LIKELY,  # a VRF or an MTU for which there is no IPv6 takes routes away
    Deed.REPLACED: _LIKELY,
    Deed.DELETED: _BARE,  # it went: another event may say why
    Sign.UNTOLD: _BARE,
    Sign.DELETED_BELOW: _BARE,
}
_TAKES_AWAY: Final = frozenset({Deed.DELETED, Deed.REPLACED, Sign.DEFAULT_RULE})


def choose_cause(first: Cause, other: Cause, nature: Nature | None) -> Cause:
    """Of two causes for one thing that which explains better what is seen of it; the first where both do alike.

    A loss explains that something is missing, and an arrival does not. With somebody's object in our place it is the
    other way round. ``nature`` is None where it is not known what is seen.
    """
    return other if _weigh(other, nature) > _weigh(first, nature) else first


def find_fitting(cause: Cause, nature: Nature) -> Cause:
    """The cause, where it can be that of such a drift: what went took something away, and put nobody's object there."""
    return FOUND if nature in _STRANGE and is_loss(cause) else cause


def _weigh(cause: Cause, nature: Nature | None) -> int:
    reason = cause.reason
    if nature in _STRANGE:
        return _NOT if is_loss(cause) else _BARE
    if isinstance(reason, Look):
        return _NOT
    if cause.port:  # somebody's deed is told, unless it put something there and that has gone too
        return _SURE if nature is not Nature.MISSING or reason in _TAKES_AWAY else _PERHAPS
    turn = reason.turn if isinstance(reason, (AddressChange, LinkChange)) else reason
    return _EXPLAINS.get(turn, _NOT)


def find_link_change(before: Link | None, after: Link | None) -> LinkChange:
    """What happened to a link."""
    if after is None:
        return LinkChange(LinkTurn.DELETED, before.name if before else "")
    if before is None:
        return LinkChange(LinkTurn.APPEARED, after.name)
    if before.name != after.name:
        return LinkChange(LinkTurn.RENAMED, before.name, after.name)
    if before.is_up != after.is_up:
        return LinkChange(LinkTurn.WENT_UP if after.is_up else LinkTurn.WENT_DOWN, after.name)
    if before.has_carrier != after.has_carrier:
        return LinkChange(LinkTurn.HAS_CARRIER if after.has_carrier else LinkTurn.LOST_CARRIER, after.name)
    if before._replace(altnames=after.altnames) == after:
        return LinkChange(LinkTurn.OTHER_ALTNAMES, after.name)
    return LinkChange(LinkTurn.CHANGED, after.name)


def explain_facts(changed: Iterable[FactKey], before: Facts, after: Facts) -> Cause:
    """Why entries come to something else than before: the most telling of the facts that changed.

    A loss is the kernel's reason to drop what stood on it, so it is told as such.
    """
    named = [(str(fact.what), fact.which) for fact in changed if isinstance(fact.which, str)]
    by_name = sorted(named, key=lambda name: (_is_agents(FactKey(*name), before, after), name))
    links = [name for what, name in by_name if what == "link"]
    if links:
        old, new = (facts.link_named(links[0]) for facts in (before, after))
        known = old or new
        if known:  # under this name, or it had or has another one
            old, new = old or before.links.get(known.ifindex), new or after.links.get(known.ifindex)
        is_loss = new is None or (old is not None and old.is_up and not new.is_up)
        return Cause(KERNEL if is_loss else None, find_link_change(old, new))
    for what, name in by_name:
        if what == "selector":
            choice = after.chosen.get(name)
            return Cause(None, Chosen(name, choice.name if choice and choice.dev else ""))
        if FactKey(what, name) in after.told or what == DRAIN:
            is_agents = _is_agents(FactKey(what, name), before, after)
            return Cause(None, AgentSaid(name) if is_agents else FactChanged(what, name))
    addresses = sorted(fact.which for fact in changed if fact.what == "address" and isinstance(fact.which, bytes))
    if addresses:
        has_gone = addresses[0] not in {member.address for member in after.addresses}
        turn = AddressTurn.REMOVED if has_gone else AddressTurn.CAME
        return Cause(KERNEL if has_gone else None, AddressChange(turn, addresses[0]))
    return Cause(None, Sign.GATEWAY if any(f.what == "gateway" for f in changed) else Sign.OTHER_WAY)


def _is_agents(key: FactKey, before: Facts, after: Facts) -> bool:
    """Does the agent of a server tell it?"""
    rulings = (find_ruling(facts.find(key)) for facts in (before, after))
    return any(one.share is not None or one.is_unanswered for one in rulings if one)


def find_failure(error: Exception) -> CallFailed | Defect:
    """What ended a pass: a call that failed in a way that is no answer, or a mistake of ours."""
    if isinstance(error, OSError):
        return CallFailed(error.strerror or str(error))
    return Defect(type(error).__name__, str(error))
