"""DNS messages, put together by hand: what a server may send, be it good or bad."""

from __future__ import annotations

from ipaddress import ip_address
from struct import pack

ANSWER, AUTHORITATIVE, TRUNCATED, RECURSE, RECURSES = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
USUAL = ANSWER | RECURSE | RECURSES
A, NS, CNAME, SOA, AAAA, SRV, OPT = 1, 2, 5, 6, 28, 33, 41
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5
POINTER = b"\xc0\x0c"  # to the name of the question
HEAD = 12


def name(text: str) -> bytes:
    labels = [label.encode("latin-1") for label in text.split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def record(owner: bytes | str, type_: int, data: bytes, ttl: int = 60, class_: int = 1) -> bytes:
    wire = name(owner) if isinstance(owner, str) else owner
    return wire + pack("!HHIH", type_, class_, ttl, len(data)) + data


def address(owner: bytes | str, text: str, ttl: int = 60) -> bytes:
    packed = ip_address(text).packed
    return record(owner, A if len(packed) == 4 else AAAA, packed, ttl)


def service(owner: bytes | str, priority: int, weight: int, port: int, target: str) -> bytes:
    return record(owner, SRV, pack("!HHH", priority, weight, port) + name(target))


def soa() -> bytes:
    return record("example.internal", SOA, name("ns") + name("root") + pack("!5I", 1, 2, 3, 4, 5))


def reply(
    query: bytes,
    *answers: bytes,
    code: int = 0,
    flags: int = USUAL,
    authority: tuple[bytes, ...] = (),
    more: tuple[bytes, ...] = (),
) -> bytes:
    """The reply to a query that has one question, which it repeats."""
    end = query.index(b"\0", HEAD) + 5
    counts = pack("!4H", 1, len(answers), len(authority), len(more))
    return query[:2] + pack("!H", flags | code) + counts + query[HEAD:end] + b"".join((*answers, *authority, *more))
