"""DNS as a source of members: the addresses of names, or the targets of SRV records.

What a server says for sure counts, also that there is nobody (NXDOMAIN, an empty answer); that it cannot or may not say
it (SERVFAIL, REFUSED, silence) is no answer, and nobody is gone for that. Here must never live: the form of a message
(``dns_wire``).
"""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
from collections.abc import Callable, Iterable, Sequence
from os import strerror
from pathlib import Path
from typing import Any, Final, NamedTuple

from routed.members.dns_wire import (
    AAAA,
    CODES,
    FORMERR,
    MOST,
    NO_ERROR,
    NOTIMP,
    NXDOMAIN,
    RECORD_NAMES,
    SRV,
    A,
    DnsQuestion,
    Reply,
    SrvTarget,
    WireError,
    make_query,
    read_reply,
)
from routed.members.document import MOST_OF_EACH
from routed.members.pauses import find_pause
from routed.model.members import MEMBER_NAME, Broken, DnsSource, Member, Snapshot
from routed.model.net import IPV4, format_address
from routed.model.reasons import Reason, SourceFailed

PORT: Final = 53
RESOLV_CONF: Final = Path("/etc/resolv.conf")
MOST_SERVERS: Final = 3  # of that file, as resolv.conf(5) has it
TRIES: Final = 2  # of each server
MOST_AT_ONCE: Final = 16  # questions
MOST_STRAY: Final = 64  # packets that are no answer, until it is enough
MOST_TARGETS: Final = 2000  # of an SRV record
LATEST: Final = 3600.0  # seconds after which it is asked again, whatever the TTL
JITTER: Final = 0.05  # of a pause, so that the hosts of a fleet do not march in step
_WITHOUT_EDNS: Final = frozenset({FORMERR, NOTIMP})  # codes of a server that does not know it: RFC 6891, 7


class NoAnswerError(Exception):
    """Nobody said it for sure; the text is a sentence."""


class NameServer(NamedTuple):
    """Whom is asked."""

    name: str
    family: int
    address: Any  # as connect(2) takes it


class NameFound(NamedTuple):
    """What was found of one name."""

    addresses: tuple[bytes, ...] = ()
    ttl: int | None = None
    error: str = ""  # why nothing is known


async def follow(options: DnsSource, deliver: Callable[[Snapshot | Reason], None]) -> None:
    """Ask again and again, and say what came of it."""
    failures = 0
    while True:
        try:
            snapshot, ttl = await DnsRound(options).ask()
        except NoAnswerError as error:
            failures += 1
            deliver(SourceFailed(options.srv or options.hosts[0], str(error)))
            pause = find_pause(failures, options.every)
        else:
            failures = 0
            deliver(snapshot)
            pause = max(options.every, min(float(ttl or 0), LATEST))
        await asyncio.sleep(pause * random.uniform(1, 1 + JITTER))  # noqa: S311  no secret


