"""Rules of one priority that may select the same packets are told; the others are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routed.intent.overlaps import find_overlaps
from routed.model.entries import RuleEntry
from routed.model.net import IPV4, IPV6, parse_prefix
from tests.property.rig import a_rule


def rule(name: str, source: str = "", table: int = 100, priority: int = 1000, **words: object) -> RuleEntry:
    family = IPV6 if ":" in source else IPV4
    entry = a_rule(name, priority, table, (family,), source)
    return replace(entry, rule=entry.rule._replace(**words))  # type: ignore[arg-type]


def overlaps(*rules: RuleEntry) -> list[tuple[str, str]]:
    return [(one.name.removeprefix("rule/"), other.name.removeprefix("rule/")) for one, other in find_overlaps(rules)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rule("a", "10.0.0.0/8"), rule("b", "10.1.0.0/16", 200)),
        (rule("a", "10.1.0.0/16"), rule("b", "10.0.0.0/8", 200)),
        (rule("a", "2001:db8::/32"), rule("b", "2001:db8::/32", 200)),
        (rule("a"), rule("b", "10.0.0.1", 200)),
        (rule("a", iif="v0"), rule("b", table=200, oif="v1")),
        (rule("a", fwmark=1, fwmask=1), rule("b", table=200, fwmark=2, fwmask=2)),
        (rule("a", dport=(1, 9)), rule("b", table=200, dport=(9, 12))),
        (rule("a", "10.0.0.1", inverted=True), rule("b", "10.0.0.1", 200)),
        (rule("a", destination=parse_prefix("10.0.0.0/8")), rule("b", "10.0.0.1", 200)),
    ],
)
def test_two_rules_that_may_select_one_packet_overlap(one: RuleEntry, other: RuleEntry) -> None:
    assert overlaps(one, other) == [("b", "a")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rule("a", "10.0.0.0/8"), rule("b", "11.0.0.0/8", 200)),
        (rule("a", "10.0.0.0/8"), rule("b", "10.1.0.0/16", 200, 1001)),
        (rule("a", "10.0.0.0/8"), rule("b", "10.1.0.0/16", 100)),
        (rule("a", "10.0.0.0/8"), rule("b", "2001:db8::/32", 200)),
        (rule("a", iif="v0"), rule("b", table=200, iif="v1")),
        (rule("a", fwmark=1, fwmask=3), rule("b", table=200, fwmark=2, fwmask=3)),
        (rule("a", dport=(1, 9)), rule("b", table=200, dport=(10, 12))),
        (replace(rule("a"), source_of="wan1"), replace(rule("b", table=200), source_of="wan2")),
    ],
)
def test_two_rules_that_have_no_packet_in_common_or_say_the_same_do_not_overlap(
    one: RuleEntry, other: RuleEntry
) -> None:
    assert overlaps(one, other) == []


def test_a_rule_is_told_once_with_the_first_one_that_it_overlaps() -> None:
    assert overlaps(rule("a"), rule("b", table=200), rule("c", "10.0.0.1", 300)) == [("b", "a"), ("c", "a")]
