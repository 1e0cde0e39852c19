"""The table about services of IPVS says what was measured, and what was not."""

from __future__ import annotations

from tests.bench.ipvs import Figure, write_table


def test_the_median_of_each_is_in_its_row_and_what_never_happened_says_so() -> None:
    figures: list[Figure] = [
        *({"row": "ipvsadm -d", "contender": "routed", "value": value} for value in (1.0, 4.0, 2.0)),
        {"row": "ipvsadm -d", "contender": "keepalived", "value": None},
        {"row": "memory", "contender": "routed", "value": 40.0, "services": 1000},
        {"row": "left out", "contender": "routed --follow-netlink", "value": None, "why": "there is no such option"},
    ]
    head, first, second, left_out = write_table(figures).splitlines()
    assert head.split() == ["services", "routed", "keepalived"]
    assert first.split() == ["ipvsadm", "-d", "10", "2.000", "never"]
    assert second.split() == ["memory", "1000", "40.000", "-"]
    assert left_out == "routed --follow-netlink: left out: there is no such option"
