"""Rules as requests put and take them. Source: fib_nl_newrule, rule_exists and rule_find in net/core/fib_rules.c."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from errno import EEXIST, ENOENT
from typing import Final

from routed.core.linux.order import by_priority
from routed.core.linux.state import LinuxState
from routed.model.change import Verb
from routed.model.objects import Key, Kind, Member, RuleMember, Value
from routed.model.selection import is_no_more


def insert_rule(state: LinuxState, verb: Verb, key: Key, value: Value, port: int) -> int:
    """RTM_NEWRULE: the protocol is part of the key; without EXCL duplicates pile up."""
    standing = list(state.standing(key))
    taken = (one for _, values in _find_taken(state, key, _HEAD_OF_A_RULE) for one in values)
    if verb is Verb.ADD and any(_is_met_by(value, one) for one in taken):
        return EEXIST
    state.put(key, [*standing, value])
    state.notify(key, value, port)
    return 0


_HEAD_OF_A_RULE: Final = frozenset(
    {"source", "destination", "tos", "extra"}
)  # all that rule_exists leaves to ops->compare


def _find_taken(state: LinuxState, key: Key, open_words: Collection[str]) -> Iterator[tuple[Member, Sequence[Value]]]:
    """The rules that the kernel takes for this one, in its order: of ``open_words`` it may leave some out."""
    assert isinstance(key.member, RuleMember)
    plain = RuleMember(key.member.priority)
    for member, values in by_priority(key.slot, state.objects[Kind.RULE].get(key.slot, {})):
        pairs = zip(RuleMember._fields, key.member, plain, member, strict=True)
        is_same = all(
            mine == theirs or word == "extra" or (word in open_words and mine == unset)
            for word, mine, unset, theirs in pairs
        )
        if is_same and isinstance(member, RuleMember) and is_no_more(key.member.extra, member.extra):
            yield member, values


def _is_met_by(asked: Value, standing: Value) -> bool:
    """Ours say their realms, also that there are none."""
    return bool(asked == standing)


def delete_rule(state: LinuxState, key: Key, value: Value, port: int) -> int:
    """RTM_DELRULE: one rule for each request."""
    for member, values in _find_taken(state, key, RuleMember._fields):  # rule_find: the first one that fits
        for one in values:
            if _is_met_by(value, one):
                state.take(Key(Kind.RULE, key.slot, member), one, port)
                return 0
    return ENOENT
