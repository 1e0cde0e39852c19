"""A source of type etcd, whatever happens to it: what it tells was true, and in the end it tells what is."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.members.follower import Consequence, Follower
from routed.members.gateway import MOST, RefusedError, Said, Wire
from routed.members.registrar import Registrar
from routed.members.session import Login, Session
from routed.model.etcd import Endpoint, EtcdSettings, Registration
from routed.model.members import Member, Snapshot
from routed.model.reasons import Snag
from tests.property.fake_etcd import PREFIX, Conversation, FakeEtcd

SETTINGS = EtcdSettings((Endpoint("h"),), PREFIX)
CHANGES = st.dictionaries(
    st.sampled_from("ab"), st.none() | st.sampled_from(['{"port": 1}', '{"port": 2}']), min_size=1
)
CHANGE = st.tuples(st.just("change"), CHANGES)
EVENTS = [
    ("settle", 0),
    ("settle", 0),
    ("cut", 0),
    ("deaf", 0),
    ("check", 0),
    ("compact", 0),
    ("replace", 7),
    ("replace", 8),
]
ACTIONS = st.lists(
    st.one_of(CHANGE, st.tuples(st.just("deliver"), st.integers(1, 400)), st.sampled_from(EVENTS)),
    min_size=20,  # fewer say little, and without this hypothesis takes five
    max_size=60,
)


def tell(member: Member) -> tuple[str, str]:
    return member.name, json.dumps({"port": member.port})


@dataclass
class Rig:
    """A follower, an etcd, and a connection between them that carries bytes when it is told to."""

    etcd: FakeEtcd = field(default_factory=FakeEtcd)
    follower: Follower = field(default_factory=lambda: Follower(SETTINGS, Login()))
    told: list[Snapshot] = field(default_factory=list)
    last: dict[str, str] = field(default_factory=dict)  # who is a member by all that was told
    seen: int = 0  # the state that was told last, by its place in those of etcd

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        self.seen = len(self.etcd.states) - 1  # what is told on a new connection is not older than that
        self.conversation = Conversation(self.etcd)
        self.take(self.follower.begin("h:2379"))

    def take(self, step: Consequence) -> None:
        assert step.refused is None
        if step.told:
            self.judge(step.told)
        if step.is_over:
            self.connect()
        elif step.send:
            self.conversation.receive(step.send)

    def judge(self, snapshot: Snapshot) -> None:
        """It was true once, and no earlier than what was told before."""
        assert not snapshot.broken
        if snapshot.is_complete:
            told = dict(map(tell, snapshot.members))
        else:
            assert snapshot.gone is not None
            told = {name: value for name, value in self.last.items() if name not in snapshot.gone}
            told |= dict(map(tell, snapshot.members))
        places = [n for n, state in enumerate(self.etcd.states) if state == told and n >= self.seen]
        assert places, (told, self.etcd.states, self.seen)
        self.seen = places[0]
        self.told.append(snapshot)
        self.last = told

    def do(self, action: str, what: Any) -> None:
        match action:
            case "change":
                self.etcd.change(what)
            case "deliver":
                self.conversation.pump()
                data = bytes(self.conversation.out[:what])
                del self.conversation.out[:what]
                if data:
                    self.take(self.follower.receive(data))
            case "settle":
                self.settle()
            case "cut":
                self.connect()
            case "check":
                self.check()
            case "deaf":
                self.deafen()
            case "compact":
                self.etcd.compact()
            case "replace":
                self.etcd.replace(what)
                self.connect()
            case _:
                raise AssertionError(action)

    def check(self) -> None:
        """As when the watch is silent."""
        if not self.follower.is_watching:
            return
        aside, session = Conversation(self.etcd), Session("h:2379", Login())
        aside.receive(session.call(self.follower.check()))
        if not self.follower.is_confirmed(session.receive(bytes(aside.out)).answers[0]):
            self.connect()

    def deafen(self) -> None:
        """The watch tells nothing any more: what is known is found to be all, or another connection begins."""
        self.conversation.out.clear()
        before = self.conversation
        if self.follower.is_watching:
            self.check()
        if self.conversation is before and self.follower.is_watching:
            assert self.last == self.etcd.values
        self.connect()

    def settle(self) -> None:
        """All arrives."""
        while True:
            self.conversation.pump()
            if not self.conversation.out:
                assert self.last == self.etcd.values
                return
            self.do("deliver", len(self.conversation.out))


@given(ACTIONS)
def test_each_snapshot_was_true_and_the_last_one_is(actions: list[tuple[str, Any]]) -> None:
    rig = Rig()
    for action, what in (*actions, ("settle", 0)):
        rig.do(action, what)


@given(ACTIONS, st.lists(st.integers(0, 4000), max_size=4))
def test_a_connection_that_ends_at_any_byte_changes_nothing(actions: list[tuple[str, Any]], cuts: list[int]) -> None:
    rig = Rig()
    for action, what in actions:
        if action in {"change", "compact"}:
            rig.do(action, what)
    for left in cuts:
        while left > 0:
            rig.conversation.pump()
            if not rig.conversation.out:
                break
            piece = min(left, len(rig.conversation.out))
            rig.do("deliver", piece)
            left -= piece  # noqa: PLW2901  bytes until the cut
        rig.connect()
    rig.settle()


# --- hostile bytes ------------------------------------------------------------------------------------------------

WORDS = [
    "header", "cluster_id", "raft_term", "revision", "kvs", "key", "value", "count", "mod_revision", "result", "error",
    "events", "kv", "type", "canceled", "compact_revision", "cancel_reason", "created", "token", "ID", "TTL", "code",
    "message", "grpc_code", "succeeded", "responses", "response_range", "uid", "addresses",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["1", "2", "AAAA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner),
    max_leaves=20,
)


def as_answer(body: bytes, status: int) -> bytes:
    return f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def as_stream(lines: list[bytes]) -> bytes:
    chunks = b"".join(f"{len(line) + 1:x}\r\n".encode() + line + b"\n\r\n" for line in lines)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks


BODIES = st.binary(max_size=60) | JSON.map(lambda body: json.dumps(body).encode())
READ = as_answer(b'{"header":{"cluster_id":"7","raft_term":"2","revision":"5"}}', 200)
HOSTILE = st.one_of(
    st.binary(max_size=200),
    st.builds(as_answer, BODIES, st.sampled_from([100, 200, 204, 301, 400, 401, 403, 404, 503, 999])),
    st.lists(BODIES, max_size=4).map(as_stream),
    st.lists(JSON.map(lambda body: json.dumps({"result": body}).encode()), max_size=4).map(
        lambda it: READ + as_stream(it)
    ),
)


@given(st.lists(HOSTILE, max_size=5), st.booleans())
def test_whatever_the_far_end_says_nothing_is_raised(pieces: list[bytes], has_user: bool) -> None:
    follower = Follower(SETTINGS, Login("joe" if has_user else "", "secret"))
    follower.begin("h:2379")
    for piece in (*pieces, b""):
        step = follower.receive(piece)
        assert isinstance(step, Consequence)
        if step.is_over:
            follower.begin("h:2379")


@given(st.lists(JSON, max_size=8))
def test_whatever_is_answered_to_a_registration_is_a_state_or_a_refusal(bodies: list[Any]) -> None:
    registrar = Registrar(PREFIX, Registration(Member("me", "one")))
    for body in bodies:
        registrar.next()
        with suppress(RefusedError):
            registrar.hear("etcd", Said(body if isinstance(body, dict) else {}), 0.0)
        assert registrar.wait >= 0


def test_what_never_ends_is_too_large() -> None:
    wire = Wire("h")
    wire.ask(Follower(SETTINGS, Login()).check())
    wire.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    for _ in range(MOST // (1 << 20)):
        assert wire.receive(piece) == []
    with pytest.raises(RefusedError) as refused:
        wire.receive(piece)
    assert refused.value.snag is Snag.TOO_LARGE
