"""What ``ip`` prints of routes, rules, addresses, next hops and neighbours, also with ``-json``, and scripts of ``ip``.

Sources: ip-route(8), ip-rule(8); print_route in ip/iproute.c, print_rule in ip/iprule.c and print_addrinfo in
ip/ipaddress.c of iproute2, which name the keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from routed.intent.importing import encap_words
from routed.intent.importing.commands import read_command
from routed.intent.importing.ip_attributes import spread_metrics
from routed.intent.importing.ip_neighbours import FORGOTTEN, STATES, read_neighbour, read_nexthop
from routed.intent.importing.ip_words import Priorities, read_address, read_route, read_rule, refuse_kept
from routed.intent.importing.rest import KeptError, UnsaidError, Words
from routed.intent.importing.statements import Findings
from routed.intent.importing.whose import BY_KERNEL
from routed.model import names
from routed.model.attributes import METRICS

_COMMAND: Final = re.compile(r"(\S*/)?(ip|route)\s")
_RULE: Final = re.compile(r"\d+:\s+(from|not)\s")
_LINK: Final = re.compile(r"\d+:\s+\S+\s+(<|inet6?\s)")
# of a route, read by themselves
_SEVERAL: Final = frozenset({"metrics", "nexthops", "flags", "type", "dst", "via", "gateway", "encap"})
# Keys of JSON that are said otherwise in words, and those that only tell of the moment.
_OF_ROUTES: Final = {"prefsrc": "src", "protocol": "proto", "gateway": "via"}
_MOMENT: Final = frozenset({"cache", "used", "age", "uid", "error", "age_ms", "nh_info"})
_OF_ADDRESSES: Final = {
    "address": "peer",
    "broadcast": "brd",
    "scope": "scope",
    "metric": "metric",
    "protocol": "proto",
}
# (word, key of its second part, what stands between them)
_PARTS_OF_RULES: Final = (
    ("src", "srclen", "/"), ("dst", "dstlen", "/"), ("fwmark", "fwmask", "/"), ("dscp", "dscp_mask", "/"),
    ("flowlabel", "flowlabel_mask", "/"), ("sport", "sport_mask", "/"), ("dport", "dport_mask", "/"),
    ("sport", "sport_end", "-"), ("dport", "dport_end", "-"), ("uid", "uid_end", "-"),
)  # fmt: skip
_OF_RULES: Final = {"uid": "uidrange", "src": "from", "dst": "to", "protocol": "proto"}


def parse(text: str, file: str, findings: Findings) -> None:
    """All that a text or JSON has."""
    if text.lstrip().startswith("["):
        _parse_json(text, file, findings)
        return
    priorities = Priorities()
    for line, words in _join_lines(text):
        origin = f"{file}:{line}"
        if _COMMAND.match(words + " "):
            read_command(words, origin, findings, priorities)
            continue
        words = words.replace("\\", " ")  # noqa: PLW2901  ip -oneline writes one for each line
        if _LINK.match(words):
            for dev, told in _split_addresses(words.split()):
                _read(_Shown("address", (*told, "dev", dev)), f"{origin}: address {told[0]}", findings)
        else:
            shown = _recognise(words.split())
            _read(shown, f"{origin}: {shown.table} {shown.called}", findings, line=f"{origin}: {words}")


class _Shown(NamedTuple):
    """One statement as the kernel has it, in words of ``ip``."""

    table: str
    words: Sequence[str]
    called: str = ""
    is_sure: bool = True  # is its family known?
    family: int = 0


def _recognise(words: Sequence[str]) -> _Shown:
    if _RULE.match(" ".join(words)):
        return _Shown("rule", words, words[0].removesuffix(":"), is_sure=False)
    if words[0] == "id":
        return _Shown("nexthop", words, words[1] if len(words) > 1 else "")
    if "proxy" in words or not STATES.isdisjoint(words):
        return _Shown("neighbour", words, words[0])
    return _Shown("route", words, words[0])


def _split_addresses(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The interface and the words of each address of it. The last one before the lifetimes is no word but its label."""
    dev, of_one = words[1].removesuffix(":").partition("@")[0], list[str]()
    for word in (*words[2:], "inet"):
        if word in {"inet", "inet6"}:
            if of_one:
                yield dev, list(_name_label(of_one, dev))
            of_one = [""]
        elif of_one:
            of_one = [word] if of_one == [""] else [*of_one, word]


