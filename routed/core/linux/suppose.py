"""The world if something happened to it: a pure function of a state and what is supposed of it.

One row for each kind of thing that the kernel has and something can happen to. Here must never live: what routed does
about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from routed.core.assumptions import AssumptionError, name_few
from routed.core.linux.addresses import delete_address
from routed.core.linux.links import lose_carrier, remove_link, set_down, set_up
from routed.core.linux.state import LinuxState
from routed.model.assumption import Happening
from routed.model.events import KERNEL
from routed.model.net import format_address
from routed.model.objects import AddressMember, Key, Kind
from routed.model.reasons import Misfit, Unassumable


class HappensTo(NamedTuple):
    """What can happen to things of one kind."""

    words: Mapping[str, Callable[[LinuxState, str], None]]  # each changes the state in place
    list_names: Callable[[LinuxState], Iterator[str]]  # of those that are there


def _on_link(happen: Callable[[LinuxState, int], None]) -> Callable[[LinuxState, str], None]:
    def act(state: LinuxState, name: str) -> None:
        link = state.find_link(name)
        if link is not None:  # it may have gone with another
            happen(state, link.ifindex)

    return act


def _set_down(state: LinuxState, ifindex: int) -> None:
    if state.is_up(ifindex):
        set_down(state, ifindex)


def _remove_address(state: LinuxState, name: str) -> None:
    keys = [key for key in _list_keys(state) if name in _name_address(key)]
    for key in keys:
        for value in state.standing(key):  # one may have gone with another
            delete_address(state, key, value, KERNEL)


def _list_keys(state: LinuxState) -> Iterator[Key]:
    for slot, members in state.objects[Kind.ADDRESS].items():
        yield from (Key(Kind.ADDRESS, slot, member) for member in members)


def _name_address(key: Key) -> tuple[str, str]:
    assert isinstance(key.member, AddressMember)
    text = format_address(key.member.address)
    return text, f"{text}/{key.member.prefixlen}"


HAPPENS: Final[Mapping[str, HappensTo]] = {
    "link": HappensTo(
        {
            "down": _on_link(_set_down),
            "up": _on_link(set_up),
            "no-carrier": _on_link(lose_carrier),
            "gone": _on_link(remove_link),
        },
        lambda state: (name for link in state.links.values() for name in (link.name, *link.altnames)),
    ),
    "address": HappensTo(
        {"gone": _remove_address}, lambda state: (name for key in _list_keys(state) for name in _name_address(key))
    ),
}


def suppose(state: LinuxState, happenings: tuple[Happening, ...]) -> LinuxState:
    """The state after all of these, one after another. Raises AssumptionError for what is not there."""
    after = state.copy()
    for kind, name, word in happenings:
        if name not in (known := set(HAPPENS[kind].list_names(state))):
            raise AssumptionError(Unassumable(f"{kind}:{name}={word}", Misfit.NAME, name_few(known)))
        HAPPENS[kind].words[word](after, name)
    return after
