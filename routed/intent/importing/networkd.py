"""systemd-networkd's ``.network`` files: addresses, routes and rules.

Source: systemd.network(5). What networkd does besides (DHCP, DNS, links) stays with it, and is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from routed.intent.importing.ini import IniLine, Section, read_sections
from routed.intent.importing.ip_neighbours import name_leg
from routed.intent.importing.ip_words import Priorities, family_of
from routed.intent.importing.rest import UnsaidError, Words, number
from routed.intent.importing.statements import Findings
from routed.model.net import IPV6

TRUE: Final = frozenset({"yes", "true", "on", "1", "y", "t"})
FROM_ELSEWHERE: Final = {"_dhcp4": "DHCP", "_ipv6ra": "a router advertisement", "_dhcp6": "DHCPv6"}
TABLES: Final = frozenset({"default", "main", "local"})
DROPS: Final = frozenset({"blackhole", "unreachable", "prohibit", "throw"})
_CALLED: Final = re.compile(r"[^A-Za-z0-9._-]+")


def is_true(value: str) -> bool:
    """A boolean of systemd."""
    return value.lower() in TRUE


def _is_true(value: str) -> Any:
    return is_true(value)


def _text(value: str) -> Any:
    return value


def _number(value: str) -> Any:
    return number(value)


def _bytes(value: str) -> Any:
    factor = {"K": 1024, "M": 1024**2, "G": 1024**3}.get(value[-1:], 1)
    told = number(value.rstrip("KMG"))
    return told * factor if isinstance(told, int) else told


def _is_forever(value: str) -> Any:
    if value in {"0", "0s"}:
        return 0
    if value in {"forever", "infinity"}:
        return None
    raise UnsaidError("it has a lifetime, which the file has no word for")


def _detection(value: str) -> Any:
    return value in {"none", "no", "ipv4"}


def _families(value: str) -> Any:
    return value.lower()


def _seconds(value: str) -> Any:
    return f"{value}s" if value.isdecimal() else value


def _preference(value: str) -> Any:
    return None if value == "medium" else value


def _group(value: str) -> Any:
    return [name_leg(leg, ":") for leg in value.split()]


# key → (word of ours, how its value becomes ours)
_OF_ADDRESSES: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "Peer": ("peer", _text), "Broadcast": ("broadcast", _text), "Label": ("label", _text),
    "PreferredLifetime": ("preferred_lft", _is_forever), "Scope": ("scope", _text), "RouteMetric": ("metric", _number),
    "AddPrefixRoute": ("noprefixroute", lambda value: not is_true(value)), "HomeAddress": ("home", _is_true),
    "DuplicateAddressDetection": ("nodad", _detection), "ManageTemporaryAddress": ("mngtmpaddr", _is_true),
    "AutoJoin": ("autojoin", _is_true),
}  # fmt: skip
_OF_ROUTES: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "Destination": ("to", _text), "Gateway": ("via", _text), "GatewayOnLink": ("onlink", _is_true),
    "Metric": ("metric", _number), "Scope": ("scope", _text), "PreferredSource": ("src", _text),
    "Table": ("table", _number), "Type": ("type", _text), "InitialCongestionWindow": ("initcwnd", _number),
    "InitialAdvertisedReceiveWindow": ("initrwnd", _number), "QuickAck": ("quickack", _is_true),
    "FastOpenNoCookie": ("fastopen_no_cookie", _is_true), "MTUBytes": ("mtu", _bytes),
    "TCPAdvertisedMaximumSegmentSize": ("advmss", _bytes), "TCPCongestionControlAlgorithm": ("congctl", _text),
    "HopLimit": ("hoplimit", _number), "Source": ("from", _text), "IPv6Preference": ("pref", _preference),
    "TCPRetransmissionTimeoutSec": ("rto_min", _seconds), "NextHop": ("nhid", _number),
}  # fmt: skip
_OF_NEXTHOPS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "Id": ("id", _number), "Gateway": ("via", _text), "OnLink": ("onlink", _is_true), "Family": ("family", _families),
    "Blackhole": ("blackhole", _is_true), "Group": ("group", _group),
}  # fmt: skip
_OF_NEIGHBOURS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "Address": ("to", _text), "LinkLayerAddress": ("lladdr", _text),
}  # fmt: skip
_OF_RULES: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "Priority": ("priority", _number), "From": ("from", _text), "To": ("to", _text), "FirewallMark": ("fwmark", _text),
    "Table": ("table", _number), "IncomingInterface": ("iif", _text), "OutgoingInterface": ("oif", _text),
    "SourcePort": ("sport", _number), "DestinationPort": ("dport", _number), "IPProtocol": ("ipproto", _text),
    "InvertRule": ("not", _is_true), "Family": ("family", _families), "User": ("uidrange", _number),
    "TypeOfService": ("tos", _number), "SuppressPrefixLength": ("suppress_prefixlength", _number),
    "SuppressInterfaceGroup": ("suppress_ifgroup", _number), "Type": ("type", _text), "GoTo": ("goto", _number),
    "L3MasterDevice": ("l3mdev", _is_true),
}  # fmt: skip
_SAID_BY_OTHERS: Final = frozenset({"Protocol"})  # what others use is not routed's, and what is has a number of its own
_OF_NETWORK: Final = frozenset({"Address", "Gateway"})
_EASY: Final = frozenset({"Description", "KeepConfiguration", "ConfigureWithoutCarrier"})


def parse(text: str, file: str, findings: Findings) -> None:
    """All that a file sets, with its drop-ins behind it."""
    sections, strays = read_sections(text)
    for line in strays:
        findings.leave(f"{file}:{line}", "it is no section and no key=value")
    dev, wanted = _choose_dev([one for one in sections if one.name == "Match"], file, findings)
    priorities = Priorities()
    for section in sections:
        origin = f"{file}:{section.line}"
        if section.name == "Match":
            continue
        if section.name not in {"Network", "RoutingPolicyRule", *_SAYS}:
            findings.leave(origin, f"[{section.name}] stays with networkd: the file has no word for it")
        elif section.name == "RoutingPolicyRule":
            _attempt(findings, origin, lambda section=section: _say_rule(section, file, findings, priorities))  # type: ignore[misc]
        elif not dev:
            findings.leave(origin, f"[{section.name}]: {wanted}")
        elif section.name == "Network":
            _say_network(section, file, dev, findings)
        else:
            say = _SAYS[section.name]
            _attempt(findings, origin, lambda say=say, section=section: say(section, file, dev, findings))  # type: ignore[misc]


def _attempt(findings: Findings, origin: str, work: Callable[[], None]) -> None:
    try:
        work()
    except UnsaidError as error:
        findings.leave(origin, str(error))


def _choose_dev(matches: Sequence[Section], file: str, findings: Findings) -> tuple[str, str]:
    """The interface as our file has it, and why there is none where it is empty."""
    settings = [one for section in matches for one in section.settings if one.value]
    keys = {one.key for one in settings}
    if not keys:
        return "", "it is for every interface (no [Match]), which the file has no word for"
    told = {key: " ".join(one.value for one in settings if one.key == key).split() for key in keys}
    names = told.get("Name", [])
    if len(keys) > 1 and not (len(names) == 1 and _is_plain(names[0])):
        return "", f"its interface has to fit {' and '.join(sorted(keys))} at once, which the file has no word for"
    for one in settings:
        if len(keys) > 1 and one.key != "Name":
            findings.leave(f"{file}:{one.line}", f"{one.key}= of [Match] is not asked: Name= decides")
    if len(names) == 1 and _is_plain(names[0]):
        return names[0], ""
    ways = {
        "Name": [match_name(name) for name in names],
        "MACAddress": [{"mac": mac} for mac in told.get("MACAddress", ())],
        "PermanentMACAddress": [{"mac": mac} for mac in told.get("PermanentMACAddress", ())],
        "Driver": [{"driver": driver} for driver in told.get("Driver", ())],
    }.get(next(iter(keys)), [])
    if not ways or any(not way for way in ways):
        return "", f"its interface is chosen by {next(iter(keys))}=, which the file has no word for"
    called = _CALLED.sub("-", PurePosixPath(file).name.removesuffix(".network"))
    note = "networkd sets up each interface that fits; here one is chosen, and it is an error if several fit"
    findings.say("interface", {"name": called, "match": ways}, f"{file}:{matches[0].line}", note)
    return f"@{called}", ""


def _is_plain(name: str) -> bool:
    return not re.search(r"[*?\[!]", name)


def match_name(name: str) -> Words:
    """How our file recognises an interface by a shell pattern of its name; nothing where it has no word for it."""
    if name.startswith("!"):
        return {}
    if _is_plain(name):
        return {"name": name}
    pattern = re.escape(name).replace(r"\*", ".*").replace(r"\?", ".").replace(r"\[", "[").replace(r"\]", "]")
    return {"regex": pattern.replace(r"\-", "-")}


def _say_network(section: Section, file: str, dev: str, findings: Findings) -> None:
    for one in section.settings:
        origin = f"{file}:{one.line}"
        if one.key in _OF_NETWORK and not one.value:
            continue
        if one.key == "Address":
            findings.say("address", {"address": with_length(one.value), "dev": dev}, origin)
        elif one.key == "Gateway" and one.value in FROM_ELSEWHERE:
            findings.leave(origin, f"the gateway is told by {FROM_ELSEWHERE[one.value]}, so networkd keeps its route")
        elif one.key == "Gateway":
            findings.say("route", {"to": "default", "via": one.value, "dev": dev}, origin)
        elif one.key not in _EASY:
            findings.leave(origin, f"{one.key}={one.value} stays with networkd: the file has no word for it")


def with_length(address: str) -> str:
    """An address without a length stands alone."""
    return address if "/" in address else f"{address}/{128 if ':' in address else 32}"


def _translate(section: Section, table: Mapping[str, tuple[str, Callable[[str], Any]]], more: frozenset[str]) -> Words:
    """The words of ours. Raises UnsaidError for the first key that has none."""
    told = Words()
    for one in section.settings:
        if one.key in more or one.key in _SAID_BY_OTHERS or not one.value:
            continue
        if one.key not in table:
            raise UnsaidError(f"it has {one.key}={one.value}, which the file has no word for")
        word, turn = table[one.key]
        told[word] = turn(one.value)
    return told


def _notes(section: Section) -> tuple[str, ...]:
    return tuple(f"Protocol={one.value} is not taken over: what is routed's carries one number"
                 for one in section.settings if one.key == "Protocol")  # fmt: skip


def _say_address(section: Section, file: str, dev: str, findings: Findings) -> None:
    address = section.get("Address")
    if not address:
        raise UnsaidError("it has no Address=")
    told = _translate(section, _OF_ADDRESSES, frozenset({"Address"}))
    if told.get("nodad") and ":" not in address:
        del told["nodad"]
    if "peer" in told:
        told["peer"] = told["peer"].partition("/")[0]
    findings.say("address", {"address": with_length(address), "dev": dev} | told, f"{file}:{section.line}")


def _say_route(section: Section, file: str, dev: str, findings: Findings) -> None:
    told = _translate(section, _OF_ROUTES, frozenset({"MultiPathRoute"}))
    if told.get("via") in FROM_ELSEWHERE:
        raise UnsaidError(f"the gateway is told by {FROM_ELSEWHERE[told['via']]}, so networkd keeps this route")
    legs = [_read_leg(one) for one in section.get_all("MultiPathRoute")]
    if told.get("to") in {"0.0.0.0/0", "::/0", None}:
        gateways = [told.get("via"), told.get("from"), *(leg["via"] for leg in legs)]
        family = family_of(told.get("to"), told.get("src"), *gateways)
        told["to"] = "default"
        if not family_of(*gateways):
            told["family"] = "ipv6" if family == IPV6 or "pref" in told else "ipv4"
    if legs:
        told["hops"] = legs
    elif told.get("type", "unicast") not in DROPS and "nhid" not in told:
        told["dev"] = dev
    if told.get("scope") == "global":
        del told["scope"]
    ordered = {word: told[word] for word in ("to", "family", "type", "via", "dev", *told) if word in told}
    findings.say("route", ordered, f"{file}:{section.line}", *_notes(section))


def _say_nexthop(section: Section, file: str, dev: str, findings: Findings) -> None:
    told = _translate(section, _OF_NEXTHOPS, frozenset())
    if "id" not in told:
        raise UnsaidError("it has no Id=, so that no route of the file could name it")
    if "via" in told or told.get("family") == "ipv4":
        told.pop("family", None)
    place = {} if "group" in told or told.get("blackhole") else {"dev": dev}
    findings.say("nexthop", told | place, f"{file}:{section.line}")


def _say_neighbour(section: Section, file: str, dev: str, findings: Findings) -> None:
    told = _translate(section, _OF_NEIGHBOURS, frozenset())
    findings.say("neighbour", told | {"dev": dev}, f"{file}:{section.line}")


_SAYS: Final[Mapping[str, Callable[[Section, str, str, Findings], None]]] = {
    "Address": _say_address,
    "Route": _say_route,
    "NextHop": _say_nexthop,
    "Neighbor": _say_neighbour,
}


def _read_leg(one: IniLine) -> Words:
    place, _, weight = one.value.partition(" ")
    via, _, dev = place.partition("@")
    leg: Words = {"via": via}
    if dev:
        leg["dev"] = dev
    return leg | ({"weight": number(weight.strip())} if weight.strip() else {})


def _say_rule(section: Section, file: str, findings: Findings, priorities: Priorities) -> None:
    told = _translate(section, _OF_RULES, frozenset())
    for word in ("from", "to"):
        if told.get(word) in {"0.0.0.0/0", "::/0"}:
            told.setdefault("family", "ipv6" if ":" in told[word] else "ipv4")
            del told[word]
    if family_of(told.get("from"), told.get("to")):
        told.pop("family", None)
    else:
        told.setdefault("family", "ipv4")
    if not told.keys() & {"table", "goto", "type", "l3mdev"} or told.get("type") == "table":
        told.setdefault("table", "main")
        told.pop("type", None)
    rule, notes = priorities.complete(told)
    findings.say("rule", rule, f"{file}:{section.line}", *notes, *_notes(section))
