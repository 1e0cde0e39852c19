"""A fight over one object, on the fake kernel with a clock that the test moves."""

from __future__ import annotations

from routed.model.change import Verb
from routed.model.entries import Settings
from tests.property.rig import Rig, a_host, a_route, route_key

LIMIT = 3


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
