"""The keys below one prefix of etcd, as the members that they are.

What is wrong with one key or its value is a fault of that member. Here must never live how the keys came.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from routed.members.document import read_member
from routed.members.gateway import clean
from routed.model import net
from routed.model.etcd import Format
from routed.model.members import MEMBER_NAME, Broken, Member, Snapshot

MOST_VALUE: Final = 65536  # bytes

ReadValue = Callable[[str, Mapping[str, Any]], Member]  # of the last part of a key, and its value


class Keys:
    """Who is who below a prefix."""

    def __init__(self, prefix: bytes, format_: Format) -> None:
        self._prefix = prefix
        self._read = READERS[format_]
        self._told: dict[bytes, Member | Broken] = {}
        self._names: list[str] = []  # of the members, sorted, and beside them the members
        self._members: list[Member] = []
        self._broken: dict[bytes, Broken] = {}
        self._changed: set[str] = set()  # members that are others than they were shown

    def __len__(self) -> int:
        """How many keys there are, and not members."""
        return len(self._told)

    def has(self, key: bytes) -> bool:
        """May it stand below the prefix?"""
        return key.startswith(self._prefix)

    def put(self, key: bytes, value: bytes) -> bool:
        """A key with its value. Is it another one than before?"""
        told = self._understand(key, value)
        if told == self._told.get(key):
            return False
        self.delete(key)
        self._told[key] = told
        self._changed.add(told.name)
        if isinstance(told, Member):
            place = bisect_left(self._names, told.name)
            self._names.insert(place, told.name)
            self._members.insert(place, told)
        else:
            self._broken[key] = told
        return True

    def delete(self, key: bytes) -> bool:
        """A key is gone. Was it there?"""
        before = self._told.pop(key, None)
        self._broken.pop(key, None)
        if before is not None:
            self._changed.add(before.name)
        if isinstance(before, Member):
            place = bisect_left(self._names, before.name)
            del self._names[place], self._members[place]
        return before is not None

    def replace(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """These are all that there are."""
        fresh = dict(pairs)
        for key in self._told.keys() - fresh.keys():
            self.delete(key)
        for key, value in fresh.items():
            self.put(key, value)

    def show(self, revision: int) -> Snapshot:
        """All of them."""
        self._changed.clear()
        return Snapshot(tuple(self._members), tuple(sorted(self._broken.values())), str(revision))

    def show_changed(self, revision: int) -> Snapshot:
        """Those that are others than they were shown."""
        changed, broken = sorted(self._changed), {one.name: one for one in self._broken.values()}
        self._changed.clear()
        members = [one for name in changed if (one := self._find(name)) is not None]
        known = {one.name for one in members}
        return Snapshot(
            tuple(members),
            tuple(broken[name] for name in changed if name in broken),
            str(revision),
            is_complete=False,
            gone=tuple(name for name in changed if name not in known and name not in broken),
        )

    def _find(self, name: str) -> Member | None:
        """Of several keys that make one name the last one counts."""
        place = bisect_right(self._names, name) - 1
        return self._members[place] if place >= 0 and self._names[place] == name else None

    def _understand(self, key: bytes, value: bytes) -> Member | Broken:
        part = key[len(self._prefix) :].decode(errors="replace")
        try:
            return self._read(part, _parse(value))
        except ValueError as error:
            return Broken(clean(part), str(error))


def _parse(value: bytes) -> Mapping[str, Any]:
    if len(value) > MOST_VALUE:
        raise ValueError(f"it has {len(value)} bytes, and at most {MOST_VALUE} are read")
    try:
        found = json.loads(value.decode())
    except (ValueError, RecursionError):
        raise ValueError("its value is no JSON") from None
    if isinstance(found, dict):
        return found
    raise ValueError("its value is no table")


def _read_member(part: str, value: Mapping[str, Any]) -> Member:
    """A member under its name, which the value need not repeat."""
    if not MEMBER_NAME.fullmatch(part):
        raise ValueError("its key does not end in a name of letters, digits, dots, dashes and underscores")
    if value.get("name", part) != part:
        raise ValueError("its key ends in another name than its value has")
    return read_member({**value, "name": part})


def _read_flannel(part: str, value: Mapping[str, Any]) -> Member:
    """A lease of flannel: ``10.5.52.0-24``, or ``10.5.52.0-24&fd00::-64`` of both families.

    Source: pkg/subnet (MakeSubnetKey, LeaseAttrs) of flannel.
    """
    prefixes = [_read_subnet(one) for one in part.split("&")]
    addresses = [_read_address(value, key) for key in ("PublicIP", "PublicIPv6")]
    backend = value.get("BackendType", "")
    if not isinstance(backend, str) or len(backend) > 64 or not (backend.isprintable() or not backend):
        raise ValueError("its BackendType is no word")
    name = part.replace("&", "_").replace(":", ".")
    if not MEMBER_NAME.fullmatch(name):
        raise ValueError("its key does not end in a subnet")
    return Member(
        name=name,
        addresses=tuple(one for one in addresses if any(one)),
        prefixes=tuple(one for one in prefixes if any(one)),  # 0.0.0.0-0 stands for none of that family
        labels=(("backend", backend),) if backend else (),
    )


def _read_subnet(text: str) -> bytes:
    address, _, length = text.rpartition("-")
    return net.parse_prefix(f"{address}/{length}")


def _read_address(value: Mapping[str, Any], key: str) -> bytes:
    address = value.get(key)
    if address is None:
        return b""
    if not isinstance(address, str):
        raise ValueError(f"its {key} is no address")  # noqa: TRY004  of a value, whatever is wrong with it
    return net.parse_address(address)


READERS: Final[Mapping[Format, ReadValue]] = {Format.MEMBER: _read_member, Format.FLANNEL: _read_flannel}
