"""Hearing: which objects and dumps an event makes dirty, and which facts it changes.

An event is a hint. Where it says what now stands under one key, that key alone is compared, without a dump. Where the
kernel drops objects in silence (a link goes down, an address goes) or where the order of aliases matters, the dump
that shows them is dirty.

Here must never live: moments (``schedule``), or what the kernel's own reasons are (``reasons``).
"""

from __future__ import annotations

from typing import Final

from routed.core.desired import Desired, scope_of
from routed.core.dirt import Dirt
from routed.core.kinds import KINDS, Aliases, is_as_wanted
from routed.core.reasons import (
    Identify,
    blame,
    blame_lost_address,
    blame_removal,
    find_link_change,
)
from routed.core.rivals import Rivals
from routed.core.sources import BEHIND
from routed.model.change import Cause, Want
from routed.model.events import KERNEL, AddressEvent, FactEvent, Ipv6Event, LinkEvent, ObjectEvent, RequestEvent
from routed.model.facts import FactKey, Facts, Link
from routed.model.net import family_of
from routed.model.objects import Key, Kind, LinkMember, LinkSlot, list_aliases
from routed.model.owner import Stamp, Stamps
from routed.model.reasons import Deed, Sign

IN_LINE: Final = Cause(None, Sign.IN_LINE)


def hear_object(
    dirt: Dirt, event: ObjectEvent, desired: Desired, stamps: Stamps, mine: int, identify: Identify
) -> None:
    """Note what is dirty since objects came, went or changed."""
    kind, slot, members = event.kind, event.slot, event.members
    if event.port == mine:
        if not event.is_removal:  # what we put stands first now; what we took away says nothing about the rest
            dirt.forget(kind, slot, members)
        return
    if event.is_removal and (above := desired.scopes_standing_on(kind, slot, members)):
        dirt.add_scopes(above, blame(event, identify, Deed.DELETED))
    for want, share in desired.share_out(kind, slot, members):
        told = event if len(share) == len(members) else event._replace(members=share)
        if want is None:
            _hear_unwanted(dirt, told, desired, stamps[kind], identify)
        elif event.is_removal:
            _hear_removal(dirt, told, want, desired, identify)
        else:
            _hear_arrival(dirt, told, want, identify)


def hear_link(dirt: Dirt, told: LinkEvent | Ipv6Event, facts: Facts, desired: Desired) -> bool:
    """Note what is dirty since a link came, went or changed. False: nothing of it did."""
    event = _complete(told, facts) if isinstance(told, Ipv6Event) else told
    if event is None:
        return False
    link, before = event.link, facts.links.get(event.link.ifindex)
    if not event.is_removal and before == link:
        return False
    dirt.sources.add("link")
    scopes = desired.scopes_on(link.ifindex)
    cause = Cause(KERNEL, find_link_change(before or link, None if event.is_removal else link))
    dirt.add_scopes(scopes, cause)
    if not event.is_removal and _is_in_use(link) and not (before and _is_in_use(before)):
        dirt.regained.add(link.ifindex)
    if before and before.name != link.name:
        former = Key(Kind.LINK, LinkSlot(), LinkMember(before.name))
        if desired.get(former):
            dirt.add_keys(former.kind, former.slot, (former.member,), (), Cause(None, cause.reason))
    apply_to_facts(facts, event)
    return True


def hear_address(
    dirt: Dirt, event: AddressEvent, facts: Facts, desired: Desired, mine: int, identify: Identify, *, is_followed: bool
) -> bool:
    """Note what is dirty since an address of this host came or went. False: nothing that concerns us did.

    ``is_followed``: do the files need to know the addresses?
    """
    if not event.is_removal and (not is_followed or facts.addresses.get(event.member) == event.address):
        return False
    if event.is_removal:
        # With the last address of a link its IPv4 routes go in silence, and so does the src of IPv6 routes.
        family = family_of(event.member.address)
        swept = {scope for scope in desired.scopes_on(event.member.dev) if scope.family == family}
        stripped = desired.scopes_reading(FactKey("address", event.member.address))
        if swept or stripped:
            dirt.add_scopes(swept | stripped, blame_lost_address(event, facts, mine, identify))
    if is_followed:
        dirt.sources.add("address")
        apply_to_facts(facts, event)
    return True


def hear_behind(dirt: Dirt, event: ObjectEvent, mine: int, identify: Identify) -> None:
    """A route that may stand behind an address of ours came, changed or went."""
    dirt.sources.add(BEHIND)
    if event.port != mine and (event.is_removal or event.is_replacement):
        deed = Deed.DELETED if event.is_removal else Deed.REPLACED
        dirt.note_cause(event.kind, event.slot, event.members, blame(event, identify, deed))


def hear_request(dirt: Dirt, event: RequestEvent, desired: Desired, identify: Identify) -> bool:
    """Note which dumps will show what was asked for. False: it concerns nothing of ours.

    Who asked and did not say who he is remains unknown: it was not the kernel.
    """
    if event.under is not None and desired.get(event.under) is None:
        return False
    if event.under is None and not any(map(desired.wants.get, (one.kind for one in event.touched))):
        return False
    is_named = event.port != KERNEL
    cause = Cause(event.port if is_named else None, event.reason, identify(event.port) if is_named else None)
    for kind, slot, member in event.touched:
        wants = desired.wants.get(kind, {})
        if slot is None:
            dirt.add_scopes({scope_of(kind, one) for one in wants}, cause)
        elif member is not None:
            dirt.add_dump_for(kind, slot, (member,), cause)
        elif slot in wants:
            dirt.add_dump_for(kind, slot, [one for one, _ in wants[slot].items()], cause)
    return True


