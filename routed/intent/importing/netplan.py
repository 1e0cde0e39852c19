"""netplan's YAML: addresses, routes and rules.

Source: netplan(5). YAML is read by PyYAML, which is imported only here and only when such a file is asked for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from routed.intent.importing.ip_words import Priorities, family_of
from routed.intent.importing.networkd import DROPS, match_name, with_length
from routed.intent.importing.rest import UnsaidError, Words, number
from routed.intent.importing.statements import Findings

KINDS: Final = ("ethernets", "wifis", "modems", "bonds", "bridges", "vlans", "tunnels", "vrfs", "dummy-devices",
                "virtual-ethernets", "nm-devices")  # fmt: skip
MISSING: Final = (
    "netplan's files are YAML, and PyYAML is not here: apt install python3-yaml, or pip install 'routed[netplan]'"
)
DEBIAN: Final = Path("/usr/lib/python3/dist-packages")  # of python3-yaml, which the path of our package leaves out
GIVEN: Final = {"dhcp4": "DHCP", "dhcp6": "DHCPv6", "accept-ra": "router advertisements"}
_ROUTE: Final = {
    "to": "to", "via": "via", "from": "src", "on-link": "onlink", "metric": "metric", "type": "type", "scope": "scope",
    "table": "table", "mtu": "mtu", "congestion-window": "initcwnd", "advertised-receive-window": "initrwnd",
    "advertised-mss": "advmss",
}  # fmt: skip
_RULE: Final = {
    "from": "from", "to": "to", "table": "table", "priority": "priority", "mark": "fwmark", "type-of-service": "tos",
}  # fmt: skip
_ON_A_LINK: Final = frozenset({"addresses", "routes", "gateway4", "gateway6"})
_QUIET: Final = frozenset({"match", "set-name", "renderer", "optional", *GIVEN})
_TRUE: Final = frozenset({"true", "yes", "on", "y"})

YamlNode = Any  # of PyYAML


class NoYamlError(Exception):
    """PyYAML is not there. ``str`` says what to install."""


def parse(text: str, file: str, findings: Findings) -> None:
    """All that a file sets. Raises NoYamlError."""
    yaml = _load_library()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        findings.leave(file, f"it is no YAML: {' '.join(str(error).split())}")
        return
    network = next((value for key, _, value in _items(root) if key == "network"), None)
    priorities = Priorities()
    for kind, line, devices in _items(network):
        if kind in {"version", "renderer"}:
            continue
        if kind not in KINDS:
            findings.leave(f"{file}:{line}", f"{kind} stays with netplan: the file has no word for it")
            continue
        for name, at, device in _items(devices):
            _say_device(kind, name, at, device, file, findings, priorities)


def _load_library() -> Any:
    """PyYAML; the package of Debian takes it, alone, from the libraries of its host. Raises NoYamlError."""
    with suppress(ModuleNotFoundError):
        return import_module("yaml")
    sys.path.append(str(DEBIAN))
    try:
        return import_module("yaml")
    except ModuleNotFoundError:
        raise NoYamlError(MISSING) from None
    finally:
        sys.path.remove(str(DEBIAN))


def _items(node: YamlNode) -> Iterator[tuple[str, int, YamlNode]]:
    """The keys of a mapping, each with its line from 1."""
    if node is not None and node.id == "mapping":
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, value


def _list(node: YamlNode) -> list[YamlNode]:
    return list(node.value) if node is not None and node.id == "sequence" else []


def _find(node: YamlNode, key: str) -> YamlNode | None:
    return next((value for name, _, value in _items(node) if name == key), None)


def _line(node: YamlNode) -> int:
    return int(node.start_mark.line) + 1


def _say_device(
    kind: str, name: str, line: int, device: YamlNode, file: str, findings: Findings, priorities: Priorities
) -> None:
    dev, wanted = _choose_dev(name, device, f"{file}:{line}", findings)
    if kind == "vrfs":
        findings.leave(f"{file}:{line}", f"the VRF {name} stays with netplan, and so does what is in its table")
        return
    if kind not in {"ethernets", "wifis", "modems", "nm-devices"}:
        findings.leave(f"{file}:{line}", f"netplan makes {name}: the file has no word for it, but for what is on it")
    for key, at, value in _items(device):
        origin = f"{file}:{at}"
        if key == "routing-policy":
            _each(value, file, findings, lambda one, place: _say_rule(one, place, findings, priorities))
        elif key in GIVEN and str(value.value).lower() in _TRUE:
            findings.leave(origin, f"what {GIVEN[key]} gives to {name} stays with netplan")
        elif key in _ON_A_LINK and not dev:
            findings.leave(origin, f"{key} of {name}: {wanted}")
        elif key in _ON_A_LINK:
            _say_on_a_link(key, value, dev, file, origin, findings)
        elif key not in _QUIET:
            findings.leave(origin, f"{key} of {name} stays with netplan: the file has no word for it")


def _say_on_a_link(key: str, value: YamlNode, dev: str, file: str, origin: str, findings: Findings) -> None:
    if key == "addresses":
        _each(value, file, findings, lambda one, place: _say_address(one, dev, place, findings))
    elif key == "routes":
        _each(value, file, findings, lambda one, place: _say_route(one, dev, place, findings))
    else:
        findings.say("route", {"to": "default", "via": str(value.value), "dev": dev}, origin)


def _each(value: YamlNode, file: str, findings: Findings, say: Callable[[YamlNode, str], None]) -> None:
    for one in _list(value):
        place = f"{file}:{_line(one)}"
        try:
            say(one, place)
        except UnsaidError as error:
            findings.leave(place, str(error))


def _choose_dev(name: str, device: YamlNode, origin: str, findings: Findings) -> tuple[str, str]:
    """The interface as our file has it, and why there is none where it is empty."""
    match, new_name = _find(device, "match"), _find(device, "set-name")
    if new_name is not None:
        return str(new_name.value), ""
    if match is None:
        return name, ""
    asked = {key: [str(one.value) for one in (_list(value) or [value])] for key, _, value in _items(match)}
    if len(asked) != 1:
        return "", f"its interface has to fit {' and '.join(sorted(asked))} at once, which the file has no word for"
    ((key, values),) = asked.items()
    if key == "name" and len(values) == 1 and not re.search(r"[*?\[!]", values[0]):
        return values[0], ""
    words = {"macaddress": "mac", "driver": "driver"}
    ways = [match_name(text) if key == "name" else {words[key]: text} for text in values if key in {"name", *words}]
    if not ways or any(not way for way in ways):
        return "", f"its interface is chosen by {key}, which the file has no word for"
    note = "netplan sets up each interface that fits; here one is chosen, and it is an error if several fit"
    findings.say("interface", {"name": name, "match": ways}, origin, note)
    return f"@{name}", ""


def _say_address(one: YamlNode, dev: str, origin: str, findings: Findings) -> None:
    if one.id == "scalar":
        findings.say("address", {"address": with_length(str(one.value)), "dev": dev}, origin)
        return
    for address, _, options in _items(one):
        told: Words = {"address": with_length(address), "dev": dev}
        for key, _, value in _items(options):
            if key == "label":
                told["label"] = str(value.value)
            elif key == "lifetime" and str(value.value) in {"0", "forever"}:
                told |= {"preferred_lft": 0} if str(value.value) == "0" else {}
            else:
                raise UnsaidError(f"it has {key}, which the file has no word for")
        findings.say("address", told, origin)


def _translate(one: YamlNode, words: Mapping[str, str]) -> Words:
    told: Words = {}
    for key, _, value in _items(one):
        if key not in words:
            raise UnsaidError(f"it has {key}, which the file has no word for")
        text = str(value.value)
        told[words[key]] = text.lower() in _TRUE if key == "on-link" else text
    return told


def _say_route(one: YamlNode, dev: str, origin: str, findings: Findings) -> None:
    told = _translate(one, _ROUTE)
    for word in ("metric", "table", "mtu", "initcwnd", "initrwnd", "advmss"):
        if word in told:
            told[word] = number(told[word])
    if told.get("to") in {"0.0.0.0/0", "::/0", "default", None}:
        family = family_of(told.get("via"), told.get("src"), told.get("to"))
        told["to"] = "default"
        if not family_of(told.get("via")):
            told["family"] = "ipv6" if family == 10 else "ipv4"
    if told.get("scope") == "global":
        del told["scope"]
    if told.get("type") == "unicast":
        del told["type"]
    if told.get("type") not in DROPS:
        told["dev"] = dev
    ordered = {word: told[word] for word in ("to", "family", "type", "via", "dev", *told) if word in told}
    findings.say("route", ordered, origin)


def _say_rule(one: YamlNode, origin: str, findings: Findings, priorities: Priorities) -> None:
    told = _translate(one, _RULE)
    for word in ("table", "priority", "tos"):
        if word in told:
            told[word] = number(told[word])
    for word in ("from", "to"):
        if told.get(word) in {"0.0.0.0/0", "::/0", "all"}:
            told["family"] = "ipv6" if ":" in told.pop(word) else "ipv4"
    if family_of(told.get("from"), told.get("to")):
        told.pop("family", None)
    else:
        told.setdefault("family", "ipv4")
    told.setdefault("table", "main")
    rule, notes = priorities.complete(told)
    findings.say("rule", rule, origin, *notes)
