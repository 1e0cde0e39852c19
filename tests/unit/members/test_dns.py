"""DNS as a source of members: servers that are good, silent, broken or hostile, played on sockets of this host."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import pytest

from routed.audit.reasons import describe_reason
from routed.members import dns
from routed.members.dns import DnsRound, choose_services, find_servers, follow, read_resolv_conf
from routed.members.dns_wire import SrvTarget
from routed.model.members import Broken, DnsSource, Member, Snapshot
from routed.model.net import IPV4, parse_address
from routed.model.reasons import Reason
from tests.unit.members import dns_packets as wire
from tests.unit.members.dns_packets import POINTER, address, reply, service

Answer = Callable[[bytes, bool], list[bytes]]  # to a query, by TCP or not: the packets that come

ONE: Final = parse_address("192.0.2.1")
TWO: Final = parse_address("192.0.2.2")


class Server(asyncio.DatagramProtocol):
    """A server that says what a test has it say."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.queries: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.queries.append(data)
        for packet in self.answer(data, False):
            self.transport.sendto(packet, addr)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            for packet in self.answer(query, True):
                writer.write(len(packet).to_bytes(2, "big") + packet)
        writer.close()


async def start(answer: Answer) -> tuple[Server, tuple[bytes, int], Callable[[], Awaitable[None]]]:
    """A server, where it listens, and what ends it."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: Server(answer), local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    listening = await asyncio.start_server(server.serve, "127.0.0.1", port)

    async def stop() -> None:
        transport.close()
        listening.close()
        await listening.wait_closed()

    return server, (parse_address("127.0.0.1"), port), stop


def asked_for(query: bytes) -> str:
    labels, at = [], wire.HEAD
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels)


def run(options: DnsSource, *answers: Answer) -> tuple[Snapshot, int | None]:
    """One round, with these as its servers."""

    async def play() -> tuple[Snapshot, int | None]:
        started = [await start(one) for one in answers]
        try:
            servers = tuple(where for _, where, _ in started)
            return await DnsRound(options._replace(servers=servers, timeout=0.5)).ask()
        finally:
            for _, _, stop in started:
                await stop()

    return asyncio.run(play())


def fail(options: DnsSource, *answers: Answer) -> str:
    """Why nobody is known, without the number of a port."""
    with pytest.raises(dns.NoAnswerError) as caught:
        run(options, *answers)
    return re.sub("127.0.0.1:[0-9]+", "SERVER", str(caught.value))


A: Final = DnsSource(("a",), families=(IPV4,))
AB: Final = DnsSource(("a", "b"), families=(IPV4,))


def good(query: bytes, _: bool) -> list[bytes]:
    return [reply(query, address(POINTER, "192.0.2.2", 300), address(POINTER, "192.0.2.1", 60))]


def code(number: int) -> Answer:
    return lambda query, _: [reply(query, code=number)]


def silent(_query: bytes, _: bool) -> list[bytes]:
    return []


def test_each_name_is_a_member_with_its_addresses_always_in_one_order() -> None:
    snapshot, ttl = run(AB, good)
    assert snapshot == Snapshot((Member("a", addresses=(ONE, TWO)), Member("b", addresses=(ONE, TWO))))
    assert ttl == 60


def test_both_families_are_asked_for() -> None:
    def answer(query: bytes, _: bool) -> list[bytes]:
        is_ipv6 = query[wire.HEAD + 4] == wire.AAAA
        return [reply(query, address(POINTER, "2001:db8::1" if is_ipv6 else "192.0.2.1"))]

    snapshot, _ = run(DnsSource(("a",)), answer)
    assert snapshot.members == (Member("a", addresses=(ONE, parse_address("2001:db8::1"))),)


@pytest.mark.parametrize("answer", [code(wire.NXDOMAIN), code(0)])
def test_a_name_that_is_not_there_is_no_member(answer: Answer) -> None:
    assert run(A, answer)[0] == Snapshot()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (code(wire.SERVFAIL), "A of a: SERVFAIL from SERVER: see the log of that server, or name others in `servers`"),
        (code(wire.REFUSED), "A of a: REFUSED from SERVER: see the log of that server, or name others in `servers`"),
        (code(9), "A of a: code 9 from SERVER: see the log of that server, or name others in `servers`"),
        (silent, "A of a: no answer from SERVER in 0.5 s: is it up, and reached?"),
        (
            lambda query, _: [reply(query, flags=wire.ANSWER)],
            "A of a: SERVER only refers to other servers: name one in `servers` that asks them itself",
        ),
        (
            lambda query, is_tcp: [reply(query, address(POINTER, "::1")[:-1])] if is_tcp else [cut(query)],
            "A of a: what SERVER says is not understood: it ends within a record",
        ),
        (
            lambda query, is_tcp: [] if is_tcp else [cut(query)],
            "A of a: what SERVER says is not understood: it ends too soon",
        ),
    ],
)
def test_whoever_cannot_say_it_says_nothing(answer: Answer, why: str) -> None:
    assert fail(A, answer) == why


def cut(query: bytes) -> bytes:
    return reply(query, flags=wire.USUAL | wire.TRUNCATED)


def test_where_nobody_listens_it_is_said() -> None:
    async def play() -> None:
        _, where, stop = await start(good)
        await stop()
        await DnsRound(A._replace(servers=(where,))).ask()

    with pytest.raises(dns.NoAnswerError, match="cannot be asked: Connection refused"):
        asyncio.run(play())


@pytest.mark.parametrize("bad", [code(wire.SERVFAIL), code(wire.REFUSED), silent])
def test_the_next_server_is_asked_instead(bad: Answer) -> None:
    assert run(A, bad, good)[0].members == (Member("a", addresses=(ONE, TWO)),)


def test_of_one_name_of_which_nothing_is_known_nobody_is_gone_and_the_others_count() -> None:
    def answer(query: bytes, _: bool) -> list[bytes]:
        return [reply(query, code=wire.SERVFAIL)] if asked_for(query) == "b" else good(query, False)

    snapshot, _ = run(AB, answer)
    assert snapshot.is_complete
    assert snapshot.members == (Member("a", addresses=(ONE, TWO)),)
    (broken,) = snapshot.broken
    assert broken.name == "b"
    assert broken.why.startswith("A of b: SERVFAIL from 127.0.0.1:")


def test_an_answer_that_is_cut_off_is_asked_for_by_tcp() -> None:
    many = [f"192.0.2.{number}" for number in range(64)]

    def answer(query: bytes, is_tcp: bool) -> list[bytes]:
        return [reply(query, *(address(POINTER, one) for one in many))] if is_tcp else [cut(query)]

    (member,) = run(A, answer)[0].members
    assert len(member.addresses) == 64


def test_nobody_has_more_addresses_than_the_document_can_say() -> None:
    def answer(query: bytes, _: bool) -> list[bytes]:
        return [
            reply(query, *(address(POINTER, f"192.0.2.{number}") for number in range(65 if b"\x01a" in query else 1)))
        ]

    snapshot, _ = run(AB, answer)
    assert [one.name for one in snapshot.members] == ["b"]
    assert snapshot.broken == (Broken("a", "it has 65 addresses, and a member has at most 64"),)


def test_a_server_that_does_not_know_edns_is_asked_without() -> None:
    def answer(query: bytes, _: bool) -> list[bytes]:
        return [reply(query, code=1)] if query[11] else good(query, False)

    assert run(A, answer)[0].members == (Member("a", addresses=(ONE, TWO)),)


def test_what_answers_another_question_is_not_believed() -> None:
    def answer(query: bytes, _: bool) -> list[bytes]:
        wrong = bytes((query[0] ^ 0xFF,)) + query[1:]
        other = query.replace(b"\x01a", b"\x01z")
        lies = [reply(one, address(POINTER, "192.0.2.66")) for one in (wrong, other)]
        return [*lies, b"", b"rubbish", query, *good(query, False)]

    assert run(A, answer)[0].members == (Member("a", addresses=(ONE, TWO)),)


def test_every_question_has_a_number_and_a_port_of_its_own() -> None:
    seen: set[bytes] = set()

    def answer(query: bytes, _: bool) -> list[bytes]:
        seen.add(query[:2])
        return good(query, False)

    run(DnsSource(tuple(f"n{number}" for number in range(40)), families=(IPV4,)), answer)
    assert len(seen) > 35


# --- SRV --------------------------------------------------------------------------------------------------------------

SERVICE: Final = DnsSource(srv="_cache._tcp.example.internal", families=(IPV4,))


def serving(*services: bytes, missing: str = "", broken: str = "") -> Answer:
    def answer(query: bytes, _: bool) -> list[bytes]:
        asked = asked_for(query)
        if asked.startswith("_"):
            return [reply(query, *services)]
        if asked == broken:
            return [reply(query, code=wire.SERVFAIL)]
        return [reply(query, code=wire.NXDOMAIN)] if asked == missing else good(query, False)

    return answer


def test_each_target_of_the_lowest_priority_is_a_member() -> None:
    told = [(10, 3, 8080, "C1.x"), (10, 0, 80, "c2.x"), (20, 1, 1, "z")]
    services = [service(POINTER, *one) for one in told]
    snapshot, ttl = run(SERVICE, serving(*services))
    assert snapshot == Snapshot(
        (
            Member("c1.x", addresses=(ONE, TWO), port=8080, weight=3),
            Member("c2.x", addresses=(ONE, TWO), port=80, weight=1),
        )
    )
    assert ttl == 60


def test_a_target_without_addresses_is_no_member_and_one_that_is_not_known_is_not_gone() -> None:
    services = [service(POINTER, 0, 0, 80, one) for one in ("a.x", "b.x", "c.x")]
    snapshot, _ = run(SERVICE, serving(*services, missing="a.x", broken="b.x"))
    assert [one.name for one in snapshot.members] == ["c.x"]
    assert [one.name for one in snapshot.broken] == ["b.x"]


@pytest.mark.parametrize("services", [(), (service(POINTER, 0, 0, 0, "."),)])
def test_a_service_that_nobody_gives_has_no_members(services: tuple[bytes, ...]) -> None:
    assert run(SERVICE, serving(*services))[0] == Snapshot()


def test_a_target_that_makes_no_member_is_told() -> None:
    chosen, broken = choose_services(
        [SrvTarget(0, 0, 80, "a"), SrvTarget(0, 0, 81, "a"), SrvTarget(0, 0, 80, "b\\046c")]
    )
    assert chosen == []
    assert broken == [
        Broken("b\\046c", "its name has something else than letters, digits, dots and dashes"),
        Broken("a", "it is told twice, with the ports 80 and 81, and a member has one"),
    ]


# --- again and again --------------------------------------------------------------------------------------------------


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between rounds, which take no time."""
    told: list[float] = []
    slept = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds:
            told.append(round(seconds / (1 + dns.JITTER), 1))
        await slept(0)

    monkeypatch.setattr(dns.asyncio, "sleep", sleep)  # type: ignore[attr-defined]
    monkeypatch.setattr(dns.random, "uniform", lambda _, high: high)  # type: ignore[attr-defined]
    return told


