"""Dirt: what has to be looked at, and why."""

from __future__ import annotations

from routed.model.change import Cause
from routed.model.reasons import Deed
from tests.property.fake_kernel import STRANGER
from tests.unit.core.listener import Listener, big_entry, storm


def test_equal_causes_are_one_value_however_many_keys_share_it() -> None:
    dirt = Listener(big_entry(3)).hear(*storm(3))
    (causes,) = dirt.causes.values()
    assert len({id(cause) for cause in causes.values()}) == 1
    assert list(dirt.distinct) == [Cause(STRANGER, Deed.DELETED)]
