"""IPVS in memory, as Linux 6.1 was seen to behave, spoken to in the bytes of generic netlink.

It is a ``QuestionSocket`` and an ``Outside`` of ``routed.kernel.ipvs``. It reads and writes messages by itself, so that
a mistake of the codec does not cancel out. Here belongs what the kernel does, never what routed should do about it.
What it leaves out: the trash, connections, the synchronisation of connections.

Sources: ip_vs_genl_set_cmd, ip_vs_genl_dump_services and ip_vs_genl_dump_dests in net/netfilter/ipvs/ip_vs_ctl.c.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from errno import EEXIST, EINVAL, ENOENT, EOPNOTSUPP, EPERM, ERANGE, ESRCH
from functools import partial
from itertools import islice
from socket import AF_INET, AF_INET6
from struct import pack, unpack
from typing import Final

from routed.kernel.codec.attributes import ACK, DONE, DUMP, ERROR, HEADER, attribute, message, walk

CONTROL, FIRST_FAMILY = 16, 32
NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE, NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = range(1, 9)
SET_CONFIG, GET_CONFIG = 12, 13
SCHEDULERS: Final = frozenset(
    ["rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "lblc", "lblcr", "sh", "mh", "dh", "none"]
)
ENGINES: Final = frozenset({"sip"})
TUNNEL: Final = 2
GUE: Final = 1
HZ: Final = 1000
HASHED: Final = 2
FORWARDS: Final = {0: "Masq", 1: "Local", 2: "Tunnel", 3: "Route"}
STATS: Final = b"".join(attribute(one, pack("=Q", 0)) for one in range(1, 11))

ServiceKey = tuple[int, int, bytes, int, int]  # family, protocol, address, port, mark
DestKey = tuple[int, bytes, int]


class RefusedError(Exception):
    """The kernel says no."""

    def __init__(self, errno: int) -> None:
        super().__init__(os.strerror(errno))
        self.errno = errno


@dataclass(slots=True)
class Service:
    """One service; its dests are in the kernel's order."""

    scheduler: str
    flags: int
    timeout: int
    netmask: bytes
    engine: str
    dests: dict[DestKey, dict[int, bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class FakeIpvs:
    """The services of one network namespace."""

    services: dict[ServiceKey, Service] = field(default_factory=dict)  # the last comes first in a dump
    family: int = FIRST_FAMILY
    is_there: bool = True  # does the kernel have IPVS?
    is_permitted: bool = True
    shows_table: bool = True
    before: Callable[[int], None] = lambda _command: None  # before each request; what it raises ends everything
    after: Callable[[], None] = lambda: None  # before an answer is fetched; likewise
    meanwhile: Callable[[], None] = lambda: None  # between two datagrams of a dump
    counted: dict[DestKey, tuple[int, int, int]] = field(default_factory=dict)  # connections of servers
    asked: list[int] = field(default_factory=list)  # the commands
    looks: int = 0  # at the table
    datagrams: int = 0  # sent to the kernel
    timeouts: list[int] = field(default_factory=lambda: [900, 120, 300])
    piece: int = 3  # messages in one datagram of a dump: few, so that much can happen in between
    is_loaded: bool = True  # is the module there? Whoever asks has it loaded
    users: int = 0  # references of the module beside services

    def connect(self) -> FakeSocket:
        return FakeSocket(self)

    def reload(self) -> None:
        """``modprobe -r ip_vs``, and the next question loads it again."""
        self.services.clear()
        self.timeouts = [900, 120, 300]
        self.family += 1

    # --- what a stranger does -------------------------------------------------------------------------------------

    def clear(self) -> None:
        """``ipvsadm -C``."""
        self.services.clear()

    # --- Outside --------------------------------------------------------------------------------------------------

    def read_table(self) -> Generator[None, None, bytes | None]:
        self.looks += 1
        yield
        if not self.shows_table:
            return None
        if not self.is_loaded:
            return b""
        lines = ["IP Virtual Server version 1.2.1 (size=4096)", "Prot LocalAddress:Port Scheduler Flags"]
        lines.append("  -> RemoteAddress:Port Forward Weight ActiveConn InActConn")
        for key, service in self.services.items():
            lines += _list_service(key, service, self.counted)
        return "\n".join(lines).encode() + b"\n"

    def read_references(self) -> bytes | None:
        return str(len(self.services) + self.users).encode() if self.shows_table else None

    # --- requests -------------------------------------------------------------------------------------------------

    def answer(self, type_: int, flags: int, body: bytes) -> Iterator[list[tuple[int, bytes]]]:
        """The datagrams of an answer, each with its messages (type, body); lazily, as they are fetched."""
        command = body[0]
        attributes = walk(body, 4, len(body))
        if type_ == CONTROL:
            if not self.is_there:
                raise RefusedError(ENOENT)
            self.is_loaded = True
            yield [(CONTROL, pack("=BBH", 1, 2, 0) + attribute(2, b"IPVS\0") + attribute(1, pack("=H", self.family)))]
            return
        if type_ != self.family or not self.is_there:
            raise RefusedError(ENOENT)
        self.asked.append(command)
        self.before(command)
        if not self.is_permitted:
            raise RefusedError(EPERM)
        if flags & DUMP == DUMP:
            yield from self._dump(command, attributes)
        elif command in {GET_SERVICE, GET_CONFIG}:
            yield [(self.family, self._get(command, attributes))]
        else:
            self._change(command, attributes)

    def _get(self, command: int, attributes: dict[int, bytes]) -> bytes:
        if command == GET_CONFIG:
            seconds = (attribute(4 + place, pack("=I", one)) for place, one in enumerate(self.timeouts))
            return pack("=BBH", SET_CONFIG, 1, 0) + b"".join(seconds)
        key, _ = _parse_service(attributes)
        return _fill_service(key, self._find(key))

    def _find(self, key: ServiceKey) -> Service:
        if key not in self.services:
            raise RefusedError(ESRCH)
        return self.services[key]

    def _dump(self, command: int, attributes: dict[int, bytes]) -> Iterator[list[tuple[int, bytes]]]:
        """It goes on by counting, over what stands there by then."""
        done = 0
        while True:
            bodies = [fill() for fill in self._list(command, attributes, done, done + self.piece)]
            done += len(bodies)
            if not bodies:
                yield [(DONE, bytes(4))]
                return
            yield [(self.family, body) for body in bodies]
            self.meanwhile()

    def _list(self, command: int, attributes: dict[int, bytes], start: int, stop: int) -> Iterator[Callable[[], bytes]]:
        if command == GET_SERVICE:
            for key, one in islice(reversed(self.services.items()), start, stop):
                yield partial(_fill_service, key, one)
        elif command == GET_DEST:
            service = self.services.get(_parse_service(attributes)[0])
            for dest, values in islice(service.dests.items() if service else (), start, stop):
                yield partial(_fill_dest, dest, values, self.counted.get(dest, (0, 0, 0)))
        else:
            raise RefusedError(EOPNOTSUPP)

    def _change(self, command: int, attributes: dict[int, bytes]) -> None:
        if command == SET_CONFIG:
            seconds = [unpack("=I", attributes[4 + place])[0] for place in range(3) if 4 + place in attributes]
            if any(one > 0x7FFFFFFF // HZ for one in seconds):
                raise RefusedError(EINVAL)
            for place in range(3):
                self.timeouts[place] = unpack("=I", attributes[4 + place])[0] or self.timeouts[place]
            return
        if command not in range(NEW_SERVICE, GET_DEST):
            raise RefusedError(EOPNOTSUPP)
        key, nest = _parse_service(attributes)
        if command in {NEW_SERVICE, SET_SERVICE}:
            self._put_service(key, nest, is_new=command == NEW_SERVICE)
        elif command == DEL_SERVICE:
            self._find(key)
            del self.services[key]
        else:
            self._change_dest(command, key, self._find(key), walk(attributes[2], 0, len(attributes[2])))

    def _put_service(self, key: ServiceKey, nest: dict[int, bytes], *, is_new: bool) -> None:
        if not {6, 7, 8, 9} <= nest.keys():
            raise RefusedError(EINVAL)
        if key[0] == AF_INET6 and not 1 <= unpack("=I", nest[9])[0] <= 128:
            raise RefusedError(EINVAL)
        if is_new and key in self.services:
            raise RefusedError(EEXIST)
        old = None if is_new else self._find(key)
        scheduler, engine = _text(nest[6]), _text(nest.get(11, b""))
        if scheduler not in SCHEDULERS or (engine and engine not in ENGINES):
            raise RefusedError(ENOENT)
        flags, mask = unpack("=II", nest[7])
        flags = ((old.flags if old else 0) & ~mask) | (flags & mask) | HASHED
        timeout = unpack("=I", nest[8])[0]
        self.services[key] = Service(scheduler, flags, timeout, nest[9], engine, old.dests if old else {})

    def _change_dest(self, command: int, key: ServiceKey, service: Service, nest: dict[int, bytes]) -> None:
        if not {1, 2} <= nest.keys() or (command != DEL_DEST and not {3, 4, 5, 6} <= nest.keys()):
            raise RefusedError(EINVAL)
        family = unpack("=H", nest[11])[0] if 11 in nest else key[0]
        dest = (family, nest[1][: 4 if family == AF_INET else 16], unpack("!H", nest[2])[0])
        if command == DEL_DEST:
            if dest not in service.dests:
                raise RefusedError(ENOENT)
            del service.dests[dest]
            return
        values = {
            one: nest.get(one, bytes(size)) for one, size in ((13, 1), (14, 2), (15, 2), (3, 4), (4, 4), (5, 4), (6, 4))
        }
        _check_dest(key[0], dest, values)
        if (dest in service.dests) != (command == SET_DEST):
            raise RefusedError(EEXIST if command == NEW_DEST else ENOENT)
        service.dests[dest] = values


@dataclass(slots=True)
class FakeSocket:
    """One socket to it."""

    ipvs: FakeIpvs
    number: int = 1
    waiting: deque[Iterator[bytes]] = field(default_factory=deque)
    is_open: bool = False  # is a question open?

    def take_numbers(self, count: int) -> int:
        self.number += count
        return self.number - count

    def ask(self, packed: bytes | bytearray) -> None:
        self.ipvs.datagrams += 1
        if self.is_open:  # a new socket: what was left is nobody's
            self.waiting.clear()
        self.is_open = True
        start = 0
        while start < len(packed):
            length, type_, flags, sequence, _ = HEADER.unpack_from(packed, start)
            body = bytes(packed[start + HEADER.size : start + length])
            answer = self._answer(type_, flags, sequence, body)
            if flags & DUMP == DUMP:
                self.waiting.append(answer)
            else:  # carried out now, in the order in which they were sent
                self.waiting.append(iter(list(answer)))
            start += (length + 3) & ~3

    def _answer(self, type_: int, flags: int, sequence: int, body: bytes) -> Iterator[bytes]:
        try:
            for datagram in self.ipvs.answer(type_, flags, body):
                yield b"".join(message(one, 2, sequence, content) for one, content in datagram)
            if flags & ACK and flags & DUMP != DUMP:
                yield message(ERROR, 0x100, sequence, pack("=i", 0) + bytes(16))
        except RefusedError as error:
            yield message(ERROR, 0x100, sequence, pack("=i", -error.errno) + bytes(16))

    def receive(self, size: int, first: int, count: int = 1) -> bytes:
        self.ipvs.after()
        while self.waiting:
            for datagram in self.waiting[0]:
                assert 0 <= HEADER.unpack_from(datagram)[3] - first < count
                assert len(datagram) <= size
                return datagram
            self.waiting.popleft()
        raise TimeoutError("nothing comes any more")

    def conclude(self) -> None:
        self.is_open = False

    def close(self) -> None:
        self.waiting.clear()


def _text(payload: bytes) -> str:
    return payload.partition(b"\0")[0].decode()


def _parse_service(attributes: dict[int, bytes]) -> tuple[ServiceKey, dict[int, bytes]]:
    if 1 not in attributes:
        raise RefusedError(EINVAL)
    nest = walk(attributes[1], 0, len(attributes[1]))
    if 1 not in nest or not (5 in nest or {2, 3, 4} <= nest.keys()):
        raise RefusedError(EINVAL)
    family = unpack("=H", nest[1])[0]
    width = 4 if family == AF_INET else 16
    if 5 in nest and any(nest[5]):
        return (family, 0, b"", 0, unpack("=I", nest[5])[0]), nest
    if 5 in nest:  # the mark 0 is taken for none
        return (family, 6, bytes(width), 0, 0), nest
    protocol, port = unpack("=H", nest[2])[0], unpack("!H", nest[4])[0]
    return (family, protocol, nest[3][:width], port, 0), nest


def _check_dest(family: int, dest: DestKey, values: dict[int, bytes]) -> None:
    weight, upper, lower = (unpack("=i", values[one])[0] for one in (4, 5, 6))
    if weight < 0:
        raise RefusedError(ERANGE)
    if upper < 0:
        raise RefusedError(EINVAL)
    if lower > upper:
        raise RefusedError(ERANGE)
    if dest[0] != family and values[3][0] & 7 != TUNNEL:
        raise RefusedError(EINVAL)
    if dest[0] == AF_INET and (dest[1][0] in range(224, 240) or dest[1] == bytes(4)):
        raise RefusedError(EINVAL)
    if values[13][0] == GUE and values[14] == bytes(2):
        raise RefusedError(EINVAL)
    values[3] = pack("=I", unpack("=I", values[3])[0] & 7)


def _fill_service(key: ServiceKey, service: Service) -> bytes:
    family, protocol, address, port, mark = key
    parts = [attribute(1, pack("=H", family))]
    if mark:
        parts.append(attribute(5, pack("=I", mark)))
    else:
        parts += [attribute(2, pack("=H", protocol)), attribute(3, address.ljust(16, b"\0"))]
        parts.append(attribute(4, pack("!H", port)))
    parts.append(attribute(6, service.scheduler.encode() + b"\0"))
    if service.engine:
        parts.append(attribute(11, service.engine.encode() + b"\0"))
    parts += [attribute(7, pack("=II", service.flags, 0xFFFFFFFF)), attribute(8, pack("=I", service.timeout))]
    parts += [attribute(9, service.netmask), attribute(12, STATS)]
    return pack("=BBH", NEW_SERVICE, 1, 0) + attribute(1, b"".join(parts))


def _fill_dest(dest: DestKey, values: dict[int, bytes], counted: tuple[int, int, int]) -> bytes:
    family, address, port = dest
    parts = [attribute(1, address.ljust(16, b"\0")), attribute(2, pack("!H", port))]
    parts += [attribute(one, values[one]) for one in (3, 4, 13, 14, 15, 5, 6)]
    parts += [attribute(7 + place, pack("=I", one)) for place, one in enumerate(counted)]
    parts += [attribute(11, pack("=H", family)), attribute(12, STATS)]
    return pack("=BBH", NEW_DEST, 1, 0) + attribute(2, b"".join(parts))


def _list_service(key: ServiceKey, service: Service, counted: dict[DestKey, tuple[int, int, int]]) -> Iterator[str]:
    family, protocol, address, port, mark = key
    rest = f"{service.scheduler} " + ("ops " if service.flags & 4 and family == AF_INET else "")
    if service.flags & 1:
        rest += f"persistent {service.timeout * 250} {service.netmask.hex().upper()}"
    if mark:
        yield f"FWM  {mark:08X} {rest}"
    else:
        name = {6: "TCP", 17: "UDP", 132: "SCTP"}.get(protocol, f"IP_{protocol}")
        yield f"{name}  {_name(family, address)}:{port:04X} {rest}"
    for (other, at, number), values in service.dests.items():
        weight = unpack("=I", values[4])[0]
        active, inactive, _ = counted.get((other, at, number), (0, 0, 0))
        forward = FORWARDS.get(values[3][0], "Masq")
        yield f"  -> {_name(other, at)}:{number:04X}      {forward:<7} {weight:<6} {active:<10} {inactive:<10}"


def _name(family: int, address: bytes) -> str:
    digits = address.hex()
    if family == AF_INET:
        return digits.upper()
    return "[" + ":".join(digits[start : start + 4] for start in range(0, 32, 4)) + "]"
