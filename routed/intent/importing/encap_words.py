"""``encap`` in the words of ``ip route``, as a table of our file.

``ip`` takes the words of an encapsulation up to the first that is none. What it shows of one that says nothing (``src
0.0.0.0``, ``ttl 0``, ``tos 0``) is left out. Source: ip/iproute_lwtunnel.c of iproute2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from routed.intent.importing.rest import Rest, UnsaidError, Words
from routed.model.encap import ENCAPS, INLINE

_FLAGS: Final = frozenset({"key", "csum", "seq"})
_NUMBERS: Final = frozenset({"id", "ttl", "tos", "hoplimit", "tc", "table", "vrftable"})
_NOTHING: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  what stands for no address
_SHOWN_SEGMENTS: Final = "["  # ``segs 2 [ fd00::a fd00::b ]``


def read_encap(rest: Rest) -> Words:
    """The table that the words behind ``encap`` say; what is none of them stays. Raises UnsaidError."""
    kind = rest.take("encap")
    row = ENCAPS.get(kind)
    if row is None:
        raise UnsaidError(f"it has `encap {kind}`, which the file has no word for")
    told: Words = {"type": kind}
    if kind == "mpls":
        told["labels"] = rest.take(kind)
    while (word := rest.peek()) in row.words and word not in told:
        rest.take(kind)
        told[word] = True if word in _FLAGS else _read_segments(rest) if word == "segs" else rest.take(word)
    return finish_encap(told)


def _read_segments(rest: Rest) -> list[str]:
    first = rest.take("segs")
    if rest.peek() != _SHOWN_SEGMENTS:
        return first.split(",")
    rest.take(first)
    segments = []
    while (one := rest.take(_SHOWN_SEGMENTS)) != "]":
        segments.append(one)
    return segments


def finish_encap(told: Mapping[str, Any]) -> dict[str, Any]:
    """The table without what goes without saying, and with numbers where they are."""
    row = ENCAPS[told["type"]]
    table: dict[str, Any] = {word: _number(item) if word in _NUMBERS else item for word, item in told.items()}
    if table.get("mode") == INLINE and table.get("segs", [])[-1:] == ["::"]:
        table["segs"] = table["segs"][:-1]  # the packet's own destination
    usual = () if row.name == "seg6local" else (0, *_NOTHING)
    return {word: item for word, item in table.items() if isinstance(item, (bool, list)) or item not in usual}


def _number(item: object) -> object:
    text = str(item)
    return int(text) if text.isdecimal() else item


# Behind these keys of JSON stands nothing of an encapsulation any more (print_route in ip/iproute.c)
_BEHIND: Final = frozenset(
    {"nhid", "via", "gateway", "dev", "table", "protocol", "scope", "prefsrc", "metric", "flags"}
)


def split_pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. What ``ip`` says of an encapsulation stands among the keys of the route, some of them twice.

    So it becomes a table within: {"dst": "10.0.0.0/8", "encap": {"type": "ip", "dst": "192.0.2.9"}}. Newer ones
    (iproute2 6.15) have an object there, with ``encap_type`` as its first key.
    """
    found: dict[str, Any] = {}
    within: dict[str, Any] | None = None
    for key, item in pairs:
        if key == "encap" and isinstance(item, str):
            found[key] = within = {"type": item}
        elif key == "encap_type":
            found = within = {"type": item}
        elif within is not None and _is_within(key, within):
            within["labels" if (within["type"], key) == ("mpls", "dst") else key] = True if item is None else item
        else:
            within = None
            found[key] = item
    return found


def _is_within(key: str, told: Mapping[str, Any]) -> bool:
    row = ENCAPS.get(told["type"])
    words = row.words if row else ()
    if told["type"] == "mpls" and key == "dst":
        return "labels" not in told
    return key in words and key not in told if row else key not in _BEHIND


def list_words(thing: Mapping[str, Any]) -> list[str]:
    """The words of ``ip`` for what ``split_pairs`` found in a route or in a hop of one."""
    told = thing.get("encap")
    if not isinstance(told, dict):
        return []
    words = ["encap", str(told["type"]), *([str(told["labels"])] if "labels" in told else [])]
    for word, item in told.items():
        if word not in {"type", "labels"}:
            words += [word, *([] if item is True else [",".join(item) if isinstance(item, list) else str(item)])]
    return words
