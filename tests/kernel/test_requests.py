"""Questions and answers: whatever fails on a socket, the next answer belongs to the next question."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from errno import ENOBUFS, ETIMEDOUT
from itertools import count
from typing import Any, cast

import pytest

from routed.kernel import sockets
from routed.kernel.codec.attributes import DONE, ERROR, HEADER, MalformedMessage, message
from routed.kernel.dump import finish
from routed.kernel.kernel import Kernel
from routed.kernel.requests import RequestSocket, number_of
from routed.model.change import Verb
from routed.model.events import KERNEL, Interest, ObjectEvent
from routed.model.facts import GatewayLink
from routed.model.net import format_prefix
from routed.model.objects import AddressMember, Kind, Scope
from tests.kernel.conftest import Network
from tests.kernel.netns import ip, ip_json
from tests.kernel.objects import TABLE, V4, V6, address, do, packed, read, route

DEADLINE = 0.05  # seconds: what a test has to wait for a message that is lost
STEADY = route("198.51.100.0/24", type=6)
MANY = [bytes((11, n >> 8, n & 255, 0, 24)) for n in range(3000)]


class Trouble:
    """What happens at the receive calls of all request sockets, which are counted from 1."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails_at = 0  # 0: never
        self.is_consumed = False  # is the answer gone when recv fails?
        self.is_silent = False  # is the answer gone without a word?
        self.spoil: Callable[[bytes], bytes] = bytes  # what becomes of an answer

    def arm(self, at: int, *, is_consumed: bool = False, is_silent: bool = False) -> None:
        """From now on the receive call ``at`` fails, counted anew."""
        self.calls, self.fails_at, self.is_consumed, self.is_silent = 0, at, is_consumed, is_silent


class TroubledSocket:
    """A request socket whose recv fails where it is told to."""

    def __init__(self, opened: socket.socket, trouble: Trouble) -> None:
        self._opened = opened
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)

    def recv(self, size: int) -> bytes:
        self._trouble.calls += 1
        if self._trouble.calls != self._trouble.fails_at:
            return self._trouble.spoil(self._opened.recv(size))
        if self._trouble.is_consumed or self._trouble.is_silent:
            self._opened.recv(size)
        if self._trouble.is_silent:
            return self._opened.recv(size)
        raise OSError(ENOBUFS, os.strerror(ENOBUFS))


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> Trouble:
    made = Trouble()
    open_ = sockets.open_request_socket

    def open_troubled(buffer: int, deadline: float, port: int = 0, bus: int = sockets.ROUTE) -> socket.socket:
        return cast("socket.socket", TroubledSocket(open_(buffer, deadline, port, bus), made))

    monkeypatch.setattr(sockets, "open_request_socket", open_troubled)
    return made


@pytest.fixture
def asked(trouble: Trouble, network: Network) -> Iterator[Kernel]:
    """A kernel with something to say to every question."""
    ip("route add default via 10.0.0.2")
    ip("-6 route add default via fd00::2")
    with Kernel(deadline=DEADLINE) as kernel:
        assert do(kernel, Verb.ADD, STEADY) == []
        assert do(kernel, Verb.ADD, route("11.0.0.0/24", type=6, table=101), MANY) == []
        yield kernel


def change_one(kernel: Kernel) -> None:
    do(kernel, Verb.REPLACE, route("192.0.2.0/24", type=7))


def change_many(kernel: Kernel) -> None:
    do(kernel, Verb.REPLACE, route("12.0.0.0/24", type=6), [b"\x0c" + one[1:] for one in MANY])  # some batches


def change_many_in_vain(kernel: Kernel) -> None:
    do(kernel, Verb.ADD, STEADY, [STEADY.member] * 20)  # an error of each


QUESTIONS: dict[str, Callable[[Kernel], object]] = {
    "a change": change_one,
    "batches": change_many,
    "a batch of which each fails": change_many_in_vain,
    "a dump of a large table": lambda kernel: read(kernel, Scope(Kind.ROUTE, V4, 101)),
    "a dump of rules": lambda kernel: read(kernel, Scope(Kind.RULE, V4)),
    "links": lambda kernel: finish(kernel.read_links()),
    "addresses": lambda kernel: finish(kernel.read_addresses()),
    "gateways": lambda kernel: kernel.locate_gateways([packed("10.0.0.9"), packed("fd00::9")], {}, []),
    "ways": lambda kernel: kernel.look_up([packed("203.0.113.1")]),
    "default routes": lambda kernel: kernel.read_default_routes(),
}
questions = pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS.keys())