def listen(options: DnsSource, answer: Answer, count: int) -> list[Snapshot | Reason]:
    told: list[Snapshot | Reason] = []

    async def play() -> None:
        _, where, stop = await start(answer)
        is_enough = asyncio.Event()

        def deliver(said: Snapshot | Reason) -> None:
            told.append(said)
            if len(told) >= count:
                is_enough.set()

        task = asyncio.create_task(follow(options._replace(servers=(where,)), deliver))
        await is_enough.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stop()

    asyncio.run(play())
    return told


@pytest.mark.parametrize(("ttl", "pause"), [(0, 30.0), (10, 30.0), (300, 300.0), (86400, 3600.0)])
def test_a_ttl_only_lengthens_the_pause(pauses: list[float], ttl: int, pause: float) -> None:
    listen(A, lambda query, _: [reply(query, address(POINTER, "192.0.2.1", ttl))], 2)
    assert pauses[0] == pause


def test_who_fails_is_asked_again_soon_and_then_more_and_more_seldom(pauses: list[float]) -> None:
    told = listen(A, code(wire.SERVFAIL), 8)
    assert pauses[:7] == [1, 2, 4, 8, 16, 30, 30]
    reason = told[-1]
    assert not isinstance(reason, Snapshot)
    assert describe_reason(reason).startswith("a: A of a: SERVFAIL from 127.0.0.1:")


# --- whom to ask ------------------------------------------------------------------------------------------------------


def test_the_servers_of_the_host_are_asked_where_none_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    monkeypatch.setattr(dns, "RESOLV_CONF", file)
    assert [one.name for one in find_servers(A)] == ["127.0.0.1"]
    file.write_text("# nameserver 192.0.2.9\nsearch x\nnameserver 192.0.2.1\nnameserver\nnameserver what\n"
                    "nameserver fe80::1%lo\nnameserver 192.0.2.4\n")  # fmt: skip
    first, second = find_servers(A)
    assert (first.name, first.family, first.address) == ("192.0.2.1", socket.AF_INET, ("192.0.2.1", 53))
    assert (second.name, second.address) == ("fe80::1%lo", ("fe80::1", 53, 0, 1))
    file.unlink()
    file.mkdir()
    with pytest.raises(dns.NoAnswerError, match="cannot be read"):
        find_servers(A)
    named = find_servers(A._replace(servers=((ONE, 0), (parse_address("2001:db8::1"), 5353))))
    assert [one.name for one in named] == ["192.0.2.1", "[2001:db8::1]:5353"]


def test_a_file_without_servers_means_this_host() -> None:
    assert read_resolv_conf("") == ["127.0.0.1"]
