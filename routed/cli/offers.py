"""Offers: the names that a shell completes, of the daemon where it runs, else of the files.

A name that cannot be found out is not offered, and nothing is said of that: somebody is amid a line. Here must never
live: what a shell makes of them (``completion``).
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from routed.cli.client import ClientError, call
from routed.model.documents import name_whole

if TYPE_CHECKING:  # imported where no daemon runs
    from routed.model.entries import Intent

PATIENCE: Final = 1.0  # seconds
SERVER_OF: Final = " -> "  # between a service and its server


def list_names(kinds: Iterable[str], options: Namespace) -> list[str]:
    """Of all these kinds, each once, in the order of the files."""
    source = KnownNames(options)
    return list(dict.fromkeys(name for kind in kinds for name in OFFERS[kind](source)))


class KnownNames:
    """Where names come from: asked or read when the first of them is wanted."""

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self._answers: dict[str, dict[str, Any]] = {}
        self._intent: Intent | None = None

    def ask(self, method: str) -> dict[str, Any]:
        """What the daemon answers; nothing where it does not."""
        if method not in self._answers:
            self._answers[method] = {}
            with suppress(ClientError):
                self._answers[method] = call(self.options.runtime_dir, method, None, PATIENCE)
        return self._answers[method]

    def read(self) -> Intent:
        """The files; nothing where they are invalid."""
        if self._intent is None:
            from routed.intent.load import load  # where a daemon runs it takes longer than anybody waits
            from routed.intent.problems import IntentError
            from routed.model.entries import Intent

            self._intent = Intent()
            with suppress(IntentError, OSError):
                self._intent, _ = load(Path(self.options.config))
        return self._intent


def _list_entries(names: KnownNames) -> Iterator[str]:
    """With the table of each part: ``route/pods``, then ``route/pods[node2]``."""
    status = names.ask("GetStatus")
    entries = [one["entry"] for one in status["entries"]] if status else [one.name for one in names.read().entries]
    for name in entries:
        yield name_whole(name)
        yield name


def _list_checks(names: KnownNames) -> Iterator[str]:
    status = names.ask("GetStatus")
    yield from (one["check"] for one in status.get("checks", ())) if status else (c.entry for c in names.read().checks)


def _list_servers(names: KnownNames) -> Iterator[str]:
    if status := names.ask("GetStatus"):
        for entry in status["entries"]:
            for thing in entry["objects"]:
                if server := thing["object"].partition(SERVER_OF)[2]:
                    yield f"{entry['entry']}[{server}]"
        return
    from routed.core.entries import list_parts  # as above

    for one in names.read().entries:
        yield from list_parts(one)


def _list_sources(names: KnownNames) -> Iterator[str]:
    if status := names.ask("GetMembers"):
        yield from (one["source"] for one in status["sources"])
    else:
        yield from (one.name for one in names.read().member_sources)


def _list_revisions(names: KnownNames) -> Iterator[str]:
    if answer := names.ask("ListRevisions"):
        yield from (str(one["revision"]) for one in answer["revisions"])
        return
    with suppress(OSError):
        numbers = [one.name for one in Path(names.options.state_dir, "revisions").iterdir() if one.name.isdecimal()]
        yield from sorted(numbers, key=int, reverse=True)


def _list_interfaces(names: KnownNames) -> Iterator[str]:
    """What ``select`` takes: those of the files, and the links that there are."""
    yield from (f"@{one.name}" for one in names.read().selectors)
    yield from (f"name={name}" for name in _list_links(names))


def _list_links(_: KnownNames) -> Iterator[str]:
    """With their altnames. Asked for and not looked up in /sys, which may be that of another network namespace."""
    from routed.kernel.fib import FibReader  # few complete one

    with suppress(OSError), FibReader() as reader:
        yield from sorted(reader.list_link_names())


def _list_assumptions(names: KnownNames) -> Iterator[str]:
    """All but addresses, of which there may be very many, and files."""
    from routed.core.assumptions import ASSUMABLE, MEMBER  # few complete one
    from routed.model.checks import CHECK

    checks = (check.partition("/")[2] for check in _list_checks(names))
    for kind, known in ((CHECK, checks), ("link", _list_links(names)), (MEMBER, _list_members(names))):
        for name in known:
            yield from (f"{kind}:{name}={word}" for word in ASSUMABLE[kind].choices)


def _list_members(names: KnownNames) -> Iterator[str]:
    """Only the daemon knows them."""
    for source in names.ask("GetMembers").get("sources", ()):
        yield from (one["name"] for one in source["members"])


OFFERS: Final[dict[str, Callable[[KnownNames], Iterator[str]]]] = {
    "entry": _list_entries,
    "check": _list_checks,
    "server": _list_servers,
    "source": lambda names: (f"source/{name}" for name in _list_sources(names)),
    "source-name": _list_sources,
    "revision": _list_revisions,
    "interface": _list_interfaces,
    "link": _list_links,
    "assumption": _list_assumptions,
}
