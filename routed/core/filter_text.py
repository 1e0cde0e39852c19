"""Chains of packet filters from what their tools print: ``nft -j list ruleset``, ``iptables-save``.

What is not understood becomes a test that nobody can answer, never a guess. Here must never live: running a tool
(``daemon.firewalls``).
Source: libnftables-json(5), iptables-save(8).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from shlex import split
from typing import Any, Final, TypeAlias

from routed.model.filters import UNKNOWN, Fate, FilterChain, FilterRule, Interval, Operand, Ruleset, Test
from routed.model.names import IP_PROTOCOLS
from routed.model.net import host_prefix, network_of, parse_address

PROTOCOLS: Final = {name: number for number, name in IP_PROTOCOLS.items()} | {"ipip": 4, "ipv4": 4, "icmpv6": 58}
SERVICES: Final = {"ssh": 22, "domain": 53, "http": 80, "https": 443}
FAMILIES: Final = frozenset({"ip", "ip6", "inet"})
_FATES: Final = {"accept": Fate.ACCEPT, "drop": Fate.DROP, "reject": Fate.DROP, "return": Fate.LEAVE}
_NEUTRAL: Final = frozenset({"counter", "log", "comment", "notrack", "mangle", "meter"})
_PORTS: Final = frozenset({"sport", "dport"})
_TRANSPORTS: Final = {"tcp": 6, "udp": 17, "sctp": 132}
_LINKS: Final = {"iif": "iif", "iifname": "iif", "oif": "oif", "oifname": "oif"}

NftJson = dict[str, Any]


def read_nft(document: NftJson) -> list[FilterChain]:
    """The chains of a document of nft. Raises LookupError, TypeError, ValueError or AttributeError for another one."""
    chains: dict[tuple[str, str, str], NftJson] = {}
    rules: defaultdict[tuple[str, str, str], list[FilterRule]] = defaultdict(list)
    sets: dict[tuple[str, str, str], NftJson] = {}
    for item in document["nftables"]:
        for what, one in item.items():
            if what == "chain":
                chains[one["family"], one["table"], one["name"]] = one
            elif what in {"set", "map"}:
                sets[one["family"], one["table"], one["name"]] = one
    for item in document["nftables"]:
        one = item.get("rule")
        if one is not None:
            family, table, chain = one["family"], one["table"], one["chain"]
            rules[family, table, chain] += _read_rule(
                one, {key[2]: it for key, it in sets.items() if key[:2] == (family, table)}
            )
    return [
        FilterChain(
            *place,
            hook=one.get("hook", "") if one.get("type") != "nat" else "",
            policy=_FATES[one.get("policy", "accept")],
            rules=tuple(rules[place]),
        )
        for place, one in chains.items()
        if place[0] in FAMILIES
    ]


Sets: TypeAlias = Mapping[str, NftJson]  # of one table, by their names


def _read_rule(rule: NftJson, sets: Sets) -> Iterator[FilterRule]:
    """The rule; of a verdict map each of its elements is one."""
    tests: list[Test] = []
    handle = rule.get("handle", 0)
    for statement in rule.get("expr", []):
        ((what, content),) = statement.items()
        if what == "match":
            tests += _read_match(content, sets)
        elif what == "vmap":
            yield from _read_map(content, tests, sets, handle)
        elif (end := _read_verdict(what, content)) is not None:
            yield end._replace(tests=tuple(tests), handle=handle)
            return
        elif what not in _NEUTRAL:
            tests.append(UNKNOWN)


def _read_verdict(what: str, content: Any) -> FilterRule | None:
    if what in _FATES:
        return FilterRule(fate=_FATES[what])
    if what in {"jump", "goto"}:
        return FilterRule(jump=content["target"], is_final=what == "goto")
    return None


def _read_map(content: NftJson, tests: Sequence[Test], sets: Sets, handle: int) -> Iterator[FilterRule]:
    data = content["data"]
    elements = (sets.get(data.removeprefix("@")) or {}).get("elem") if isinstance(data, str) else data.get("set")
    if elements is None:
        yield FilterRule((*tests, UNKNOWN), Fate.ACCEPT, handle=handle)
        return
    for key, verdict in elements:
        asked = _read_match({"op": "==", "left": content["key"], "right": key}, sets)
        ((what, target),) = verdict.items() if isinstance(verdict, dict) else ((str(verdict), None),)
        end = _read_verdict(what, target)
        if end is not None:
            yield end._replace(tests=(*tests, *asked), handle=handle)


def _read_match(content: NftJson, sets: Sets) -> list[Test]:
    name, more = _name_field(content.get("left"))
    right = content.get("right")
    if isinstance(right, str) and right.startswith("@"):
        right = {"set": (sets.get(right[1:]) or {}).get("elem")}
    choices = _read_choices(name, right)
    if not name or choices is None or content.get("op") not in {"==", "!=", "in"}:
        return [*more, UNKNOWN]
    return [*more, Test(name, tuple(choices), is_negated=content["op"] == "!=")]


_IP4, _IP6 = Test("family", ("ip",)), Test("family", ("ip6",))
# What is asked for, by its name in nft → the field of a test, and what is asked along with it.
_FIELDS: Final[Mapping[str, tuple[str, tuple[Test, ...]]]] = {
    "ip.saddr": ("saddr", (_IP4,)),
    "ip.daddr": ("daddr", (_IP4,)),
    "ip.protocol": ("protocol", (_IP4,)),
    "ip6.saddr": ("saddr", (_IP6,)),
    "ip6.daddr": ("daddr", (_IP6,)),
    "ip6.nexthdr": ("protocol", (_IP6,)),
    "meta.l4proto": ("protocol", ()),
    "meta.nfproto": ("family", ()),
    "meta.protocol": ("family", ()),
    "ct.state": ("state", ()),
    "ct.status": ("status", ()),
    "th.sport": ("sport", ()),
    "th.dport": ("dport", ()),
    **{f"meta.{key}": (field, ()) for key, field in _LINKS.items()},
    **{
        f"{name}.{port}": (port, (Test("protocol", (number,)),))
        for name, number in _TRANSPORTS.items()
        for port in ("sport", "dport")
    },
}


def _name_field(left: Any) -> tuple[str, tuple[Test, ...]]:
    """The field that is asked for, and what is asked along with it."""
    if not isinstance(left, dict):
        return "", ()
    ((what, content),) = left.items()
    if what == "payload":
        protocol = content.get("protocol")
        along = (Test("protocol", (PROTOCOLS[protocol],)),) if protocol in PROTOCOLS else ()
        return _FIELDS.get(f"{protocol}.{content.get('field')}", ("", along))
    return _FIELDS.get(f"{what}.{content.get('key')}" if isinstance(content, dict) else "", ("", ()))


_FAMILY_NAMES: Final = {"ipv4": "ip", "ipv6": "ip6", "ip": "ip", "ip6": "ip6"}


def _read_choices(name: str, right: Any) -> list[Operand] | None:
    """None for what is not understood."""
    each = right.get("set") if isinstance(right, dict) and "set" in right else right
    found = [_read_choice(name, one) for one in (each if isinstance(each, list) else [each])]
    return None if None in found else [one for one in found if one is not None]


def _read_choice(name: str, one: Any) -> Operand | None:
    if isinstance(one, dict) and "elem" in one:  # with a counter or a time-out
        one = one["elem"].get("val")
    if isinstance(one, dict) and "range" in one:
        ends = [_read_choice(name, end) for end in one["range"]]
        first, last = ends
        return Interval(first, last) if isinstance(first, int) and isinstance(last, int) else None
    try:
        if name in {"saddr", "daddr"}:
            if isinstance(one, dict):
                return network_of(parse_address(one["prefix"]["addr"]), one["prefix"]["len"])
            return host_prefix(parse_address(one))
        if name == "protocol":
            return one if isinstance(one, int) else PROTOCOLS[one]
        if name in _PORTS:
            return one if isinstance(one, int) else SERVICES[one]
        if name == "family":
            return _FAMILY_NAMES[one]
    except (LookupError, TypeError, ValueError):
        return None
    return one if isinstance(one, str) else None


def find_front_end(chains: Iterable[FilterChain]) -> str:
    """Who made these chains, as far as one of the known front ends did."""
    places = {(one.table, one.name) for one in chains}
    if any(table == "firewalld" for table, _ in places):
        return "firewalld"
    return "ufw" if any(name in {"ufw-user-input", "ufw-before-input"} for _, name in places) else ""


def join_chains(*groups: Iterable[FilterChain]) -> Ruleset:
    """One rule set; what a later tool shows of a place counts in place of what an earlier one did."""
    found = {one.place: one for group in groups for one in group}
    chains = tuple(found.values())
    return Ruleset.of(chains, find_front_end(chains))


# --- iptables-save ----------------------------------------------------------------------------------------------------

_HOOKS: Final = {
    "PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward", "OUTPUT": "output",
    "POSTROUTING": "postrouting",
}  # fmt: skip
# Targets behind which a packet goes on.
_PASSING: Final = frozenset({
    "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "TCPMSS", "CT", "NOTRACK", "TRACE", "DSCP", "TOS", "CLASSIFY", "SET",
    "CHECKSUM", "AUDIT", "LED", "TTL", "HL", "TEE", "ACCOUNT", "",
})  # fmt: skip
_TOOLS: Final = {"ip": "iptables", "ip6": "ip6tables"}
_TARGETS: Final = {"ACCEPT": Fate.ACCEPT, "DROP": Fate.DROP, "REJECT": Fate.DROP, "RETURN": Fate.LEAVE}
# Options that change nothing about which packets a rule is for.
_SILENT: Final[Mapping[str, int]] = {"-m": 1, "--comment": 1, "--reject-with": 1, "-c": 2}
_OPTIONS: Final[Mapping[str, str]] = {
    "-s": "saddr", "-d": "daddr", "-i": "iif", "-o": "oif", "-p": "protocol", "--dport": "dport", "--sport": "sport",
    "--dports": "dport", "--sports": "sport", "--ctstate": "state", "--state": "state", "--ctstatus": "status",
}  # fmt: skip


def read_iptables(text: str, family: str, variant: str = "") -> list[FilterChain]:
    """The chains of the tables that filter; ``family`` is ip or ip6, and the ``variant`` may be ``-legacy``."""
    table = ""
    policies: dict[tuple[str, str], str] = {}
    rules: defaultdict[tuple[str, str], list[FilterRule]] = defaultdict(list)
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            name, policy, *_ = line[1:].split()
            policies[table, name] = policy
        elif line.startswith("-A "):
            _, name, *words = split(line)
            rules[table, name].append(_read_line(words, line))
    return [
        FilterChain(
            family,
            table,
            name,
            hook=_HOOKS.get(name, ""),
            policy=_TARGETS.get(policy, Fate.ACCEPT),
            rules=tuple(rules[table, name]),
            tool=f"{_TOOLS[family]}{variant}",
        )
        for (table, name), policy in policies.items()
        if table != "nat"
    ]


def _read_line(words: list[str], line: str) -> FilterRule:
    tests: list[Test] = []
    rule = FilterRule(text=line)
    is_negated = False
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if word == "!":
            is_negated = True
            continue
        if word in _SILENT:
            place += _SILENT[word]
        elif word in {"-j", "-g"}:
            target = words[place]
            jump = "" if target in _TARGETS or target in _PASSING else target
            rule = rule._replace(fate=_TARGETS.get(target), jump=jump, is_final=word == "-g")
            break  # what follows are options of the target
        elif word in _OPTIONS:
            tests.append(_read_option(_OPTIONS[word], words[place], is_negated=is_negated))
            place += 1
        else:
            tests.append(UNKNOWN)
            while place < len(words) and not words[place].startswith("-") and words[place] != "!":
                place += 1
        is_negated = False
    return rule._replace(tests=tuple(tests))


def _read_option(name: str, value: str, *, is_negated: bool) -> Test:
    found = [_read_word(name, one) for one in value.split(",")]
    if None in found:
        return UNKNOWN
    return Test(name, tuple(one for one in found if one is not None), is_negated)


def _read_word(name: str, word: str) -> Operand | None:
    try:
        if name in {"saddr", "daddr"}:
            address, _, length = word.partition("/")
            packed = parse_address(address)
            return network_of(packed, int(length or len(packed) * 8))
        if name == "protocol":
            return int(word) if word.isdecimal() else PROTOCOLS[word]
        if name in _PORTS:
            first, colon, last = word.partition(":")
            return Interval(int(first or 0), int(last or 65535)) if colon else int(first)
    except (LookupError, ValueError):
        return None
    if name in {"iif", "oif"} and word.endswith("+"):
        return word[:-1] + "*"
    return word.lower() if name in {"state", "status"} else word
