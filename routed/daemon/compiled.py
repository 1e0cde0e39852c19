"""What the files meant when they were read last, so that a start on the same files needs no parser.

    {"version": 1, "program": "…", "digest": "…", "files": [["/etc/routed.toml", "main"], …], "sha256": "…"}
    the answer of the process that reads the files, as it went to the daemon, without the bytes of the files

It is written by that process and read at a start. The files stay the truth: a start looks for all of them and reads
them in any case, and takes this only where their paths and bytes are those that were read then, by this very program.
Here must never live: what a file means, and anything that parses one.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from routed import __version__
from routed.intent.digest import digest_of
from routed.intent.disk import read_closed
from routed.intent.dropins import find_drop_ins
from routed.intent.names import find_name_files
from routed.model.entries import LISTS, Intent, Source

VERSION: Final = 1  # of its form
_NEW: Final = ".new"
_LONGEST_HEAD: Final = 1 << 20  # bytes
_PACKAGE: Final = Path(__file__).parents[1]
_FOLDERS: Final = ("intent", "model")  # of the program: what a file means …
_HANDOVER: Final = "daemon/handover.py"  # … and how that is written


class DamagedError(ValueError):
    """It cannot be used, though it should be; the text says why."""


class Compiled(NamedTuple):
    """What was kept, and the files as they are."""

    path: Path
    sources: tuple[Source, ...]
    body: bytes  # messages of ``daemon.handover``


def find_compiled(config: str, path: Path) -> Compiled | None:
    """What these files mean, where it is kept; None where the files have to be read.

    The process must ignore SIGIO (``intent.disk``). Raises DamagedError for what is kept and worth nothing.
    """
    try:
        head, body = _take_apart(path.read_bytes())
    except OSError:
        return None
    if head["program"] != describe_program():
        return None
    try:
        sources = tuple(Source(name, read_closed(Path(name), role), role) for name, role in head["files"])
        places = _list_places(config, sources)
    except (OSError, ValueError):  # the process that reads the files says what is wrong with them
        return None
    if [(one.path, one.role) for one in sources] != places or digest_of(sources) != head["digest"]:
        return None
    return Compiled(path, sources, body)


def _list_places(config: str, sources: Iterable[Source]) -> list[tuple[str, str]]:
    """The files that count now, in the order in which they are read. Raises OSError.

    Which lists there are the others say, so they are those of before as long as these are. ``intent.gather`` tells the
    same story with a parser.
    """
    return [
        (config, "main"),
        *((str(one), "drop-in") for one in find_drop_ins(Path(config))),
        *((one.path, one.role) for one in sources if one.role in LISTS),
        *((str(one), "names") for one in find_name_files(Path("/"))),
    ]


def _take_apart(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The head and the rest. Raises DamagedError."""
    end = content.find(b"\n", 0, _LONGEST_HEAD)
    try:
        head = json.loads(content[: max(end, 0)])
        if head["version"] != VERSION:
            raise DamagedError(f"it is of format {head['version']}, not {VERSION}")
        body = content[end + 1 :]
        if hashlib.sha256(body).hexdigest() != head["sha256"]:
            raise DamagedError("its checksum does not match")
        return {"program": head["program"], "digest": head["digest"], "files": [*map(tuple, head["files"])]}, body
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise error if isinstance(error, DamagedError) else DamagedError("its head is no such head") from None


def may_be_kept(intent: Intent) -> bool:
    """Do the files alone say what it is? Who may write a command or a certificate is looked at each time."""
    return not intent.member_sources and not any(one.command or one.file or one.ca for one in intent.checks)


def keep_compiled(path: Path, intent: Intent, messages: Iterable[bytes]) -> None:
    """Keep what these files mean. Where that cannot be done, the next start reads them: that is all that is lost."""
    body = b"".join(messages)
    head = {
        "version": VERSION,
        "program": describe_program(),
        "digest": intent.digest,
        "files": [(one.path, one.role) for one in intent.sources],
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    new = path.with_name(f"{path.name}{_NEW}{os.getpid()}")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:  # noqa: PTH123  its mode
            file.write(json.dumps(head).encode() + b"\n")
            file.write(body)
        new.rename(path)
    except (OSError, ValueError):
        with suppress(OSError):
            new.unlink(missing_ok=True)


def describe_program() -> str:
    """This very program: its version and Python's, and of all its modules that could matter path, size and date."""
    modules = [str(_PACKAGE / _HANDOVER)]
    for folder in _FOLDERS:
        with os.scandir(_PACKAGE / folder) as found:
            modules += sorted(one.path for one in found if one.name.endswith(".py"))
    total = hashlib.sha256(sys.version.encode())
    for path in modules:
        status = os.stat(path)  # noqa: PTH116  a hundred of them, before anything else
        total.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return f"routed {__version__} {total.hexdigest()[:32]}"
