"""What an errno of the kernel, and a reason to wait, come to."""

from __future__ import annotations

from errno import ENETUNREACH, ENODEV

import pytest

from routed.core.prospects import is_absent, is_error
from routed.core.waiting import find_gone
from routed.model.attributes import ENCAP, join
from routed.model.entries import Entry, HopSpec
from routed.model.net import parse_address
from routed.model.reasons import Lack, LinkDown, LinkTaken, NoLink, NotChosen, OffNetwork, Reason, Several, Unusable
from tests.property.rig import a_route, a_rule, an_address

LED_INTO_A_VRF = join(ENCAP.pack({"type": "seg6local", "action": "End.DT4", "vrftable": 7}))
GATEWAY = parse_address("192.0.2.1")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (an_address(dev="v0"), NoLink("v0")),
        (an_address(dev="@lan"), NotChosen("lan")),
        (a_route(hops=(HopSpec(dev="v0"),)), NoLink("v0")),
        (a_route(hops=(HopSpec(dev="v0"), HopSpec(dev="v1"))), None),  # nobody knows which
        (a_route(hops=(HopSpec(via=GATEWAY),)), None),
        (a_route(hops=(HopSpec(dev="v0", extra=LED_INTO_A_VRF),)), None),  # it may be the VRF
        (a_rule(), None),
        (None, None),
    ],
)
def test_no_device_means_that_the_link_of_the_entry_has_gone(entry: Entry | None, why: Reason | None) -> None:
    assert find_gone(entry, ENODEV) == why
    assert find_gone(entry, ENETUNREACH) is None


@pytest.mark.parametrize(
    ("reason", "error", "absent"),
    [
        (LinkTaken("v0", "veth"), True, False),
        (Several((LinkDown("v1"), LinkTaken("v0", "veth"))), True, False),
        (NoLink("v0"), False, True),
        (OffNetwork(GATEWAY), False, True),
        (Unusable(GATEWAY, "src", Lack.ABSENT), False, True),
        (Unusable(GATEWAY, "src", Lack.TENTATIVE), False, False),
        (LinkDown("v0"), False, False),
        (None, False, False),
    ],
)
def test_a_reason_tells_what_may_become_of_an_entry(reason: Reason | None, error: bool, absent: bool) -> None:
    assert (is_error(reason), is_absent(reason)) == (error, absent)
