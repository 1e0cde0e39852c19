"""Selectors: ``[[interface]]`` as the model has it, and whether every ``@name`` names one.

Which link a selector means is a fact of the host, and no concern of this floor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from routed.intent import schema, words
from routed.intent.problems import Fault, KeyPath
from routed.intent.schema_values import Table
from routed.intent.words import one_of
from routed.model.checks import Check
from routed.model.entries import DEFAULT_HOLD, DEFAULT_SKIP, How, Matcher, Origin, Selector
from routed.model.suggest import suggest

_REFERRING: Final = ("dev", "iif", "oif", "node", "src", "source", "local")  # fields in which @name may stand


def convert_selector(spec: schema.InterfaceTable, origin: Origin) -> Selector | tuple[Fault, ...]:
    """One ``[[interface]]``, or everything that is wrong with it."""
    faults = [Fault((), f"`{key}` is missing") for key in spec.list_missing()]
    matchers = []
    for index, table in enumerate(spec.match or []):
        found = _convert_match(("match", index), table)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            matchers.append(found)
    if faults:
        return tuple(faults)
    return Selector(
        name=spec.name or "",
        origin=origin,
        match=tuple(matchers),
        skip=DEFAULT_SKIP if spec.skip is None else tuple(spec.skip),
        up=spec.up,
        picks_first=spec.pick == "first",
        hold=DEFAULT_HOLD if spec.hold is None else spec.hold,
    )


def parse_matcher(expression: str) -> Matcher:
    """A matcher in one word, as ``routed select`` takes it: ``regex=ens.*``, ``default``. Raises ValueError."""
    how, _, text = expression.partition("=")
    if how not in list(How):
        raise ValueError(f'"{expression}" is no matcher: write @name, or {one_of(f"{word}=…" for word in How)}')
    return make_matcher(How(how), text, through_gateway=False)


def make_matcher(how: How, text: str, *, through_gateway: bool) -> Matcher:
    """A matcher of checked text. Raises ValueError with a sentence for a person."""
    packed = b""
    if how is How.CIDR:
        packed = words.prefix(text)
    elif how is How.CAN_REACH:
        packed = words.address(text)
    elif how is How.MAC:
        packed = _parse_mac(text)
    elif how is How.REGEX:
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(f'"{text}" is not a regular expression: {error}') from None
    return Matcher(how, text, packed, through_gateway)


def find_unknown_references(spec: Table, known: frozenset[str] | None) -> Iterator[Fault]:
    """Every ``@name`` of a table that names no ``[[interface]]``. ``known`` None: not all of them could be read."""
    for path, name in _references(spec):
        if known is not None and name not in known:
            hint = _name_known(name, known) if known else "the files have no [[interface]]"
            yield Fault(path, f'`{path[-1]}`: no [[interface]] is named "{name}"', hint)


def find_unknown_checks(
    path: KeyPath, requires: Iterable[tuple[str, bool]], known: Mapping[str, Check] | None
) -> Iterator[Fault]:
    """Every ``requires`` that names no ``[[check]]``, or one that nobody asks.

    ``known`` None: not all of them could be read.
    """
    if known is None:
        return
    for name, _ in requires:
        if name.startswith("service/"):
            continue  # what services there are is seen when all entries are known
        if name not in known:
            hint = _name_known(name, known) if known else "the files have no [[check]]"
            yield Fault(path, f'`requires`: no [[check]] is named "{name}"', hint)
        elif known[name].is_template:
            message = f"`requires`: check/{name} has no `target`, so it is a template, and nobody asks it"
            yield Fault(path, message, f"give the check at {known[name].origin} a `target`")


def _name_known(name: str, known: Iterable[str]) -> str:
    close = suggest(name, known)
    return f'did you mean "{close}"?' if close else f"there is {one_of(sorted(known))}"


def _references(spec: Table) -> Iterator[tuple[KeyPath, str]]:
    for field, info in type(spec).model_fields.items():
        value: Any = getattr(spec, field)
        if field in _REFERRING and isinstance(value, str) and value.startswith("@"):
            yield (info.alias or field,), value[1:]
    for index, hop in enumerate(getattr(spec, "hops", None) or []):
        for path, name in _references(hop):
            yield ("hops", index, *path), name
    for index, way in enumerate(getattr(spec, "append", None) or []):
        for path, name in _references(way):
            yield ("append", index, *path), name


def _convert_match(path: KeyPath, table: schema.Match) -> Matcher | Fault:
    given = [how for how in How if getattr(table, how) not in (None, False)]
    if len(given) != 1:
        what = "nothing" if not given else " and ".join(f"`{how}`" for how in given)
        return Fault(path, f"`match` needs one way to recognise an interface, and has {what}", f"write {one_of(How)}")
    how = given[0]
    if table.gateway and how is not How.CAN_REACH:
        return Fault((*path, "gateway"), "`gateway` goes with `can_reach` only")
    try:
        return make_matcher(how, "" if how is How.DEFAULT else getattr(table, how), through_gateway=table.gateway)
    except ValueError as error:
        return Fault((*path, how.value), f"`{how}`: {error}", getattr(error, "hint", ""))


def _parse_mac(text: str) -> bytes:
    try:
        packed = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        packed = b""
    if len(packed) != 6 or text.count(":") != 5:
        raise ValueError(f'"{text}" is not a MAC address: write it as 52:54:00:12:34:56')
    return packed
