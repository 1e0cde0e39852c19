"""A stream of member documents, one a line. Pure: whoever reads the stream feeds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from routed.members.document import MOST_BYTES, DocumentError, parse_document
from routed.model.members import Snapshot


class Lines:
    """Cuts what comes in pieces into lines."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that end in this piece, without those that are empty. Raises DocumentError for one without end."""
        *ended, rest = piece.split(b"\n")
        if ended:
            ended[0] = bytes(self._begun) + ended[0]
            self._begun.clear()
        self._begun += rest
        if len(self._begun) > MOST_BYTES:
            raise DocumentError(f"a line has more than {MOST_BYTES} bytes")
        return [line for line in ended if line.strip()]


def read_lines(lines: Sequence[bytes]) -> Snapshot:
    """What these documents come to, at least one: what came before a complete one counts no more.

    Raises DocumentError.
    """
    found: list[Snapshot] = []
    for line in reversed(lines):
        found.append(parse_document(line))
        if found[-1].is_complete:
            break
    *later, first = found
    members = {one.name: one for one in first.members}
    broken = {one.name: one for one in first.broken}
    gone = {name: None for name in first.gone or () if name not in members}
    for snapshot in reversed(later):
        told = {one.name: one for one in snapshot.members}
        gone = {name: None for name in (*gone, *(snapshot.gone or ())) if name not in told}
        members = {name: one for name, one in members.items() if name not in gone} | told
        broken = {name: one for name, one in broken.items() if name not in told and name not in gone}
        broken |= {one.name: one for one in snapshot.broken}
    in_order = tuple(members[name] for name in sorted(members))
    is_told = not first.is_complete and any(one.gone is not None for one in found)
    return Snapshot(
        in_order,
        tuple(broken[name] for name in sorted(broken)),
        found[0].revision,
        first.is_complete,
        tuple(gone) if is_told else None,
    )


def read_kept(content: bytes, parse: Callable[[str], Any] = json.loads) -> Snapshot:
    """Who is a member after all these documents, in the order in which they came. Raises DocumentError.

    ``parse`` makes a table of the first one, which is whole.
    A last line that was not written whole says nothing: what it would have told is told again by the source.
    """
    first, *rest = content.split(b"\n")
    members = {one.name: one for one in parse_document(first, parse, keeps_order=True).members}
    for line in rest:
        try:
            snapshot = parse_document(line, keeps_order=True)
        except DocumentError:
            break
        for name in snapshot.gone or ():
            members.pop(name, None)
        for one in snapshot.members:
            if one.name in members and members[one.name].uid != one.uid:
                del members[one.name]  # another one under that name came last
            members[one.name] = one
    return Snapshot(tuple(members.values()))
