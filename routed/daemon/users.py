"""What stands on objects that a plan may take away: the kernel takes it away with them, without a word.

Read only when such an object is to go or to be made anew, since all routes of the host are looked through. Here must
never live whether it may go (``core.plan``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from errno import EBUSY

from routed.core.kinds import KINDS
from routed.core.used import Dependents, Users
from routed.daemon.dataplane import Dataplanes
from routed.model.change import Drift, Nature
from routed.model.objects import AlikeRoutes, Chunk, Key, Kind, Scope
from routed.model.owner import Stamps


def find_users(dataplanes: Dataplanes, drifts: Iterable[Drift], stamps: Stamps) -> Generator[None, None, Users]:
    """Who stands on what is to go; None for what could not be seen. Raises OSError."""
    asked = {
        Key(drift.kind, drift.slot, member)
        for drift in drifts
        if drift.nature is not Nature.MISSING and KINDS[drift.kind].why_absent is not None
        for member in drift.members
    }
    found: defaultdict[Key, list[Dependents]] = defaultdict(list)
    scopes = [Scope(kind, family) for kind, row in KINDS.items() if asked and row.has_bases for family in row.families]
    for scope in scopes:
        try:
            dump = yield from dataplanes.by_kind[scope.kind].read_dump(scope)
        except OSError as error:
            if error.errno != EBUSY:
                raise
            return dict.fromkeys(asked)
        for chunk in dump.chunks():
            for base, user in _list_dependents(scope.kind, chunk, stamps):
                if base in asked:
                    found[base].append(user)
            yield
    return {key: tuple(found[key]) for key in asked if key in found}


def _list_dependents(kind: Kind, chunk: Chunk, stamps: Stamps) -> Iterator[tuple[Key, Dependents]]:
    """Each that stands on something, of very many that are alike all at once."""
    find_bases = KINDS[kind].find_bases
    alike = (
        [(chunk.slot, chunk.members, chunk.value)]
        if isinstance(chunk, AlikeRoutes)
        else [(one.slot, (one.member,), one.value) for one in chunk]
    )
    for slot, members, value in alike:
        for base in find_bases(value):
            yield base, Dependents(kind, slot, members, stamps[kind](value).is_ours)
