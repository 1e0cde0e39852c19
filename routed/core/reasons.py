"""Reasons: how the changes are called that the kernel makes itself, or that make it drop what stood on something.

Pure: events and facts in, causes out. What a change makes dirty stands in ``schedule``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from routed.core.kinds import KINDS
from routed.core.kinds.address import UNTOLD
from routed.model.change import Cause
from routed.model.events import KERNEL, AddressEvent, ObjectEvent
from routed.model.facts import FactKey, Facts, Link
from routed.model.net import IPV4, family_of, format_address
from routed.model.process import Process

Identify = Callable[[int], Process | None]  # who is behind a port id now?

DELETED: Final = "deleted"


def blame(event: ObjectEvent, identify: Identify, text: str) -> Cause:
    """Why objects came or changed, in these words."""
    return Cause(event.port, text, None if event.port == KERNEL else identify(event.port))


def blame_removal(event: ObjectEvent, identify: Identify, text: str = DELETED) -> Cause:
    """Why objects went, as far as their own event tells."""
    if event.port != KERNEL:
        return Cause(event.port, text, identify(event.port))
    return KINDS[event.kind].blame_kernel(event.slot, event.value, text)


def blame_lost_address(event: AddressEvent, facts: Facts, mine: int, identify: Identify) -> Cause:
    """Why the kernel dropped what stood on an address of this host; with whoever took the address away.

    ``mine`` is the port id of our own requests.
    """
    member = event.member
    address = f"address {format_address(member.address)}/{member.prefixlen} of {facts.name_of(member.dev)}"
    if event.port == mine:
        return Cause(KERNEL, f"{address} was removed by routed")
    if event.port != KERNEL:
        return Cause(KERNEL, f"{address} was removed", identify(event.port))
    has_expired = event.is_dynamic and family_of(member.address) == IPV4
    return Cause(KERNEL, f"{address} {'expired' if has_expired else 'was removed'}")


def is_unexplained(cause: Cause) -> bool:
    """Does a cause only say that something went? Another event may say why."""
    return not cause.port and cause.text in {DELETED, UNTOLD}


def describe_link_change(before: Link | None, after: Link | None) -> str:
    """What happened to a link: one clause."""
    if after is None:
        return f"link {before.name} was deleted" if before else "a link was deleted"
    if before is None:
        return f"link {after.name} appeared"
    if before.name != after.name:
        return f"link {before.name} was renamed to {after.name}"
    if before.is_up != after.is_up:
        return f"link {after.name} went {'up' if after.is_up else 'down'}"
    if before.has_carrier != after.has_carrier:
        return f"link {after.name} {'has' if after.has_carrier else 'lost'} carrier"
    return f"link {after.name} changed"


def explain_facts(changed: Iterable[FactKey], before: Facts, after: Facts) -> Cause:
    """Why entries come to something else than before: the most telling of the facts that changed.

    A loss is the kernel's reason to drop what stood on it, so it is told as such.
    """
    by_name = sorted((str(fact.what), fact.which) for fact in changed if isinstance(fact.which, str))
    links = [name for what, name in by_name if what == "link"]
    if links:
        old, new = (_find_link(facts, links[0]) for facts in (before, after))
        is_loss = new is None or (old is not None and old.is_up and not new.is_up)
        return Cause(KERNEL if is_loss else None, describe_link_change(old, new))
    for what, name in by_name:
        if what == "selector":
            choice = after.chosen.get(name)
            return Cause(None, f"@{name} is {choice.name if choice and choice.dev else 'nothing'} now")
        if FactKey(what, name) in after.told:
            return Cause(None, f"{what} {name} changed")
    addresses = sorted(fact.which for fact in changed if fact.what == "address" and isinstance(fact.which, bytes))
    if addresses:
        has_gone = addresses[0] not in {member.address for member in after.addresses}
        happened = "was removed" if has_gone else "came or changed"
        return Cause(KERNEL if has_gone else None, f"address {format_address(addresses[0])} {happened}")
    return Cause(
        None, "a gateway moved" if any(f.what == "gateway" for f in changed) else "the kernel routes otherwise now"
    )


def _find_link(facts: Facts, name: str) -> Link | None:
    return next((link for link in facts.links.values() if link.name == name), None)
