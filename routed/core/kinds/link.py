"""Links that routed made: for others to stand on, and tunnels."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from routed.core.kinds.cures import add_or_delete, is_as_wanted, operate, wanted_of
from routed.model.change import Drift, Nature, Operation, Verb, Want
from routed.model.objects import LinkSlot, LinkValue
from routed.model.owner import Stamp

# What of an IPIP link no request changes: whether it has one far end decides what kind of device it is (IFF_POINTOPOINT
# in ipip_changelink), and the others are taken from the request that makes it alone (ipip_newlink).
_FIXED: Final = ("remote", "carries", "is_external")


def judge_link(_slot: LinkSlot, want: Want, standing: tuple[LinkValue, ...], stamp: Stamp) -> Nature | None:
    """One link bears a name, never more. Whose it is does not matter as long as it does its work.

    What another one has of its own kind is its maker's business: only whether it is up is ours, too.
    """
    if not standing:
        return Nature.MISSING
    (link,) = standing
    if is_as_wanted(link, want):
        return None
    is_other = want.value is not None and (link.kind, link.data) != (want.value.kind, want.value.data)
    return Nature.FOREIGN if is_other and not stamp(link).is_ours else Nature.DIFFERENT


def cure_link(drift: Drift, stamp: Stamp) -> list[Operation]:
    """Changed in place where that can be: what stands on a link goes with it.

    A link that somebody else made stays theirs: it is not marked, and never deleted.
    """
    if drift.nature in {Nature.MISSING, Nature.SURPLUS}:
        return add_or_delete(drift)
    (before,) = drift.standing
    wanted: LinkValue = wanted_of(drift)
    if not stamp(before).is_ours:
        return [operate(Verb.REPLACE, drift, before)._replace(value=wanted._replace(protocol=before.protocol))]
    return [operate(choose_verb_for_link(before, wanted), drift, before)]


def choose_verb_for_link(before: LinkValue, wanted: LinkValue) -> Verb:
    """By which one link takes the place of the other, which is ours."""
    one, other = before.data, wanted.data
    can_be_changed = before.kind == wanted.kind and (
        one is None or other is None or all(getattr(one, name) == getattr(other, name) for name in _FIXED)
    )
    return Verb.REPLACE if can_be_changed else Verb.CHANGE


def find_ends(value: LinkValue) -> Hashable:
    """The two ends of a tunnel, which no other link of its kind may have (ip_tunnel_find in net/ipv4/ip_tunnel.c)."""
    if value.data is None or value.data.is_external:
        return None
    return value.kind, value.data.local, value.data.remote
