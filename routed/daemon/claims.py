"""Which IPVS services, servers and timeouts are ours, on disk: what ``kernel.ipvs.claims`` has for a store.

    <state-dir>/ipvs.jsonl    {"version": 1, "boot": "5f0c…", "namespace": "cookie 1"}
                              ["service", SLOT, MEMBER, VALUE]      claimed, in the form of model.handover
                              ["service", SLOT, MEMBER, null]       given up

A line is added for each change, and the file is written anew when it has become long. It is not forced onto the disk:
claims have to outlive this process, and are void after another boot anyway. Here must never live: what a claim is for.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Generator, Iterable
from errno import EIO, ENOSPC
from pathlib import Path
from typing import Final

from routed.daemon.ipvs import CLAIMS
from routed.daemon.storage import (
    DAMAGES,
    NEW,
    NewerFormatError,
    describe_damage,
    is_passing,
    read_document,
    replace_file,
)
from routed.kernel.ipvs.claims import TYPES, Claim, ClaimOrigin, place_of
from routed.model.handover import make_codec
from routed.model.objects import Key, Kind

_LOGGER = logging.getLogger(__name__)

VERSION: Final = 1
_LINE_END: Final = b"\n"
_SLICE: Final = 256  # lines between two breaths of the caller, some 5 ms


class ClaimsFile:
    """The file in one state folder, which need not exist yet. Who writes it holds the locks of our protocol numbers."""

    def __init__(self, state_dir: Path, complain: Callable[[str], None] = _LOGGER.warning) -> None:
        """``complain`` is told, in a sentence, why a file that is there says nothing."""
        self._path = state_dir / CLAIMS
        self._complain = complain

    def read(self, origin: ClaimOrigin) -> Generator[None, None, list[Claim]]:
        """What is kept under this origin, in slices. Nothing where that is of another one, or damaged.

        Damage is complained of. Raises OSError where the file is there and cannot be read just now.
        """
        what = f"it is not known which IPVS services are ours, {self._path}"
        try:
            return (yield from _decode(self._path.read_bytes(), origin))
        except NewerFormatError as error:
            self._complain(f"{what} is left alone: {error}")
        except DAMAGES as error:
            if is_passing(error):
                raise
            if not isinstance(error, OSError):
                self._complain(f"{what} is damaged: {describe_damage(error)}")
        return []

    def append(self, claims: Iterable[Claim]) -> None:
        """Keep these as well. Raises OSError, and then none of them is kept."""
        handle = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            end = os.fstat(handle).st_size
            if end and os.pread(handle, 1, end - 1) != _LINE_END:  # whoever wrote that was killed before it was whole
                end = self._path.read_bytes().rfind(_LINE_END) + 1
            content = _encode(claims)
            try:
                _write_at(handle, content, end)
            except OSError:
                os.ftruncate(handle, end)
                raise
        finally:
            os.close(handle)

    def replace(self, origin: ClaimOrigin, claims: Iterable[Claim]) -> None:
        """Keep these and nothing else. Raises OSError, and then what was kept before still is."""
        try:
            _read_head(self._path.read_bytes())
        except NewerFormatError as error:
            raise OSError(EIO, f"{self._path} is left alone: {error}") from None
        except DAMAGES as error:
            if is_passing(error):
                raise
        head = {"version": VERSION, "boot": origin.boot, "namespace": origin.namespace}
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        content = json.dumps(head).encode() + b"\n" + _encode(claims)
        replace_file(self._path, content, new=self._path.with_name(self._path.name + NEW))


class NoClaims:
    """For who only looks around: nothing is ours, and nothing is kept."""

    def read(self, origin: ClaimOrigin) -> Generator[None, None, list[Claim]]:
        """None."""
        del origin
        yield from ()
        return []

    def append(self, claims: Iterable[Claim]) -> None:
        """Nothing."""

    def replace(self, origin: ClaimOrigin, claims: Iterable[Claim]) -> None:
        """Nothing."""


class SeenClaims(NoClaims):
    """For who only reads: it keeps nothing of what it is told."""

    def __init__(self, file: ClaimsFile) -> None:
        self._file = file

    def read(self, origin: ClaimOrigin) -> Generator[None, None, list[Claim]]:
        """What is kept. Raises OSError as ``ClaimsFile`` does."""
        return self._file.read(origin)


def _write_at(handle: int, content: bytes, start: int) -> None:
    """Have the file end with this content. Raises OSError."""
    if os.pwrite(handle, content, start) < len(content):
        raise OSError(ENOSPC, os.strerror(ENOSPC))
    os.ftruncate(handle, start + len(content))


def _read_head(content: bytes) -> ClaimOrigin:
    """Where what follows the first line holds. Raises NewerFormatError, and one of ``DAMAGES`` for anything else."""
    document = read_document(content.partition(_LINE_END)[0], VERSION)
    return ClaimOrigin(str(document["boot"]), str(document["namespace"]))


def _decode(content: bytes, origin: ClaimOrigin) -> Generator[None, None, list[Claim]]:
    """What is kept under this origin, without a last line that is not whole. Raises as ``_read_head`` does."""
    if _read_head(content) != origin:
        return []
    decode = make_codec(TYPES).decode
    claims = []
    for number, line in enumerate(content.split(_LINE_END)[1:-1], 1):
        if not number % _SLICE:
            yield
        kind, slot, member, value = json.loads(line)
        claims.append(_check(Claim(Key(Kind(kind), decode(slot), decode(member)), decode(value))))
    return claims


def _check(claim: Claim) -> Claim:
    """The same. Raises one of ``DAMAGES`` where it is none."""
    key, value = claim
    hash((key, place_of(key), key.slot.family, value))
    if value is not None and type(value.protocol) is not int:
        raise ValueError(f"{value.protocol!r} is no protocol number")
    return claim


def _encode(claims: Iterable[Claim]) -> bytes:
    encode = make_codec(TYPES).encode
    rows = ([key.kind, *map(encode, (key.slot, key.member, value))] for key, value in claims)
    return b"".join(json.dumps(row, separators=(",", ":")).encode() + _LINE_END for row in rows)
