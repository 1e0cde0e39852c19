"""Packet filters: would their chains drop all packets of a kind?

A packet is described as far as it is known. A rule that asks for more may be for it or not, so a walk through a chain
ends in a set of fates; only where that is nothing but a drop is it certain. Here must never live: how the chains are
read (``core.filter_text``, ``daemon.firewalls``), or which packets matter (``core.doctor``).
Source: nft_do_chain in net/netfilter/nf_tables_core.c of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from routed.model.filters import (
    ELSEWHERE,
    LOOPBACK,
    Dropped,
    Fate,
    FilterChain,
    FilteredPacket,
    FilterRule,
    Interval,
    Operand,
    Ruleset,
    Test,
)
from routed.model.net import is_inside

MOST_JUMPS: Final = 16  # NFT_JUMP_STACK_SIZE
_FAMILIES: Final[Mapping[str, frozenset[str]]] = {"ip": frozenset({"ip", "inet"}), "ip6": frozenset({"ip6", "inet"})}


def find_drop(ruleset: Ruleset, hook: str, packet: FilteredPacket) -> Dropped | None:
    """The first chain of a hook that drops every packet that is like this one. ``family`` of it has to be known."""
    for chain in ruleset.chains:
        if chain.hook == hook and chain.family in _FAMILIES[packet["family"]]:
            walk = _Walk(ruleset, packet)
            if walk.judge(chain) == {Fate.DROP}:
                return Dropped(chain, walk.dropped_by)
    return None


class _Walk:
    """One walk through a base chain."""

    def __init__(self, ruleset: Ruleset, packet: FilteredPacket) -> None:
        self._ruleset = ruleset
        self._packet = packet
        self.dropped_by: FilterRule | None = None

    def judge(self, chain: FilterChain) -> set[Fate]:
        """What may become of the packet, by the policy as well."""
        fates = self._pass(chain, MOST_JUMPS)
        ended = fates & {Fate.END, Fate.LEAVE}
        return (fates - ended) | ({chain.policy} if ended else set())

    def _pass(self, chain: FilterChain, depth: int) -> set[Fate]:
        found: set[Fate] = set()
        for rule in chain.rules:
            is_for_it = self._is_for(rule)
            if is_for_it is False:
                continue
            fates = self._follow(rule, chain, depth)
            found |= fates - {Fate.END}
            if is_for_it and Fate.END not in fates:
                if fates == {Fate.DROP} and self.dropped_by is None:
                    self.dropped_by = rule
                return found
        return found | {Fate.END}

    def _follow(self, rule: FilterRule, chain: FilterChain, depth: int) -> set[Fate]:
        """What becomes of what the rule is for; END: the next rule is asked."""
        if rule.fate is not None:
            return {rule.fate}
        target = self._ruleset.by_place.get(replace(chain, name=rule.jump).place) if rule.jump else None
        if target is None or not depth:
            return {Fate.END, Fate.ACCEPT} if rule.jump else {Fate.END}  # such as a queue: somebody else decides
        fates = self._pass(target, depth - 1)
        came_back = fates & {Fate.END, Fate.LEAVE}
        return (fates - came_back) | ({Fate.LEAVE if rule.is_final else Fate.END} if came_back else set())

    def _is_for(self, rule: FilterRule) -> bool | None:
        """Is it for the packet? None: that depends on what is not known."""
        answers = {_asks(test, self._packet) for test in rule.tests}
        return False if False in answers else None if None in answers else True


def _asks(test: Test, packet: FilteredPacket) -> bool | None:
    value = packet.get(test.field)
    if value is None or not test.field:
        return None
    if value is ELSEWHERE:
        is_so = False if set(test.choices) == {LOOPBACK} else None
    else:
        answers = list(_compare(test.choices, value))
        is_so = True if True in answers else None if None in answers else False
    return is_so if is_so is None else is_so is not test.is_negated


def _compare(choices: tuple[Operand, ...], value: Any) -> Iterator[bool | None]:
    for choice in choices:
        if isinstance(choice, bytes):
            yield is_inside(value, choice)
        elif isinstance(choice, Interval):
            yield choice.first <= value <= choice.last
        elif type(choice) is not type(value):
            yield None
        elif str(choice).endswith("*"):  # a wild card of a link
            yield str(value).startswith(str(choice)[:-1])
        else:
            yield choice == value
