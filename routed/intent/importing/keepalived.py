"""keepalived's static addresses, routes and rules, and what its VRRP instances move.

Source: keepalived.conf(5). Its virtual servers have a page of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from routed.intent.importing.ip_words import Priorities, note_protocol, read_address, read_route, read_rule
from routed.intent.importing.rest import UnsaidError, Words
from routed.intent.importing.statements import Findings, Joins

DEFAULT_DEV: Final = "eth0"
_TOKEN: Final = re.compile(r'"[^"]*"|[{}]|[^\s{}"]+')
_DROPPED: Final = frozenset({"track_group", "skip_check_adv_addr"})  # each with one word behind it
_STATIC: Final = {"static_ipaddress": "address", "static_routes": "route", "static_rules": "rule"}
_VIRTUAL: Final = {"virtual_ipaddress": "vip", "virtual_ipaddress_excluded": "vip", "virtual_routes": "route",
                   "virtual_rules": "rule"}  # fmt: skip


@dataclass(slots=True)
class Block:
    """A line of words, and what stands in braces behind it."""

    words: list[str]
    line: int
    blocks: list[Block] = field(default_factory=list)

    def find(self, word: str) -> list[str]:
        """What follows a word that begins a line of this block."""
        return next((one.words[1:] for one in self.blocks if one.words[:1] == [word]), [])


def parse(text: str, file: str, findings: Findings) -> None:
    """All that a file sets."""
    blocks, _ = _read_blocks(iter(_tokenize(text)))
    priorities = Priorities()
    dev = next((found[0] for one in blocks if (found := one.find("default_interface"))), "")
    for block in blocks:
        head = block.words[0] if block.words else ""
        origin = f"{file}:{block.line}"
        if head in _STATIC:
            for one in _list_entries(block):
                _say_static(_STATIC[head], one, file, dev, findings, priorities)
        elif head == "vrrp_instance":
            _say_instance(block, file, findings, priorities)
        elif head in {"virtual_server", "virtual_server_group"}:
            findings.leave(origin, f"{' '.join(block.words)}: write a [[service]], see from-keepalived in the how-tos")
        elif head.startswith(("!", "#")):
            continue
        else:
            findings.leave(origin, f"{' '.join(block.words)} stays with keepalived: the file has no word for it")


def _tokenize(text: str) -> Iterator[tuple[str, int]]:
    """The tokens, each with its line; "" ends a line."""
    for at, raw in enumerate(text.splitlines(), 1):
        line = re.split(r"(?:^|\s)[#!]", raw, maxsplit=1)[0]
        for token in _TOKEN.findall(line):
            yield token, at
        yield "", at


def _read_blocks(tokens: Iterator[tuple[str, int]]) -> tuple[list[Block], bool]:
    """The lines up to the brace that closes them, each with its block."""
    blocks: list[Block] = []
    words: list[str] = []
    start = 0
    for piece, at in tokens:
        if piece in {"", "}"}:
            if words:
                blocks.append(Block(words, start))
                words = []
            if piece:
                return blocks, True
        elif piece == "{":
            if words:
                blocks.append(Block(words, start))
            elif not blocks:
                blocks.append(Block([], at))
            words = []
            blocks[-1].blocks = _read_blocks(tokens)[0]
        else:
            start = start if words else at
            words.append(piece.strip('"'))
    return ([*blocks, Block(words, start)] if words else blocks), False


_BEGINS: Final = re.compile(r"(to|from|not|iif|oif|fwmark|src|blackhole|unreachable|prohibit|throw|local|default)$|"
                            r"[0-9A-Fa-f:.]+(/\d+)?$")  # fmt: skip


def _list_entries(block: Block) -> list[tuple[list[str], int]]:
    """Each entry of a list; a line that begins with no address, type or selector goes on with the entry before."""
    entries: list[tuple[list[str], int]] = []
    for one in block.blocks:
        if entries and not _BEGINS.match(one.words[0]):
            entries[-1][0].extend(one.words)
        else:
            entries.append((list(one.words), one.line))
    return entries


def _clean(words: Sequence[str]) -> list[str]:
    cleaned: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in _DROPPED:
            next(rest, None)
        elif word not in {"append", "no_track"}:
            cleaned.append(word)
    return cleaned


def _say_static(
    table: str, entry: tuple[list[str], int], file: str, dev: str, findings: Findings, priorities: Priorities
) -> None:
    given, line = entry
    origin, words = f"{file}:{line}", _clean(given)
    try:
        told, notes = _read(table, words, dev, priorities)
    except UnsaidError as error:
        findings.leave(origin, f"{' '.join(given)}: {error}")
        return
    if "track_group" in given:
        notes = (*notes, "track_group is not taken over: keepalived watches its interface there")
    before = len(findings.statements)
    findings.say(table, told, origin, *notes)
    findings.join(before, Joins.APPEND if "append" in given else Joins.PREPEND)  # it prepends where nothing is said


def _read(table: str, words: Sequence[str], dev: str, priorities: Priorities) -> tuple[Words, tuple[str, ...]]:
    if table == "rule":
        return priorities.complete(read_rule(words))
    if table == "route":
        return read_route(words), note_protocol(words)
    told = read_address(words)
    if "dev" in told:
        return told, ()
    note = () if dev else (f"no interface is written there: keepalived takes {DEFAULT_DEV}",)
    return {"address": told.pop("address"), "dev": dev or DEFAULT_DEV, **told}, note


def _say_instance(block: Block, file: str, findings: Findings, priorities: Priorities) -> None:
    """What moves with an instance is written and taken away again: nobody but the reader knows whether it may stand."""
    called = " ".join(block.words[1:]) or "?"
    dev = next(iter(block.find("interface")), "")
    note = f"keepalived moves it between hosts (vrrp_instance {called}): take `disabled` away where it is to stand here"
    for one in block.blocks:
        head = one.words[0] if one.words else ""
        table = _VIRTUAL.get(head, "")
        for entry in _list_entries(one) if table else ():
            words, line = entry
            origin = f"{file}:{line}"
            try:
                told, notes = _read("address" if table == "vip" else table, _clean(words), dev, priorities)
                if table == "vip":
                    told = _as_vip(told)
            except UnsaidError as error:
                findings.leave(origin, f"{' '.join(words)}: {error}")
            else:
                findings.say(table, told | {"disabled": True}, origin, note, *notes)
    findings.leave(f"{file}:{block.line}", f"vrrp_instance {called} itself stays with keepalived")


def _as_vip(address: Words) -> Words:
    unsaid = address.keys() - {"address", "dev"}
    if unsaid - {"scope", "label", "broadcast"}:
        raise UnsaidError(f"it has {' and '.join(sorted(unsaid))}, which a [[vip]] has no word for")
    return {word: address[word] for word in ("address", "dev")}
