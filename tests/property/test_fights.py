"""A fight over one object, on the fake kernel with a clock that the test moves."""

from __future__ import annotations

from routed.core.holds import Why
from routed.model import names
from routed.model.change import Verb
from routed.model.entries import Settings
from tests.property.rig import BOOT, OURS, Rig, a_host, a_route, hop, route_key, route_value

LIMIT = 3
OURS_ON_LINK = route_value(hop(1), protocol=OURS, scope=names.LINK)
RIVALS = route_value(hop(2), scope=names.LINK)


def fight(rig: Rig) -> None:
    """A stranger deletes our route until it is held."""
    for _ in range(LIMIT):
        (ours,) = rig.kernel.standing(route_key())
        rig.kernel.request(Verb.DELETE, route_key(), ours)
        rig.run(0.02)


def test_a_fight_ends_by_time_and_is_forgotten_after_quiet_minutes() -> None:
    rig = Rig(a_host())
    rig.start(a_route(), settings=Settings(resync=60.0, fight_limit=LIMIT))
    fight(rig)
    rig.kernel.request(Verb.DELETE, route_key(), rig.host.wanted.desired.get(route_key()).value)  # type: ignore[union-attr]
    rig.run(30.0)
    assert rig.host.ledger.holds.fights == {route_key(): 1}
    rig.run(40.0)
    assert len(rig.kernel.standing(route_key())) == 1
    rig.run(180.0)
    assert (rig.host.ledger.holds.fights, rig.host.ledger.holds.repairs, rig.host.ledger.holds.active) == ({}, {}, {})


def replace_by_rival(rig: Rig) -> None:
    """A stranger puts another route in the place of ours until it is held."""
    for _ in range(LIMIT):
        rig.kernel.request(Verb.REPLACE, route_key(), RIVALS)
        rig.run(0.02)
    rig.kernel.request(Verb.REPLACE, route_key(), RIVALS)
    rig.run(0.02)
    assert rig.kernel.standing(route_key()) == (RIVALS,)
    assert rig.host.ledger.holds.active[route_key()].why is Why.FIGHT


def test_what_the_kernel_drops_is_restored_even_while_a_rival_is_held_off() -> None:
    rig = Rig(a_host())
    rig.start(a_route(), settings=Settings(resync=1e9, fight_limit=LIMIT))
    replace_by_rival(rig)
    rig.kernel.set_down(2)  # the link of the rival's route
    rig.run(0.1)
    assert rig.kernel.standing(route_key()) == (OURS_ON_LINK,)
    assert not rig.host.ledger.holds.active
    assert len(rig.host.ledger.troubles) == 0


def test_what_the_rival_deletes_stays_held() -> None:
    rig = Rig(a_host())
    rig.start(a_route(), settings=Settings(resync=1e9, fight_limit=LIMIT))
    replace_by_rival(rig)
    rig.kernel.request(Verb.DELETE, route_key(), RIVALS)
    rig.run(0.1)
    assert rig.kernel.standing(route_key()) == ()
    assert rig.host.ledger.holds.active[route_key()].why is Why.FIGHT


def test_the_same_content_under_another_mark_is_adopted_and_never_a_fight() -> None:
    rig = Rig(a_host())
    rig.start(a_route(), settings=Settings(resync=60.0, fight_limit=LIMIT))
    same = OURS_ON_LINK._replace(protocol=BOOT)
    for _ in range(5 * LIMIT):
        rig.kernel.request(Verb.REPLACE, route_key(), same)
        rig.run(0.02)
    assert rig.kernel.standing(route_key()) == (same,)  # it does its work: one write more would be one for nothing
    assert len(rig.host.ledger.troubles) == 0
    assert rig.kernel.writes <= 2 * LIMIT
    rig.kernel.request(Verb.REPLACE, route_key(), RIVALS)  # what is no adoption is repaired as ever
    rig.run(0.02)
    assert rig.kernel.standing(route_key()) == (OURS_ON_LINK,)
    rig.kernel.request(Verb.REPLACE, route_key(), same)
    rig.run(61.0)
    assert rig.kernel.standing(route_key()) == (OURS_ON_LINK,)


def test_the_same_content_ends_a_fight() -> None:
    rig = Rig(a_host())
    rig.start(a_route(), settings=Settings(resync=1e9, fight_limit=LIMIT))
    replace_by_rival(rig)
    rig.kernel.request(Verb.REPLACE, route_key(), OURS_ON_LINK._replace(protocol=BOOT))
    rig.run(0.1)
    assert rig.kernel.standing(route_key()) == (OURS_ON_LINK,)
    assert len(rig.host.ledger.troubles) == 0


def test_a_fight_is_over_when_nobody_has_undone_it_for_a_minute_and_not_before() -> None:
    rig = Rig(a_host())
    rig.start(a_route(), settings=Settings(resync=60.0, fight_limit=LIMIT))
    replace_by_rival(rig)
    began = rig.now
    rig.run(65.0)  # the hold is over, and the repair stands
    assert rig.kernel.standing(route_key()) == (OURS_ON_LINK,)
    assert not any(report.calmed for report in rig.reports)
    rig.run(120.0)
    assert [report.calmed for report in rig.reports if report.calmed] == [[route_key()]]
    assert rig.now - began > 120.0
