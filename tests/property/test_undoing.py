"""What we ask for last may undo what we asked for first: that must end, and never be a fight with ourselves."""

from __future__ import annotations

import pytest

from routed.core.desired import scope_of
from routed.core.troubles import State
from routed.model import names
from routed.model.change import Cause, Verb
from routed.model.entries import Intent, Settings
from routed.model.events import Event, ObjectEvent
from routed.model.net import IPV4
from routed.model.reasons import Look
from tests.property.fake_kernel import OUR_PORT
from tests.property.rig import OURS, Rig, a_host, a_route, address_key, an_address, hop, route_key, route_value, via
from tests.property.worlds import foreign_routes


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["foreign first", "foreign behind"])
def test_a_stale_alias_whose_deletion_would_hit_ours_goes_without_a_fight_against_ourselves(
    order: tuple[int, int],
) -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(hops=(via("192.0.2.2", "v0"),)), settings=Settings(resync=1e9))
    (wanted,) = kernel.standing(route_key())
    legs = route_value(hop(1, "192.0.2.2"), hop(2, "198.51.100.7"), protocol=OURS)
    foreign = foreign_routes(kernel, IPV4)[0]
    kernel.request(Verb.DELETE, route_key(), wanted)
    for value in [(foreign, legs)[at] for at in order]:
        assert kernel.request(Verb.APPEND, route_key(), value) == 0
    rig.run(10.0)
    assert kernel.standing(route_key()) == (wanted, foreign)
    assert kernel.writes < 10


def test_a_stale_alias_that_goes_before_ours_is_put_is_not_taken_for_what_ours_displaced() -> None:
    kernel = a_host()
    foreign = foreign_routes(kernel, IPV4)[0]
    for value in (foreign, route_value(hop(2), protocol=OURS, scope=names.LINK)):
        kernel.request(Verb.APPEND, route_key(), value)
    rig = Rig(kernel)
    rig.start(a_route())
    assert [value.protocol for value in kernel.standing(route_key())] == [OURS, foreign.protocol]
    assert not rig.host.ledger.displaced
    rig.enforce(Intent())
    assert kernel.standing(route_key()) == (foreign,)


def test_an_echo_that_is_heard_between_two_steps_is_a_proof_too() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(), settings=Settings(resync=1e9))
    kernel.request(Verb.DELETE, route_key(), kernel.standing(route_key())[0])
    reports = rig.run()
    assert [outcome.operation.verb for report in reports for outcome in report.outcomes] == [Verb.ADD]
    assert len(reports) == 1


def test_what_the_kernel_undoes_each_time_has_failed_and_is_tried_again_later_and_later() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(a_route(), settings=Settings(resync=1e9))
    key = route_key()
    (wanted,) = kernel.standing(key)
    gone = ObjectEvent(key.kind, key.slot, (key.member,), wanted, True, False, False, OUR_PORT)

    def undo(events: list[Event]) -> list[Event]:
        if not kernel.standing(key):
            return events
        kernel.take(key, wanted, OUR_PORT, is_told=False)
        return [*events, gone]

    kernel.request(Verb.DELETE, key, wanted)
    kernel.mischief.deliver = undo
    rig.run(60.0)
    assert [one.trouble.state for one in rig.host.ledger.troubles] == [State.FAILED]
    assert key in rig.host.ledger.troubles
    assert kernel.writes < 20
    kernel.mischief.deliver = list
    rig.run(120.0)
    assert kernel.standing(route_key()) == (wanted,)


def test_an_ipv6_address_has_not_failed_because_the_kernel_does_not_call_its_coming_ours() -> None:
    kernel = a_host()
    rig = Rig(kernel)
    rig.start(an_address("2001:db8:20::1/64"), settings=Settings(resync=1e9))
    key = address_key("2001:db8:20::1/64", 1)
    kernel.take(key, kernel.standing(key)[0], OUR_PORT, is_told=False)
    rig.host.schedule.dirt.add_scopes([scope_of(key.kind, key.slot)], Cause(None, Look.AGAIN))
    rig.reports.clear()
    rig.run()
    assert kernel.standing(key)
    assert not any(outcome.failures for report in rig.reports for outcome in report.outcomes)
