"""Commands that set routes, rules and addresses, as scripts and ``up`` lines have them: ``ip`` and the older ``route``.

Sources: ip(8), route(8) of net-tools. A line that a shell would change before it runs it is not understood.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from routed.intent.importing.ip_neighbours import read_neighbour, read_nexthop
from routed.intent.importing.ip_words import Priorities, note_protocol, read_address, read_route, read_rule, say_all
from routed.intent.importing.rest import UnsaidError, Words
from routed.intent.importing.statements import Findings, Joins
from routed.model.net import IPV4, IPV6

ADDS: Final = frozenset({"add", "replace", "append", "prepend", "change", "a"})
JOINS: Final = {"append": Joins.APPEND, "prepend": Joins.PREPEND}
OBJECTS: Final = {"route": "route", "r": "route", "ro": "route", "rule": "rule", "ru": "rule", "address": "address",
                  "addr": "address", "a": "address", "nexthop": "nexthop", "neighbour": "neighbour",
                  "neighbor": "neighbour", "neigh": "neighbour", "n": "neighbour"}  # fmt: skip
_READERS: Final[Mapping[str, Callable[[Sequence[str], int], Words]]] = {
    "route": read_route,
    "address": lambda words, _: read_address(words),
    "nexthop": lambda words, family: read_nexthop(words, family)[0],
    "neighbour": lambda words, _: read_neighbour(words, is_shown=False)[0],
}
_HARMLESS_END: Final = re.compile(r"\s*(\|\|\s*(true|:|/bin/true)|[12&]?>{1,2}\s*/dev/null|2>&1)\s*$")
_SHELL: Final = re.compile(r"[|&;<>`$(){}*?]")


def read_command(line: str, origin: str, findings: Findings, priorities: Priorities, dev: str = "") -> None:
    """One command; ``dev`` is the interface that it is run for. What it is not understood to do is a leftover."""
    text = line.replace("$IFACE", dev).replace("${IFACE}", dev) if dev else line
    while (stripped := _HARMLESS_END.sub("", text)) != text:
        text = stripped
    if _SHELL.search(text):
        findings.leave(origin, f"a shell has to read it: {line.strip()}")
        return
    try:
        words = shlex.split(text)
    except ValueError as error:
        findings.leave(origin, f"it is no command: {error}")
        return
    program = words[0].rpartition("/")[2] if words else ""
    if program == "ip":
        _read_ip(words[1:], origin, findings, priorities, line)
    elif program == "route":
        say_all(findings, origin, "route", lambda: _read_old_route(words[1:]))
    else:
        findings.leave(origin, f"a command that sets no route, rule or address: {line.strip()}")


def _read_ip(words: Sequence[str], origin: str, findings: Findings, priorities: Priorities, line: str) -> None:
    rest, family = list(words), 0
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in {"-6", "-4"}:
            family = IPV6 if option == "-6" else IPV4
        elif option in {"-f", "-family"} and rest:
            family = IPV6 if rest.pop(0) == "inet6" else IPV4
    object_ = OBJECTS.get(rest[0], "") if rest else ""
    verb = rest[1] if len(rest) > 1 else ""
    if not object_ or verb not in ADDS:
        findings.leave(origin, f"a command that adds no route, rule, address, next hop or neighbour: {line.strip()}")
        return
    before = len(findings.statements)
    if object_ in _READERS:
        notes = note_protocol(rest) if object_ in {"route", "address"} else ()
        say_all(findings, origin, object_, lambda: _READERS[object_](rest[2:], family), *notes)
    else:
        try:
            rule, notes = priorities.complete(read_rule(rest[2:], family))
        except UnsaidError as error:
            findings.leave(origin, str(error))
        else:
            findings.say("rule", rule, origin, *notes, *note_protocol(rest))
    findings.join(before, JOINS.get(verb, Joins.NEVER))


def _read_old_route(words: Sequence[str]) -> Words:
    """``route add -net 10.0.0.0 netmask 255.0.0.0 gw 192.0.2.1 dev eth0``."""
    rest = [word for word in words if word not in {"-net", "-host", "-4"}]
    is_ipv6 = "-6" in rest or "inet6" in rest or "--inet6" in rest
    rest = [word for word in rest if word not in {"-6", "-A", "inet", "inet6", "--inet", "--inet6"}]
    if rest[:1] != ["add"] or len(rest) < 2:
        raise UnsaidError("a command that adds no route")
    told, options = Words(to=rest[1]), rest[2:]
    while options:
        word = options.pop(0)
        if word in {"gw", "netmask", "metric", "dev", "mss", "window"} and options:
            told[word] = options.pop(0)
        elif word == "reject":
            told["type"] = "unreachable"
        elif not options and "dev" not in told:
            told["dev"] = word
        else:
            raise UnsaidError(f"it has `{word}`, which the file has no word for")
    to = told["to"] if "netmask" not in told else f"{told['to']}/{length_of(told['netmask'])}"
    line = [*([told["type"]] if "type" in told else []), to]
    for word, ours in (("gw", "via"), ("dev", "dev"), ("metric", "metric"), ("mss", "advmss"), ("window", "window")):
        if word in told:
            line += [ours, told[word]]
    return read_route(line, IPV6 if is_ipv6 else IPV4)


def length_of(netmask: str) -> int:
    """The length of a netmask, or of one that is written as a number. Raises UnsaidError."""
    if netmask.isdecimal():
        return int(netmask)
    parts = netmask.split(".")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise UnsaidError(f'"{netmask}" is no netmask')
    bits = "".join(f"{int(part):08b}" for part in parts)
    if "01" in bits:
        raise UnsaidError(f'"{netmask}" is no netmask: its ones are not at its beginning')
    return bits.count("1")
