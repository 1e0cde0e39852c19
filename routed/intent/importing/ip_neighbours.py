"""The words of ``ip nexthop`` and ``ip neighbour`` as tables of our file: a row for each word.

Sources: ip-nexthop(8), ip-neighbour(8); print_nexthop in ip/ipnexthop.c and print_neigh in ip/ipneigh.c of iproute2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from routed.intent.importing.encap_words import read_encap
from routed.intent.importing.rest import KeptError, Rest, UnsaidError, Words, number
from routed.model.net import IPV6

STATES: Final = frozenset(
    {"PERMANENT", "NOARP", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "INCOMPLETE", "NONE"}
)
FORGOTTEN: Final = "the kernel found it out by itself, and forgets it"
_PROTOCOL, _STATE = "proto", "nud"  # what is no word of the table
Taken = tuple[str, Callable[[str, Rest], Any]]  # the word of the file, and what follows


def _take(word: str, rest: Rest) -> str:
    return rest.take(word)


def _take_number(word: str, rest: Rest) -> int | str:
    return number(rest.take(word))


def _take_seconds(word: str, rest: Rest) -> str:
    text = rest.take(word)
    return "" if text == "0" else f"{text}s"


def _take_gateway(word: str, rest: Rest) -> str:
    rest.skips("inet", "inet6")
    return rest.take(word)


def _take_encap(_word: str, rest: Rest) -> Words:
    return read_encap(rest)


def _take_group(word: str, rest: Rest) -> list[dict[str, Any]]:
    return [name_leg(leg, ",") for leg in rest.take(word).split("/")]


def name_leg(text: str, sign: str) -> dict[str, Any]:
    """One next hop of a group, with its weight behind the sign if it has one."""
    id_, _, weight = text.partition(sign)
    return {"id": number(id_), **({"weight": number(weight)} if weight not in {"", "1"} else {})}


def _is_so(_word: str, _rest: Rest) -> bool:
    return True


_NOTHING: Final[Taken] = ("", _is_so)
_OF_NEXTHOPS: Final[Mapping[str, Taken]] = {
    "id": ("id", _take_number), "via": ("via", _take_gateway), "dev": ("dev", _take), "onlink": ("onlink", _is_so),
    "encap": ("encap", _take_encap), "blackhole": ("blackhole", _is_so), "group": ("group", _take_group),
    "type": ("type", _take),
    "buckets": ("buckets", _take_number), "idle_timer": ("idle_timer", _take_seconds),
    "unbalanced_timer": ("unbalanced_timer", _take_seconds), "proto": (_PROTOCOL, _take),
    "protocol": (_PROTOCOL, _take), "unbalanced_time": ("", _take), "scope": ("", _take),
    **dict.fromkeys(("linkdown", "dead", "offload", "trap", "rt_offload", "rt_trap"), _NOTHING),
}  # fmt: skip
_OF_NEIGHBOURS: Final[Mapping[str, Taken]] = {
    "to": ("to", _take), "dev": ("dev", _take), "lladdr": ("lladdr", _take), "router": ("router", _is_so),
    "proxy": ("proxy", _is_so), "nud": (_STATE, _take), "proto": (_PROTOCOL, _take), "protocol": (_PROTOCOL, _take),
    **dict.fromkeys(STATES, _NOTHING),
}  # fmt: skip


def _read(words: Sequence[str], rows: Mapping[str, Taken], bare: str = "") -> Words:
    """``bare`` is what a word is that stands in no row. Raises UnsaidError."""
    rest, table = Rest(words), Words()
    for word in rest:
        if word in rows:
            name, take = rows[word]
            table[name] = take(word, rest)
        elif bare and bare not in table:
            table[bare] = word
        else:
            raise UnsaidError(f"it has `{word}`, which the file has no word for")
    table.pop("", None)
    return table


def read_nexthop(words: Sequence[str], family: int = 0) -> tuple[Words, str]:
    """The table of a next hop, and its protocol. Raises UnsaidError."""
    nexthop = _read(words, _OF_NEXTHOPS)
    protocol: str = nexthop.pop(_PROTOCOL, "")
    if "id" not in nexthop:
        raise UnsaidError("it has no id, so that no route could name it")
    if family == IPV6 and not nexthop.keys() & {"via", "group"}:
        nexthop["family"] = "ipv6"
    return nexthop, protocol


def read_neighbour(words: Sequence[str], *, is_shown: bool) -> tuple[Words, str]:
    """The table of a neighbour or of a proxy, and its protocol. Raises UnsaidError."""
    neighbour = _read(words, _OF_NEIGHBOURS, bare="to")
    protocol: str = neighbour.pop(_PROTOCOL, "")
    state = str(neighbour.pop(_STATE, "permanent" if not is_shown or "PERMANENT" in words else "learned"))
    if "proxy" not in neighbour and state != "permanent":
        raise KeptError(FORGOTTEN)
    return {word: neighbour[word] for word in ("to", *neighbour) if word in neighbour}, protocol
