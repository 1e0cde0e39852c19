"""What ``ip`` prints: ``ip route show``, ``ip rule show``, both with ``-json``, and scripts of ``ip`` commands.

Sources: ip-route(8), ip-rule(8); print_route in ip/iproute.c, print_rule in ip/iprule.c and print_addrinfo in
ip/ipaddress.c of iproute2, which name the keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from routed.intent.importing.commands import read_command
from routed.intent.importing.ip_words import (
    KeptError,
    Priorities,
    UnsaidError,
    Words,
    read_address,
    read_route,
    read_rule,
)
from routed.intent.importing.statements import Findings
from routed.intent.importing.whose import BY_KERNEL
from routed.model import names
from routed.model.attributes import METRICS

_COMMAND: Final = re.compile(r"(\S*/)?(ip|route)\s")
_RULE: Final = re.compile(r"\d+:\s")
_SEVERAL: Final = {"metrics", "nexthops", "flags", "type", "dst", "via", "gateway"}  # of a route, read by themselves
# Keys of JSON that are said otherwise in words, and those that only tell of the moment.
_OF_ROUTES: Final = {"prefsrc": "src", "protocol": "proto", "gateway": "via"}
_MOMENT: Final = frozenset({"cache", "used", "age", "uid", "error", "age_ms"})
_OF_RULES: Final = {"src": "from", "dst": "to", "protocol": "proto"}


def parse(text: str, file: str, findings: Findings) -> None:
    """All routes, rules and addresses of a text or of JSON."""
    if text.lstrip().startswith("["):
        _parse_json(text, file, findings)
        return
    priorities = Priorities()
    for line, words in _join_lines(text):
        origin, first = f"{file}:{line}", words.split(maxsplit=1)[0]
        if _COMMAND.match(words + " "):
            read_command(words, origin, findings, priorities)
            continue
        table = "rule" if _RULE.match(words) else "route"
        called = f"{table} {first.removesuffix(':') if table == 'rule' else first}"
        try:
            read = read_rule if table == "rule" else read_route
            told = read(words.split(), is_shown=True)
        except KeptError as error:
            findings.leave(f"{origin}: {called}", str(error), is_usual=str(error) == BY_KERNEL)
        except UnsaidError as error:
            findings.leave(f"{origin}: {words}", str(error))
        else:
            _say(findings, table, told, origin, is_sure=table == "route" or "family" not in told)


def _say(findings: Findings, table: str, told: Words, origin: str, *notes: str, is_sure: bool) -> None:
    doubts = () if is_sure else ("the text does not say the family: it is taken for IPv4",)
    findings.say(table, told, origin, *notes, *doubts)


def _join_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each statement with its first line: what is indented goes on, and so does what ends with a backslash."""
    start, joined = 0, ""
    for at, line in enumerate(text.splitlines(), 1):
        plain = line.partition(" #")[0].rstrip()
        if not plain.strip() or plain.lstrip().startswith("#"):
            continue
        if joined and (line[:1].isspace() or joined.endswith("\\")):
            joined = f"{joined.removesuffix(chr(92)).rstrip()} {plain.strip()}"
            continue
        if joined:
            yield start, joined
        start, joined = at, plain.strip()
    if joined:
        yield start, joined.removesuffix("\\")


def _parse_json(text: str, file: str, findings: Findings) -> None:
    try:
        things = json.loads(text)
    except ValueError as error:
        findings.leave(file, f"it is no JSON: {error}")
        return
    for at, thing in enumerate(things, 1):
        origin = f"{file}: number {at}"
        if thing == {}:  # ip prints one where its filter took something out
            continue
        try:
            spread = list(_spread(thing, origin))
        except (AttributeError, KeyError, TypeError, ValueError):
            findings.leave(origin, "it is not of the form that ip prints")
            continue
        for table, words, is_sure, called in spread:
            _read_json(table, words, called, findings, is_sure=is_sure)


