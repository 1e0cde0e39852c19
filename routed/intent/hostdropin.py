"""The drop-in of one host: what ``routed route add`` writes, and how it is read again.

Here live the name and the content of the file, as pure functions. Here must never live: the disk, and what the host is
now; who writes the file, and whether the gateway is an address of this host, the caller knows.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import tomli_w

from routed.intent.documents import Document, parse_document
from routed.intent.problems import IntentError, KeyPath
from routed.model.entries import Entry, Intent, RouteEntry, Source, VipEntry
from routed.model.names import DEFAULT_METRIC, TABLE_MAIN
from routed.model.net import format_address, host_prefix, parse_address

HEAD: Final = (
    "# Written by `routed route add`, removed by `routed route del`. Edit it by hand, and both leave it alone.\n"
)
ROLE: Final = "drop-in"
DEFAULT_METRICS: Final = (None, *DEFAULT_METRIC.values())


class EditedError(IntentError):
    """The file is valid, but not as ``write_drop_in`` writes it: somebody has changed it by hand."""


class HostRoute(NamedTuple):
    """A host, the gateway to it, and whether that is an address of this host itself. Packed addresses."""

    host: bytes
    gateway: bytes
    is_own: bool = False

    def __str__(self) -> str:
        return f"{format_address(self.host)} via {format_address(self.gateway)}"


def name_drop_in(host: bytes) -> str:
    """The name of the file: ``50-route-10.103.97.2.toml``. One address has one name, however it was written."""
    return f"50-route-{format_address(host)}.toml"


def write_drop_in(route: HostRoute) -> bytes:
    """The content of the file: a ``[[route]]``, or a ``[[vip]]`` where the gateway is an address of this host.

    The kernel takes a local gateway for "on that link" and then picks any source of the link (fib_check_nh,
    net/ipv4/fib_semantics.c), and refuses it for IPv6; a ``[[vip]]`` names the source.
    """
    kind, table = _make_table(route)
    # tomli_w writes a list of one small table in brackets and braces; an operator would not.
    return f"{HEAD}[[{kind}]]\n{tomli_w.dumps(table)}".encode()


def read_drop_in(source: Source, host: bytes) -> HostRoute:
    """What the file of ``host`` says. Raises EditedError where it is not as ``write_drop_in`` writes it.

    So a file that a person has changed is never overwritten or removed; the problem names the line. Raises IntentError
    where it is no TOML.
    """
    document = parse_document(source)
    for kind, key in (("route", "via"), ("vip", "node")):
        tables = document.data.get(kind)
        if not isinstance(tables, list) or not tables or not isinstance(tables[0], dict):
            continue
        try:
            route = HostRoute(host, parse_address(str(tables[0].get(key))), is_own=kind == "vip")
        except ValueError:
            continue
        path = _find_difference(document.data, dict([_as_list(route)]))
        if path is None:
            return route
        raise _foreign(document, path)
    raise _foreign(document, ())


def exchange_drop_in(sources: tuple[Source, ...], path: str, content: bytes | None) -> tuple[Source, ...]:
    """The sources as they would be with this content in the drop-in ``path``, or without it (None).

    Drop-ins come after the main file in the order of their names, whatever folder they stand in.
    """
    drop_ins = [source for source in sources if source.role == ROLE and _name_of(source.path) != _name_of(path)]
    if content is not None:
        drop_ins = sorted([*drop_ins, Source(path, content, ROLE)], key=lambda source: _name_of(source.path))
    main = [source for source in sources if source.role == "main"]
    return (*main, *drop_ins, *(source for source in sources if source.role not in {"main", ROLE}))


def find_declared(intent: Intent, host: bytes) -> Entry | None:
    """The entry that declares the route that ``ip route add HOST via …`` would make, wherever it stands."""
    prefix = host_prefix(host)
    for entry in intent.entries:
        if not isinstance(entry, RouteEntry | VipEntry):
            continue
        is_main = entry.table == TABLE_MAIN and entry.metric in DEFAULT_METRICS and not (entry.tos or entry.source)
        if is_main and any(prefix in prefixes for prefixes in entry.prefixes.values()):
            return entry
    return None


def gateway_of(entry: Entry) -> bytes:
    """The one gateway (packed) by which an entry's route goes, or b""; of a VIP the node."""
    if isinstance(entry, VipEntry):
        return entry.node
    hops = entry.every_hop if isinstance(entry, RouteEntry) else ()
    return hops[0].via if len(hops) == 1 else b""


def _make_table(route: HostRoute) -> tuple[str, dict[str, Any]]:
    host, gateway = format_address(route.host), format_address(route.gateway)
    if route.is_own:
        return "vip", {"address": host, "node": gateway, "when": "always"}
    return "route", {"to": host, "via": gateway}


def _as_list(route: HostRoute) -> tuple[str, list[dict[str, Any]]]:
    kind, table = _make_table(route)
    return kind, [table]


def _find_difference(found: Any, written: Any) -> KeyPath | None:
    """The path of the first key that is not as it was written; None where all is."""
    if isinstance(found, dict) and isinstance(written, dict):
        for key in [*found, *(key for key in written if key not in found)]:
            if key not in found:
                return ()
            below = _find_difference(found[key], written.get(key))
            if below is not None:
                return (key, *below)
        return None
    if isinstance(found, list) and isinstance(written, list):
        for index, item in enumerate(found):
            below = _find_difference(item, written[index]) if index < len(written) else ()
            if below is not None:
                return (index, *below)
        return None
    return None if found == written else ()


def _foreign(document: Document, path: KeyPath) -> EditedError:
    message = "this is not as `routed route add` wrote it, and is left alone"
    return EditedError((document.problem(path, message, "change or remove the file by hand"),))


def _name_of(path: str) -> str:
    return path.rpartition("/")[2]
