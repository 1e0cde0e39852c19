"""Followers: how each type of source is asked, one coroutine a type, that runs until it is cancelled.

It says what its source says whenever that is news, a snapshot or the reason why there is none, and never raises but for
a defect. What a type needs is imported when the first source of it is followed. Here must never live: what becomes of
what a source says (``memberships``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from routed.model.members import Snapshot, SourceType
from routed.model.reasons import Reason

if TYPE_CHECKING:  # only who runs commands, or asks etcd, pays for it
    from pathlib import Path

    from routed.daemon.helpers import Lease
    from routed.model.etcd import Registered, Unregistered
    from routed.model.facts import Facts

Deliver = Callable[[Snapshot | Reason], None]
Follow = Callable[[Any, Deliver], Coroutine[Any, Any, None]]  # the options of a source of that type


class Provided(NamedTuple):
    """What a follower may have of the daemon."""

    files_changed: asyncio.Event  # set when a file may have changed that the source watches
    lease_helpers: Callable[[], Lease]  # those who run commands
    folder: Path  # for what is kept of members
    find_facts: Callable[[], Facts]
    facts_changed: asyncio.Event  # set when this host may have other addresses
    may_register: bool  # may this host be put among the members?
    tell: Callable[[Registered | Unregistered], None]  # whether this host is a member


def _choose_file(provided: Provided) -> Follow:
    from routed.daemon.member_files import follow  # noqa: PLC0415

    return partial(follow, provided.files_changed)


def _choose_exec(provided: Provided) -> Follow:
    from routed.daemon.member_programs import follow  # noqa: PLC0415

    return partial(follow, provided.lease_helpers)


def _choose_dns(provided: Provided) -> Follow:
    from routed.members.dns import follow  # noqa: PLC0415

    del provided
    return follow


def _choose_etcd(provided: Provided) -> Follow:
    from routed.daemon.member_etcd import follow  # noqa: PLC0415

    return partial(
        follow,
        provided.folder,
        provided.find_facts,
        provided.facts_changed,
        provided.tell,
        may_register=provided.may_register,
    )


FOLLOWERS: Final[Mapping[SourceType, Callable[[Provided], Follow]]] = {
    SourceType.FILE: _choose_file,
    SourceType.EXEC: _choose_exec,
    SourceType.ETCD: _choose_etcd,
    SourceType.DNS: _choose_dns,
}
