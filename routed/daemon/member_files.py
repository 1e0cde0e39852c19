"""A file as a source of members: read whenever it may have changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from routed.daemon.followers import Deliver
from routed.intent.disk import read_closed
from routed.members.document import DocumentError, parse_document
from routed.model.members import FileSource, Snapshot
from routed.model.reasons import SourceFailed


async def follow(changed: asyncio.Event, options: FileSource, deliver: Deliver) -> None:
    """Say what the file says, at once and after each change."""
    while True:
        changed.clear()
        deliver(await asyncio.to_thread(read_file, Path(options.path)))
        await changed.wait()


def read_file(path: Path) -> Snapshot | SourceFailed:
    """What a member document says. Never raises."""
    try:
        content = read_closed(path, "members")
        if path.suffix == ".toml":
            import tomllib  # noqa: PLC0415

            return parse_document(content, tomllib.loads)._replace(gone=None)
        return parse_document(content)._replace(gone=None)  # who was there before nobody knows
    except OSError as error:
        return SourceFailed(str(path), error.strerror or str(error))
    except (DocumentError, ValueError) as error:
        return SourceFailed(str(path), str(error))
