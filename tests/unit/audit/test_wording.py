from __future__ import annotations

import pytest

from routed.audit.wording import describe_cause, describe_change
from routed.model.attributes import ENCAP, REALMS_OF_HOP, join
from routed.model.change import Cause
from routed.model.events import KERNEL
from routed.model.net import IPV4, parse_address, parse_prefix
from routed.model.objects import Hop, Key, Kind, RouteSlot, RouteValue
from routed.model.process import Process
from routed.model.reasons import Deed, LinkChange, LinkTurn, Look, Reason, Sign
from routed.model.text import Vocabulary

LINK_DOWN = LinkChange(LinkTurn.WENT_DOWN, "eth1")
NOBODY = "by the kernel, or by a program that it does not name"


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (Cause(KERNEL, LINK_DOWN), "dropped by the kernel (link eth1 went down)"),
        (Cause(KERNEL, Sign.EXPIRED), "dropped by the kernel (its lifetime was over)"),
        (Cause(KERNEL, Deed.DELETED), f"deleted {NOBODY}"),
        (Cause(KERNEL, Deed.CHANGED), f"changed {NOBODY}"),
        (Cause(KERNEL, Sign.ALIAS_ADDED), f"an alias was added under its key {NOBODY}"),
        (Cause(None, Look.REGULAR), "found by the regular comparison"),
        (Cause(7, Deed.DELETED, Process(7, "ip", "ip route del x")), 'deleted by "ip route del x" (pid 7)'),
    ],
)
def test_only_what_goes_with_a_link_an_address_or_its_time_was_dropped_by_the_kernel(cause: Cause, said: str) -> None:
    assert describe_cause(cause) == said


def test_every_deed_without_a_name_may_be_a_programs() -> None:
    reasons: list[Reason] = [*Deed]
    assert all(describe_cause(Cause(KERNEL, reason)).endswith(NOBODY) for reason in reasons)


ONE = Hop(2, parse_address("10.20.0.1"))
OTHER = Hop(2, parse_address("10.20.0.9"), weight=3)


def around(labels: str) -> bytes:
    return join(ENCAP.pack({"type": "mpls", "labels": tuple(map(int, labels.split("/")))}))


LABELLED, REALMS = ONE._replace(extra=around("100/200")), ONE._replace(extra=join(REALMS_OF_HOP.pack((0, 7))))
KEY = Key(Kind.ROUTE, RouteSlot(IPV4, 254, 0, 0), parse_prefix("10.30.0.0/16"))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((ONE, OTHER), (ONE,), "with next hop via 10.20.0.9 dev eth1 weight 3"),
        ((ONE,), (ONE, OTHER), "without next hop via 10.20.0.9 dev eth1 weight 3"),
        ((OTHER, ONE), (ONE, OTHER._replace(onlink=True)),
         "with next hop via 10.20.0.9 dev eth1 weight 3, without next hop via 10.20.0.9 dev eth1 weight 3 onlink"),
        ((ONE,), (OTHER,), "gateway 10.20.0.1 instead of 10.20.0.9"),
        ((LABELLED,), (ONE,), "encap type mpls labels 100/200 instead of none"),
        ((LABELLED,), (ONE._replace(extra=around("100")),), "encap labels 100/200 instead of 100"),
        ((ONE, LABELLED), (ONE, REALMS), ("with next hop via 10.20.0.1 dev eth1 encap type mpls labels 100/200,"
         " without next hop via 10.20.0.1 dev eth1 realms 7")),
    ],
)  # fmt: skip
def test_of_several_next_hops_those_are_named_that_differ(
    before: tuple[Hop, ...], after: tuple[Hop, ...], said: str
) -> None:
    vocabulary = Vocabulary({2: "eth1"})
    assert describe_change(KEY, RouteValue(1, 114, hops=before), RouteValue(1, 114, hops=after), vocabulary) == said
