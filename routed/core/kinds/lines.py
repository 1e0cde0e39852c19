"""Lines: objects that stand one behind the other in the kernel, so that which comes first decides.

A line is made of what is alike for its kind: rules of one priority, addresses of one network on one link. In it ours
stand in the order of the files. A kind whose objects stand in lines has this in its row; what it says of rules and of
addresses stands in their modules, and what follows from it in ``core.order``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple


def _never(*_: Any) -> bool:
    return False


def _equally(_member: Any) -> int:
    return 0


def _nothing(_member: Any) -> bytes:
    return b""


def _place_of_its_own(member: Hashable) -> Hashable:
    return member


class Line(NamedTuple):
    """How objects of a kind stand in line. A kind says only what is not as of most."""

    of: Callable[[Any], Hashable]  # member → what is alike in all of its line
    is_newest_first: Callable[[Any], bool] = _never  # slot → does the kernel put a new one in front of the others?
    # (one, other): must the one stand in front of the other, which is narrower, whatever the files say?
    must_precede: Callable[[Any, Any], bool] = _never
    narrowness: Callable[[Any], int] = _equally  # of a member
    falls_with_first: Callable[[Any], bool] = _never  # slot → may the others go when the first of their line goes?
    address: Callable[[Any], bytes] = _nothing  # member → the address of this host that it is
    # (one, other): does it matter which of the two comes first? None: only which is the first of all of the line does.
    meets: Callable[[Any, Any], bool] | None = None
    place: Callable[[Any], Hashable] = _place_of_its_own  # member → what two have in common that decide for the same
    area: Callable[[Any], bytes] = _nothing  # member → the prefix outside of which it is for nothing; b"" for none
    # (one, other): does the one decide for all that the other is for, and otherwise than that one, if it comes first?
    overrules: Callable[[Any, Any], bool] = _never
    can_be_overruled: bool = False  # may that be so of any two?