def _name_label(words: Sequence[str], dev: str) -> Iterator[str]:
    at = words.index("valid_lft") if "valid_lft" in words else len(words)
    is_labelled = at > 1 and "." in words[0] and ":" not in words[0]
    yield from words[: at - 1 if is_labelled else at]
    if is_labelled and words[at - 1] != dev:
        yield from ("label", words[at - 1])
    yield from words[at:]


def _read(shown: _Shown, origin: str, findings: Findings, line: str = "", *notes: str) -> None:
    """``line`` is how it is called where it is not understood."""
    try:
        told, protocol = _READERS[shown.table](shown)
        refuse_kept(protocol or "boot", told)
    except KeptError as error:
        findings.leave(origin, str(error), is_usual=str(error) in _USUAL)
    except UnsaidError as error:
        findings.leave(line or origin, str(error))
    else:
        locks = notes if told.keys() & METRICS.keys() else ()
        is_doubtful = not shown.is_sure and "family" in told
        is_doubtful |= shown.table == "nexthop" and told.keys().isdisjoint(("via", "group"))
        _say(findings, shown.table, told, line or origin, *locks, is_sure=not is_doubtful)


_USUAL: Final = frozenset({BY_KERNEL, FORGOTTEN})
_READERS: Final[Mapping[str, Callable[[_Shown], tuple[Words, str]]]] = {
    "address": lambda it: (read_address(it.words, is_shown=True), ""),
    "neighbour": lambda it: read_neighbour(it.words, is_shown=True),
    "nexthop": lambda it: read_nexthop(it.words, it.family),
    "route": lambda it: (read_route(it.words, is_shown=True), ""),
    "rule": lambda it: (read_rule(it.words, is_shown=True), ""),
}


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
        things = json.loads(text, object_pairs_hook=encap_words.split_pairs)
    except ValueError as error:
        findings.leave(file, f"it is no JSON: {error}")
        return
    for at, thing in enumerate(things, 1):
        origin = f"{file}: number {at}"
        if thing == {}:  # ip prints one where its filter took something out
            continue
        try:
            every = list(_spread(thing))
        except (AttributeError, KeyError, TypeError, ValueError):
            findings.leave(origin, "it is not of the form that ip prints")
            continue
        for shown in every:
            called = f"{origin}: {shown.called}" if shown.called else origin
            _read(shown, called, findings, "", "ip -json does not tell which metrics are locked")


def _spread(thing: Mapping[str, Any]) -> Iterator[_Shown]:
    """Each statement in one object."""
    if "addr_info" in thing:
        for one in thing["addr_info"]:
            yield _Shown("address", _address_words(one, thing.get("ifname", "")), str(one.get("local", "")))
    elif "priority" in thing and "type" not in thing and ("src" in thing or "table" in thing or "action" in thing):
        is_sure = ":" in str(thing.get("src", "")) + str(thing.get("dst", ""))
        yield _Shown("rule", _rule_words(thing), is_sure=is_sure)
    elif "id" in thing and "dst" not in thing:
        yield _Shown("nexthop", _nexthop_words(thing), str(thing["id"]))
    elif "proxy" in thing or "lladdr" in thing or "state" in thing:
        yield _Shown("neighbour", _neighbour_words(thing), str(thing.get("dst", "")))
    else:
        yield _Shown("route", _route_words(thing), str(thing.get("dst", "")))


