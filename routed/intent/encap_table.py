"""``encap`` as the kernel takes it: the rules between its keys. Imported where a table has one.

Sources: seg6_build_state in net/ipv6/seg6_iptunnel.c, parse_nla_action in net/ipv6/seg6_local.c, mpls_build_state in
net/mpls/mpls_iptunnel.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from routed.intent.problems import Fault, KeyPath
from routed.intent.words import one_of
from routed.model.attributes import ENCAP
from routed.model.encap import ACTIONS, ENCAPS, INLINE
from routed.model.net import FAMILY_NAME, IPV4, IPV6, family_of

_FAMILY_OF: Final = {
    ("ip", "dst"): IPV4, ("ip", "src"): IPV4, ("ip6", "dst"): IPV6, ("ip6", "src"): IPV6,
    ("seg6local", "nh4"): IPV4, ("seg6local", "nh6"): IPV6,
}  # fmt: skip
_TITLE: Final = {IPV4: "IPv4", IPV6: "IPv6"}
_TABLES: Final = ("table", "vrftable")
_IMPLICIT_NULL: Final = 3  # "Implicit NULL Label (3) can not be used in encapsulation" (nla_get_labels)


def check_encap(said: Mapping[str, Any], families: Iterable[int], path: KeyPath) -> Iterator[Fault]:
    """Everything that can be said about the encapsulation of a route of these families."""
    if "type" not in said:
        yield Fault(path, "`encap` has no `type`", f"write {one_of(ENCAPS)}")
        return
    name = said["type"]
    row = ENCAPS[name]
    for word in said:
        if word not in {"type", *row.words}:
            yield Fault((*path, word), f"`{word}` is no word of encap {name}", f"it has {_list(row.words)}")
    for word in row.needs:
        if word not in said:
            yield Fault(path, f"`{word}` is missing, which encap {name} needs")
    for (of, word), family in _FAMILY_OF.items():
        if of == name and word in said and family_of(said[word]) != family:
            yield Fault((*path, word), f"`{word}` of encap {name} is an {_TITLE[family]} address")
    for family in families:
        if family not in row.families or (said.get("mode") == INLINE and family == IPV4):
            what = f"mode {INLINE}" if name == "seg6" else name
            yield Fault(path, f"`encap` {what} is for IPv6 only, and a destination is {FAMILY_NAME[family]}")
    yield from _CHECKS[name](said, path)


def name_tables(spec: Any, look_up: Callable[[str | int], int]) -> tuple[Any, list[Fault]]:
    """A route or a next hop with the numbers of tables in place of their names, and what is wrong."""
    faults: list[Fault] = []

    def name(table: Any, path: KeyPath) -> Any:
        said = getattr(table, ENCAP.name)
        numbers: dict[str, int] = {}
        for word in _TABLES if said else ():
            try:
                numbers |= {word: look_up(said[word])} if word in said else {}
            except ValueError as error:
                message, *hint = error.args
                faults.append(Fault((*path, ENCAP.name, word), f"`{word}`: {message}", *hint))
        return table.model_copy(update={ENCAP.name: said | numbers}) if numbers else table

    hops = getattr(spec, "hops", None)
    named = name(spec, ())
    if hops:
        each = [name(hop, ("hops", index)) for index, hop in enumerate(hops)]
        named = named.model_copy(update={"hops": each})
    return named, faults


def _list(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _check_labels(said: Mapping[str, Any], path: KeyPath) -> Iterator[Fault]:
    if _IMPLICIT_NULL in said.get("labels", ()):
        yield Fault((*path, "labels"), "`labels`: 3 says that there is no label", "leave it out")


def _check_segments(said: Mapping[str, Any], path: KeyPath) -> Iterator[Fault]:
    for index, segment in enumerate(said.get("segs", ())):
        if family_of(segment) != IPV6:
            yield Fault((*path, "segs", index), "`segs` are IPv6 addresses")


def _check_action(said: Mapping[str, Any], path: KeyPath) -> Iterator[Fault]:
    if "action" not in said:
        return
    name = said["action"]
    needs = ACTIONS[name].needs
    for row in needs:
        given = [word for word in row if word in said]
        if not given:
            yield Fault(path, f"action {name} needs {' or '.join(f'`{word}`' for word in row)}")
        for word in given[1:]:
            yield Fault((*path, word), f"`{given[0]}` and `{word}` exclude each other")
    for word in ("nh4", "nh6", "table", "vrftable"):
        if word in said and not any(word in row for row in needs):
            yield Fault((*path, word), f"action {name} has no `{word}`")


def _check_nothing(_said: Mapping[str, Any], _path: KeyPath) -> Iterator[Fault]:
    return iter(())


_CHECKS: Final = {
    "mpls": _check_labels,
    "ip": _check_nothing,
    "ip6": _check_nothing,
    "seg6": _check_segments,
    "seg6local": _check_action,
}
