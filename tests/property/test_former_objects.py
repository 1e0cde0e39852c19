"""While what an entry asks for now is not known yet, what stands of it from before stays, and is named."""

from __future__ import annotations

import pytest

from routed.core.troubles import State
from routed.daemon.status import count_states, describe_entries, find_former, vocabulary_of
from routed.model.change import Verb
from routed.model.entries import Intent, Settings
from tests.property.rig import Rig, a_host, a_route, give_address, hop, route_key, route_value, via

FAR = {"10.30.0.0/16": "203.0.113.1", "2001:db8:9::/48": "2001:db8:77::1"}
NEAR = {"10.30.0.0/16": "192.0.2.9", "2001:db8:9::/48": "fd00::9"}
BOTH = pytest.mark.parametrize("to", list(FAR))


def waiting(to: str, *, is_file: bool = False, more: tuple[str, ...] = ()) -> Rig:
    rig = Rig(a_host())
    tos = (to, *more)
    rig.start(a_route(to=tos, hops=(via(NEAR[to]),), is_file=is_file), settings=Settings(resync=60.0))
    rig.enforce(Intent(Settings(resync=60.0), (a_route(to=tos, hops=(via(FAR[to]),), is_file=is_file),)))
    return rig


def told(rig: Rig) -> dict[str, list[str]]:
    return find_former(rig.host, vocabulary_of(rig.host))


@BOTH
def test_a_former_route_is_named_while_the_gateway_of_the_new_one_is_waited_for(to: str) -> None:
    rig = waiting(to)
    (stays,) = told(rig)["route/lan"]
    assert NEAR[to] in stays
    (entry,) = describe_entries(rig.host, str)
    assert (entry["state"], entry["former"]) == ("waiting", [stays])
    assert entry["reason"].endswith(f"; until then {stays} stays")
    assert count_states(rig.host) == {State.IN_SYNC: 0, State.WAITING: 1}
    rig.resync()  # a dump that was read before is not taken for one that shows nothing
    rig.resync()
    assert told(rig) == {"route/lan": [stays]}
    assert [drift.members for drift in rig.plan().former] == [(route_key(to).member,)]


@BOTH
def test_a_former_route_is_named_no_more_when_it_goes_or_is_replaced(to: str) -> None:
    rig = waiting(to)
    (standing,) = rig.kernel.standing(route_key(to))
    rig.kernel.request(Verb.DELETE, route_key(to), standing)
    rig.run(0.01)
    assert told(rig) == {}
    rig = waiting(to)
    assert give_address(rig.kernel, f"{FAR[to]}0/{24 if '.' in to else 64}", 2, "v1") == 0
    rig.run(0.01)
    (now,) = rig.kernel.standing(route_key(to))
    assert FAR[to] in str(now) or now.hops[0].dev == 2
    assert told(rig) == {}
    assert len(rig.host.ledger.troubles) == 0


def test_a_former_route_that_goes_with_its_link_in_silence_is_named_no_more() -> None:
    rig = waiting("10.30.0.0/16")
    rig.kernel.set_down(1)
    rig.run(0.01)
    assert told(rig) == {}


def test_very_many_former_routes_are_counted() -> None:
    many = tuple(f"10.40.{number}.0/24" for number in range(100))
    rig = waiting("10.30.0.0/16", is_file=True, more=many)
    (stays,) = told(rig)["route/lan"]
    assert stays.endswith(" and 100 more")
    assert count_states(rig.host) == {State.IN_SYNC: 0, State.WAITING: 101}


def test_what_a_stranger_has_there_is_none_of_ours() -> None:
    rig = Rig(a_host())
    rig.kernel.request(Verb.ADD, route_key(), route_value(hop(2)))
    rig.start(a_route(hops=(via("203.0.113.1"),)))
    assert told(rig) == {}