def assert_all_is_as_ip_shows(kernel: Kernel) -> None:
    """Every question, right after another one went wrong."""
    links = {link["ifindex"]: link["ifname"] for link in ip_json("link show")}
    assert {index: link.name for index, link in finish(kernel.read_links()).items()} == links
    shown = {
        AddressMember(link["ifindex"], packed(one["local"]), one["prefixlen"])
        for link in ip_json("addr show")
        for one in link["addr_info"]
    }
    assert finish(kernel.read_addresses()).keys() == shown
    v0 = next(index for index, name in links.items() if name == "v0")
    assert kernel.locate_gateways([packed("10.0.0.9")], {}, []) == {packed("10.0.0.9"): GatewayLink(v0, is_onlink=True)}
    assert [way.gateway for way in kernel.look_up([packed("203.0.113.1")]).values()] == [packed("10.0.0.2")]
    defaults = [format_prefix(one.member) for one in kernel.read_default_routes() if isinstance(one.member, bytes)]
    assert defaults == ["0.0.0.0/0", "::/0"]
    assert [one.member for one in read(kernel, Scope(Kind.ROUTE, V4, 101))] == MANY
    for verb, is_there in ((Verb.REPLACE, True), (Verb.DELETE, False)):
        assert do(kernel, verb, route("192.0.2.0/24", type=7)) == []
        assert any(one["dst"] == "192.0.2.0/24" for one in ip_json(f"route show table {TABLE}")) == is_there


@questions
@pytest.mark.parametrize("is_consumed", [False, True], ids=["its answer is left", "its answer is gone"])
def test_wherever_recv_fails_it_is_an_error_and_the_next_answers_are_right(
    asked: Kernel, trouble: Trouble, question: Callable[[Kernel], object], is_consumed: bool
) -> None:
    port = asked.port
    for position in count(1):
        trouble.arm(position, is_consumed=is_consumed)
        try:
            question(asked)
        except OSError as error:
            assert error.errno == ENOBUFS  # noqa: PT017  which call is the last one is not known before
        else:
            break
        assert_all_is_as_ip_shows(asked)
    assert position > 1
    assert asked.port == port


@questions
def test_an_answer_that_is_lost_without_a_word_is_an_error_at_the_deadline(
    asked: Kernel, trouble: Trouble, question: Callable[[Kernel], object]
) -> None:
    for _ in range(2):  # a socket's first dump comes in more pieces than its second
        trouble.arm(10**9)
        question(asked)
    last = trouble.calls
    trouble.arm(1 if question is change_many else last, is_silent=True)  # how many batches depends on the pace
    with pytest.raises(OSError, match=r"no answer within 0.05 s") as raised:
        question(asked)
    assert raised.value.errno == ETIMEDOUT
    assert_all_is_as_ip_shows(asked)


@questions
def test_an_answer_that_cannot_be_read_spoils_no_other(
    asked: Kernel, trouble: Trouble, question: Callable[[Kernel], object]
) -> None:
    trouble.spoil = lambda answer: HEADER.pack(3, *HEADER.unpack_from(answer)[1:]) + answer[HEADER.size :]
    try:
        question(asked)
    except (MalformedMessage, OSError):
        pass
    finally:
        trouble.spoil = bytes
    assert_all_is_as_ip_shows(asked)


def test_after_an_error_equal_tables_still_have_equal_fingerprints(asked: Kernel, trouble: Trouble) -> None:
    scopes = [Scope(Kind.ROUTE, V4, 101), Scope(Kind.RULE, V6), Scope(Kind.ADDRESS, V4)]
    before = [asked.fingerprint(scope) for scope in scopes]
    for scope in scopes:
        trouble.arm(1)
        with pytest.raises(OSError, match="buffer space"):
            asked.dump(scope)
        assert [asked.fingerprint(scope) for scope in scopes] == before
    assert len(set(before)) == len(scopes)


def our_events(kernel: Kernel) -> list[bool]:
    """Of each change of a route, not by the kernel itself: was it ours?"""
    events = [event for event in kernel.read_events() if isinstance(event, ObjectEvent) and event.kind is Kind.ROUTE]
    return [event.port == kernel.port for event in events if event.port != KERNEL for _ in event.members]


def fail_once(kernel: Kernel, trouble: Trouble) -> None:
    trouble.arm(1)
    with pytest.raises(OSError, match="buffer space"):
        do(kernel, Verb.ADD, route("192.0.2.0/25", type=6))


def test_after_an_error_our_own_changes_still_come_back_with_our_port(asked: Kernel, trouble: Trouble) -> None:
    asked.open_events()
    fail_once(asked, trouble)
    do(asked, Verb.ADD, route("192.0.2.0/24", type=6))
    ip("route add blackhole 203.0.113.0/24")
    assert our_events(asked) == [True, True, False]


