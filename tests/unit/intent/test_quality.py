"""`[[check]]`: a path of its own, and limits for what is lost and late."""

from __future__ import annotations

import pytest

from routed.model.entries import RouteEntry, RuleEntry
from tests.unit.intent.intent_help import complaint, read

ROUTE = '[[route]]\nto = "default"\nvia = "192.0.2.1"\ndev = "eth1"\nrequires = "@wan1"\nwhen_all_down = "withdraw"\n'


def a_check(keys: str = "", type_: str = "icmp", target: str = "9.9.9.9", way: str = 'via = "192.0.2.1"') -> str:
    return f'[[check]]\nname = "wan1"\ntype = "{type_}"\ntarget = "{target}"\ndev = "eth1"\n{way}\n{keys}\n'


def test_what_is_handed_to_its_gateway_needs_no_rule_and_no_table() -> None:
    intent = read(a_check() + ROUTE)
    assert [type(entry) for entry in intent.entries] == [RouteEntry]
    assert intent.checks[0].mark == 0


def test_every_other_type_has_a_mark_a_rule_and_a_table() -> None:
    intent = read(a_check(type_="tcp", target="9.9.9.9:53") + ROUTE)
    assert [type(entry) for entry in intent.entries] == [RouteEntry, RuleEntry, RouteEntry]
    assert intent.checks[0].mark == 0x3100


def test_limits_of_loss_and_time_are_read() -> None:
    (check,) = read(a_check('loss = "20%"\nrtt = "150ms"\nwindow = "2m"') + ROUTE).checks
    assert (check.loss, check.rtt, check.window) == (0.2, 0.15, 120.0)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (a_check('loss = "20%"\nevery = "10s"'), "`window` has to be at least 12 times as long as `every`"),
        (a_check('rtt = "20ms"\nevery = "50ms"'), "`window` must not be longer than 600 times `every`"),
        (a_check('loss = "20%"', "tcp", "9.9.9.9:53"), "`loss`: a check of type tcp has none / it goes with"),
        (a_check("loss = 20"), 'must be a string such as "50%"'),
        (a_check(target="2001:db8::1", way='via = "fe80::1"').replace("dev", "# dev"), "is on every link"),
    ],
)
def test_what_cannot_be_measured_is_said(toml: str, said: str) -> None:
    assert said in complaint(toml + ROUTE)


@pytest.mark.parametrize(
    ("target", "route", "is_severed"),
    [
        ("9.9.9.9:53", 'family = "ipv4"\ndev = "ppp0"', False),
        ("9.9.9.9:53", 'family = "ipv4"\ndev = "eth1"', False),  # another link
        ("9.9.9.9:53", 'dev = "ppp0"\nvia = "192.0.2.1"', True),
        ("[2001:db8::1]:53", 'family = "ipv6"\ndev = "ppp0"', True),
    ],
)
def test_a_question_stays_on_the_link_that_its_route_leads_to_without_a_gateway(
    target: str, route: str, is_severed: bool
) -> None:
    check = a_check(type_="tcp", target=target, way="").replace("eth1", "ppp0")
    said = complaint(check + ROUTE.replace('via = "192.0.2.1"\ndev = "eth1"', route))
    assert ("its questions would go with" in said) is is_severed
