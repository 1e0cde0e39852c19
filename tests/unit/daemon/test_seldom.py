from __future__ import annotations

from routed.daemon.seldom import INTERVAL, Seldom


def test_each_kind_is_said_once_a_minute() -> None:
    now = 5.0  # a clock may have begun just now
    seldom = Seldom(lambda: now)
    assert [seldom.is_due("a"), seldom.is_due("a"), seldom.is_due("b")] == [True, False, True]
    now += INTERVAL - 1
    assert not seldom.is_due("a")
    now += 1
    assert [seldom.is_due("a"), seldom.is_due("a")] == [True, False]
