"""The revisions as a command sees them: by the daemon, or where none runs in the folder that it keeps them in.

The folder is read with the rights of whoever calls.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from routed.cli.client import ClientError, call
from routed.cli.exits import CommandError, Exit
from routed.cli.terminal import complain
from routed.model.documents import RevisionsDocument, SourcesDocument

if TYPE_CHECKING:  # only where no daemon runs
    from routed.daemon.revisions import Revisions


def list_revisions(options: Namespace) -> RevisionsDocument:
    """All of them, the newest first. Raises CommandError."""
    try:
        return cast(RevisionsDocument, call(options.runtime_dir, "ListRevisions"))
    except ClientError as error:
        if error.code is not Exit.UNAVAILABLE:
            raise
    from routed.daemon.results import describe_revision  # the daemon's answer needs nothing of this

    with _reading_the_folder(options) as revisions:
        listed = revisions.list_all()
    complain(f"no daemon is running, so none is in force: these are kept in {options.state_dir}")
    return RevisionsDocument(
        schema="routed.revisions/1", revisions=[describe_revision(one, in_force=0) for one in listed]
    )


def read_revision(options: Namespace, number: int) -> SourcesDocument:
    """The files of one. Raises CommandError."""
    try:
        return cast(SourcesDocument, call(options.runtime_dir, "GetRevision", {"revision": number}))
    except ClientError as error:
        if error.code is not Exit.UNAVAILABLE:
            raise
    from routed.daemon.results import describe_sources  # likewise

    with _reading_the_folder(options) as revisions:
        revision = revisions.find(number)
    if revision is None:
        raise CommandError(f"there is no revision {number}, or it cannot be read: see routed revisions", Exit.REFUSED)
    return describe_sources(revision)


def find_in_force(options: Namespace) -> int:
    """The number of what is in force. Raises CommandError."""
    listed = list_revisions(options)["revisions"]
    number = next((one["revision"] for one in listed if one["in_force"]), None)
    if number is None:
        raise CommandError("what is in force is not known, so it cannot be compared: name a revision", Exit.FAILED)
    return number


@contextmanager
def _reading_the_folder(options: Namespace) -> Iterator[Revisions]:
    from routed.daemon import direct, storage  # likewise
    from routed.daemon.revisions import Revisions  # likewise

    folder = Path(options.state_dir)
    if (hidden := direct.find_hidden(folder)) is not None:
        raise CommandError(f"no daemon is running, and this user may not read {hidden}", Exit.NOT_PERMITTED)
    try:
        yield Revisions(folder / direct.REVISIONS, complain)
    except storage.StateError as error:
        raise CommandError(str(error), Exit.FAILED) from None