class DnsRound:
    """All questions of one source, once."""

    def __init__(self, options: DnsSource) -> None:
        self._options = options
        self._servers = find_servers(options)
        self._turn = asyncio.Semaphore(MOST_AT_ONCE)

    async def ask(self) -> tuple[Snapshot, int | None]:
        """Who is a member, and for how many seconds that holds. Raises NoAnswerError."""
        if not self._options.srv:
            return await self._ask_hosts()
        reply = await self.resolve(DnsQuestion(self._options.srv, SRV))
        services, crossed = choose_services(one.data for one in reply.found if isinstance(one.data, SrvTarget))
        if len(services) > MOST_TARGETS:
            raise NoAnswerError(f"it has {len(services)} targets, and at most {MOST_TARGETS} are taken")
        found = await self._find_all([one.target for one in services])
        members = [
            Member(one.target, addresses=it.addresses, port=one.port, weight=one.weight or None)
            for one, it in zip(services, found, strict=True)
        ]
        return _make_snapshot(members, found, crossed), _find_least([reply.ttl, *(one.ttl for one in found)])

    async def _ask_hosts(self) -> tuple[Snapshot, int | None]:
        found = await self._find_all(self._options.hosts)
        if all(one.error for one in found):
            raise NoAnswerError(found[0].error)
        members = [Member(name, addresses=it.addresses) for name, it in zip(self._options.hosts, found, strict=True)]
        return _make_snapshot(members, found), _find_least(one.ttl for one in found)

    async def _find_all(self, names: Sequence[str]) -> list[NameFound]:
        return await asyncio.gather(*map(self._find_addresses, names))

    async def _find_addresses(self, name: str) -> NameFound:
        """The addresses of a name, in an order that is always the same: servers turn theirs round."""
        types = [A if family == IPV4 else AAAA for family in self._options.families]
        try:
            replies = [await self.resolve(DnsQuestion(name, one)) for one in types]
        except NoAnswerError as error:
            return NameFound(error=str(error))
        addresses = {one.data for reply in replies for one in reply.found if isinstance(one.data, bytes)}
        if len(addresses) > MOST_OF_EACH:
            return NameFound(error=f"it has {len(addresses)} addresses, and a member has at most {MOST_OF_EACH}")
        in_order = tuple(sorted(addresses, key=lambda one: (len(one), one)))
        return NameFound(in_order, _find_least(reply.ttl for reply in replies))

    async def resolve(self, question: DnsQuestion) -> Reply:
        """What one of the servers says for sure. Raises NoAnswerError."""
        last = NoAnswerError("there is no server to ask")
        async with self._turn:
            for server in self._servers * TRIES:
                try:
                    return _judge(server, await ask(server, question, self._options.timeout))
                except NoAnswerError as error:
                    last = error
        raise NoAnswerError(f"{RECORD_NAMES[question.type]} of {question.name}: {last}")


def _judge(server: NameServer, reply: Reply) -> Reply:
    if reply.code not in {NO_ERROR, NXDOMAIN}:
        code = CODES.get(reply.code, f"code {reply.code}")
        raise NoAnswerError(f"{code} from {server.name}: see the log of that server, or name others in `servers`")
    if not reply.is_final:
        raise NoAnswerError(f"{server.name} only refers to other servers: name one in `servers` that asks them itself")
    return reply


def _find_least(given: Iterable[int | None]) -> int | None:
    return min((one for one in given if one is not None), default=None)


def _make_snapshot(members: Sequence[Member], found: Sequence[NameFound], crossed: Iterable[Broken] = ()) -> Snapshot:
    """Who has an address is a member. Of whom nothing is known nothing is said."""
    broken = [Broken(one.name, it.error) for one, it in zip(members, found, strict=True) if it.error]
    present = [one for one in members if one.addresses]
    return Snapshot(tuple(sorted(present)), tuple(sorted([*broken, *crossed])))


def choose_services(services: Iterable[SrvTarget]) -> tuple[list[SrvTarget], list[Broken]]:
    """The targets of the lowest priority that are told, each once, and those that cannot be taken.

    Weight 0 where all have it says that nobody shall choose by weight (RFC 2782); beside others it is the lightest.
    """
    told = [one for one in services if one.target]
    priority = min((one.priority for one in told), default=0)
    lowest = [one for one in told if one.priority == priority]
    is_weighed = any(one.weight for one in lowest)
    chosen: dict[str, SrvTarget] = {}
    broken: dict[str, Broken] = {}
    for one in sorted(lowest):
        if not MEMBER_NAME.fullmatch(one.target):
            broken[one.target] = Broken(
                one.target[:253], "its name has something else than letters, digits, dots and dashes"
            )
        elif one.target in chosen:
            ports = f"{chosen[one.target].port} and {one.port}"
            broken[one.target] = Broken(one.target, f"it is told twice, with the ports {ports}, and a member has one")
        else:
            chosen[one.target] = one._replace(weight=max(1, one.weight) if is_weighed else 0)
    return [one for name, one in chosen.items() if name not in broken], list(broken.values())


