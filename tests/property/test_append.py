"""An order under one key, on a kernel that refuses, and a daemon that dies in the middle of its requests."""

from __future__ import annotations

from dataclasses import replace
from errno import ENETUNREACH, EPERM
from itertools import permutations

import pytest

from routed.core.linux import requests
from routed.model.change import AliasRequest, Operation, Verb
from routed.model.entries import RouteEntry, Settings
from routed.model.objects import Key, RouteValue, Value
from routed.model.reasons import Flaw
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import OURS, THEIRS, Rig, a_host, a_route, hop, route_key, route_value, via

TO = "10.30.0.0/16"
KEY = route_key(TO)
NO_RESYNC = Settings(resync=1e9)
A, B, C, OLD = (route_value(hop(1, f"192.0.2.{number}"), protocol=OURS) for number in (2, 3, 4, 8))
STRANGER = route_value(hop(1, "192.0.2.9"), protocol=THEIRS)
WANTED = (A, B, C)
BEFORE = [
    order for count in range(5) for order in permutations((A, B, C, OLD, STRANGER), count) if order != (STRANGER,)
]


def entry(*numbers: int) -> RouteEntry:
    first, *rest = (a_route("r", TO, (via(f"192.0.2.{number}"),)) for number in numbers)
    return replace(first, append=tuple(replace(one, prefixes={}) for one in rest))


def standing(*routes: RouteValue) -> FakeKernel:
    kernel = a_host()
    for route in routes:
        assert kernel.request(Verb.APPEND, KEY, route) == 0
    return kernel


class KilledError(BaseException):
    """What nothing of the daemon outlives."""


def start_and_kill(kernel: FakeKernel, after: int) -> bool:
    """A daemon that is killed before its request of this number. False: it came to the end of what it had to do."""
    rig, left = Rig(kernel), after

    def inspect(_verb: Verb, _key: Key, _value: Value) -> None:
        nonlocal left
        if not left:
            raise KilledError
        left -= 1

    kernel.inspect = inspect
    try:
        rig.start(entry(2, 3, 4), settings=NO_RESYNC)
    except KilledError:
        return True
    return False


@pytest.mark.parametrize("count", range(5))
def test_a_kill_between_any_two_requests_is_mended_by_the_next_daemon(count: int) -> None:
    for before in [one for one in BEFORE if len(one) == count]:
        strangers = tuple(one for one in before if one == STRANGER)
        at = 0
        while start_and_kill(kernel := standing(*before), at):
            assert set(strangers) <= set(kernel.standing(KEY))
            is_alone = kernel.standing(KEY) == (STRANGER,)  # then it gives its place, as to a single route
            kernel.inspect = lambda *_: None
            Rig(kernel).start(entry(2, 3, 4), settings=NO_RESYNC)
            assert kernel.standing(KEY) == (*WANTED, *(() if is_alone else strangers))
            at += 1
        assert kernel.standing(KEY) == (*WANTED, *strangers)


@pytest.mark.parametrize("refused", WANTED, ids="ABC")
def test_one_that_is_refused_keeps_no_other_away_and_comes_to_its_place_later(
    refused: RouteValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = standing()
    may = False
    real = FakeKernel.request

    def request(kernel: FakeKernel, verb: Verb, key: Key, value: Value, port: int = 0) -> int:
        return ENETUNREACH if value == refused and not may else real(kernel, verb, key, value, port)

    monkeypatch.setattr(FakeKernel, "request", request)
    rig = Rig(kernel)
    rig.start(entry(2, 3, 4), settings=NO_RESYNC)
    others = tuple(one for one in WANTED if one != refused)
    assert kernel.standing(KEY) == others
    assert KEY in rig.host.ledger.troubles

    may = True
    rig.run(70)
    assert kernel.standing(KEY) == WANTED
    assert KEY not in rig.host.ledger.troubles


def test_after_a_refusal_nothing_more_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = standing(OLD, B)
    some = (AliasRequest(Verb.PREPEND, A), AliasRequest(Verb.DELETE, OLD), AliasRequest(Verb.APPEND, C))
    operation = Operation(
        Verb.ARRANGE,
        KEY.kind,
        KEY.slot,
        (KEY.member,),
        A._replace(append=(B, C)),
        None,
        reason=Flaw.MISSING,
        requests=some,
    )
    real = requests.request

    def request(state: FakeKernel, verb: Verb, key: Key, value: Value, port: int) -> int:
        return EPERM if value == A else real(state, verb, key, value, port)

    monkeypatch.setattr(requests, "request", request)
    assert requests.carry_out(kernel, operation, 0) == {KEY: EPERM}
    assert kernel.standing(KEY) == (OLD, B, C)


def test_an_event_about_one_of_them_has_the_order_looked_at() -> None:
    kernel = standing()
    rig = Rig(kernel)
    rig.start(entry(2, 3, 4), settings=NO_RESYNC)
    kernel.request(Verb.REPLACE, KEY, STRANGER)  # takes the place of the first, and says nothing of the others
    rig.run()
    assert kernel.standing(KEY) == (A, B, C, STRANGER)
