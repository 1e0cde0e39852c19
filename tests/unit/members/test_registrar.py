"""What this host puts into etcd of itself: each answer that it may get, as real servers give them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from routed.members.gateway import NOT_FOUND, RefusedError, Said
from routed.members.registrar import Registrar
from routed.model.etcd import Registered, Registration, Unregistered
from routed.model.members import Member, Snapshot
from routed.model.reasons import Snag, Snagged

ME = Member("me", "one")
GRANTED = {"ID": "77", "TTL": "60"}
PUT = {"header": {"revision": "9"}, "succeeded": True}
AWAY = Snagged("etcd", Snag.SILENT, "10 s")


def has(value: object, revision: int = 5) -> dict[str, Any]:
    """The answer where the key is there already."""
    kv = {"value": base64.b64encode(json.dumps(value).encode()).decode(), "mod_revision": str(revision)}
    return {"responses": [{"response_range": {"kvs": [kv]}}]}


def answer(registrar: Registrar, *bodies: dict[str, Any], now: float = 0.0) -> Registered | Unregistered | None:
    state = None
    for body in bodies:
        registrar.next()
        state = registrar.hear("etcd", Said(body), now)
    return state


@pytest.fixture
def registrar() -> Registrar:
    return Registrar("/fleet/", Registration(ME, 60))


def test_a_lease_is_granted_and_the_key_put_under_it_if_nobody_has_it(registrar: Registrar) -> None:
    assert registrar.next().body == {"TTL": "60"}
    assert answer(registrar, GRANTED) is None
    assert registrar.wait == 0
    txn = registrar.next().body
    assert txn["compare"][0]["version"] == "0"
    assert txn["success"][0]["request_put"]["lease"] == "77"
    assert answer(registrar, PUT) == Registered(9)
    assert (registrar.wait, registrar.expires) == (20.0, 60.0)
    assert registrar.next().path == "/lease/keepalive"


def test_an_expired_lease_is_told_by_an_answer_without_a_ttl(registrar: Registrar) -> None:
    answer(registrar, GRANTED, PUT)
    assert answer(registrar, {"ID": "77"}) == Unregistered(Snagged("etcd", Snag.LEASE_OVER))
    assert registrar.next().path == "/lease/grant"
    assert registrar.wait == 0


def test_what_this_host_left_there_is_taken_over(registrar: Registrar) -> None:
    assert answer(registrar, GRANTED, has({"uid": "one"}, 5)) is None
    assert registrar.next().body["compare"][0]["mod_revision"] == "5"
    assert answer(registrar, has({"uid": "one"}, 6)) is None  # changed meanwhile
    assert registrar.wait == 1.0
    assert registrar.next().body["compare"][0]["mod_revision"] == "6"
    assert answer(registrar, PUT) == Registered(9)


@pytest.mark.parametrize(
    ("value", "who"),
    [
        ({"uid": "two", "addresses": ["192.0.2.9"]}, "192.0.2.9, uid two"),
        ({}, "without an address, uid none"),
        ({"uid": 7}, "what stands there is no member"),
        ([], "without an address, uid none"),
    ],
)
def test_another_host_of_the_same_name_is_named_and_left_alone(registrar: Registrar, value: object, who: str) -> None:
    assert answer(registrar, GRANTED, has(value)) == Unregistered(Snagged("etcd", Snag.NAME_TAKEN, who))
    assert registrar.wait == 5.0
    assert registrar.next().body["compare"][0]["version"] == "0"
    assert answer(registrar, has(value)) is None  # told once


def test_a_host_without_a_uid_takes_nothing_over() -> None:
    registrar = Registrar("/fleet/", Registration(Member("me"), 60))
    assert isinstance(answer(registrar, GRANTED, has({"uid": ""})), Unregistered)


def test_a_lease_that_is_unknown_when_the_key_is_put_is_granted_anew(registrar: Registrar) -> None:
    answer(registrar, GRANTED)
    registrar.next()
    registrar.refuse("etcd", RefusedError(Snag.REFUSED, "etcdserver: requested lease not found", NOT_FOUND))
    assert registrar.next().path == "/lease/grant"
    with pytest.raises(RefusedError):
        registrar.refuse("etcd", RefusedError(Snag.FORBIDDEN, "", 7))


def test_a_key_that_is_gone_or_changed_is_put_again_later_and_later(registrar: Registrar) -> None:
    answer(registrar, GRANTED, PUT)
    assert registrar.see("etcd", Snapshot((), revision="8"), 1.0) is None  # of before it was put
    assert registrar.see("etcd", Snapshot((ME,), revision="10"), 1.0) is None
    waits = []
    for _ in range(9):
        assert registrar.see("etcd", Snapshot((), revision="10"), 1.0) == Unregistered(Snagged("etcd", Snag.DELETED))
        waits.append(registrar.wait)
        assert answer(registrar, PUT, now=1.0) == Registered(9)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    changed = Snapshot((ME._replace(port=1),), revision="10")
    assert registrar.see("etcd", changed, 100.0) == Unregistered(Snagged("etcd", Snag.DELETED))
    assert registrar.wait == 0  # it had lasted


def test_an_answer_that_comes_after_the_key_was_lost_says_nothing(registrar: Registrar) -> None:
    answer(registrar, GRANTED, PUT)
    registrar.next()
    registrar.see("etcd", Snapshot((), revision="10"), 50.0)
    assert registrar.hear("etcd", Said({"ID": "77", "TTL": "60"}), 50.0) is None
    assert registrar.next().path == "/kv/txn"


def test_while_nobody_is_reached_the_lease_counts_until_its_end(registrar: Registrar) -> None:
    answer(registrar, GRANTED, PUT)
    assert registrar.fail(AWAY, 59.0) is None
    assert registrar.fail(AWAY, 60.0) == Unregistered(AWAY)
    assert registrar.fail(AWAY, 61.0) is None
    assert answer(registrar, {"ID": "77", "TTL": "60"}, now=62.0) == Registered(9)  # it had lasted after all


def test_a_host_that_never_had_a_lease_has_nothing_to_revoke(registrar: Registrar) -> None:
    assert registrar.leave() is None
    answer(registrar, GRANTED)
    call = registrar.leave()
    assert call
    assert call.body == {"ID": "77"}
