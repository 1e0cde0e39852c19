"""NetworkManager's connections in the keyfile format: addresses, routes and rules.

Sources: nm-settings-keyfile(5), nm-settings(5).
"""

from __future__ import annotations

import re
from typing import Final

from routed.intent.importing.ini import IniLine, Section, read_sections
from routed.intent.importing.ip_attributes import read_metric
from routed.intent.importing.ip_words import Priorities, read_rule
from routed.intent.importing.networkd import with_length
from routed.intent.importing.rest import Rest, UnsaidError, Words, number
from routed.intent.importing.statements import Findings
from routed.model.net import IPV4, IPV6

FAMILIES: Final = {"ipv4": "ipv4", "ipv6": "ipv6"}
AUTOMATIC: Final = frozenset({"auto", "dhcp", "shared", "link-local"})
BY_DEVICE: Final = (
    "NetworkManager gives a metric by the kind of device (100 for ethernet): write `metric` where it matters"
)
_ADDRESS: Final = re.compile(r"address(es)?\d*")
_ROUTE: Final = re.compile(r"routes?\d*")
_OPTIONS: Final = re.compile(r"(routes?\d*)_options")
_RULE: Final = re.compile(r"routing-rules?\d*")
_QUIET: Final = frozenset({"method", "route-metric", "route-table", "gateway", "never-default", "may-fail"})


def parse(text: str, file: str, findings: Findings) -> None:
    """All that a connection sets."""
    sections, strays = read_sections(text)
    for line in strays:
        findings.leave(f"{file}:{line}", "it is no section and no key=value")
    connection = next((one for one in sections if one.name == "connection"), Section("connection", 0))
    dev = connection.get("interface-name")
    for section in sections:
        if section.name == "connection":
            continue
        if section.name not in FAMILIES:
            if section.settings:
                findings.leave(f"{file}:{section.line}", f"[{section.name}] stays with NetworkManager")
        elif not dev and any(one.key not in _QUIET for one in section.settings):
            why = "the connection names no interface (interface-name): write `dev` by hand"
            findings.leave(f"{file}:{section.line}", f"[{section.name}]: {why}")
        else:
            _Family(section, file, dev, findings).read()


class _Family:
    """One of ``[ipv4]`` and ``[ipv6]``."""

    def __init__(self, section: Section, file: str, dev: str, findings: Findings) -> None:
        self.section, self.file, self.dev, self.findings = section, file, dev, findings
        self.metric = self._read_default("route-metric", -1)
        self.table = self._read_default("route-table", 0)
        self.options = {match[1]: one for one in section.settings if (match := _OPTIONS.fullmatch(one.key)) is not None}
        self.priorities = Priorities()

    def _read_default(self, key: str, absent: int) -> int | str | None:
        told = number(self.section.get(key) or str(absent))
        return None if told in {absent, -1, 0} else told

    def read(self) -> None:
        """Each key in its turn."""
        has_own = False
        for one in self.section.settings:
            origin = f"{self.file}:{one.line}"
            try:
                has_own |= self._read(one, origin)
            except UnsaidError as error:
                self.findings.leave(origin, f"{one.key}: {error}")
        if self.section.get("gateway") and has_own:
            one = self.section.get_all("gateway")[-1]
            self._say_default(one.value, f"{self.file}:{one.line}")

    def _read(self, one: IniLine, origin: str) -> bool:
        """One key; does it give an address?"""
        if _ADDRESS.fullmatch(one.key):
            for text in filter(None, one.value.split(";")):
                self._say_address(text, origin)
            return True
        if _ROUTE.fullmatch(one.key):
            for text in filter(None, one.value.split(";")):
                self._say_route(one.key, text, origin)
        elif _RULE.fullmatch(one.key):
            for text in filter(None, re.split(r"[;,]", one.value)):
                family = IPV6 if self.section.name == "ipv6" else IPV4
                rule, notes = self.priorities.complete(read_rule(text.split(), family))
                self.findings.say("rule", rule, origin, *notes)
        else:
            self._leave(one, origin)
        return False

    def _say_address(self, text: str, origin: str) -> None:
        """``address/length[,gateway]``."""
        address, _, gateway = text.replace(" ", "").partition(",")
        self.findings.say("address", {"address": with_length(address), "dev": self.dev}, origin)
        if gateway and not self.section.get("gateway"):
            self._say_default(gateway, origin)

    def _leave(self, one: IniLine, origin: str) -> None:
        """What is no address, route or rule."""
        if one.key == "method" and one.value in AUTOMATIC:
            self.findings.leave(origin, f"what {one.value} gives stays with NetworkManager")
        elif one.key == "never-default" and one.value == "true":
            self.findings.leave(origin, "never-default: a gateway of it is no default route there")
        elif one.key not in _QUIET and not _OPTIONS.fullmatch(one.key):
            self.findings.leave(origin, f"{one.key}={one.value} stays with NetworkManager: the file has no word for it")

    def _say_default(self, gateway: str, origin: str) -> None:
        if self.section.get("never-default") == "true" or gateway in {"0.0.0.0", "::"}:  # noqa: S104  no address to bind to
            return
        self._say({"to": "default", "via": gateway, "dev": self.dev}, origin)

    def _say(self, route: Words, origin: str) -> None:
        notes = () if "metric" in route or self.metric is not None else (BY_DEVICE,)
        told = {"table": self.table, "metric": self.metric} | route
        ordered = {word: told[word] for word in ("to", "family", "type", "via", "dev", *told) if word in told}
        self.findings.say("route", ordered, origin, *notes)

    def _say_route(self, key: str, text: str, origin: str) -> None:
        """``destination/length[,gateway[,metric]]``, and its options."""
        to, gateway, metric = (*text.replace(" ", "").split(","), "", "")[:3]
        route: Words = {"to": "default" if to in {"0.0.0.0/0", "::/0", "default"} else to}
        if route["to"] == "default" and not gateway:
            route["family"] = self.section.name
        if gateway and gateway not in {"0.0.0.0", "::"}:  # noqa: S104  no address to bind to
            route["via"] = gateway
        if metric:
            route["metric"] = number(metric)
        if key in self.options:
            _add_options(route, self.options[key])
        if route.get("type", "unicast") not in {"blackhole", "unreachable", "prohibit", "throw"}:
            route["dev"] = self.dev
        self._say(route, origin)


def _add_options(route: Words, options: IniLine) -> None:
    """``table=120,src=192.0.2.1,mtu=1400,lock-mtu=true``. Raises UnsaidError."""
    for pair in filter(None, options.value.replace(" ", "").split(",")):
        name, _, value = pair.partition("=")
        if name.startswith("lock-"):
            route.setdefault("lock", []).append(name.removeprefix("lock-"))
        elif name in {"table", "tos"}:
            route[name] = number(value)
        elif name in {"src", "type", "from"}:
            route[name] = value
        elif name == "scope":
            route[name] = {"253": "link", "254": "host", "0": "global"}.get(value, value)
        elif name == "onlink":
            route[name] = value == "true"
        elif not read_metric(name, Rest([value]), route, is_shown=False):
            raise UnsaidError(f"its option {name}={value} has no word in the file")
    if route.get("type") == "unicast":
        del route["type"]
