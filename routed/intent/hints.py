"""Hints: what somebody wrote → what to write instead, one row each.

A row names what was expected where it was written: a sort of value (what ``words`` says it expects), the type of
pydantic's error, a key, or ``unknown`` for a key that the table does not have. Here must never live a decision whether
something is wrong: who asks for a hint knows that already, and imports this module then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from routed.model import net
from routed.model.suggest import suggest

LONGEST: Final = 200  # characters of a value that a person has written

# What other programs call a key, and what ``ip`` and this file call it: the first of these that the table has.
FOREIGN_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "lookup": ("table",),
    "rt_table": ("table",),
    "routing-table": ("table",),
    "gateway": ("via",),
    "gateway4": ("via",),
    "gateway6": ("via",),
    "gw": ("via",),
    "nexthop": ("via",),
    "next-hop": ("via",),
    "next_hop": ("via",),
    "nexthops": ("hops",),
    "destination": ("to",),
    "dst": ("to",),
    "dest": ("to",),
    "target": ("to",),
    "network": ("to",),
    "prefix": ("to",),
    "source": ("from", "src"),
    "from": ("src",),
    "prefsrc": ("src",),
    "device": ("dev",),
    "interface": ("dev",),
    "iface": ("dev",),
    "nic": ("dev",),
    "link": ("dev",),
    "ifname": ("dev",),
    "preference": ("priority", "metric"),
    "pref": ("priority", "metric"),
    "prio": ("metric", "priority"),
    "priority": ("metric",),
    "distance": ("metric",),
    "cost": ("metric",),
    "order": ("priority",),
    "mark": ("fwmark",),
    "invert": ("not",),
    "action": ("type",),
    "brd": ("broadcast",),
    "ip": ("address",),
    "dsfield": ("tos",),
    "uid": ("uidrange",),
}

# Words that stand in place of a value of a sort.
WORDS_OF: Final[dict[str, tuple[str, ...]]] = {"destination": ("default",), "selector": ("all",)}


# The keys of a route that its ``append`` has not.
OF_ALL: Final = (
    "to", "prefixes", "prefixes_file", "family", "table", "metric", "tos", "name", "enforce", "on_conflict", "requires",
    "disabled", "for_each", "where", "down_metric", "when_all_down", "append",
)  # fmt: skip


class Hint(NamedTuple):
    """One row."""

    expected: frozenset[str]
    written: re.Pattern[str]  # fits all of it, as TOML has it: a text with its quotes, an array with its brackets
    say: (
        str | Callable[[re.Match[str]], str]
    )  # a template of the match, or what makes the words; empty where it has none


def _row(expected: str, written: str, say: str | Callable[[re.Match[str]], str]) -> Hint:
    return Hint(frozenset(expected.split()), re.compile(written, re.DOTALL), say)


def count_bits(mask: str) -> int | None:
    """The length of a mask such as 255.255.0.0; None where its ones are not all in front."""
    try:
        number = int.from_bytes(net.parse_address(mask), "big")
    except ValueError:
        return None
    bits = number.bit_count()
    return bits if number == ((1 << bits) - 1) << (32 - bits) else None


def _shorten_mask(match: re.Match[str]) -> str:
    bits = count_bits(match["mask"])
    return "" if bits is None else f"write {match['address']}/{bits}"


def _shorten_network(match: re.Match[str]) -> str:
    bits = count_bits(match["mask"])
    if bits is None:
        return ""
    try:
        return f"write {net.format_prefix(net.network_of(net.parse_address(match['address']), bits))}"
    except ValueError:
        return ""


def _put_behind(match: re.Match[str]) -> str:
    """A mask or a length that has a key of its own."""
    length = match["length"] or count_bits(match["mask"] or "")
    return f"write /{length} behind the address" if length else "write the length behind the address, such as /24"


def _list_hops(match: re.Match[str]) -> str:
    hops = ", ".join(f"{{ via = {one} }}" for one in re.findall(r'"[^"]*"', match["each"]))
    return f"write hops = [{hops}]" if hops else "write `hops`"


def _name_word(sort: str) -> Callable[[re.Match[str]], str]:
    """The word that stands in place of a value, if something like it was written."""

    def name(match: re.Match[str]) -> str:
        word = suggest(match["word"], WORDS_OF[sort])
        return f'did you mean "{word}"?' if word else ""

    return name


_MASK: Final = r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+"

# The first row that fits, and has words, is said.
HINTS: Final = (
    # a key that the table does not have, with its value
    _row("Appended", rf"(?P<key>{'|'.join(OF_ALL)}) = .*", r"it is for all of them: write `\g<key>` beside `append`"),
    _row("unknown", rf'(?:net|gen|subnet_?)?mask = "(?P<mask>{_MASK})"(?P<length>)', _put_behind),
    _row("unknown", r'(?:prefix[_-]?len(?:gth)?|(?:net)?mask)(?P<mask>) = "?/?(?P<length>[0-9]*).*', _put_behind),
    _row("listen", r"proto(?:col)? = .*", 'write it behind the port in `listen`, such as "192.0.2.1:53/udp"'),
    _row("ipproto", r'proto(?:col)? = "(?i:tcp|udp|sctp|icmp|icmpv6|ipv6-icmp|gre|esp|ah)"', "write `ipproto`"),
    _row("protocol", r'proto = (?!"(?:boot|kernel|ra|redirect|static)").*', "write `protocol`"),
    _row("ipproto", r"proto = [0-9]+", "write `ipproto`"),
    _row("unknown", r"proto(?:col)? = .*", "what routed makes has the number of `[daemon] protocol`: leave this out"),
    _row("unknown", r"valid_lft = .*", "an address of the file stands for good: leave it out"),
    _row("unknown", r"(?:address|dst|dest)es = .*", "write one table for each"),
    _row("lock", r"expires = .*", "a route stays until it leaves the files, or what it `requires` is not so: drop it"),
    _row("lock", r"ttl[_-]propagate = .*", "the kernel has this of routes of MPLS alone, and forgets it of others"),
    _row("lock", r"ecn = .*", 'write features = ["ecn"]'),
    # one value where several are written, and the other way round
    _row("to", r"\[.*", "write `prefixes` in place of `to`"),
    _row("via", r"\[(?P<each>.*)\]", _list_hops),
    _row("address", r"\[.*", "write one table for each address"),
    _row("list_type", r'(?P<one>"[^"]*")', r"write [\g<one>]"),
    # what TOML has as another type
    _row("int_type", r'"(?P<number>[0-9]+)"', r"drop the quotes: write \g<number>"),
    _row("bool_type", r'"(?i:true|yes|on)"|1', "write true, without quotes"),
    _row("bool_type", r'"(?i:false|no|off)"|0', "write false, without quotes"),
    _row("string_type text", r"(?P<bare>true|false|[0-9.:T-]+)", r'strings need quotes: write "\g<bare>"'),
    # addresses and prefixes
    _row("prefix", rf'"(?P<address>[0-9.]+)/(?P<mask>{_MASK})"', _shorten_network),
    _row("held", rf'"(?P<address>[0-9.]+)/(?P<mask>{_MASK})"', _shorten_mask),
    _row("host prefix held", r'"[^%"]+%(?P<dev>[^"/]+)[^"]*"', r'drop "%\g<dev>", and write dev = "\g<dev>"'),
    _row("host", r'"(?P<address>[0-9A-Fa-f:.]+)/[0-9.]+"', r'an address stands alone here: write "\g<address>"'),
    _row("destination", r'"(?i:any|all|\*|0/0)"', 'write "default"'),
    _row("selector", r'"(?i:any|default|\*|0/0)"', 'write "all"'),
    _row("destination", r'"(?P<word>[^"]+)"', _name_word("destination")),
    _row("selector", r'"(?P<word>[^"]+)"', _name_word("selector")),
    _row(
        "host prefix held",
        r'"(?=[^"]*[G-Zg-z_-])[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?"',
        "names are not looked up: write the address",
    ),
    # interfaces
    _row("Match.name InterfaceTable.name", r'"[^"]*[*?[][^"]*"', "no wildcards here: use `regex` in `match`"),
    _row("link", r'"[^"]*[*?[][^"]*"', 'no wildcards here: use `regex` in an [[interface]], and write "@name"'),
)  # fmt: skip


def find_hint(value: object, expected: Collection[str]) -> str:
    """What to write in place of this value of TOML, where one of these was expected; empty where nobody knows."""
    return find_hint_for(spell_value(value), expected)


def find_hint_for(written: str, expected: Collection[str]) -> str:
    """The same of what is written."""
    for row in HINTS if len(written) <= LONGEST else ():
        match = row.written.fullmatch(written) if not row.expected.isdisjoint(expected) else None
        if match and (words := match.expand(row.say) if isinstance(row.say, str) else row.say(match)):
            return words
    return ""


def find_hint_for_key(key: str, value: object, known: Collection[str], table: str = "") -> str:
    """What to write in place of a key that is not among the ``known`` ones of its table, as the schema calls that."""
    for word in FOREIGN_KEYS.get(key.lower(), ()):
        if word in known:
            return f"write `{word}`"
    if hint := find_hint_for(f"{key.lower()} = {spell_value(value)}", {"unknown", table, *known}):
        return hint
    close = suggest(key, known)
    return f"did you mean `{close}`?" if close else f"keys: {', '.join(known)}"


def spell_value(value: object) -> str:
    """A value as TOML writes it, as far as a row looks at it."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(spell_value, value))}]"
    return "{}" if isinstance(value, dict) else str(value)
