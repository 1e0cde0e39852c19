"""Kernels that can do less: what is asked of them is what they can do, once, and then there is peace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routed.model.change import Verb
from routed.model.entries import Intent, Settings
from routed.model.objects import AddressValue
from tests.property.rig import OURS, Rig, a_host, address_key, an_address, give_address

THEIRS = 0
TEXT = "10.20.0.11/21"
KEY = address_key(TEXT, 1)


def a_rig(*, can_mark_again: bool) -> Rig:
    """A host on which somebody else gave v0 the address."""
    rig = Rig(a_host())
    rig.kernel.can_mark_again = can_mark_again
    give_address(rig.kernel, TEXT, 1, "v0", THEIRS)
    return rig


def standing(rig: Rig) -> list[tuple[int, int]]:
    """Protocol and metric of the address."""
    return [(value.protocol, value.metric) for value in rig.kernel.standing(KEY) if isinstance(value, AddressValue)]


@pytest.mark.parametrize("metric", [0, 5])
def test_an_address_that_cannot_be_marked_is_kept_as_it_stands(metric: int) -> None:
    rig = a_rig(can_mark_again=False)
    rig.start(an_address(TEXT, metric=metric))
    assert rig.kernel.writes == bool(metric)
    assert standing(rig) == [(THEIRS, metric)]
    assert not rig.host.ledger.troubles
    assert rig.plan_is_empty()


def test_an_address_that_was_not_ours_is_put_back_as_ours() -> None:
    rig = a_rig(can_mark_again=False)
    rig.start(an_address(TEXT))
    rig.kernel.request(Verb.DELETE, KEY, rig.kernel.standing(KEY)[0])
    rig.run()
    assert standing(rig) == [(OURS, 0)]


def test_an_address_that_can_be_marked_is_marked() -> None:
    rig = a_rig(can_mark_again=True)
    rig.start(an_address(TEXT))
    assert standing(rig) == [(OURS, 0)]


def test_an_address_that_takes_no_other_number_keeps_one_of_ours_and_goes_with_its_entry() -> None:
    settings = Settings(resync=60.0, protocols=frozenset({200, 201}))
    rig = Rig(a_host())
    rig.kernel.can_mark_again = False
    rig.start(replace(an_address(TEXT), protocol=200), settings=settings)
    assert standing(rig) == [(200, 0)]
    rig.enforce(Intent(settings, (replace(an_address(TEXT), protocol=201),)))
    assert standing(rig) == [(200, 0)]
    assert rig.plan_is_empty()
    rig.enforce(Intent(replace(settings, protocols=frozenset({201})), (replace(an_address(TEXT), protocol=201),)))
    rig.resync()
    assert rig.host.wanted.former_protocols == {200}
    rig.enforce(Intent(replace(settings, protocols=frozenset({201}))))
    rig.resync()
    assert standing(rig) == []
    assert rig.host.wanted.former_protocols == frozenset()
