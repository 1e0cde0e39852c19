"""ifupdown's ``interfaces``: static addresses, gateways, and what ``up`` lines set.

Source: interfaces(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from routed.intent.importing.commands import length_of, read_command
from routed.intent.importing.ip_words import Priorities
from routed.intent.importing.rest import UnsaidError, Words, number
from routed.intent.importing.statements import Findings

STANZAS: Final = frozenset({"iface", "mapping", "auto", "source", "source-directory", "rename", "no-auto-down",
                            "no-scripts", "template"})  # fmt: skip
UPS: Final = frozenset({"up", "post-up", "pre-up"})
DOWNS: Final = frozenset({"down", "pre-down", "post-down"})
_READ: Final = frozenset({"address", "netmask", "gateway", "metric", "broadcast", "pointopoint", "scope", "label"})
_GIVEN: Final = {"dhcp": "DHCP", "auto": "router advertisements", "bootp": "BOOTP", "ipv4ll": "avahi-autoipd",
                 "ppp": "pppd", "wvdial": "pppd"}  # fmt: skip


class Option(NamedTuple):
    """One line of a stanza."""

    key: str
    value: str
    line: int


class Stanza(NamedTuple):
    """One ``iface``."""

    dev: str
    family: str
    method: str
    line: int
    options: list[Option]

    def get(self, key: str) -> str:
        """The last value of an option, empty where there is none."""
        return next((one.value for one in reversed(self.options) if one.key == key), "")


def parse(text: str, file: str, findings: Findings) -> None:
    """All that a file sets."""
    priorities = Priorities()
    for stanza in _read_stanzas(text, file, findings):
        _say(stanza, file, findings, priorities)


def _join_lines(text: str) -> Iterator[tuple[int, str]]:
    lines = iter(enumerate(text.splitlines(), 1))
    for at, raw in lines:
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        while line.endswith("\\"):
            line = f"{line[:-1].rstrip()} {next(lines, (0, ''))[1].strip()}"
        yield at, line


def _read_stanzas(text: str, file: str, findings: Findings) -> list[Stanza]:
    stanzas: list[Stanza] = []
    current: Stanza | None = None
    for at, line in _join_lines(text):
        key, _, value = line.partition(" ")
        key, value = key.strip(), value.strip()
        if "\t" in key:
            key, _, value = line.replace("\t", " ", 1).partition(" ")
            value = value.strip()
        if key == "iface":
            words = [*value.split(), "", "", ""]
            current = Stanza(words[0], words[1], words[2], at, [])
            stanzas.append(current)
        elif key in STANZAS or key.startswith("allow-"):
            current = None
            if key in {"source", "source-directory"}:
                findings.leave(f"{file}:{at}", f"{key} {value}: read those files as well, with --from")
            elif key not in {"auto", "no-auto-down", "no-scripts"} and not key.startswith("allow-"):
                findings.leave(f"{file}:{at}", f"{key} stays with ifupdown: the file has no word for it")
        elif current is not None:
            current.options.append(Option(key, value, at))
        else:
            findings.leave(f"{file}:{at}", f"`{key}` stands in no iface")
    return stanzas


def _say(stanza: Stanza, file: str, findings: Findings, priorities: Priorities) -> None:
    origin = f"{file}:{stanza.line}"
    dev = stanza.dev.partition(":")[0]
    if stanza.method in _GIVEN:
        given = f"what {_GIVEN[stanza.method]} gives to {stanza.dev} stays with ifupdown"
        findings.leave(origin, given)
    elif stanza.method not in {"static", "manual", "loopback"}:
        findings.leave(origin, f"the method {stanza.method} stays with ifupdown: the file has no word for it")
    if stanza.method == "static":
        try:
            _say_static(stanza, dev, file, findings)
        except UnsaidError as error:
            findings.leave(origin, str(error))
    for one in stanza.options:
        place = f"{file}:{one.line}"
        if one.key in UPS:
            read_command(one.value, place, findings, priorities, stanza.dev)
        elif one.key in DOWNS:
            findings.leave(place, f"{one.key}: routed takes away what leaves its file ({one.value})")
        elif one.key not in _READ or stanza.method != "static":
            findings.leave(place, f"{one.key} {one.value} stays with ifupdown: the file has no word for it")


def _say_static(stanza: Stanza, dev: str, file: str, findings: Findings) -> None:
    """The address of a stanza, and its default route. Raises UnsaidError."""
    lines = {one.key: one.line for one in stanza.options}
    text = stanza.get("address")
    if not text:
        raise UnsaidError("it has no address")
    if "/" not in text:
        if not stanza.get("netmask"):
            raise UnsaidError(f"{text} has no netmask")
        text = f"{text}/{length_of(stanza.get('netmask'))}"
    address: Words = {"address": text, "dev": dev, "peer": stanza.get("pointopoint")}
    if stanza.family == "inet":
        address |= {"broadcast": stanza.get("broadcast"), "scope": stanza.get("scope").replace("global", "")}
        address["label"] = stanza.get("label") or (stanza.dev if ":" in stanza.dev else "")
    metric = number(stanza.get("metric")) if stanza.get("metric") else None
    findings.say("address", address, f"{file}:{lines['address']}")
    if stanza.get("gateway"):
        for gateway in stanza.get("gateway").split():
            route: Words = {"to": "default", "via": gateway, "dev": dev, "metric": metric}
            findings.say("route", route, f"{file}:{lines['gateway']}")