def test_when_somebody_took_our_port_id_meanwhile_ours_is_another_and_filters_know_it(
    asked: Kernel, trouble: Trouble
) -> None:
    asked.open_events()
    asked.listen_for(Interest(frozenset({114}), {V4: (), V6: ()}))
    asked.hear_echo(wanted=False)
    port = asked.port
    fail_once(asked, trouble)
    asked.read_events()
    asked._requests.close()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as squatter:
        squatter.bind((port, 0))
        assert do(asked, Verb.ADD, route("192.0.2.0/24", type=6, protocol=4)) == []
    assert asked.port not in {0, port}
    assert our_events(asked) == []
    asked.hear_echo(wanted=True)
    assert do(asked, Verb.DELETE, route("192.0.2.0/24", type=6, protocol=4)) == []
    assert our_events(asked) == [True]


def test_a_stale_answer_is_nobodys(asked: Kernel) -> None:
    """Put there by somebody else: the end of a dump, an error and an acknowledgement, all of other numbers."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as stranger:
        stranger.bind((0, 0))
        for requests in (asked._requests, asked._dumps):
            for type_, sequence in ((DONE, 1), (ERROR, 1), (ERROR, 10**6), (DONE, 2**32 - 1)):
                stranger.sendto(message(type_, 0, sequence, bytes(20)), (requests.port, 0))
    assert_all_is_as_ip_shows(asked)


def test_answers_of_others_do_not_put_off_the_deadline(network: Network) -> None:
    class Chatter:
        """A socket on which there is always an answer to somebody else."""

        def recv(self, _size: int) -> bytes:
            time.sleep(0.001)
            return message(DONE, 0, 99, bytes(4))

        def close(self) -> None:
            pass

    with RequestSocket(deadline=DEADLINE) as requests:
        requests.close()
        requests._socket = cast("socket.socket", Chatter())
        with pytest.raises(OSError, match="no answer") as raised:
            requests.receive(1 << 16, 1)
    assert raised.value.errno == ETIMEDOUT


def test_numbers_are_counted_far_below_those_that_questions_have_by_themselves(network: Network) -> None:
    with RequestSocket() as requests:
        assert [requests.take_numbers(2048), requests.take_numbers(1), requests.take_numbers(1)] == [1, 2049, 2050]
        requests._next_number = 2**31 - 10
        assert requests.take_numbers(10) == 2**31 - 10
        assert requests.take_numbers(1) == 1
    assert number_of(18, b"") == number_of(18, b"")
    numbers = {number_of(type_, body) for type_ in (18, 22, 26) for body in (b"", b"\2", b"\n")}
    assert len(numbers) == 9
    assert min(numbers) >= 2**31


def test_an_abandoned_reading_costs_the_next_question_nothing(asked: Kernel) -> None:
    many = [bytes((13, n >> 8, n & 255, 0, 24)) for n in range(10_000)]
    assert do(asked, Verb.ADD, route("13.0.0.0/24", type=6, table=102), many) == []
    for slices in [asked.read_dump(Scope(Kind.ROUTE, V4, 102)) for _ in range(2)]:
        next(slices)  # kept, not closed, as a task that was told to end keeps it
    assert_all_is_as_ip_shows(asked)


def test_addresses_that_never_hold_still_are_all_that_were_seen(
    network: Network, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = address(network.v0, "198.51.100.1/32")
    many = [AddressMember(network.v0, bytes((198, 18, n >> 8, n & 255)), 32) for n in range(1000)]
    assert do(kernel, Verb.ADD, one, many) == []
    steady = finish(kernel.read_addresses())
    receive, comers = RequestSocket.receive, [AddressMember(network.v0, bytes((11, 0, 0, n)), 32) for n in range(99)]
    come: list[AddressMember] = []

    def receive_and_change(requests: RequestSocket, size: int, first: int, number: int = 1) -> bytes:
        datagram = receive(requests, size, first, number)
        if requests is kernel._dumps:  # between two datagrams of a dump
            come.append(comers[len(come)])
            assert do(kernel, Verb.ADD, one, come[-1:]) == []
        return datagram

    with monkeypatch.context() as patch:
        patch.setattr(RequestSocket, "receive", receive_and_change)
        found = finish(kernel.read_addresses())
    assert found.keys() >= steady.keys()
    assert found.keys() <= steady.keys() | set(come)
    assert len(come) > 10  # it was read more than once
    assert finish(kernel.read_addresses()).keys() == steady.keys() | set(come)
