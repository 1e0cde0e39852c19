"""Revisions on disk: the verbatim inputs that were enforced, and what their objects displaced.

    <state-dir>/revisions/7/manifest.json    digest, and path, role, file and checksum of each source
                            0, 1, 2 …        the sources, byte for byte
                            displaced.json   the foreign objects that stood in our places

A folder appears whole or not at all: it is written under another name, flushed, then renamed. So a process that is
killed, or a machine that loses its power, leaves the revision before or the one after. Here must never live: what a
source means, or when a revision is made.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from routed.daemon.storage import (
    DAMAGES,
    NEW,
    StateError,
    describe_damage,
    flush_folder,
    replace_file,
    told_as_state_error,
    write,
)
from routed.kernel.codec.route import take_source
from routed.model.entries import Source
from routed.model.handover import Codec
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Hop,
    Key,
    Kind,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
    Value,
)
from routed.model.text import Vocabulary, format_object

_LOGGER = logging.getLogger(__name__)

VERSION: Final = 1  # of manifest.json and displaced.json
KEPT: Final = 20
_OLD: Final = ".old"
_MANIFEST: Final = "manifest.json"
_DISPLACED: Final = "displaced.json"
# Fields by name: one that is added later, with a default, does not make old files unreadable.
_CODEC: Final = Codec(
    (AddressSlot, AddressMember, AddressValue, RouteSlot, RouteValue, Hop, RuleSlot, RuleMember, RuleValue)
)


class Revision(NamedTuple):
    """One set of inputs that was enforced."""

    number: int  # from 1
    sources: tuple[Source, ...]
    digest: str


class Revisions:
    """The revisions under one folder, which need not exist yet. Only one process may write there: hold the lock."""

    def __init__(self, folder: Path, complain: Callable[[str], None] = _LOGGER.warning) -> None:
        """``complain`` is told, in a sentence, of each revision that had to be skipped."""
        self._folder = folder
        self._complain = complain

    def save(self, sources: tuple[Source, ...], digest: str) -> int:
        """Keep the sources as a new revision and give its number; that of the last one if the digest is the same.

        What is displaced is carried over. Raises StateError, and then everything is as it was before.
        """
        last = self.last_good()
        if last and last.digest == digest:
            return last.number
        with told_as_state_error(f"cannot save a revision under {self._folder}"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._clear_leftovers()
            numbers = self._numbers()
            number = numbers[-1] + 1 if numbers else 1
            new = self._folder / NEW
            try:
                new.mkdir(mode=0o700)
                self._fill(new, sources, digest, numbers)
                new.rename(self._folder / str(number))
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
            flush_folder(self._folder)
        self._drop_old()
        return number

    def has(self, number: int) -> bool:
        """Is a revision of this number there? It is not read."""
        return (self._folder / str(number) / _MANIFEST).is_file()

    def last_good(self) -> Revision | None:
        """The newest revision that is whole; each newer one that is not is complained of."""
        for number in reversed(self._numbers()):
            try:
                return self._read(number)
            except DAMAGES as error:
                self._complain(f"skipped the damaged revision {self._folder / str(number)}: {describe_damage(error)}")
        return None

    def load_displaced(self) -> dict[Key, Value]:
        """The foreign objects that stood in our places. Empty where nothing, or nothing readable, is kept."""
        numbers = self._numbers()
        if not numbers:
            return {}
        path = self._folder / str(numbers[-1]) / _DISPLACED
        try:
            return self._leave_out_beside(decode_displaced(path.read_bytes()))
        except FileNotFoundError:
            return {}
        except DAMAGES as error:
            self._complain(
                f"cannot tell which foreign objects were displaced, {path} is damaged: {describe_damage(error)}"
            )
            return {}

    def _leave_out_beside(self, displaced: dict[Key, Value]) -> dict[Key, Value]:
        """Without routes of another source prefix than their key has, which former versions took away; those are named.

        They stood beside ours and not in its place, so nothing will ever give that place back to them.
        """
        kept: dict[Key, Value] = {}
        for key, value in displaced.items():
            source, plain = take_source(value) if isinstance(value, RouteValue) and value.extra else (b"", value)
            if source and isinstance(key.slot, RouteSlot):
                was = format_object(key._replace(slot=key.slot._replace(source=source)), plain, Vocabulary())
                self._complain(
                    f"a former version took away a route that is not put back, add it if it is missed: {was}"
                )
            else:
                kept[key] = value
        return kept

    def save_displaced(self, displaced: dict[Key, Value]) -> None:
        """Keep the displaced objects in the newest revision. Raises StateError, and then the former ones stay."""
        numbers = self._numbers()
        if not numbers:
            raise StateError(f"cannot keep the displaced objects: there is no revision under {self._folder} yet")
        folder = self._folder / str(numbers[-1])
        with told_as_state_error(f"cannot keep the displaced objects in {folder}"):
            replace_file(folder / _DISPLACED, encode_displaced(displaced), new=folder / NEW)

    def _fill(self, new: Path, sources: tuple[Source, ...], digest: str, numbers: list[int]) -> None:
        for index, source in enumerate(sources):
            write(new / str(index), source.content)
        if numbers:
            with suppress(FileNotFoundError, NotADirectoryError):
                write(new / _DISPLACED, (self._folder / str(numbers[-1]) / _DISPLACED).read_bytes())
        manifest = {
            "version": VERSION,
            "digest": digest,
            "sources": [
                {"path": source.path, "role": source.role, "file": str(index), "sha256": _checksum(source.content)}
                for index, source in enumerate(sources)
            ],
        }
        write(new / _MANIFEST, json.dumps(manifest, indent=1).encode())
        flush_folder(new)

    def _read(self, number: int) -> Revision:
        folder = self._folder / str(number)
        manifest = _load_json((folder / _MANIFEST).read_bytes())
        sources = []
        for row in manifest["sources"]:
            content = (folder / row["file"]).read_bytes()
            if _checksum(content) != row["sha256"]:
                raise ValueError(f"the checksum of {row['file']} ({row['path']}) does not match")
            sources.append(Source(row["path"], content, row["role"]))
        return Revision(number, tuple(sources), manifest["digest"])

    def _numbers(self) -> list[int]:
        try:
            names = [path.name for path in self._folder.iterdir()]
        except OSError:
            return []
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def _clear_leftovers(self) -> None:
        """Remove what a killed process left half written or half removed."""
        for leftover in (*self._folder.glob(f"{NEW}*"), *self._folder.glob(f"{_OLD}*")):
            shutil.rmtree(leftover)

    def _drop_old(self) -> None:
        # Renamed first: a folder that is half removed must not be taken for a damaged revision. What cannot be
        # removed now is no reason to say that the new revision was not saved.
        with suppress(OSError):
            for number in self._numbers()[:-KEPT]:
                old = self._folder / f"{_OLD}{number}"
                (self._folder / str(number)).rename(old)
                shutil.rmtree(old)


def encode_displaced(displaced: dict[Key, Value]) -> bytes:
    """Objects as JSON, without loss, in the form of ``model.handover``."""
    rows = [[key.kind.value, *map(_CODEC.encode, (key.slot, key.member, value))] for key, value in displaced.items()]
    return json.dumps({"version": VERSION, "objects": rows}).encode()


def decode_displaced(text: bytes) -> dict[Key, Value]:
    """The inverse of ``encode_displaced``. Raises one of ``DAMAGES`` for anything else."""
    rows = _load_json(text)["objects"]
    decode = _CODEC.decode
    return {Key(Kind(kind), decode(slot), decode(member)): decode(value) for kind, slot, member, value in rows}


def _load_json(text: bytes) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ValueError(f"it is not of version {VERSION}")
    return document


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
