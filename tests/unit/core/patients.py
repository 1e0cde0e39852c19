"""A patient from a file and a few facts, as a host with two links would be found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from routed.core.desired import Desired
from routed.core.doctor import examine
from routed.core.doctor.patient import Patient
from routed.core.effect import StandingRule
from routed.core.entries import resolve
from routed.model import names
from routed.model.diagnosis import Ailment, Diagnosis
from routed.model.facts import Facts, GatewayLink, HostAddress, Link
from routed.model.net import FAMILIES, IPV4, parse_address, parse_prefix
from routed.model.objects import AddressMember, Hop, RouteSlot, RouteValue, RuleMember, Standing
from routed.model.owner import Owner
from routed.model.text import Vocabulary
from tests.unit.intent.intent_help import read

OURS = 114
ETH0, ETH1 = 2, 3
LOCAL = StandingRule(RuleMember(0, table=names.TABLE_LOCAL), Owner.KERNEL)
MAIN = StandingRule(RuleMember(32766, table=names.TABLE_MAIN), Owner.KERNEL)
HELD = (("10.0.0.1", 24, ETH0), ("10.1.0.1", 24, ETH1), ("fd00::1", 64, ETH0), ("fd01::1", 64, ETH1))


def facts(*more: tuple[str, int, int], failed: str = "") -> Facts:
    """``eth0`` with 10.0.0.1/24 and fd00::1/64, ``eth1`` with 10.1.0.1/24 and fd01::1/64, and gateways on them."""
    links = {
        number: Link(number, name, is_up=True, has_carrier=True) for number, name in ((ETH0, "eth0"), (ETH1, "eth1"))
    }
    held = [
        HostAddress(dev, parse_address(text), length, 0, has_failed_dad=text == failed)
        for text, length, dev in (*HELD, *more)
    ]
    gateways = {"10.0.0.2": ETH0, "10.1.0.2": ETH1, "fd00::2": ETH0, "fd01::2": ETH1}
    return Facts(
        links=links,
        addresses={AddressMember(one.dev, one.address, one.prefixlen): one for one in held},
        gateways={parse_address(text): GatewayLink(dev, is_onlink=True) for text, dev in gateways.items()},
    )


def default(dev: int, gateway: str = "") -> Standing:
    """A default route of somebody else in table main."""
    value = RouteValue(names.UNICAST, 4, hops=(Hop(dev, parse_address(gateway) if gateway else b""),))
    return Standing(RouteSlot(IPV4, names.TABLE_MAIN, 100), parse_prefix("0.0.0.0/0"), value)


def rule(priority: int, table: int, **selector: Any) -> StandingRule:
    """A rule of somebody else."""
    return StandingRule(RuleMember(priority, table=table, **selector), Owner.FOREIGN)


def patient(text: str, where: Facts | None = None, rules: Iterable[StandingRule] = (), **found: Any) -> Patient:
    """The host with these files. The kernel's own rules stand, and these beside them."""
    intent, seen = read(text), where or facts()
    desired = Desired()
    for entry in intent.entries:
        desired.put(resolve(entry, seen, OURS))
    standing = sorted([LOCAL, MAIN, *rules], key=lambda one: one.member.priority)
    return Patient(
        intent=intent,
        facts=seen,
        desired=desired,
        vocabulary=Vocabulary.of(seen, intent.table_names, OURS),
        rules=dict.fromkeys(FAMILIES, standing),
        **found,
    )


def found(one: Patient, ailment: Ailment) -> list[Diagnosis]:
    """What is found of one kind."""
    return [diagnosis for diagnosis in examine(one) if diagnosis.ailment is ailment]
