"""The words of ``ip route``, ``ip rule`` and ``ip address`` as tables of our file.

Programs of others write routes in these words too: keepalived, NetworkManager's rules, the commands of ifupdown.
Sources: ip-route(8), ip-rule(8), ip-address(8).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from routed.intent.importing.ip_attributes import read_metric, read_word
from routed.intent.importing.rest import KeptError, Rest, UnsaidError, Words, number
from routed.intent.importing.statements import Findings
from routed.intent.importing.whose import BY_HAND, BY_KERNEL, find_maker, find_program
from routed.model import names
from routed.model.attributes import HOP_WORDS, ROUTE_WORDS, RULE_VALUE_WORDS, RULE_WORDS
from routed.model.net import IPV4, IPV6

FAMILIES: Final = {IPV4: "ipv4", IPV6: "ipv6"}
HIGHEST_FREE: Final = 32765  # the priority that the kernel gives to the first rule that names none
DEFAULT_RULES: Final = frozenset({(0, "local"), (32766, "main"), (32767, "default")})
STATE: Final = frozenset({"linkdown", "dead", "offload", "trap", "rt_offload", "rt_trap", "notify", "pervasive"})
# Words that our file has none for.
UNSAID_OF_ROUTES: Final = frozenset({"expires", "ttl-propagate", "as", "vrf"})
UNSAID_OF_RULES: Final = frozenset({"tun_id", "nat", "map-to", "vrf"})


def say_all(findings: Findings, origin: str, table: str, read: Callable[[], Words], *notes: str) -> None:
    """Read one statement; what cannot be said is a leftover."""
    try:
        words = read()
    except UnsaidError as error:
        findings.leave(origin, str(error))
    else:
        findings.say(table, words, origin, *notes)


def note_protocol(words: Sequence[str]) -> tuple[str, ...]:
    """What the reader has to decide, where a statement says by which number programs know it."""
    said = [words[at + 1] for at, word in enumerate(words[:-1]) if word in {"proto", "protocol"}]
    usual = {names.PROTOCOLS[number] for number in BY_HAND}
    return tuple(
        f"protocol {one} is not taken over: `protocol` may say one of `[daemon] protocols`, which are routed's alone"
        for one in said[:1]
        if one not in usual and number(one) not in BY_HAND
    )


def family_of(*texts: object) -> int:
    """The family that addresses tell, 0 where there is none."""
    for text in texts:
        if isinstance(text, str) and text not in {"default", "all", "any"} and text:
            return IPV6 if ":" in text else IPV4
    return 0


# --- routes -----------------------------------------------------------------------------------------------------------


def read_route(words: Sequence[str], family: int = 0, *, is_shown: bool = False) -> Words:
    """The table of a route. ``is_shown``: as the kernel has it, with its protocol. Raises UnsaidError."""
    rest, route = Rest(words), Words()
    protocol = "" if is_shown else "static"
    if rest.peek() in names.ROUTE_TYPES.values():
        route["type"] = rest.take("")
    for word in rest:
        if word in {"to", "exact", "root", "match"}:
            route["to"] = rest.take(word)
        elif word in {"proto", "protocol"}:
            protocol = rest.take(word)
        elif word == "nh_info":  # the next hop object that it names, as `ip nexthop` shows it
            rest.skip_to("nexthop")
        elif word == "nexthop":
            route.setdefault("hops", []).append(_read_leg(rest))
        elif not _read_place(word, rest, route) and not read_metric(word, rest, route, is_shown=is_shown):
            _refuse_word(word, UNSAID_OF_ROUTES)
            if "to" in route:
                raise UnsaidError(f"`{word}` is not known")
            route["to"] = word
    if is_shown:
        refuse_kept(protocol or "boot", route)
    return _finish_route(route, family)


def _read_place(word: str, rest: Rest, route: Words) -> bool:
    """Where packets go, and the key of the route."""
    if _read_way(word, rest, route):
        return True
    if word in {"table", "metric", "priority", "preference"}:
        route["table" if word == "table" else "metric"] = number(rest.take(word))
    elif word in {"tos", "dsfield"}:
        route["tos"] = rest.take(word)
    elif word == "from":
        route["from"] = rest.take(word)
    elif word == "nhid":
        route["nhid"] = number(rest.take(word))
    elif read_word((*ROUTE_WORDS, *HOP_WORDS), word, rest, route) or word in STATE:
        pass
    elif word in {"error", "weight"}:
        rest.take(word)
    else:
        return False
    return True


def _read_way(word: str, rest: Rest, route: Words) -> bool:
    if word == "via":
        rest.skips("inet", "inet6")
        route["via"] = rest.take(word)
    elif word in {"dev", "src", "scope"}:
        route[word] = rest.take(word)
    elif word == "onlink":
        route["onlink"] = True
    else:
        return False
    return True


def _refuse_word(word: str, unsaid: frozenset[str]) -> None:
    if word in unsaid:
        raise UnsaidError(f"it has `{word}`, which the file has no word for")


def _read_leg(rest: Rest) -> Words:
    leg = Words()
    while rest.peek() not in {"", "nexthop"}:
        word = rest.take("nexthop")
        if word == "weight":
            leg["weight"] = number(rest.take(word))
        elif not _read_place(word, rest, leg):
            raise UnsaidError(f"a next hop has `{word}`, which the file has no word for")
    leg.pop("family", None)
    return leg


def refuse_kept(protocol: str, route: Words) -> None:
    """Raise KeptError for what something else makes and keeps, by its protocol or its interfaces."""
    numbers = {name: value for value, name in names.PROTOCOLS.items()}
    known = numbers.get(protocol, number(protocol))
    why = find_program(known, frozenset({114})) if isinstance(known, int) else ""
    if not isinstance(known, int):
        why = f"a program keeps it under this number (proto {protocol})" if protocol != "routed" else ""
    links = [str(one.get("dev", "")) for one in (route, *route.get("hops", ()))]
    why = why or next(filter(None, map(find_maker, links)), "")
    if why:
        raise KeptError(why)


def _finish_route(route: Words, family: int) -> Words:
    if "to" not in route:
        raise UnsaidError("it has no destination")
    _leave_usual(route)
    if route.get("type", "unicast") not in names.WRITABLE_TYPES:
        raise UnsaidError(f"its type is {route['type']}, which the file has no word for")
    is_ipv6 = _settle_family(route, family)
    if is_ipv6 and route.get("metric") == names.DEFAULT_METRIC[IPV6]:
        del route["metric"]
    usual = {"global", "universe", "link"} if _is_on_link(route) else {"global", "universe"}
    if is_ipv6 or route.get("scope") in usual:
        route.pop("scope", None)
    if route.get("type") == "unicast":
        del route["type"]
    if route.get("type") in names.WRITABLE_TYPES and names.WRITABLE_TYPES[route["type"]] in names.TYPES_WITHOUT_HOP:
        route.pop("dev", None)  # IPv6 shows lo
    if route.get("table") in {"main", names.TABLE_MAIN}:
        del route["table"]
    return _in_order(
        route, ("to", "family", "from", "type", "nhid", "via", "dev", "onlink", "hops", "src", "table", "metric")
    )


def _leave_usual(route: Words) -> None:
    """Take out what says nothing, or is said of the next hop."""
    if route.get("from") in {"all", "any", "default", "::/0"}:
        del route["from"]
    for word in ("via", "dev", "hops", "onlink") if "nhid" in route else ():
        route.pop(word, None)
    if "pref" in route:
        route["family"] = FAMILIES[IPV6]
        if route["pref"] == "medium":
            del route["pref"]


def _settle_family(route: Words, family: int) -> bool:
    """Write the family where nothing else tells it. Is it IPv6?"""
    if route["to"] in {"any", "all", "0.0.0.0/0", "::/0"}:
        family = family or family_of(route["to"])
        route["to"] = "default"
    told = family_of(route["to"]) or family_of(
        route.get("via"), route.get("src"), route.get("from"), *(hop.get("via") for hop in route.get("hops", ()))
    )
    given = route.pop("family", None)
    if route["to"] == "default" and not told:
        route["family"] = given or FAMILIES[family or IPV4]
    return (told or family) == IPV6 or route.get("family") == FAMILIES[IPV6]


def _is_on_link(route: Words) -> bool:
    return not route.keys() & {"via", "hops", "nhid"} and route.get("type", "unicast") == "unicast"


def _in_order(words: Words, first: Sequence[str]) -> Words:
    return {word: words[word] for word in (*first, *words) if word in words}


# --- rules ------------------------------------------------------------------------------------------------------------

_ALIASES: Final = {
    "lookup": "table", "pref": "priority", "preference": "priority", "order": "priority", "dsfield": "tos",
    "ip_proto": "ipproto", "suppress_prefixlen": "suppress_prefixlength", "protocol": "proto", "dev": "iif",
}  # fmt: skip
_OF_RULES: Final = frozenset(
    {"from", "to", "iif", "oif", "fwmark", "ipproto", "sport", "dport", "uidrange", "tos", "type", "proto"}
)
_NUMBERS_OF_RULES: Final = frozenset({"priority", "goto", "suppress_prefixlength", "suppress_ifgroup"})
_ALONE: Final[Mapping[str, Words]] = {  # words with none behind them
    **{word: {word: True} for word in ("not", "l3mdev")},
    **{word: {"type": word} for word in ("blackhole", "unreachable", "prohibit", "nop")},
    **{word: {} for word in ("[detached]", "[unresolved]", "unresolved", "detached")},
}


def read_rule(words: Sequence[str], family: int = 0, *, is_shown: bool = False) -> Words:
    """The table of a rule, without ``priority`` where it names none. Raises UnsaidError."""
    rest, rule = Rest(words), Words()
    for given in rest:
        word = _ALIASES.get(given, given)
        if word == "table":
            table = rest.take(given)
            rule |= {"l3mdev": True} if table == "[l3mdev-table]" else {"table": number(table)}
        elif word in _NUMBERS_OF_RULES:
            rule[word] = number(rest.take(given))
        elif word in _OF_RULES:
            rule[word] = rest.take(given)
        elif word in _ALONE:
            rule |= _ALONE[word]
        elif word[-1:] == ":" and word[:-1].isdecimal():
            rule["priority"] = int(word[:-1])
        elif not read_word((*RULE_WORDS, *RULE_VALUE_WORDS), word, rest, rule):
            _refuse_word(word, UNSAID_OF_RULES)
            raise UnsaidError(f"`{word}` is not known")
    protocol = rule.pop("proto", "")
    if is_shown:
        _refuse_kept_rule(rule, protocol)
    return _finish_rule(rule, family)


def _refuse_kept_rule(rule: Words, protocol: str) -> None:
    plain = {"priority": rule.get("priority"), "table": rule.get("table")}
    told = {word: item for word, item in rule.items() if (word, item) != ("from", "all")}
    if told == plain and (rule.get("priority"), rule.get("table")) in DEFAULT_RULES:
        raise KeptError(BY_KERNEL)
    refuse_kept(protocol or "boot", {"dev": rule.get("iif", "")})


def _finish_rule(rule: Words, family: int) -> Words:
    told = family_of(rule.get("from"), rule.get("to"))
    for word in ("from", "to"):
        if rule.get(word) in {"all", "any", "default", "0/0", "::/0", "0.0.0.0/0"}:
            del rule[word]
    if not (rule.get("from") or rule.get("to")):
        rule["family"] = FAMILIES[told or family or IPV4]
    for word in ("sport", "dport", "uidrange"):
        if word in rule:
            rule[word] = _range(rule[word])
    if not rule.keys() & {"table", "goto", "type", "l3mdev"}:
        rule["table"] = "main"
    return _in_order(rule, ("priority", "family", "not", "from", "to"))


def _range(word: str) -> int | str:
    first, _, last = word.partition("-")
    return first + "-" + last if last and last != first else number(first)


class Priorities:
    """What the kernel would give to rules that name no priority: each one less than the lowest before."""

    def __init__(self) -> None:
        self._next = HIGHEST_FREE

    def complete(self, rule: Words) -> tuple[Words, tuple[str, ...]]:
        """The rule with a priority, and what is to be said of it."""
        if isinstance(rule.get("priority"), int):
            if 0 < rule["priority"] < HIGHEST_FREE + 1:
                self._next = min(self._next, rule["priority"] - 1)
            return rule, ()
        chosen, self._next = self._next, self._next - 1
        note = "no priority is written there: this is the one that the kernel gives on a host without other rules"
        return {"priority": chosen, **rule}, (note,)


# --- addresses --------------------------------------------------------------------------------------------------------

_FLAGS: Final[Mapping[str, Words]] = {
    **{word: {word: True} for word in names.ADDRESS_FLAGS},
    **{word: {} for word in ("secondary", "permanent", "tentative", "dadfailed", "stable-privacy")},
    "deprecated": {"preferred_lft": 0},
}


_OF_ADDRESSES: Final = {
    "local": "address", "to": "address", "dev": "dev", "peer": "peer", "label": "label", "scope": "scope",
    "brd": "broadcast", "broadcast": "broadcast", "metric": "metric",
}  # fmt: skip
_GIVEN: Final = {
    "dynamic": "it has a lifetime: DHCP or a router advertisement made it",
    "temporary": "the kernel made it of another one (mngtmpaddr), and changes it",
}
_FOREVER: Final = frozenset({"forever", "infinite", "infinity"})


def read_address(words: Sequence[str], *, is_shown: bool = False) -> Words:
    """The table of an address. ``is_shown``: as the kernel has it, with its protocol. Raises UnsaidError."""
    rest, address, protocol = Rest(words), Words(), ""
    for word in rest:
        if word in _OF_ADDRESSES:
            told = rest.take(word)
            address[_OF_ADDRESSES[word]] = number(told) if word == "metric" else told
        elif word in {"preferred_lft", "valid_lft"}:
            _read_lifetime(word, rest.take(word), address)
        elif word in {"proto", "protocol"}:
            protocol = rest.take(word)
        elif word in _GIVEN:
            raise KeptError(_GIVEN[word])
        elif word.removeprefix("-") in _FLAGS:
            address |= _FLAGS[word.removeprefix("-")]
        else:
            if "address" in address:
                raise UnsaidError(f"it has `{word}`, which the file has no word for")
            address["address"] = word
    if "address" not in address:
        raise UnsaidError("it has no address")
    if is_shown:
        _refuse_kept_address(address, protocol)
        address.pop("optimistic", None)  # of the moment
    return finish_address(address)


def _refuse_kept_address(address: Words, protocol: str) -> None:
    if protocol.startswith("kernel_") or str(address["address"]).startswith(("127.", "::1/", "fe80:")):
        raise KeptError(BY_KERNEL)
    refuse_kept(protocol or "boot", {"dev": address.get("dev", "")})


def _read_lifetime(word: str, lifetime: str, address: Words) -> None:
    if word == "preferred_lft" and lifetime in {"0", "0sec"}:
        address["preferred_lft"] = 0
    elif lifetime not in _FOREVER:
        raise UnsaidError(f"it has a lifetime ({word}), which the file has no word for")


def finish_address(address: Words) -> Words:
    """The length of one that stands alone, as ``ip`` takes it; ``brd`` that is not told."""
    text = str(address["address"])
    if "/" in str(address.get("peer", "")):  # of a far end the length stands behind it
        address["peer"], _, length = address["peer"].partition("/")
        text = address["address"] = f"{text}/{length}"
    if "/" not in text:
        address["address"] = f"{text}/{128 if ':' in text else 32}"
    if address.get("scope") in {"global", "universe"} or ":" in text:
        address.pop("scope", None)
    return _in_order(address, ("address", "dev"))