def may_open_a_way(event: ObjectEvent, watched: frozenset[bytes], *, is_reach_awaited: bool) -> bool:
    """May the kernel route something else now that a fact speaks of, or reach a gateway that is waited for?"""
    row = KINDS[event.kind]
    if is_reach_awaited and not event.is_removal and row.opens_network(event.value):
        return True
    return bool(watched) and row.is_way_to(watched, event.members)


def apply_to_facts(facts: Facts, event: FactEvent) -> None:
    """Bring links or addresses up to date, in place: thousands of addresses are not copied for one event.

    The gateways are asked for anew by whoever sees that the facts changed.
    """
    if isinstance(event, LinkEvent):
        if event.is_removal:
            facts.links.pop(event.link.ifindex, None)
        else:
            facts.links[event.link.ifindex] = event.link
            _take_altnames(facts, event.link)
    elif isinstance(event, Ipv6Event):
        if link := facts.links.get(event.ifindex):
            facts.links[event.ifindex] = link._replace(has_ipv6=event.has_ipv6)
    elif event.is_removal:
        facts.addresses.pop(event.member, None)
    else:
        facts.addresses[event.member] = event.address


def _take_altnames(facts: Facts, link: Link) -> None:
    """A name is one link's alone, and of one that is down the kernel does not tell that it lost it."""
    taken = {link.name, *link.altnames}
    for other in list(facts.links.values()):
        if other.altnames and other.ifindex != link.ifindex and not taken.isdisjoint(other.altnames):
            kept = tuple(name for name in other.altnames if name not in taken)
            facts.links[other.ifindex] = other._replace(altnames=kept)


def _complete(event: Ipv6Event, facts: Facts) -> LinkEvent | None:
    """The link as it is with what this tells of it; None where nobody knows it yet."""
    link = facts.links.get(event.ifindex)
    return None if link is None else LinkEvent(link._replace(has_ipv6=event.has_ipv6), is_removal=False)


def _hear_unwanted(dirt: Dirt, event: ObjectEvent, desired: Desired, stamp: Stamp, identify: Identify) -> None:
    kind, slot, members = event.kind, event.slot, event.members
    row = KINDS[kind]
    if row.line is not None and desired.stands_in_line(kind, slot, members):
        dirt.add_scopes([scope_of(kind, slot)], IN_LINE)
        if not event.is_removal:
            dirt.note_cause(kind, slot, members, blame(event, identify, Deed.ADDED))
    if not stamp(event.value).is_ours:
        rivals = dirt.rivals = dirt.rivals or Rivals()
        is_worth_it = not event.is_removal and not rivals.is_full
        rivals.note(kind, slot, members, blame(event, identify, Deed.CHANGED) if is_worth_it else None)
    made_by_kernel = row.made_by_kernel.get(slot)
    if made_by_kernel and not made_by_kernel.isdisjoint(map(row.stands_for, members)):
        dirt.add_scopes([scope_of(kind, slot)], blame(event, identify, Sign.DEFAULT_RULE))
    elif event.is_removal:
        dirt.forget(kind, slot, members)
    elif stamp(event.value).is_ours:
        cause = blame(event, identify, Sign.MARKED)
        dirt.add_keys(kind, slot, members, (event.value,), cause)


def _hear_removal(dirt: Dirt, event: ObjectEvent, want: Want, desired: Desired, identify: Identify) -> None:
    """Something under wanted keys went: the wanted objects, or others.

    What is put back comes behind what stands in line with it. That is seen in a dump alone.
    """
    kind, slot, members = event.kind, event.slot, event.members
    row = KINDS[kind]
    aliases = row.aliases
    is_a_twin = aliases is Aliases.BESIDE and event.value != want.value
    if row.line is not None and not is_a_twin and desired.stands_in_line(kind, slot, members):
        dirt.add_scopes([scope_of(kind, slot)], IN_LINE)
    is_empty = aliases is Aliases.ALONE and not row.is_told_late
    if want.value is None or is_as_wanted(event.value, want) or is_empty:
        dirt.add_keys(kind, slot, members, (), blame_removal(event, identify))
    elif aliases is Aliases.ORDERED:
        cause = blame_removal(event, identify, Sign.DELETED_BELOW)
        dirt.add_dump_for(kind, slot, members, cause)
    elif aliases is Aliases.ALONE:
        dirt.keys.update((key, ()) for member in members if (key := Key(kind, slot, member)) in dirt.keys)


def _hear_arrival(dirt: Dirt, event: ObjectEvent, want: Want, identify: Identify) -> None:
    """Something came to stand under wanted keys."""
    kind, slot, members = event.kind, event.slot, event.members
    aliases = KINDS[kind].aliases
    if aliases is Aliases.BESIDE:
        return
    is_one_of_several = want.value is not None and len(list_aliases(want.value)) > 1  # no event tells of its place
    if is_one_of_several or (aliases is Aliases.ORDERED and not (event.is_replacement or event.is_addition)):
        cause = blame(event, identify, Sign.ALIAS_ADDED)
        dirt.add_dump_for(kind, slot, members, cause)
        return
    if is_as_wanted(event.value, want):  # as our own IPv6 address is, which the kernel announces as its own doing
        dirt.add_keys(kind, slot, members, (event.value,), None)
        return
    deed = Deed.REPLACED if event.is_replacement else Deed.ADDED if event.is_addition else Deed.CHANGED
    dirt.add_keys(kind, slot, members, (event.value,), blame(event, identify, deed))


def _is_in_use(link: Link) -> bool:
    return link.is_up and link.has_carrier
