"""The digest of files: equal digests mean equal files, and so equal intents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from routed.model.entries import Source


def digest_of(sources: Iterable[Source]) -> str:
    """SHA-256 over the paths and contents, each with its length in front."""
    total = hashlib.sha256()
    for source in sources:
        for part in (source.path.encode("utf-8", "surrogatepass"), source.content):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()