def _nexthop_words(thing: Mapping[str, Any]) -> list[str]:
    words = ["id", str(thing["id"]), *encap_words.list_words(thing), *_gateway_words(thing), *_flag_words(thing)]
    if legs := thing.get("group"):
        words += ["group", "/".join(f"{leg['id']},{leg.get('weight', 1)}" for leg in legs)]
    for key, item in {**thing, **thing.get("resilient_args", {})}.items():
        if item is None:
            words.append(key)
        elif key not in {"id", "gateway", "via", "group", "flags", "resilient_args", "encap"}:
            words += [key, str(item)]
    return words


def _neighbour_words(thing: Mapping[str, Any]) -> list[str]:
    words = [str(thing.get("dst", "")), *thing.get("state", ())]
    for key, item in thing.items():
        if key not in {"dst", "state"} | _MOMENT:
            words += [key, *([] if item is None else [str(item)])]
    return words


def _route_words(thing: Mapping[str, Any]) -> list[str]:
    words = [thing["type"]] if "type" in thing else []
    words += [str(thing.get("dst", "")), *encap_words.list_words(thing), *_gateway_words(thing)]
    for key, item in thing.items():
        if key == "metrics":
            words += [word for metrics in item for word in spread_metrics(metrics)]
        elif key == "flow":
            words += _realm_words(item)
        elif key == "nexthops":
            for leg in item:
                words += ["nexthop", *encap_words.list_words(leg), *_gateway_words(leg)]
                words += ["dev", str(leg.get("dev", "")), "weight"]
                words += [str(leg.get("weight", 1)), *_flag_words(leg), *_realm_words(leg.get("flow", {}))]
        elif key not in _SEVERAL and key not in _MOMENT:
            words += [_OF_ROUTES.get(key, key), str(item)]
    return words + _flag_words(thing)


def _gateway_words(thing: Mapping[str, Any]) -> list[str]:
    via = thing.get("via")
    gateway = via.get("host", "") if isinstance(via, dict) else thing.get("gateway", "")
    return ["via", str(gateway)] if gateway else []


def _realm_words(flow: Mapping[str, Any]) -> list[str]:
    both = [str(flow[end]) for end in ("from", "to") if end in flow]
    return ["realms", "/".join(both)] if both else []


def _flag_words(thing: Mapping[str, Any]) -> list[str]:
    return [flag for flag in thing.get("flags", ()) if flag == "onlink"]


def _rule_words(thing: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    given = _join_parts(thing)
    for key, item in given.items():
        if key == "action":
            words.append(str(item))
        elif key.endswith(("_detached", "_unresolved")) or key in {"unresolved", "family"}:
            continue
        else:
            words += [_OF_RULES.get(key, key), *([] if item is None or item is True else [str(item)])]
    return words


def _join_parts(thing: Mapping[str, Any]) -> dict[str, Any]:
    """A rule with one key for each word, of which JSON has several for some."""
    given = dict(thing)
    for name, behind, sign in _PARTS_OF_RULES:
        if behind in given:
            start = f"{name}_start" if sign == "-" else name
            given[name] = f"{given.pop(start, 0)}{sign}{given.pop(behind)}"
    if "flow_to" in given:
        given["realms"] = "/".join(str(given.pop(end)) for end in ("flow_from", "flow_to") if end in given)
    return given


def _address_words(one: Mapping[str, Any], dev: str) -> list[str]:
    words = [f"{one.get('local', '')}/{one.get('prefixlen', '')}", "dev", dev]
    label = one.get("label", dev)
    for key, word in _OF_ADDRESSES.items():
        if key in one:
            words += [word, str(one[key])]
    words += ["label", label] if label != dev else []
    words += [flag for flag in names.ADDRESS_FLAGS if one.get(flag)]
    return words + [word for word in ("dynamic", "temporary", "deprecated") if one.get(word)]
