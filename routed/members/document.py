"""The member document, ``routed.members/1``: the same from a file, a program, the cache and ``routed members``.

What is wrong with one member is a fault of that one. What is wrong with the document is an error, and never an empty
list. Here must never live: the words of the configuration (``intent``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from routed.model import net
from routed.model.members import HEAVIEST, LABEL, MEMBER_NAME, Broken, Member, Snapshot

SCHEMA: Final = "routed.members/1"
MOST_BYTES: Final = 16 << 20
MOST_MEMBERS: Final = 50_000
MOST_OF_EACH: Final = 64  # addresses, prefixes or labels of one member, from whatever source
LONGEST: Final = 256  # characters of a uid or of the value of a label


class DocumentError(Exception):
    """The document says nothing; the text is a sentence."""


def parse_document(content: bytes, parse: Callable[[str], Any] = json.loads, *, keeps_order: bool = False) -> Snapshot:
    """What a document says. ``parse`` makes a table of its text: that of JSON, or of TOML. Raises DocumentError.

    The members are in the order of their names unless it is to be that of the document.
    """
    if len(content) > MOST_BYTES:
        raise DocumentError(f"it has {len(content)} bytes, and at most {MOST_BYTES} are read")
    if not content.strip():
        raise DocumentError("it is empty")
    try:
        data = parse(content.decode())
    except (ValueError, RecursionError) as error:  # JSONDecodeError, TOMLDecodeError, UnicodeDecodeError
        raise DocumentError(f"it cannot be read: {str(error)[:200] or type(error).__name__}") from None
    snapshot = read_document(data)
    if not keeps_order:
        return snapshot
    members = {member.name: member for member in snapshot.members}
    in_order = (members.get(table["name"]) for table in data["members"])
    return snapshot._replace(members=tuple(member for member in in_order if member))


def read_document(data: Any) -> Snapshot:
    """What a document says that was parsed already. Raises DocumentError."""
    if not isinstance(data, dict):
        raise DocumentError("it is no table")
    if data.get("schema", SCHEMA) != SCHEMA:
        raise DocumentError(f'its schema is {_quote(data["schema"])}, and "{SCHEMA}" is known')
    if unknown := sorted(map(str, data.keys() - {"schema", "source", "revision", "complete", "gone", "members"})):
        raise DocumentError(f"it has an unknown key {_quote(unknown[0])}")
    listed, is_complete = data.get("members"), data.get("complete", True)
    if not isinstance(listed, list):
        raise DocumentError("it has no list `members`")
    if not isinstance(is_complete, bool):
        raise DocumentError("`complete` is neither true nor false")
    if len(listed) > MOST_MEMBERS:
        raise DocumentError(f"it has {len(listed)} members, and at most {MOST_MEMBERS} are read")
    revision = data.get("revision", "")
    try:
        told = _text(str(revision) if type(revision) is int else revision, "`revision`")
    except ValueError as error:  # of a huge number too: int_max_str_digits
        raise DocumentError(str(error)) from None
    return gather(listed, revision=told, is_complete=is_complete)._replace(
        gone=_read_gone(data, is_complete=is_complete)
    )


def _read_gone(data: Mapping[str, Any], *, is_complete: bool) -> tuple[str, ...] | None:
    """Who is gone, of a document that is a change. Raises DocumentError."""
    if "gone" not in data:
        return None
    gone = data["gone"]
    if not isinstance(gone, list) or len(gone) > MOST_MEMBERS:
        raise DocumentError(f"`gone` is no list of at most {MOST_MEMBERS}")
    if is_complete:
        raise DocumentError("`gone` goes with `complete` = false: whoever is not in a complete document is gone")
    if any(not isinstance(name, str) or not MEMBER_NAME.fullmatch(name) for name in gone):
        raise DocumentError("`gone` has something that is no name of a member")
    return tuple(gone)


def gather(listed: Iterable[Any], *, revision: str = "", is_complete: bool = True) -> Snapshot:
    """The snapshot of these tables, one of each member. Raises DocumentError where nobody can tell who is who."""
    members: dict[str, Member] = {}
    broken: dict[str, Broken] = {}
    for number, table in enumerate(listed, 1):
        name = table.get("name") if isinstance(table, dict) else None
        if not isinstance(name, str) or not MEMBER_NAME.fullmatch(name):
            raise DocumentError(f"member {number} has no name of letters, digits, dots, dashes and underscores")
        if name in members or name in broken:
            raise DocumentError(f'two members have the name "{name}"')
        try:
            members[name] = read_member(table)
        except ValueError as error:
            broken[name] = Broken(name, str(error))
    in_order = tuple(members[name] for name in sorted(members))
    return Snapshot(in_order, tuple(broken[name] for name in sorted(broken)), revision, is_complete)


def read_member(table: Mapping[str, Any]) -> Member:
    """One member. Raises ValueError with a sentence."""
    if unknown := sorted(map(str, table.keys() - _KEYS)):
        raise ValueError(f"it has an unknown key {_quote(unknown[0])}")
    labels = table.get("labels", {})
    if not isinstance(labels, dict) or len(labels) > MOST_OF_EACH:
        raise ValueError(f"`labels` is no table of at most {MOST_OF_EACH}")
    for name, value in labels.items():
        if not (isinstance(name, str) and LABEL.fullmatch(name)):
            raise ValueError(f"{_quote(name)} is no name of a label")
        _text(value, f"the label {name}")
    weight = table.get("weight")
    return Member(
        name=table["name"],
        uid=_text(table.get("uid", ""), "`uid`"),
        addresses=_list(table, "addresses", net.parse_address),
        prefixes=_list(table, "prefixes", net.parse_prefix),
        port=_number(table.get("port", 0), 65535, "`port`"),
        weight=None if weight is None else _number(weight, HEAVIEST, "`weight`"),
        labels=tuple(sorted(labels.items())),
        is_ready=_flag(table, "ready", default=True),
        is_terminating=_flag(table, "terminating", default=False),
    )


_KEYS: Final = frozenset(
    {"name", "uid", "addresses", "prefixes", "port", "weight", "labels", "ready", "terminating"}
)  # fmt: skip


def _list(table: Mapping[str, Any], key: str, parse: Callable[[str], bytes]) -> tuple[bytes, ...]:
    listed = table.get(key, [])
    if not isinstance(listed, list) or len(listed) > MOST_OF_EACH:
        raise ValueError(f"`{key}` is no list of at most {MOST_OF_EACH}")
    found: dict[bytes, None] = {}
    for one in listed:
        if not isinstance(one, str) or len(one) > LONGEST or not one.isprintable():
            raise ValueError(f"`{key}` has something that is no text, or too long")
        found[parse(one)] = None
    return tuple(found)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST or not (value.isprintable() or not value):
        raise ValueError(f"{what} is no printable text of at most {LONGEST} characters")
    return value


def _number(value: Any, most: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{what} is no number from 0 to {most}")
    return value


def _flag(table: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = table.get(key, default)
    if value is True or value is False:
        return value
    raise ValueError(f"`{key}` is neither true nor false")


def _quote(value: object) -> str:
    return json.dumps(str(value)[:60])


def format_member(member: Member) -> dict[str, Any]:
    """One member as the document has it; what is not told is left out."""
    always: dict[str, Any] = {
        "name": member.name,
        "addresses": [net.format_address(one) for one in member.addresses],
        "prefixes": [net.format_prefix(one) for one in member.prefixes],
        "ready": member.is_ready,
        "terminating": member.is_terminating,
    }
    told = {"uid": member.uid, "port": member.port, "labels": dict(member.labels)}
    weight = {} if member.weight is None else {"weight": member.weight}
    return always | {key: value for key, value in told.items() if value} | weight


def format_document(source: str, snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as the document has it."""
    gone = {} if snapshot.gone is None else {"gone": list(snapshot.gone)}
    return {
        "schema": SCHEMA,
        "source": source,
        "revision": snapshot.revision,
        "complete": snapshot.is_complete,
        **gone,
        "members": [format_member(member) for member in snapshot.members],
    }
