"""Revisions on disk: the verbatim inputs that were enforced, and what their objects displaced.

    <state-dir>/revisions/7/manifest.json    digest, marks; path, role, file and checksum of each source
                            0, 1, 2 …        the sources, byte for byte
                            displaced.json   the foreign objects that stood in our places
                            members.json     who was a member of its sources when it was verified last

A folder appears whole or not at all: it is written under another name, flushed, then renamed. So a process that is
killed, or a machine that loses its power, leaves the revision before or the one after. Later only its marks change:
whether it was verified, and confirmed. What a newer routed wrote, and what cannot be read just now, is never removed.

Here must never live: what a source means, when a revision is made, or which one is enforced (``core.deployment``).
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from routed.core.deployment import Fallback, rank
from routed.core.kinds import KINDS
from routed.daemon.record import find_moment
from routed.daemon.storage import (
    DAMAGES,
    NEW,
    NewerFormatError,
    StateError,
    describe_damage,
    flush_folder,
    is_passing,
    leave_newer,
    read_document,
    replace_file,
    told_as_state_error,
    write,
)
from routed.kernel.codec import has_lifetime
from routed.kernel.codec.route import take_source
from routed.model.entries import Source
from routed.model.handover import ValueCodec, make_codec
from routed.model.lifetime import Lifetime, Passing
from routed.model.objects import Key, Kind, RouteSlot, RouteValue, Value
from routed.model.text import Vocabulary, format_object

_LOGGER = logging.getLogger(__name__)

VERSION: Final = 1  # of manifest.json, displaced.json and members.json
KEPT: Final = 20
_OLD: Final = ".old"
_MANIFEST: Final = "manifest.json"
_DISPLACED: Final = "displaced.json"
_MEMBERS: Final = "members.json"
_MARKS: Final = {"verified": False, "confirmed": True}  # what a manifest that does not tell means


class Provenance(NamedTuple):
    """How a revision came about. Older revisions do not tell."""

    saved: float = 0.0  # seconds since 1970, by this host's clock at that moment
    by: str = ""  # who asked for it, or what made it follow
    comment: str = ""


UNTOLD: Final = Provenance()


class Revision(NamedTuple):
    """One set of inputs that was enforced."""

    number: int  # from 1
    sources: tuple[Source, ...]
    digest: str
    is_verified: bool = False  # a full pass came to its end, and nothing failed
    is_confirmed: bool = True  # it was no trial, or somebody confirmed it


class Listed(NamedTuple):
    """One of them as a list shows it, by its manifest alone."""

    number: int
    digest: str
    is_verified: bool
    is_confirmed: bool
    origin: Provenance
    files: int


class Revisions:
    """The revisions under one folder, which need not exist yet. Only one process may write there: hold the lock."""

    def __init__(self, folder: Path, complain: Callable[[str], None] = _LOGGER.warning) -> None:
        """``complain`` is told, in a sentence, of each revision that had to be skipped."""
        self._folder = folder
        self._complain = complain

    def save(
        self,
        sources: tuple[Source, ...],
        digest: str,
        *,
        is_trial: bool = False,
        spared: Collection[int] = (),
        origin: Provenance = UNTOLD,
    ) -> int:
        """Keep the sources as a new revision and give its number; that of the newest one if the digest is the same.

        What is displaced is carried over. Old revisions go, but not the ``spared`` ones and not the best fallback.
        Raises StateError, and then everything is as it was before.
        """
        with told_as_state_error(f"cannot save a revision under {self._folder}"):
            numbers = self._numbers()
            if numbers and self._find_digest(numbers[-1]) == digest:
                if not is_trial:
                    with suppress(StateError):  # only as a fallback it comes after confirmed ones
                        self.mark_confirmed(numbers[-1])
                return numbers[-1]
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._clear_leftovers()
            number = numbers[-1] + 1 if numbers else 1
            new = self._folder / NEW
            try:
                new.mkdir(mode=0o700)
                self._fill(new, sources, digest, numbers, {"confirmed": not is_trial} | origin._asdict())
                new.rename(self._folder / str(number))
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
            flush_folder(self._folder)
        self._drop_old(spared)
        return number

    def has(self, number: int) -> bool:
        """Is a revision of this number there? It is not read; what cannot be looked at is there."""
        try:
            return (self._folder / str(number) / _MANIFEST).is_file()
        except OSError:
            return True

    def newest(self) -> Revision | None:
        """The newest revision that is whole; each newer one that is not is complained of."""
        return next((one for number in reversed(self._list()) if (one := self.read(number))), None)

    def read(self, number: int) -> Revision | None:
        """The revision of this number. None where it cannot be read, which is complained of."""
        try:
            return self._read(number)
        except DAMAGES as error:
            self._complain_of(number, error)
            return None

    def find(self, number: int) -> Revision | None:
        """The same of a number that somebody asks for: of one that is not there nothing is complained of."""
        return self.read(number) if self.has(number) else None

    def list_all(self) -> list[Listed]:
        """Those whose manifest can be read, the newest first. No source is: it may be very large. Raises StateError."""
        with told_as_state_error(f"the revisions under {self._folder} cannot be listed"):
            return list(self._list_manifests(reversed(self._numbers())))

    def rank(self, barred: frozenset[str] = frozenset()) -> Iterator[Revision]:
        """Those that can be read, the best one to stand in for invalid files first."""
        for one in rank(self._find_candidates(), barred):
            if revision := self.read(one.number):
                yield revision

    def mark_verified(self, number: int) -> None:
        """Remember that the kernel took it. Raises StateError, and then it is as it was before."""
        self._mark(number, "verified")

    def mark_confirmed(self, number: int) -> None:
        """Remember that somebody wants to keep it. Raises StateError, and then it is as it was before."""
        self._mark(number, "confirmed")

    def load_displaced(self) -> dict[Key, Value]:
        """The foreign objects that stood in our places. Empty where nothing is kept, or what is kept is damaged.

        Raises StateError where it is not known: it cannot be read just now, or a newer routed wrote it.
        """
        with told_as_state_error(f"cannot tell which foreign objects were displaced, {self._folder} cannot be read"):
            numbers = self._numbers()
        if not numbers:
            return {}
        path = self._folder / str(numbers[-1]) / _DISPLACED
        what = f"cannot tell which foreign objects were displaced, {path}"
        try:
            return self._leave_out_beside(decode_displaced(path.read_bytes()))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except NewerFormatError as error:
            raise StateError(f"{what} is left alone: {error}") from None
        except DAMAGES as error:
            if is_passing(error):
                raise StateError(f"{what} cannot be read: {describe_damage(error)}") from None
            self._complain(f"{what} is damaged: {describe_damage(error)}")
            return {}

    def _leave_out_beside(self, displaced: dict[Key, Value]) -> dict[Key, Value]:
        """Without routes of another source prefix than their key has, which former versions took away; those are named.

        They stood beside ours and not in its place, so nothing will ever give that place back to them.
        """
        kept: dict[Key, Value] = {}
        for key, value in displaced.items():
            if isinstance(value, Passing):
                if not KINDS[key.kind].is_part or value.find_left(find_moment()):  # else it went with its boot
                    kept[key] = value
                continue
            if has_lifetime(key.kind, value):
                continue  # a former version did not note what was left of it
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
        with told_as_state_error(f"cannot keep the displaced objects under {self._folder}"):
            numbers = self._numbers()
        if not numbers:
            raise StateError(f"cannot keep the displaced objects: there is no revision under {self._folder} yet")
        folder = self._folder / str(numbers[-1])
        leave_newer(folder / _DISPLACED, VERSION)
        with told_as_state_error(f"cannot keep the displaced objects in {folder}"):
            replace_file(folder / _DISPLACED, encode_displaced(displaced), new=folder / NEW)

    def load_members(self, number: int) -> dict[str, Any]:
        """The document of each source that a revision was verified with; none where that is not known."""
        path = self._folder / str(number) / _MEMBERS
        try:
            return dict(read_document(path.read_bytes(), VERSION)["sources"])
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except DAMAGES as error:
            self._complain(f"who was a member is not known, {path} cannot be used: {describe_damage(error)}")
            return {}

    def save_members(self, number: int, documents: Mapping[str, Any]) -> None:
        """Keep who was a member. Raises StateError, and then it is as it was before."""
        folder = self._folder / str(number)
        leave_newer(folder / _MEMBERS, VERSION)
        with told_as_state_error(f"cannot keep the members in {folder}"):
            content = json.dumps({"version": VERSION, "sources": documents}).encode()
            replace_file(folder / _MEMBERS, content, new=folder / NEW)

    def _fill(
        self, new: Path, sources: tuple[Source, ...], digest: str, numbers: list[int], told: dict[str, Any]
    ) -> None:
        for index, source in enumerate(sources):
            write(new / str(index), source.content)
        if numbers:
            with suppress(FileNotFoundError, NotADirectoryError):
                write(new / _DISPLACED, (self._folder / str(numbers[-1]) / _DISPLACED).read_bytes())
        manifest = {
            "version": VERSION,
            "digest": digest,
            "verified": False,
            **told,
            "sources": [
                {"path": source.path, "role": source.role, "file": str(index), "sha256": _checksum(source.content)}
                for index, source in enumerate(sources)
            ],
        }
        write(new / _MANIFEST, json.dumps(manifest, indent=1).encode())
        flush_folder(new)

    def _mark(self, number: int, word: str) -> None:
        folder = self._folder / str(number)
        what = f"cannot mark revision {folder} {word}"
        try:
            manifest = self._read_manifest(number)
            if not manifest.get(word, _MARKS[word]):
                content = json.dumps(manifest | {word: True}, indent=1).encode()
                replace_file(folder / _MANIFEST, content, new=folder / NEW)
        except DAMAGES as error:
            raise StateError(f"{what}: {describe_damage(error)}") from error

    def _read(self, number: int) -> Revision:
        folder, manifest = self._folder / str(number), self._read_manifest(number)
        sources = []
        for row in manifest["sources"]:
            content = (folder / row["file"]).read_bytes()
            if _checksum(content) != row["sha256"]:
                raise ValueError(f"the checksum of {row['file']} ({row['path']}) does not match")
            sources.append(Source(row["path"], content, row["role"]))
        marks = (bool(manifest.get(word, default)) for word, default in _MARKS.items())
        return Revision(number, tuple(sources), manifest["digest"], *marks)

    def _read_manifest(self, number: int) -> dict[str, Any]:
        return read_document((self._folder / str(number) / _MANIFEST).read_bytes(), VERSION)

    def _find_digest(self, number: int) -> str | None:
        """The digest of a revision that is whole. None for any other, which is not complained of."""
        try:
            return self._read(number).digest
        except DAMAGES:
            return None

    def _find_candidates(self) -> Iterator[Fallback]:
        return (Fallback(*one[:4]) for one in self._list_manifests(self._list()))

    def _list_manifests(self, numbers: Iterable[int]) -> Iterator[Listed]:
        """What is wrong with one is found, and said, when it is read."""
        for number in numbers:
            with suppress(*DAMAGES):
                manifest = self._read_manifest(number)
                is_verified, is_confirmed = (bool(manifest.get(word, default)) for word, default in _MARKS.items())
                told = UNTOLD._asdict() | {word: manifest[word] for word in UNTOLD._fields if word in manifest}
                origin = Provenance(float(told["saved"]), str(told["by"]), str(told["comment"]))
                files = len(manifest["sources"])
                yield Listed(number, manifest["digest"], is_verified, is_confirmed, origin, files)

    def _complain_of(self, number: int, error: Exception) -> None:
        folder, why = self._folder / str(number), describe_damage(error)
        if isinstance(error, NewerFormatError):
            self._complain(f"skipped the revision {folder}, which is left alone: {why}")
        elif is_passing(error):
            self._complain(f"skipped the revision {folder}, which cannot be read: {why}")
        else:
            self._complain(f"skipped the damaged revision {folder}: {why}")

    def _list(self) -> list[int]:
        """The numbers that there are. None where the folder cannot be read, which is complained of."""
        try:
            return self._numbers()
        except OSError as error:
            self._complain(f"no revision can be read under {self._folder}: {describe_damage(error)}")
            return []

    def _numbers(self) -> list[int]:
        """Raises OSError where there may be revisions that cannot be seen."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def _clear_leftovers(self) -> None:
        """Remove what a killed process left half written or half removed."""
        for leftover in (*self._folder.glob(f"{NEW}*"), *self._folder.glob(f"{_OLD}*")):
            shutil.rmtree(leftover)

    def _drop_old(self, spared: Collection[int]) -> None:
        # Renamed first: a folder that is half removed must not be taken for a damaged revision. What cannot be
        # removed now is no reason to say that the new revision was not saved.
        with suppress(OSError):
            for number in self._numbers()[:-KEPT]:
                if number in spared or self._must_stay(number):
                    continue
                old = self._folder / f"{_OLD}{number}"
                (self._folder / str(number)).rename(old)
                shutil.rmtree(old)

    def _must_stay(self, number: int) -> bool:
        """Did a newer routed write it, or may it have; or is it the newest that is known to be good?"""
        try:
            is_good = self._is_good(number)
        except DAMAGES as error:
            return isinstance(error, NewerFormatError) or is_passing(error)
        return is_good and not any(map(self._is_known_good, (n for n in self._numbers() if n > number)))

    def _is_good(self, number: int) -> bool:
        manifest = self._read_manifest(number)
        return all(manifest.get(word, default) for word, default in _MARKS.items())

    def _is_known_good(self, number: int) -> bool:
        try:
            return self._is_good(number)
        except DAMAGES:
            return False


def encode_displaced(displaced: dict[Key, Value]) -> bytes:
    """Objects as JSON, without loss, in the form of ``model.handover``."""
    encode = _make_codec().encode
    rows = [[key.kind, *map(encode, (key.slot, key.member, value))] for key, value in displaced.items()]
    return json.dumps({"version": VERSION, "objects": rows}).encode()


def decode_displaced(text: bytes) -> dict[Key, Value]:
    """The inverse of ``encode_displaced``. Raises one of ``DAMAGES`` for anything else."""
    rows = read_document(text, VERSION)["objects"]
    decode = _make_codec().decode
    unknown = {kind for kind, *_ in rows} - KINDS.keys()
    if unknown:
        raise ValueError(f"nothing is known of the kind {min(unknown)}")
    return {Key(Kind(kind), decode(slot), decode(member)): decode(value) for kind, slot, member, value in rows}


def _make_codec() -> ValueCodec:
    """Fields are written by name: one that is added later, with a default, does not make old files unreadable."""
    return make_codec((Lifetime, Passing, *(one for row in KINDS.values() for one in row.types)))


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
