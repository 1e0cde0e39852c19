"""What etcd's gateway says, in all the forms of its errors. The texts are those of real servers."""

from __future__ import annotations

import json

import pytest

from routed.members.gateway import Call, RefusedError, Wire, end_of
from routed.model.reasons import Snag

RANGE = Call("/kv/range", {})
WATCH = Call("/watch", {}, is_stream=True)
FORGOTTEN = "etcdserver: invalid auth token"
LEADER = "etcdserver: no leader"
COMMON_NAME = "CommonName of client sending a request against gateway will be ignored and not used as expected\n"


def answer(body: object, status: int = 200) -> bytes:
    text = body if isinstance(body, str) else json.dumps(body)
    return f"HTTP/1.1 {status} x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


def refusal(data: bytes, call: Call = RANGE) -> RefusedError:
    wire = Wire("h")
    wire.ask(call)
    with pytest.raises(RefusedError) as refused:
        wire.receive(data)
    return refused.value


@pytest.mark.parametrize(
    ("status", "body", "snag"),
    [
        (401, {"error": FORGOTTEN, "message": FORGOTTEN, "code": 16}, Snag.NO_TOKEN),
        (401, {"code": 16, "message": FORGOTTEN}, Snag.NO_TOKEN),
        (400, {"code": 3, "message": "etcdserver: revision of auth store is old"}, Snag.NO_TOKEN),
        (400, {"error": "etcdserver: user name is empty", "code": 3}, Snag.NO_USER),
        (400, {"message": "etcdserver: authentication failed, invalid user ID or password"}, Snag.WRONG_PASSWORD),
        (403, {"code": 7, "message": "etcdserver: permission denied"}, Snag.FORBIDDEN),
        (503, {"code": 14, "message": "etcdserver: request timed out"}, Snag.NO_LEADER),
        (503, {"code": 14, "message": LEADER}, Snag.NO_LEADER),
        (504, {"code": 4, "message": "context deadline exceeded"}, Snag.NO_LEADER),
        (503, {"code": 14, "message": "connection closed"}, Snag.GATEWAY),
        (400, {"code": 11, "message": "etcdserver: mvcc: required revision has been compacted"}, Snag.REFUSED),
        (400, COMMON_NAME, Snag.COMMON_NAME),
        (404, "Not Found", Snag.STRANGE),
        (200, "<html>", Snag.STRANGE),
        (200, "[]", Snag.STRANGE),
        (302, "", Snag.STRANGE),
    ],
)
def test_each_error_is_known(status: int, body: object, snag: Snag) -> None:
    assert refusal(answer(body, status)).snag is snag


def test_an_error_inside_a_stream_is_known() -> None:
    line = json.dumps({"error": {"grpc_code": 14, "http_code": 503, "message": LEADER}}) + "\n"
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    refused = refusal(f"{head}{len(line):x}\r\n{line}\r\n".encode(), WATCH)
    assert (refused.snag, refused.code) == (Snag.NO_LEADER, 14)


def test_an_end_before_any_answer_is_told_from_one_after_it() -> None:
    assert refusal(b"").snag is Snag.MUTE
    wire = Wire("h")
    wire.ask(RANGE)
    wire.receive(answer({}))
    wire.ask(RANGE)
    with pytest.raises(RefusedError) as refused:
        wire.receive(b"")
    assert refused.value.snag is Snag.CLOSED


def test_strange_words_are_made_printable_and_short() -> None:
    refused = refusal(answer({"message": "a\x1b[2J\n" + "x" * 1000, "code": 3}, 400))
    assert refused.detail.isprintable()
    assert len(refused.detail) == 200


def test_every_call_asks_for_a_leader_and_a_token_goes_with_it() -> None:
    said = Wire("h:1").ask(RANGE, "secret")
    assert b"Grpc-Metadata-hasleader: true\r\n" in said
    assert b"Authorization: secret\r\n" in said
    assert said.startswith(b"POST /v3/kv/range HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("prefix", "end"),
    [(b"/fleet/", b"/fleet0"), (b"a\xff", b"b"), (b"a\xff\xff", b"b"), (b"\xff", b"\0"), (b"", b"\0")],
)
def test_the_end_of_a_prefix_is_the_first_key_after_it(prefix: bytes, end: bytes) -> None:
    assert end_of(prefix) == end
