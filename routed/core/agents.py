"""Agents: what the word of a server about its load makes of its weight.

A share that differs by less than the step waits, so that a load that wobbles changes nothing; none at all, and some
again, count at once. Who says nothing, or nonsense, has the weight that is written. Here must never live: how an agent
is asked (``probes``), and what else decides about a server (``core.services``).
"""

from __future__ import annotations

from routed.model.agent import WHOLE, find_share
from routed.model.checks import CheckType, Ruling
from routed.model.reasons import Finding, Probed, Reason


def choose_words(before: str, now: str, step: int) -> str:
    """The words that count, after those that counted (empty: none) and those that were said just now."""
    if not before:
        return now
    old, new = find_share(before), find_share(now)
    is_turn = (old == 0) is not (new == 0)
    return now if is_turn or old == new == 0 or abs(new - old) >= step else before


def judge_agent(words: str, why: Reason | None) -> Ruling:
    """What the words come to that count; without any, ``why`` there are none."""
    if not words:
        return Ruling(is_up=True, why=why)
    share = find_share(words)
    return Ruling(share > 0, None if share else Probed(CheckType.AGENT, Finding.SAYS, words), share=share)


def find_share_of(weight: int, share: int | None) -> int:
    """So much of a weight; of one that is written and not none, something always."""
    if share is None or not weight:
        return weight
    return max(1, (weight * share + WHOLE // 2) // WHOLE) if share else 0
