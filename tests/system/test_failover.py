"""Two lines: the default route follows the one that works, and the question has a way of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.host import shown
from tests.system.uplinks import FAR, GATEWAYS, Uplinks, two_lines

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def uplinks(network: None) -> Iterator[Uplinks]:
    with two_lines() as uplinks:
        yield uplinks


def a_file(family: int, keys: str = "", route: str = "") -> str:
    first, second = GATEWAYS[family]
    return f"""
[[check]]
name = "wan1"
type = "icmp"
target = "{FAR[family]}"
dev = "v0"
via = "{first}"
every = "200ms"
fall = 2
hold = "500ms"
{keys}
[[route]]
name = "first"
to = "default"
via = "{first}"
dev = "v0"
metric = 100
requires = "@wan1"
{route}
[[route]]
name = "second"
to = "default"
via = "{second}"
dev = "v1"
metric = 200
"""


def metrics() -> list[int]:
    return [route["metric"] for family in "46" for route in ip_json(f"-{family} route show default")]


@FAMILIES
def test_a_line_that_is_dead_with_its_carrier_up_is_left_and_taken_again(
    daemon: Daemon, uplinks: Uplinks, family: int
) -> None:
    daemon.start(a_file(family))
    wait_until(lambda: metrics() == [100, 200])
    for _ in range(2):
        uplinks.cut(0)
        wait_until(lambda: metrics() == [200])
        assert daemon.entry("route/first")["state"] == "withheld"
        uplinks.mend(0)
        wait_until(lambda: metrics() == [100, 200])
    assert daemon.records("failed") == []


@FAMILIES
def test_a_line_that_is_dead_at_the_start_is_seen_when_it_comes_back(
    daemon: Daemon, uplinks: Uplinks, family: int
) -> None:
    uplinks.cut(0)
    daemon.start(a_file(family))
    daemon.wait_for("check-down", "check/wan1")
    wait_until(lambda: metrics() == [200])
    uplinks.mend(0)
    wait_until(lambda: metrics() == [100, 200])


@FAMILIES
def test_both_lines_dead_and_one_comes_back(daemon: Daemon, uplinks: Uplinks, family: int) -> None:
    daemon.start(a_file(family))
    wait_until(lambda: metrics() == [100, 200])
    uplinks.cut(0)
    uplinks.cut(1)
    wait_until(lambda: metrics() == [200])
    uplinks.mend(0)
    wait_until(lambda: metrics() == [100, 200])


def test_a_lost_carrier_is_followed_at_once_without_a_question(daemon: Daemon, uplinks: Uplinks) -> None:
    daemon.start(a_file(4).replace("200ms", "1h").replace('hold = "500ms"', 'hold = "500ms"\ntimeout = "1s"'))
    wait_until(lambda: metrics() == [100, 200])
    uplinks.run(0, "link set v0p down")
    wait_until(lambda: metrics() == [200])
    assert "carrier" in daemon.entry("route/first")["reason"]
    uplinks.run(0, "link set v0p up")
    wait_until(lambda: metrics() == [100, 200])


@FAMILIES
def test_the_way_of_a_question_goes_with_the_last_entry_that_requires_it(
    daemon: Daemon, uplinks: Uplinks, family: int
) -> None:
    daemon.start(a_file(family))
    wait_until(lambda: metrics() == [100, 200])
    assert [rule["priority"] for rule in ip_json(f"-{family} rule show fwmark 0x3100")] == [10]
    assert len(shown("default", "table 31000") if family == 4 else ip_json("-6 route show table 31000")) == 1
    daemon.apply(a_file(family).replace('requires = "@wan1"', ""))
    assert ip_json(f"-{family} rule show fwmark 0x3100") == []
    assert daemon.ask_json("status")["checks"][0]["reason"] == "no entry requires it, so it is not asked"


def test_a_way_that_somebody_takes_away_is_put_back(daemon: Daemon, uplinks: Uplinks) -> None:
    daemon.start(a_file(4))
    wait_until(lambda: metrics() == [100, 200])
    ip("rule del pref 10")
    ip("route flush table 31000")
    wait_until(lambda: len(ip_json("rule show fwmark 0x3100")) == 1 and len(ip_json("route show table 31000")) == 1)