def _spread(thing: Mapping[str, Any], origin: str) -> Iterator[tuple[str, Sequence[str], bool, str]]:
    """(table, words of ``ip``, is its family known, origin) of each statement in one object."""
    if "addr_info" in thing:
        for one in thing["addr_info"]:
            yield "address", _address_words(one, thing.get("ifname", "")), True, f"{origin}: {one.get('local', '')}"
    elif "priority" in thing and "type" not in thing and ("src" in thing or "table" in thing or "action" in thing):
        words = _rule_words(thing)
        yield "rule", words, ":" in str(thing.get("src", "")) + str(thing.get("dst", "")), origin
    else:
        yield "route", _route_words(thing), True, f"{origin}: {thing.get('dst', '')}"


def _read_json(table: str, words: Sequence[str], origin: str, findings: Findings, *, is_sure: bool) -> None:
    try:
        if table == "address":
            if "dynamic" in words:
                raise KeptError("it has a lifetime: DHCP or a router advertisement made it")
            told = read_address([word for word in words if word != "dynamic"])
            if told["address"].startswith(("127.", "::1/", "fe80:")):
                raise KeptError(BY_KERNEL)
        else:
            told = (read_rule if table == "rule" else read_route)(words, is_shown=True)
    except UnsaidError as error:
        findings.leave(origin, str(error), is_usual=str(error) == BY_KERNEL)
    else:
        locks = ("ip -json does not tell which metrics are locked",) if told.keys() & METRICS.keys() else ()
        _say(findings, table, told, origin, *locks, is_sure=is_sure or "family" not in told)


def _route_words(thing: Mapping[str, Any]) -> list[str]:
    words = [thing["type"]] if "type" in thing else []
    words += [str(thing.get("dst", "")), *_gateway_words(thing)]
    for key, item in thing.items():
        if key == "metrics":
            words += [word for metrics in item for name, amount in metrics.items() for word in (name, str(amount))]
        elif key == "nexthops":
            for leg in item:
                words += ["nexthop", *_gateway_words(leg), "dev", str(leg.get("dev", "")), "weight"]
                words += [str(leg.get("weight", 1)), *_flag_words(leg)]
        elif key not in _SEVERAL and key not in _MOMENT:
            words += [_OF_ROUTES.get(key, key), str(item)]
    return words + _flag_words(thing)


def _gateway_words(thing: Mapping[str, Any]) -> list[str]:
    via = thing.get("via")
    gateway = via.get("host", "") if isinstance(via, dict) else thing.get("gateway", "")
    return ["via", str(gateway)] if gateway else []


def _flag_words(thing: Mapping[str, Any]) -> list[str]:
    return [flag for flag in thing.get("flags", ()) if flag == "onlink"]


def _rule_words(thing: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    given = dict(thing)
    for name, key in (("src", "srclen"), ("dst", "dstlen")):
        if key in given:
            given[name] = f"{given[name]}/{given.pop(key)}"
    if "fwmask" in given:
        given["fwmark"] = f"{given.get('fwmark', 0)}/{given.pop('fwmask')}"
    for name, low, high in (("sport", "sport_start", "sport_end"), ("dport", "dport_start", "dport_end"),
                            ("uidrange", "uid_start", "uid_end")):  # fmt: skip
        if low in given:
            given[name] = f"{given.pop(low)}-{given.pop(high)}"
    for key, item in given.items():
        if key == "action":
            words.append(str(item))
        elif key.endswith(("_detached", "_unresolved")) or key in {"unresolved", "family"}:
            continue
        else:
            words += [_OF_RULES.get(key, key), *([] if item is None or item is True else [str(item)])]
    return words


def _address_words(one: Mapping[str, Any], dev: str) -> list[str]:
    words = [f"{one.get('local', '')}/{one.get('prefixlen', '')}", "dev", dev]
    label = one.get("label", dev)
    for key, word in (("address", "peer"), ("broadcast", "brd"), ("scope", "scope"), ("metric", "metric")):
        if key in one:
            words += [word, str(one[key])]
    words += ["label", label] if label != dev else []
    words += [flag for flag in names.ADDRESS_FLAGS if one.get(flag)]
    words += ["dynamic"] if one.get("dynamic") else []
    return words + (["preferred_lft", "0"] if one.get("deprecated") else [])
