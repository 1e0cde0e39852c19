"""IPVS of the real kernel, beside ``ipvsadm``. It needs the initial user namespace, and a kernel that has IPVS."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from errno import EEXIST, ENOENT, EPERM, ESRCH
from pathlib import Path
from typing import Final

import pytest

from routed.daemon.claims import ClaimsFile
from routed.kernel.dump import finish
from routed.kernel.ipvs.dataplane import Ipvs
from routed.kernel.ipvs.table import ProcFiles, parse_table
from routed.model.change import Failure, Operation, Verb
from routed.model.ipvs import (
    CHECKSUM,
    DIRECT,
    GRE,
    GUE,
    IPIP,
    LONGEST,
    LONGEST_TIMEOUT,
    MASQ,
    ONE_PACKET,
    PERSISTENT,
    REMOTE_CHECKSUM,
    SCHEDULER_1,
    SCHEDULER_2,
    SCTP,
    TCP,
    TUNNEL,
    UDP,
    ServerMember,
    ServerSlot,
    ServerValue,
    ServiceMember,
    ServiceSlot,
    ServiceValue,
    TimeoutMember,
    TimeoutSlot,
    TimeoutValue,
    Traffic,
)
from routed.model.net import IPV4, IPV6, parse_address
from routed.model.objects import Kind, Member, Scope, Slot, Value
from routed.model.reasons import Flaw
from tests.kernel.ipvsadm import (
    NO_IPVS,
    Servers,
    Services,
    ipvsadm,
    options,
    restore,
    saved,
    server_line,
    service_line,
    threshold_words,
    thresholds,
)
from tests.kernel.netns import private_network

OURS: Final = 114


@pytest.fixture
def ipvs(tmp_path: Path) -> Iterator[Ipvs]:
    """IPVS of a network namespace without services."""
    if not shutil.which("ipvsadm"):
        pytest.skip(NO_IPVS)
    with private_network():
        opened = Ipvs(ClaimsFile(tmp_path))
        try:
            finish(opened.read_dump(Scope(Kind.SERVICE, IPV4)))
        except OSError as error:
            if error.errno not in {ENOENT, EPERM}:
                raise
            pytest.skip(NO_IPVS)
        try:
            yield opened
        finally:
            ipvsadm("-C")
            opened.close()


def persistent(scheduler: str, timeout: int, length: int, flags: int = 0, engine: str = "") -> ServiceValue:
    return ServiceValue(0, scheduler, PERSISTENT | flags, timeout, length, engine)


def make_services(family: int, address: str) -> Services:
    """One of each sort in a family."""
    width = 32 if family == IPV4 else 128

    def at(port: int, ipproto: int = TCP) -> ServerSlot:
        return ServerSlot(family, ServiceMember(ipproto, parse_address(address), port))

    def plain(scheduler: str, flags: int = 0) -> ServiceValue:
        return ServiceValue(0, scheduler, flags, 0, width)

    schedulers = ("rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "lblc", "lblcr", "dh")
    return {at(1000 + place): plain(name) for place, name in enumerate(schedulers)} | {
        at(53, UDP): plain("wrr", ONE_PACKET),
        at(9, SCTP): plain("lc"),
        at(80): plain("sh"),
        at(81): plain("sh", SCHEDULER_1),
        at(82): plain("mh", SCHEDULER_2),
        at(83): plain("mh", SCHEDULER_1 | SCHEDULER_2),
        at(443): persistent("wlc", 360, width),
        at(444): persistent("wlc", 10800, width - 8),
        at(445): persistent("sh", LONGEST, 1, SCHEDULER_1 | SCHEDULER_2),
        at(0): persistent("rr", 1, width),
        at(5060, UDP): persistent("rr", 600, width, engine="sip"),
        ServerSlot(family, ServiceMember(fwmark=7)): plain("rr"),
        # ipvsadm prints a mark with the highest bit as a negative number
        ServerSlot(family, ServiceMember(fwmark=0x7FFFFFFF)): persistent("mh", 300, 24, SCHEDULER_2),
    }


def make_servers(family: int, address: str, near: str, far: str) -> Servers:
    """One of each sort in a family; ``near`` and ``far`` are networks of this family and of the other."""
    web = ServerSlot(family, ServiceMember(TCP, parse_address(address), 1000))
    mark = ServerSlot(family, ServiceMember(fwmark=7))

    def at(number: int, port: int = 1000, network: str = near) -> ServerMember:
        return ServerMember(parse_address(f"{network}{number}"), port)

    tunnels = [
        (IPIP, 0, 0),
        (GUE, 6080, 0),
        (GUE, 6080, CHECKSUM),
        (GUE, 1, REMOTE_CHECKSUM),
        (GRE, 0, 0),
        (GRE, 0, CHECKSUM),
    ]
    return {
        (web, at(1)): ServerValue(0, MASQ),
        (web, at(2)): ServerValue(0, MASQ, 0),
        (web, at(3, 8080)): ServerValue(0, MASQ, 65535),
        (web, at(3, 8081)): ServerValue(0, MASQ, 5, 1000, 800),
        (web, at(4)): ServerValue(0, DIRECT, 7, 10),
        (mark, at(1, 0)): ServerValue(0, DIRECT),
        (mark, at(2, 0)): ServerValue(0, MASQ, 3, 5, 5),
    } | {
        (web, at(10 * (1 + (network == far)) + place, network=network)): ServerValue(
            0, TUNNEL, 1 + place, 0, 0, *tunnel
        )
        for place, tunnel in enumerate(tunnels)
        for network in (near, far)
    }


SERVICES: Final = {**make_services(IPV4, "10.5.0.9"), **make_services(IPV6, "2001:db8::9")}
SERVERS: Final = {
    **make_servers(IPV4, "10.5.0.9", "10.5.1.", "2001:db8:1::"),
    **make_servers(IPV6, "2001:db8::9", "2001:db8:1::", "10.5.1."),
}
WEB: Final = ServerSlot(IPV4, ServiceMember(TCP, parse_address("10.5.0.9"), 80))
RR: Final = ServiceValue(OURS, "rr", prefixlen=32)
ONE: Final = ServerMember(parse_address("10.5.1.1"), 80)
TWO: Final = ServerMember(parse_address("10.5.1.2"), 80)
UP: Final = ServerValue(OURS)


def read_services(ipvs: Ipvs) -> Services:
    return {
        ServerSlot(slot.family, member): value  # type: ignore[arg-type]
        for slot, member, value in read(ipvs, Kind.SERVICE)
    }


def read_servers(ipvs: Ipvs) -> Servers:
    return {(slot, member): value for slot, member, value in read(ipvs, Kind.SERVER)}  # type: ignore[misc]


def read(ipvs: Ipvs, kind: Kind) -> Iterator[tuple[Slot, Member, Value]]:
    for family in (IPV4, IPV6):
        for chunk in finish(ipvs.read_dump(Scope(kind, family))).chunks():
            assert isinstance(chunk, list)
            yield from chunk


def do(ipvs: Ipvs, verb: Verb, place: ServerSlot, value: Value, *members: ServerMember) -> list[Failure]:
    """One operation on a service, or on servers of it."""
    kind = Kind.SERVER if members else Kind.SERVICE
    slot: Slot = place if members else ServiceSlot(place.family)
    operation = Operation(verb, kind, slot, members or (place.service,), value, None, Flaw.MISSING)
    return [failure for batch in ipvs.apply(operation) for failure in batch]


@pytest.fixture
def web(ipvs: Ipvs) -> Ipvs:
    """With a service of ours and a server, read once."""
    assert do(ipvs, Verb.ADD, WEB, RR) == []
    assert do(ipvs, Verb.ADD, WEB, UP, ONE) == []
    assert read_services(ipvs) == {WEB: RR}
    assert read_servers(ipvs) == {(WEB, ONE): UP}
    return ipvs


def test_whatever_ipvsadm_writes_is_read(ipvs: Ipvs) -> None:
    restore(service_line(slot, value) for slot, value in SERVICES.items())
    restore(server_line(slot, member, value) + threshold_words(value) for (slot, member), value in SERVERS.items())
    assert read_services(ipvs) == SERVICES
    assert read_servers(ipvs) == SERVERS
    assert ipvs.malformed == 0


def test_whatever_is_written_ipvsadm_reads_and_it_reads_back_as_ours(ipvs: Ipvs) -> None:
    for slot, service in SERVICES.items():
        assert do(ipvs, Verb.ADD, slot, service._replace(protocol=OURS)) == []
    for (slot, member), server in SERVERS.items():
        assert do(ipvs, Verb.ADD, slot, server._replace(protocol=OURS), member) == []
    lines = [service_line(slot, value) for slot, value in SERVICES.items()]
    lines += [server_line(slot, member, value) for (slot, member), value in SERVERS.items()]
    assert saved() == set(map(options, lines))
    uppers = {(upper, lower) for _, upper, lower in thresholds()}
    assert uppers == {(value.upper, value.lower) for value in SERVERS.values()}
    assert read_services(ipvs) == {slot: value._replace(protocol=OURS) for slot, value in SERVICES.items()}
    assert read_servers(ipvs) == {key: value._replace(protocol=OURS) for key, value in SERVERS.items()}


def test_proc_lists_every_service(ipvs: Ipvs) -> None:
    restore(service_line(slot, value) for slot, value in SERVICES.items())
    raw = finish(ProcFiles().read_table())
    assert raw is not None
    assert finish(parse_table(raw)).keys() == SERVICES.keys()
    assert read_services(ipvs) == SERVICES
    assert ProcFiles().read_references() is not None


def test_each_value_can_be_set_in_the_place_of_another(web: Ipvs) -> None:
    for slot, value in SERVICES.items():
        if slot.family == IPV4 and not value.flags & ONE_PACKET:
            assert do(web, Verb.REPLACE, WEB, value._replace(protocol=OURS)) == []
            assert read_services(web) == {WEB: value._replace(protocol=OURS)}
    for (slot, member), server in SERVERS.items():
        if slot.family == IPV4 and len(member.address) == 4:
            assert do(web, Verb.REPLACE, WEB, server._replace(protocol=OURS), ONE) == []
            assert read_servers(web) == {(WEB, ONE): server._replace(protocol=OURS)}


ADD_WEB: Final = "-A -t 10.5.0.9:80 -s rr"


@pytest.mark.parametrize(
    ("command", "services", "servers"),
    [
        ("-d -t 10.5.0.9:80 -r 10.5.1.1:80", {WEB: RR}, {}),
        ("-e -t 10.5.0.9:80 -r 10.5.1.1:80 -m -w 9", {WEB: RR}, {(WEB, ONE): UP._replace(weight=9)}),
        ("-e -t 10.5.0.9:80 -r 10.5.1.1:80 -g", {WEB: RR}, {(WEB, ONE): UP._replace(forward=DIRECT)}),
        ("-a -t 10.5.0.9:80 -r 10.5.1.2:80 -m", {WEB: RR}, {(WEB, ONE): UP, (WEB, TWO): UP}),
        ("-E -t 10.5.0.9:80 -s wlc", {WEB: RR._replace(scheduler="wlc")}, {(WEB, ONE): UP}),
        (
            "-E -t 10.5.0.9:80 -s rr -p 120",
            {WEB: RR._replace(flags=PERSISTENT, timeout=120)},
            {(WEB, ONE): UP},
        ),
        ("-D -t 10.5.0.9:80", {}, {}),
        ("-C", {}, {}),
        ("-Z", {WEB: RR}, {(WEB, ONE): UP}),
    ],
)
def test_what_somebody_does_with_ipvsadm_is_seen_by_the_next_read(
    web: Ipvs, command: str, services: Services, servers: Servers
) -> None:
    ipvsadm(*command.split())
    assert read_services(web) == services
    assert read_servers(web) == servers


def test_what_was_cleared_and_put_by_somebody_else_meanwhile_is_theirs(web: Ipvs) -> None:
    ipvsadm("-C")
    assert read_services(web) == {}
    ipvsadm(*ADD_WEB.split())
    assert read_services(web) == {WEB: RR._replace(protocol=0)}


def test_while_nothing_changes_the_dump_is_the_same(web: Ipvs) -> None:
    prints = {finish(web.read_dump(Scope(Kind.SERVER, IPV4))).fingerprint for _ in range(3)}
    assert len(prints) == 1


def test_who_starts_anew_knows_its_own_by_the_claims_on_disk(web: Ipvs, tmp_path: Path) -> None:
    ipvsadm("-A", "-u", "10.5.0.9:53", "-s", "rr")
    other = Ipvs(ClaimsFile(tmp_path))
    assert {value.protocol for value in read_services(other).values()} == {OURS, 0}
    assert read_servers(other) == {(WEB, ONE): UP}
    other.close()
    assert len((tmp_path / "ipvs.jsonl").read_text().splitlines()) == 3  # a head, a service, a server


@pytest.mark.parametrize(
    ("ask", "errno", "words"),
    [
        (lambda ipvs: do(ipvs, Verb.ADD, WEB, RR), EEXIST, "somebody else"),
        (lambda ipvs: do(ipvs, Verb.REPLACE, WEB, RR._replace(scheduler="twos")), ENOENT, "ip_vs_twos"),
        (lambda ipvs: do(ipvs, Verb.REPLACE, WEB, RR._replace(engine="foo")), ENOENT, "ip_vs_pe_foo"),
        (lambda ipvs: do(ipvs, Verb.REPLACE, WEB, UP, TWO), ENOENT, "deleted it"),
        (
            lambda ipvs: do(ipvs, Verb.ADD, ServerSlot(IPV6, ServiceMember(fwmark=1)), UP, TWO),
            ESRCH,
            "its service",
        ),
        (lambda ipvs: do(ipvs, Verb.ADD, WEB, UP._replace(upper=5, lower=9), TWO), 34, "lower threshold"),
    ],
    ids=["exists", "scheduler", "engine", "gone", "service gone", "thresholds"],
)
def test_what_the_kernel_refuses_has_words(
    web: Ipvs, ask: Callable[[Ipvs], list[Failure]], errno: int, words: str
) -> None:
    [failure] = ask(web)
    assert failure.errno == errno
    assert words in failure.text
    assert read_services(web) == {WEB: RR}
    assert read_servers(web) == {(WEB, ONE): UP}


def test_many_services_are_added_seen_and_taken_away(ipvs: Ipvs) -> None:
    slot = ServiceSlot(IPV4)
    members = tuple(ServiceMember(TCP, parse_address("10.5.0.9"), port) for port in range(1, 301))
    add = Operation(Verb.ADD, Kind.SERVICE, slot, members, RR, None, Flaw.MISSING)
    assert set(ipvs.apply(add)) == {()}
    assert len(ipvsadm("-Sn").splitlines()) == 300
    assert {slot.service for slot in read_services(ipvs)} == set(members)
    assert set(ipvs.apply(add._replace(verb=Verb.DELETE))) == {()}
    assert ipvsadm("-Sn") == ""
    assert read_services(ipvs) == {}


def test_beside_a_busy_writer_nothing_that_stands_is_missing(ipvs: Ipvs, tmp_path: Path) -> None:
    slot = ServiceSlot(IPV4)
    steady = tuple(ServiceMember(TCP, parse_address("10.5.0.9"), port) for port in range(1, 201))
    churn = tuple(member._replace(address=parse_address("10.6.0.9")) for member in steady)
    behind = tuple(ServerMember(parse_address("10.5.1.1"), port) for port in range(1, 201))
    others = tuple(member._replace(address=parse_address("10.6.1.1")) for member in behind)
    web = ServerSlot(IPV4, steady[99])
    add = Operation(Verb.ADD, Kind.SERVICE, slot, steady, RR, None, Flaw.MISSING)
    assert set(ipvs.apply(add)) == {()}
    assert do(ipvs, Verb.ADD, web, UP, *behind) == []
    stop = threading.Event()

    def write() -> None:
        other = Ipvs(ClaimsFile(tmp_path / "other"))
        while not stop.is_set():
            for verb in (Verb.ADD, Verb.DELETE):
                list(other.apply(add._replace(verb=verb, members=churn)))
                do(other, verb, web, UP, *others)
        other.close()

    reader = Ipvs(ClaimsFile(tmp_path), trust=0.0)  # all is read each time
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            found = read_services(reader)
            assert {place.service for place in found} >= set(steady)
            assert {found[ServerSlot(IPV4, member)].protocol for member in steady} == {OURS}
            assert {member for _, member in read_servers(reader)} >= set(behind)
    finally:
        stop.set()
        writer.join()
        reader.close()


def set_timeout(ipvs: Ipvs, word: str, seconds: int) -> list[Failure]:
    value = TimeoutValue(OURS, seconds)
    operation = Operation(Verb.REPLACE, Kind.TIMEOUT, TimeoutSlot(), (TimeoutMember(word),), value, None, Flaw.MISSING)
    return [failure for batch in ipvs.apply(operation) for failure in batch]


def read_timeouts(ipvs: Ipvs) -> dict[str, tuple[int, int]]:
    chunks = finish(ipvs.read_dump(Scope(Kind.TIMEOUT, 0))).chunks()
    found = [one for chunk in chunks if isinstance(chunk, list) for one in chunk]
    return {str(*one.member): (one.value.protocol, one.value.seconds) for one in found}


def test_a_timeout_is_set_without_the_others_and_what_ipvsadm_sets_is_read(ipvs: Ipvs) -> None:
    assert set_timeout(ipvs, "tcp_fin", 121) == []
    assert ipvsadm("-L", "--timeout").strip().endswith("900 121 300")
    ipvsadm("--set", "902", "0", "0")
    assert read_timeouts(ipvs) == {"tcp": (0, 902), "tcp_fin": (OURS, 121), "udp": (0, 300)}
    assert set_timeout(ipvs, "tcp", LONGEST_TIMEOUT) == []
    assert ipvsadm("-L", "--timeout").strip().endswith(f"{LONGEST_TIMEOUT} 121 300")


def test_traffic(web: Ipvs) -> None:
    assert web.read_traffic(WEB) == (Traffic(), {ONE: Traffic()})
