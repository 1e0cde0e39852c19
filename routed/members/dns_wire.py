"""The form of DNS messages: a question as a packet, and what a packet answers to it.

Pure. Sources: RFC 1035 (the form, compression in 4.1.4), RFC 2308 (what an empty answer says), RFC 2782 (SRV), RFC 3596
(AAAA), RFC 6891 (EDNS0). Whatever the bytes are, nothing but WireError is raised. Here must never live: a socket, or
what of the answers becomes a member.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Final, NamedTuple

A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
AAAA: Final = 28
SRV: Final = 33
OPT: Final = 41
RECORD_NAMES: Final[Mapping[int, str]] = {A: "A", AAAA: "AAAA", SRV: "SRV"}
NO_ERROR, FORMERR, NXDOMAIN, NOTIMP = 0, 1, 3, 4
CODES: Final[Mapping[int, str]] = {
    FORMERR: "FORMERR", 2: "SERVFAIL", NXDOMAIN: "NXDOMAIN", NOTIMP: "NOTIMP", 5: "REFUSED", 16: "BADVERS"
}  # fmt: skip
MOST: Final = 65535  # bytes of a message
LARGEST_DATAGRAM: Final = 1232  # bytes that we ask servers to send at most: no path has to cut them into fragments
MOST_JUMPS: Final = 32  # from one part of a compressed name to the next
LONGEST_NAME: Final = 255  # bytes on the wire
LONGEST_LABEL: Final = 63
LONGEST_TTL: Final = 0x7FFFFFFF  # what is above counts as 0: RFC 2181, 8

_HEAD: Final = Struct("!6H")
_TAIL: Final = Struct("!HH")  # of a question: type and class
_RECORD: Final = Struct("!HHIH")  # type, class, TTL and length of the data
_SERVICE: Final = Struct("!HHH")
_INTERNET: Final = 1
_IS_ANSWER, _IS_AUTHORITATIVE, _IS_TRUNCATED, _RECURSE, _RECURSES = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPCODE: Final = 0x7800
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
_WIDTHS: Final = {A: 4, AAAA: 16}


class WireError(ValueError):
    """The packet is no answer to the question; the text is a sentence."""


class DnsQuestion(NamedTuple):
    """What is asked for."""

    name: str  # without the final dot
    type: int


class SrvTarget(NamedTuple):
    """What an SRV record says."""

    priority: int
    weight: int
    port: int
    target: str  # without the final dot, in small letters; empty: there is no such service


class DnsRecord(NamedTuple):
    """One record of the answer."""

    owner: str
    type: int
    ttl: int
    data: bytes | str | SrvTarget  # of A and AAAA the address, of CNAME a name


class Reply(NamedTuple):
    """What a packet answers."""

    code: int  # of RFC 1035, with the bits of EDNS0
    is_truncated: bool = False  # it is not whole, and has to be asked for by TCP
    found: tuple[DnsRecord, ...] = ()  # of what was asked for, at the end of all aliases
    ttl: int | None = None  # seconds: the least of these and of the aliases
    is_final: bool = True  # does it say that there is no more? Else it refers to other servers


def make_query(question: DnsQuestion, number: int, *, with_edns: bool = True) -> bytes:
    """The question as a packet, for a server that asks others itself. Raises ValueError for what is no name."""
    name = b""
    for label in question.name.removesuffix(".").split("."):
        written = label.encode("ascii")
        if not 0 < len(written) <= LONGEST_LABEL:
            raise ValueError("a label of the name is empty, or too long")
        name += bytes((len(written),)) + written
    if len(name) >= LONGEST_NAME:
        raise ValueError("the name is too long")
    head = _HEAD.pack(number, _RECURSE, 1, 0, 0, int(with_edns))
    option = b"\0" + _RECORD.pack(OPT, LARGEST_DATAGRAM, 0, 0) if with_edns else b""
    return head + name + b"\0" + _TAIL.pack(question.type, _INTERNET) + option


def read_reply(packet: bytes, question: DnsQuestion, number: int) -> Reply:
    """What the packet answers to this question. Raises WireError for anything that is no answer to it."""
    if len(packet) < _HEAD.size:
        raise WireError(f"it has {len(packet)} bytes")
    given, flags, questions, *counts = _HEAD.unpack_from(packet)
    if given != number or not flags & _IS_ANSWER or flags & _OPCODE:
        raise WireError("it is the answer to another question")
    code, reader = flags & 0xF, _WireReader(packet)
    if not questions and code not in {NO_ERROR, NXDOMAIN}:
        return Reply(code)  # some say no more than that
    if questions != 1 or not reader.repeats(question):
        raise WireError("it repeats another question")
    if flags & _IS_TRUNCATED:
        return Reply(code, is_truncated=True)
    answers, authority, more = ([reader.read_record() for _ in range(count)] for count in counts)
    code |= next((one.ttl >> 24 << 4 for one in more if one.type == OPT), 0)
    return _judge(question, code, flags, answers, {one.type for one in authority})


def _judge(question: DnsQuestion, code: int, flags: int, answers: list[DnsRecord], authority: set[int]) -> Reply:
    name, used = _follow_aliases(question.name.removesuffix(".").lower(), answers)
    found = tuple(dict.fromkeys(one for one in answers if one.owner == name and one.type == question.type))
    ttl = min((one.ttl for one in (*used, *found)), default=None)
    recurses, refers = bool(flags & _RECURSES), NS in authority
    if found or code == NXDOMAIN or SOA in authority:
        is_final = True
    elif used:  # who speaks for the alias may know nothing of what it stands for
        is_final = recurses
    else:
        is_final = bool(flags & _IS_AUTHORITATIVE) or (recurses and not refers)
    return Reply(code, found=found, ttl=ttl, is_final=is_final)


def _follow_aliases(name: str, answers: list[DnsRecord]) -> tuple[str, list[DnsRecord]]:
    """The name at the end of the aliases, and the records that lead there. Raises WireError."""
    aliases = {one.owner: one for one in answers if one.type == CNAME}
    used: list[DnsRecord] = []
    while (alias := aliases.pop(name, None)) is not None:
        used.append(alias)
        name = str(alias.data)
    if any(one.owner == name for one in used):
        raise WireError("its aliases go round in a circle")
    return name, used


class _WireReader:
    """Reads a packet from the head on."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._at = _HEAD.size
        self._names: dict[int, tuple[bytes, ...]] = {}  # by where they begin: each is read once

    def repeats(self, question: DnsQuestion) -> bool:
        """Is this the question that comes next?"""
        labels, self._at = self._read_name(self._at, self._at, 0)
        asked = self._unpack(_TAIL)
        return _format_name(labels) == question.name.removesuffix(".").lower() and asked == (question.type, _INTERNET)

    def read_record(self) -> DnsRecord:
        """The record that comes next. Raises WireError."""
        labels, self._at = self._read_name(self._at, self._at, 0)
        type_, class_, ttl, length = self._unpack(_RECORD)
        start, self._at = self._at, self._at + length
        if self._at > len(self._packet):
            raise WireError("it ends within a record")
        if type_ == OPT:
            return DnsRecord("", OPT, ttl, b"")
        ttl = ttl if ttl <= LONGEST_TTL else 0
        if class_ != _INTERNET:
            return DnsRecord("", 0, ttl, b"")
        return DnsRecord(_format_name(labels), type_, ttl, self._read_data(type_, start, self._at))

    def _read_data(self, type_: int, start: int, end: int) -> bytes | str | SrvTarget:
        data = self._packet[start:end]
        if (width := _WIDTHS.get(type_)) is not None and len(data) != width:
            raise WireError(f"an address of it has {len(data)} bytes")
        if type_ == CNAME:
            return self._read_whole_name(start, end)
        if type_ == SRV:
            if len(data) < _SERVICE.size:
                raise WireError("an SRV record of it is too short")
            priority, weight, port = _SERVICE.unpack_from(data)
            return SrvTarget(priority, weight, port, self._read_whole_name(start + _SERVICE.size, end))
        return data

    def _read_whole_name(self, start: int, end: int) -> str:
        labels, over = self._read_name(start, start, 0)
        if over != end:
            raise WireError("a name of it does not end with its record")
        return _format_name(labels)

    def _read_name(self, start: int, before: int, jumps: int) -> tuple[tuple[bytes, ...], int]:
        """The labels of a name, and where it is over. It may only lead to what stands before ``before``."""
        labels: list[bytes] = []
        at = start
        while length := self._byte(at):
            if length >= 0xC0:
                target = (length & 0x3F) << 8 | self._byte(at + 1)
                if target >= before or jumps == MOST_JUMPS:
                    raise WireError("a name of it leads round in a circle")
                if target not in self._names:
                    self._names[target] = self._read_name(target, target, jumps + 1)[0]
                labels += self._names[target]
                at += 1
                break
            if length > LONGEST_LABEL or at + length >= len(self._packet):
                raise WireError("a name of it goes on behind its end")
            labels.append(self._packet[at + 1 : at + 1 + length])
            at += 1 + length
        if sum(map(len, labels)) + len(labels) >= LONGEST_NAME:
            raise WireError("a name of it is too long")
        return tuple(labels), at + 1

    def _byte(self, at: int) -> int:
        if at >= len(self._packet):
            raise WireError("it ends within a name")
        return self._packet[at]

    def _unpack(self, form: Struct) -> tuple[int, ...]:
        if self._at + form.size > len(self._packet):
            raise WireError("it ends within a record")
        values = form.unpack_from(self._packet, self._at)
        self._at += form.size
        return values


def _format_name(labels: tuple[bytes, ...]) -> str:
    """A name in small letters, without the final dot; what no host name has as RFC 1035, 5.1 writes it."""
    return ".".join("".join(chr(byte) if byte in _PLAIN else f"\\{byte:03}" for byte in one.lower()) for one in labels)
