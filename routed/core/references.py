"""What ``@name`` means in an entry: a link, or an address of that link. And on which link a gateway is.

Where a plain name stands in place of ``@name``, it means the link of that name. Every function that finds nothing says
why, so that a person can act on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from routed.model import names
from routed.model.facts import FactKey, Facts, HostAddress, Link
from routed.model.names import INTERFACE_NAME_LENGTH
from routed.model.net import family_of, is_inside, network_of
from routed.model.reasons import ManyAddresses, NoAddress, NoLink, NotChosen, Reason


class Found(NamedTuple):
    """A link, or None and why not."""

    link: Link | None
    why: Reason | None = None


class FoundAddress(NamedTuple):
    """A packed address, or ``b""`` and why not."""

    address: bytes
    why: Reason | None = None


def is_reference(word: str) -> bool:
    """Does this name an ``[[interface]]``, and not a link?"""
    return word.startswith("@")


def is_altname(word: str) -> bool:
    """Can this be no other name than an altname? It is longer than that of a link may be."""
    return len(word.encode(errors="surrogateescape")) > INTERFACE_NAME_LENGTH


def find_link(word: str, facts: Facts) -> Found:
    """The link that ``dev = word`` means now."""
    if not is_reference(word):
        link = facts.link_named(word)
        return Found(link, None if link else NoLink(word))
    choice = facts.chosen.get(word[1:])
    if choice is None:
        return Found(None, NotChosen(word[1:]))
    if not choice.dev:
        return Found(None, choice.reason)
    link = facts.links.get(choice.dev)
    return Found(link, None if link else NoLink(choice.name, word[1:]))


def list_reads(word: str, facts: Facts) -> set[FactKey]:
    """The facts that :func:`find_link` reads."""
    if not is_reference(word):
        return {FactKey("link", word)}
    choice = facts.chosen.get(word[1:])
    link = facts.links.get(choice.dev) if choice else None
    here = {FactKey("link", link.name)} if link else {FactKey("link", choice.dev)} if choice and choice.dev else set()
    return {FactKey("selector", word[1:])} | here


def find_link_towards(gateway: bytes, facts: Facts) -> Link | None:
    """The link that the kernel has the gateway on."""
    where = facts.gateways.get(gateway)
    return facts.links.get(where.dev) if where and where.is_onlink else None


def list_gateway_reads(gateway: bytes, facts: Facts) -> set[FactKey]:
    """The facts that :func:`find_link_towards` reads."""
    where = facts.gateways.get(gateway)
    return {FactKey("gateway", gateway)} | ({FactKey("link", where.dev)} if where else set())


def list_addresses(link: Link, families: Iterable[int], facts: Facts) -> list[HostAddress]:
    """The addresses that stand for the host on this link: global, not deprecated, usable, and no VIP of ours."""
    return [
        fact
        for fact in facts.addresses.values()
        if fact.dev == link.ifindex and family_of(fact.address) in families and is_own_address(fact, facts)
    ]


def is_own_address(fact: HostAddress, facts: Facts) -> bool:
    """Does it stand for the host: global, not deprecated, usable, and no VIP of ours?"""
    return (
        fact.scope == names.UNIVERSE
        and not (fact.is_deprecated or fact.is_tentative or fact.has_failed_dad)
        and fact.address not in facts.service_addresses
    )


def find_address(selector: str, family: int, facts: Facts, near: bytes = b"") -> FoundAddress:
    """The one address that ``@selector`` means: of several, the one whose network holds the gateway ``near``.

    Without a gateway it is the one in the prefix by which the interface was chosen. If several are left, none is meant.
    """
    link, why = find_link(f"@{selector}", facts)
    if link is None:
        return FoundAddress(b"", why)
    own = list_addresses(link, (family,), facts)
    within = facts.chosen[selector].within
    close = [fact for fact in own if near and is_inside(near, network_of(fact.address, fact.prefixlen))]
    close = close or [fact for fact in own if within and is_inside(fact.address, within)]
    meant = close or own
    if len(meant) == 1:
        return FoundAddress(meant[0].address)
    if not meant:
        return FoundAddress(b"", NoAddress(link.name, selector))
    return FoundAddress(b"", ManyAddresses(selector, link.name, tuple(fact.address for fact in meant)))


def list_address_reads(selector: str, facts: Facts) -> set[FactKey]:
    """The facts that :func:`find_address` reads."""
    link = find_link(f"@{selector}", facts).link
    return list_reads(f"@{selector}", facts) | ({FactKey("address", link.ifindex)} if link else set())