# --- one question -----------------------------------------------------------------------------------------------------


async def ask(server: NameServer, question: DnsQuestion, seconds: float) -> Reply:
    """What one server says to one question. Raises NoAnswerError."""
    try:
        async with asyncio.timeout(seconds):
            reply = await _ask_by_udp(server, question)
            if reply.code in _WITHOUT_EDNS:
                reply = await _ask_by_udp(server, question, with_edns=False)
            return await _ask_by_tcp(server, question) if reply.is_truncated else reply
    except TimeoutError:
        raise NoAnswerError(f"no answer from {server.name} in {seconds:g} s: is it up, and reached?") from None
    except (asyncio.IncompleteReadError, WireError) as error:
        why = "it ends too soon" if isinstance(error, EOFError) else error
        raise NoAnswerError(f"what {server.name} says is not understood: {why}") from None
    except OSError as error:
        why = strerror(error.errno) if error.errno else str(error)
        raise NoAnswerError(f"{server.name} cannot be asked: {why}") from None


async def _ask_by_udp(server: NameServer, question: DnsQuestion, *, with_edns: bool = True) -> Reply:
    """Raises WireError and OSError."""
    loop, number = asyncio.get_running_loop(), secrets.randbits(16)
    stray = WireError("it is no answer")
    with socket.socket(server.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as one:
        one.connect(server.address)  # by a port that the kernel chooses at random; others are not heard
        one.send(make_query(question, number, with_edns=with_edns))
        for _ in range(MOST_STRAY):
            packet = await loop.sock_recv(one, MOST)
            try:
                return read_reply(packet, question, number)
            except WireError as error:
                stray = error
            await asyncio.sleep(0)  # whoever floods this keeps nobody else waiting
    raise stray


async def _ask_by_tcp(server: NameServer, question: DnsQuestion) -> Reply:
    """Raises WireError, OSError and IncompleteReadError."""
    number = secrets.randbits(16)
    loop, query = asyncio.get_running_loop(), make_query(question, number)
    one = socket.socket(server.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        await loop.sock_connect(one, server.address)
        reader, writer = await asyncio.open_connection(sock=one)
    except BaseException:
        one.close()
        raise
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(await reader.readexactly(2), "big")
        return read_reply(await reader.readexactly(length), question, number)
    finally:
        writer.transport.abort()


# --- whom to ask ------------------------------------------------------------------------------------------------------


def find_servers(options: DnsSource) -> list[NameServer]:
    """Those of the source, or those that the host itself asks now. Raises NoAnswerError."""
    given = [(format_address(address), port or PORT) for address, port in options.servers]
    try:
        told = given or [(one, PORT) for one in read_resolv_conf(RESOLV_CONF.read_text(errors="replace"))]
    except FileNotFoundError:
        told = [("127.0.0.1", PORT)]
    except OSError as error:
        raise NoAnswerError(f"{RESOLV_CONF} cannot be read: {error.strerror}") from None
    return [server for one in told if (server := _find_server(*one)) is not None]


def read_resolv_conf(text: str) -> list[str]:
    """The addresses of the servers in such a file; this host where it has none. Source: resolv.conf(5)."""
    lines = (line.split() for line in text.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"][:MOST_SERVERS] or ["127.0.0.1"]


def _find_server(address: str, port: int) -> NameServer | None:
    """As the socket functions want it, with the link of a link-local address; None for what is none."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV  # nobody is asked for it
    try:
        [(family, _, _, _, where), *_] = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM, flags=flags)
    except (OSError, UnicodeError):
        return None
    text = f"[{address}]" if ":" in address else address
    return NameServer(address if port == PORT else f"{text}:{port}", family, where)
