"""Formats: one row for each that an import reads, and how a file is known for one.

A new format is a module with ``parse`` and a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from routed.intent.importing import ifupdown, ip_text, keepalived, netplan, networkd, networkmanager
from routed.intent.importing.statements import Findings
from routed.model.names import ROUTE_TYPES

Parse = Callable[[str, str, Findings], None]  # (text, what it is called, what is found)


class ForeignFormat(NamedTuple):
    """How a format is read, and how its files are known."""

    parse: Parse
    names: tuple[str, ...]  # shell patterns of paths
    looks_like: str = ""  # an expression that a text of it contains, at the beginning of a line


FORMATS: Final[Mapping[str, ForeignFormat]] = {
    "netplan": ForeignFormat(netplan.parse, ("*.yaml", "*.yml"), r"network:\s*$"),
    "networkd": ForeignFormat(networkd.parse, ("*.network",), r"\[Match\]"),
    "NetworkManager": ForeignFormat(networkmanager.parse, ("*.nmconnection",), r"\[connection\]"),
    "keepalived": ForeignFormat(
        keepalived.parse, ("*keepalived*.conf",), r"(vrrp_instance|static_\w+|virtual_server|global_defs)\b"
    ),
    "ifupdown": ForeignFormat(ifupdown.parse, ("interfaces", "*/interfaces.d/*", "*/interfaces"), r"iface\s"),
    "ip": ForeignFormat(
        ip_text.parse,
        (),
        rf"\[|(\S*/)?(ip|route)\s|\d+:\s|id \d+\s|(default|{'|'.join(ROUTE_TYPES.values())}|[0-9A-Fa-f.:]+(/\d+)?)\s",
    ),
}


class Text(NamedTuple):
    """A file that was read."""

    path: str
    text: str


def guess(text: Text) -> str:
    """The format of a file: by its path, else by what stands in it. Empty where neither says."""
    path = PurePosixPath(text.path)
    for name, one in FORMATS.items():
        if any(path.match(pattern) for pattern in one.names):
            return name
    for name, one in FORMATS.items():
        if re.search(f"^({one.looks_like})", text.text, re.MULTILINE):
            return name
    return ""


def read_texts(texts: Iterable[Text], format_: str = "") -> Findings:
    """What all these files come to. Raises NoYamlError."""
    findings = Findings()
    for text in texts:
        if PurePosixPath(text.path).parent.name.endswith(".network.d"):
            findings.leave(text.path, "a drop-in of networkd: change by hand what it changes")
            continue
        name = format_ or guess(text)
        if not name:
            findings.leave(text.path, f"its format is not known: say --format {' or '.join(FORMATS)}")
            continue
        FORMATS[name].parse(text.text, text.path, findings)
    return findings
