"""The tap on the real kernel, beside ``ipvsadm``: what it hears, whose link it takes, and how it ends."""

from __future__ import annotations

import select
import shutil
import subprocess
from collections.abc import Iterator
from errno import EEXIST
from pathlib import Path
from typing import Final

import pytest

from routed.daemon.claims import ClaimsFile
from routed.kernel.dump import finish
from routed.kernel.ipvs.dataplane import Ipvs
from routed.kernel.ipvs.tap import EVERYTHING, Tap, name_link
from routed.model.change import Operation, Verb
from routed.model.events import RequestEvent
from routed.model.ipvs import TCP, ServerMember, ServerSlot, ServiceMember, ServiceSlot, ServiceValue
from routed.model.net import IPV4, parse_address
from routed.model.objects import Kind, Scope
from routed.model.reasons import Deed, Flaw
from tests.kernel.ipvsadm import NO_IPVS, ipvsadm
from tests.kernel.netns import private_network

OURS: Final = 114
LINK: Final = name_link(OURS)
ADDRESS: Final = "10.5.0.9:80"
WEB: Final = ServiceMember(TCP, parse_address("10.5.0.9"), 80)
RR: Final = ServiceValue(OURS, "rr", prefixlen=32)


@pytest.fixture
def ipvs(tmp_path: Path) -> Iterator[Ipvs]:
    """IPVS of a network namespace without services, where links of the kind nlmon can be made."""
    if not shutil.which("ipvsadm"):
        pytest.skip(NO_IPVS)
    with private_network():
        opened = Ipvs(ClaimsFile(tmp_path))
        try:
            finish(opened.read_dump(Scope(Kind.SERVICE, IPV4)))
            Tap(OURS).close()
        except OSError:
            pytest.skip(NO_IPVS)
        try:
            yield opened
        finally:
            ipvsadm("-C")
            opened.close()


@pytest.fixture
def tap(ipvs: Ipvs) -> Iterator[Tap]:
    opened = Tap(OURS)
    opened.follow(ipvs.family)
    yield opened
    opened.close()


def ip(words: str) -> str:
    return subprocess.run(["ip", *words.split()], check=True, capture_output=True, text=True).stdout


def is_there() -> bool:
    return f"{LINK}:" in Path("/proc/thread-self/net/dev").read_text()


def test_each_change_by_ipvsadm_is_heard_with_its_pid_and_no_question_is(tap: Tap) -> None:
    place, server = ServerSlot(IPV4, WEB), ServerMember(parse_address("10.6.0.1"), 80)
    for words, deed, touched in (
        (f"-A -t {ADDRESS} -s rr", Deed.ADDED, {(ServiceSlot(IPV4), WEB)}),
        (f"-a -t {ADDRESS} -r 10.6.0.1:80 -m", Deed.ADDED, {(place, server)}),
        (f"-e -t {ADDRESS} -r 10.6.0.1:80 -m -w 7", Deed.CHANGED, {(place, server)}),
        (f"-E -t {ADDRESS} -s wlc", Deed.CHANGED, {(ServiceSlot(IPV4), WEB)}),
        (f"-d -t {ADDRESS} -r 10.6.0.1:80", Deed.DELETED, {(place, server)}),
        (f"-D -t {ADDRESS}", Deed.DELETED, {(ServiceSlot(IPV4), WEB), (place, None)}),
        ("--set 900 120 300", Deed.CHANGED, set()),
        ("-C", Deed.DELETED, {(None, None)}),
    ):
        command = subprocess.Popen(["ipvsadm", *words.split()])
        assert command.wait() == 0
        [event] = tap.read()
        assert (event.reason, {one[1:] for one in event.touched}) == (deed, touched)
        assert event.port == command.pid
    for words in ("-Ln", "-Sn", "-Z"):
        subprocess.run(["ipvsadm", *words.split()], check=True, capture_output=True)
    assert tap.read() == []


def test_what_we_ask_for_ourselves_is_not_heard(ipvs: Ipvs, tap: Tap) -> None:
    operation = Operation(Verb.ADD, Kind.SERVICE, ServiceSlot(IPV4), (WEB,), RR, None, Flaw.MISSING)
    assert [list(batch) for batch in ipvs.apply(operation)] == [[]]
    assert tap.read() == []
    ipvsadm("-D", "-t", ADDRESS)
    assert len(tap.read()) == 1


def test_its_link_goes_with_it_and_one_of_a_daemon_that_was_killed_is_used_again(tap: Tap) -> None:
    assert is_there()
    again = Tap(OURS)
    assert f"alias routed:{OURS}" in ip(f"link show dev {LINK}")
    again.close()
    assert not is_there()


def test_one_whose_maker_was_killed_before_it_was_marked_is_used_again(ipvs: Ipvs) -> None:
    ip(f"link add {LINK} type nlmon")
    Tap(OURS).close()
    assert not is_there()


@pytest.mark.parametrize("made", ["type nlmon alias theirs", "type dummy", "type nlmon up"])
def test_a_link_of_somebody_else_by_that_name_is_left_alone(ipvs: Ipvs, made: str) -> None:
    kind, *more = made.split(maxsplit=2)
    ip(f"link add {LINK} {kind} {more[0]}")
    if len(more) > 1:
        ip(f"link set {LINK} {more[1]}")
    with pytest.raises(OSError, match="of somebody else") as caught:
        Tap(OURS)
    assert caught.value.errno == EEXIST
    assert is_there()


@pytest.mark.parametrize("done", [f"link del {LINK}", f"link set {LINK} down"])
def test_a_link_that_is_taken_away_is_told(tap: Tap, done: str) -> None:
    ip(done)
    assert select.select([tap], [], [], 10)[0] == [tap]
    with pytest.raises(OSError, match=LINK):
        tap.read()
    tap.close()
    assert not is_there()


def test_what_was_lost_counts_as_everything(tap: Tap) -> None:
    rules = "".join(f"-A -u 10.7.{one >> 8}.{one & 255}:53 -s rr\n" for one in range(20_000))
    ipvsadm("-R", given=rules)
    heard: list[RequestEvent] = []
    while events := tap.read():
        heard += events
    assert len(heard) < 20_000
    assert any(event.touched == EVERYTHING for event in heard)


def test_the_filter_follows_the_family(ipvs: Ipvs, tap: Tap) -> None:
    tap.follow(ipvs.family + 1)
    ipvsadm("-C")
    assert tap.read() == []
    tap.follow(ipvs.family)
    ipvsadm("-C")
    assert len(tap.read()) == 1
