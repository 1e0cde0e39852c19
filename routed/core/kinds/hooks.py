"""Hooks: where an object of a kind hangs in the picture of the way of packets.

A rule leads to a table, a route stands in one, and a link that routed makes is one that routes lead to. The links that
an object stands on have a column of their own (``find_links``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from routed.model import names
from routed.model.objects import LinkMember, RouteSlot, RuleMember


def _find_no_table(_slot: Any) -> int | None:
    return None


def _look_up_nothing(_member: Any) -> int | None:
    return None


def _is_no_link(_member: Any) -> str:
    return ""


def _come_as_written(_member: Any) -> int:
    return 0


class Hook(NamedTuple):
    """Where it hangs. A kind says only what is not as of most."""

    find_table: Callable[[Any], int | None] = _find_no_table  # slot → the table that it stands in
    find_target: Callable[[Any], int | None] = _look_up_nothing  # member → the table that it has packets look up
    name_link: Callable[[Any], str] = _is_no_link  # member → the name of the link that it is
    rank: Callable[[Any], int] = _come_as_written  # member → its turn among those of its kind, the lower the earlier

    @property
    def leads_to_tables(self) -> bool:
        """Are its objects asked before any table?"""
        return self.find_target is not _look_up_nothing

    @property
    def is_link(self) -> bool:
        """Are its objects links, which are drawn once, however they came?"""
        return self.name_link is not _is_no_link


def _find_table_of_route(slot: RouteSlot) -> int:
    return slot.table


def find_target_of_rule(rule: RuleMember) -> int | None:
    """The table that is looked up; a rule of a VRF looks up that of whatever link a packet comes from."""
    return rule.table if rule.action == names.TO_TABLE and not rule.l3mdev else None


def _name_link(link: LinkMember) -> str:
    return link.name


def _find_priority(rule: RuleMember) -> int:
    return rule.priority


HOOK_OF_LINK: Final = Hook(name_link=_name_link)
HOOK_OF_ROUTE: Final = Hook(find_table=_find_table_of_route)
HOOK_OF_RULE: Final = Hook(find_target=find_target_of_rule, rank=_find_priority)
