"""Flood: what goes on and on is told a few times, then counted, and no count is lost."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.audit.catalogue import Message
from routed.audit.flood import FEW, INTERVAL, MOST, Flood
from routed.audit.history import assign_blame, count_objects, name_culprit
from routed.audit.records import MOST_GROUPS, Record, make_record

JOURNALD_BURST, JOURNALD_INTERVAL = 10_000, 30.0  # RateLimitBurst= and RateLimitIntervalSec= of journald.conf(5)


def repaired(entry: str = "route/lan", comm: str = "ip", count: int = 1, pid: int = 7) -> Record:
    words = {"subject": entry, "trouble": " deleted", "cure": "restored", "elapsed": "1 ms"}
    fields = {"ROUTED_ENTRY": entry, "ROUTED_ACTOR_COMM": comm, "ROUTED_ACTOR_PID": str(pid), "ROUTED_ACTOR_UID": "0"}
    if count > 1:
        fields |= {"ROUTED_COUNT": str(count + 3), "ROUTED_TOLD": "3"}
    return make_record(Message.REPAIRED, words, fields)


def count(records: list[Record]) -> Counter[tuple[str, str]]:
    """Objects by entry and by who is behind them."""
    counted: Counter[tuple[str, str]] = Counter()
    for record in records:
        counted[record.fields.get("ROUTED_ENTRY", ""), name_culprit(record.fields)] += count_objects(record.fields)
    return counted


def test_a_few_are_written_one_by_one() -> None:
    records = [repaired(pid=number) for number in range(FEW)]
    flood = Flood()
    assert flood.filter(records, 5.0) == records
    assert flood.find_due() is None


def test_more_of_the_same_are_counted_and_told_at_the_end_of_the_interval() -> None:
    flood = Flood()
    written = [record for number in range(963) for record in flood.filter([repaired(pid=number)], 5.0 + number / 1000)]
    assert len(written) == FEW
    assert flood.find_due() == 5.0 + INTERVAL
    (summary,) = flood.take(5.0 + INTERVAL)
    assert summary.message == "route/lan: repaired 943 more times within 10 s (ip (uid 0))"
    assert summary.fields["ROUTED_EVENT"] == "repeated"
    assert summary.fields["ROUTED_REPEATED"] == "repaired"
    assert summary.fields["ROUTED_COUNT"] == "943"
    assert summary.fields["ROUTED_ACTOR_COMM"] == "ip"
    assert "ROUTED_ACTOR_PID" not in summary.fields, "every command had another pid"
    assert flood.find_due() is None


def test_the_next_interval_begins_anew_and_tells_of_the_one_before_first() -> None:
    flood = Flood()
    flood.filter([repaired() for _ in range(FEW + 1)], 5.0)
    summary, record = flood.filter([repaired()], 5.0 + INTERVAL)
    assert summary.fields["ROUTED_EVENT"] == "repeated"
    assert record.fields["ROUTED_EVENT"] == "repaired"


def test_another_entry_and_another_rival_are_told_beside_the_flood() -> None:
    flood = Flood()
    flood.filter([repaired() for _ in range(1000)], 5.0)
    assert flood.filter([repaired("route/other")], 6.0)
    assert flood.filter([repaired(comm="networkd")], 6.0)


def test_what_the_daemon_says_of_itself_is_never_left_out() -> None:
    flood = Flood()
    words = {"config": "/etc/routed.toml", "problem": "no"}
    records = [make_record(Message.CONFIG_REJECTED, words) for _ in range(MOST * 2)]
    assert flood.filter(records, 5.0) == records


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 3.0),  # seconds since the one before
            st.integers(0, 200).map(lambda number: f"route/r{number}"),
            st.sampled_from(["ip", "networkd", "bird"]),
            st.sampled_from([1, 1, 1, 50]),
            st.integers(1, 100),  # so many times
        ),
        max_size=40,
    )
)
def test_no_count_is_lost_whatever_comes(bursts: list[tuple[float, str, str, int, int]]) -> None:
    flood, now = Flood(), 100.0
    came, written = [], []
    for wait, entry, comm, objects, times in bursts:
        now += wait
        records = [repaired(entry, comm, objects) for _ in range(times)]
        came += records
        written += flood.filter(records, now)
    written += flood.take(now)
    told, there = count(written), count(came)
    assert told.total() == there.total()
    assert all(told[key] <= there[key] for key in there)
    if "" not in {entry for entry, _ in told}:  # no rest of very many sorts
        assert told == there


@pytest.mark.parametrize("entries", [1, 100, 5000])
def test_a_hundred_thousand_repairs_in_a_minute_stay_far_below_the_limit_of_the_journal(entries: int) -> None:
    flood, written, repairs = Flood(), [], 100_000
    for number in range(repairs):
        now = number * 60.0 / repairs
        written += [(now, record) for record in flood.filter([repaired(f"route/r{number % entries}")], now)]
    written += [(60.0, record) for record in flood.take(60.0)]
    most = max(
        sum(start <= moment < start + JOURNALD_INTERVAL for moment, _ in written) for start in range(0, 60, 5)
    )  # fmt: skip
    assert most <= (MOST + MOST_GROUPS + 1) * (JOURNALD_INTERVAL / INTERVAL + 1) < JOURNALD_BURST / 4
    assert sum(count_objects(record.fields) for _, record in written) == repairs


def test_blame_counts_what_was_left_out() -> None:
    flood = Flood()
    written = flood.filter([repaired(pid=number) for number in range(963)], 5.0) + flood.take(15.0)
    (culprit,) = assign_blame(record.fields for record in written)
    assert (culprit.who, culprit.count) == ("ip (uid 0)", 963)
