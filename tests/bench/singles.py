"""What is there once: rules and VIPs that are deleted until they are back, and how many deletions by ``ip`` are named.

Like the routes they are seen by a third party: it deletes what the kernel shows, by what it shows, and hears it come
back. Whoever has them says so in its own file (``contenders``).
"""

from __future__ import annotations

import json
import select
import socket
import statistics
import time
from collections.abc import Callable
from struct import Struct
from sys import byteorder
from typing import Final, NamedTuple

from tests.bench.arena import Arena
from tests.bench.contenders import RULE_AT, RULES, VIPS, Keepalived, Routed
from tests.bench.observer import TooLateError
from tests.bench.results import Figures, Metric
from tests.bench.wire import HEADER, Routes
from tests.kernel import netns

_RESULT: Final = Struct("=i")
_DATAGRAM: Final = 1 << 16
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_RULE_GROUP, _ADDRESS_GROUP = 0x80, 0x10  # RTMGRP_IPV4_RULE, RTMGRP_IPV4_IFADDR
_RULE_PRIORITY, _ADDRESS_LOCAL = 6, 2  # FRA_PRIORITY, IFA_LOCAL
_WAIT: Final = 5.0  # seconds; whoever does not come back in these is not waited for again
_START: Final = 20.0  # seconds until all stand
NAMED: Final = "192.0.2."  # the routes of which it is asked who deleted them
ENTRIES: Final = 50  # so that no entry has more records than are written one by one

METRICS: Final = (
    *(
        Metric(f"{kind}_{figure}", f"{kind}, {title}", "µs")
        for kind in ("rule", "vip")
        for figure, title in (("median", "median"), ("worst", "worst"))
    ),
    Metric("times", "times each", ""),
)
NAMING: Final = (
    Metric("arguments", "named with its arguments", "%"),
    Metric("name", "by its name alone", "%"),
    Metric("times", "times", ""),
)


class _Sort(NamedTuple):
    """A kind of object, as messages tell of it."""

    new: int  # the message that tells of one; the next number tells of its end
    group: int
    body: int  # bytes of the fixed part
    key: int  # the attribute by which one is told from another
    is_meant: Callable[[bytes], bool]  # by the value of that attribute


_RULE: Final = _Sort(
    32, _RULE_GROUP, 12, _RULE_PRIORITY, lambda key: 0 <= int.from_bytes(key, byteorder) - RULE_AT < RULES
)
_ADDRESS: Final = _Sort(20, _ADDRESS_GROUP, 8, _ADDRESS_LOCAL, lambda key: key[:3] == bytes((10, 99, 1)))


def repair_singles(arena: Arena, routes: Routes) -> Figures:
    """A rule, and a VIP, deleted until it is back, another one each time, each after a second of rest and a bit."""
    contender = arena.contender
    assert isinstance(contender, (Routed, Keepalived))
    contender.write_singles(routes)
    contender.launch()
    times = max(3, min(20, arena.sizes.repairs // 10))
    figures: Figures = {"times": times}
    for name, sort, count in (("rule", _RULE, RULES), ("vip", _ADDRESS, VIPS)):
        taken = [seconds * 1e6 for seconds in _time_all(sort, count, times)]
        if taken:
            figures |= {f"{name}_median": statistics.median(taken), f"{name}_worst": max(taken)}
    return figures


def _wait_for(is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.perf_counter() + _START
    while not is_so():
        if time.perf_counter() > deadline:
            raise TooLateError(otherwise)
        time.sleep(0.05)


def _time_all(sort: _Sort, count: int, times: int) -> list[float]:
    taken = []
    with _open(sort.group) as notices, _open(0) as requests:
        _wait_for(lambda: len(_list(requests, sort)) == count, "not all stand")
        standing = _list(requests, sort)
        for number in range(times):
            time.sleep(1.0 + number % 7 / 20)  # so that nobody's timer beats with it
            try:
                taken.append(_time_one(requests, notices, sort, *standing[number % count]))
            except TooLateError:
                return []
    return taken


def _time_one(requests: socket.socket, notices: socket.socket, sort: _Sort, key: bytes, message: bytes) -> float:
    """Seconds from the request that deletes it to the notice that it stands again."""
    readable = select.poll()
    readable.register(notices, select.POLLIN)
    while readable.poll(0):
        notices.recv(_DATAGRAM)
    body = message[HEADER.size :]
    began = time.perf_counter()
    requests.send(HEADER.pack(HEADER.size + len(body), sort.new + 1, _REQUEST | _ACK, 1, 0) + body)
    error = _RESULT.unpack_from(requests.recv(_DATAGRAM), HEADER.size)[0]
    if error:
        raise OSError(-error, "what was to be deleted is not there")
    while (left := began + _WAIT - time.perf_counter()) > 0 and readable.poll(left * 1000):
        datagram = notices.recv(_DATAGRAM)
        arrived = time.perf_counter()
        if HEADER.unpack_from(datagram)[1] == sort.new and _find(datagram, sort) == key:
            return arrived - began
    raise TooLateError(f"not repaired in {_WAIT:.0f} s")


def _list(requests: socket.socket, sort: _Sort) -> list[tuple[bytes, bytes]]:
    """Those that stand: the key and the message that shows it."""
    body = bytes((socket.AF_INET,)) + bytes(sort.body - 1)
    requests.send(HEADER.pack(HEADER.size + len(body), sort.new + 2, _REQUEST | _DUMP, 1, 0) + body)
    found: list[tuple[bytes, bytes]] = []
    while True:
        datagram, start = requests.recv(_DATAGRAM), 0
        while start + HEADER.size <= len(datagram):
            length, type_, _, _, _ = HEADER.unpack_from(datagram, start)
            message = datagram[start : start + length]
            if type_ != sort.new:
                return found
            if sort.is_meant(key := _find(message, sort)):
                found.append((key, message))
            start += (length + 3) & ~3


def _find(message: bytes, sort: _Sort) -> bytes:
    at = HEADER.size + sort.body
    while at + 4 <= len(message):
        size, type_ = Struct("=HH").unpack_from(message, at)
        if type_ == sort.key:
            return message[at + 4 : at + size]
        at += max(4, (size + 3) & ~3)
    return b""


def _open(groups: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    opened.bind((0, groups))
    return opened


def name_deletions(arena: Arena, _: Routes) -> Figures:
    """How many of those who delete a route with ``ip`` are told, each deletion on a host that was at rest."""
    contender = arena.contender
    assert isinstance(contender, Routed)
    contender.write_named(f"{NAMED}{number}" for number in range(ENTRIES))
    contender.launch()
    _wait_for(lambda: len(netns.ip_json(f"route show proto {contender.protocol}")) == ENTRIES, "not all stand")
    times = 2 * arena.sizes.repairs
    for number in range(times):
        time.sleep(0.1)
        netns.ip(f"route del {NAMED}{number % ENTRIES}")

    def list_told() -> list[str]:
        return [line for line in contender.programs.read_log().splitlines() if '"repaired"' in line]

    _wait_for(lambda: len(list_told()) == times, "not all repairs are told")
    told = list(map(_read, list_told()))
    with_arguments = sum(cmdline.startswith("ip ") for cmdline, _ in told)
    by_name = sum(not cmdline.startswith("ip ") and comm == "ip" for cmdline, comm in told)
    return {"arguments": with_arguments / times * 100, "name": by_name / times * 100, "times": times}


def _read(line: str) -> tuple[str, str]:
    fields = json.loads(line)["fields"]
    return fields.get("ROUTED_ACTOR_CMDLINE", ""), fields.get("ROUTED_ACTOR_COMM", "")
