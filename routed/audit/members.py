"""What is said of members and their sources.

Pure. Here must never live: when something is said (``daemon.voice``), or the words of a reason (``member_words``).
"""

from __future__ import annotations

from collections.abc import Iterable

from routed.audit.catalogue import Message
from routed.audit.figures import format_count, name_some
from routed.audit.member_words import describe_broken
from routed.audit.records import Record, make_record
from routed.model.members import Broken, MemberSource, Roster
from routed.model.shared import Shared


def name_source(source: MemberSource) -> str:
    """``source/fleet``."""
    return f"source/{source.name}"


def _fields(source: MemberSource, reason: str = "") -> dict[str, str]:
    return {"ROUTED_ENTRY": name_source(source), "ROUTED_ORIGIN": str(source.origin), "ROUTED_REASON": reason}


def note_members_changed(source: MemberSource, before: Roster, after: Roster) -> list[Record]:
    """Who came, went or is another one now; nothing where nobody did."""
    new = Shared.of(after.present)
    told: dict[str, list[str]] = {"came": [], "changed": [], "went": []}
    for name, old, now in sorted(new.find_differing(before.present), key=lambda one: one.key):
        if old is None or now is None:
            told["came" if old is None else "went"].append(name)
        elif old.member != now.member:
            told["changed"].append(name)
    difference = ", ".join(f"{name_some(names)} {verb}" for verb, names in told.items() if names)
    if not difference:
        return []
    words = {
        "subject": name_source(source),
        "difference": difference,
        "members": format_count(len(new), "member"),
    }
    return [make_record(Message.MEMBERS_CHANGED, words, _fields(source))]


def note_source_failed(source: MemberSource, reason: str, count: int) -> Record:
    """A source says nothing, or nothing that can be understood."""
    words = {"subject": name_source(source), "reason": reason, "members": format_count(count, "member")}
    return make_record(Message.SOURCE_FAILED, words, _fields(source, reason))


def note_source_live(source: MemberSource, count: int) -> Record:
    """A source speaks, and did not before."""
    words = {"subject": name_source(source), "members": format_count(count, "member")}
    return make_record(Message.SOURCE_LIVE, words, _fields(source))


def note_members_held(source: MemberSource, reason: str, held: Iterable[str]) -> Record:
    """Too many would go at once."""
    words = {"subject": name_source(source), "reason": reason, "names": name_some(sorted(held))}
    return make_record(Message.MEMBERS_HELD, words, _fields(source, reason))


def note_member_broken(source: MemberSource, broken: Broken) -> Record:
    """What a source tells of one member cannot be taken."""
    reason = describe_broken(broken)
    words = {"subject": name_source(source), "member": broken.name, "reason": reason}
    return make_record(Message.MEMBER_BROKEN, words, _fields(source, reason))


def note_registered(source: MemberSource) -> Record:
    """The source has what this host says of itself."""
    return make_record(Message.REGISTERED, {"subject": name_source(source)}, _fields(source))


def note_unregistered(source: MemberSource, reason: str) -> Record:
    """It has not, or no more. What this host knows of others is not touched by that."""
    words = {"subject": name_source(source), "reason": reason}
    return make_record(Message.UNREGISTERED, words, _fields(source, reason))
