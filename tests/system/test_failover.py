"""Two lines: the default route follows the one that works, and the question has a way of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.host import shown
from tests.system.monitor import Monitor
from tests.system.uplinks import FAR, GATEWAYS, Uplinks, two_lines

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def uplinks(network: None) -> Iterator[Uplinks]:
    with two_lines() as uplinks:
        yield uplinks


def a_file(family: int, keys: str = "", route: str = "", second_route: str = "") -> str:
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
{second_route}
"""


def by_routes(toml: str) -> str:
    """The same with a check of a type that goes by routes, a rule and a mark of its own."""
    for far in FAR.values():
        toml = toml.replace(f'"{far}"', f'"[{far}]:80"' if ":" in far else f'"{far}:80"')
    return toml.replace('"icmp"', '"tcp"')


def with_both_checked(family: int) -> str:
    check = a_file(family).split("[[route]]")[0]
    return check.replace("wan1", "wan2").replace("v0", "v1").replace(GATEWAYS[family][0], GATEWAYS[family][1]) + a_file(
        family, second_route='requires = "@wan2"'
    )


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
    toml = by_routes(a_file(family))
    daemon.start(toml)
    wait_until(lambda: metrics() == [100, 200])
    assert [rule["priority"] for rule in ip_json(f"-{family} rule show fwmark 0x3100")] == [10]
    assert len(shown("default", "table 31000") if family == 4 else ip_json("-6 route show table 31000")) == 1
    daemon.apply(toml.replace('requires = "@wan1"', ""))
    assert ip_json(f"-{family} rule show fwmark 0x3100") == []
    assert daemon.ask_json("status")["checks"][0]["reason"] == "no entry requires it, so it is not asked"


def test_a_way_that_somebody_takes_away_is_put_back(daemon: Daemon, uplinks: Uplinks) -> None:
    daemon.start(by_routes(a_file(4)))
    wait_until(lambda: metrics() == [100, 200])
    ip("rule del pref 10")
    ip("route flush table 31000")
    wait_until(lambda: len(ip_json("rule show fwmark 0x3100")) == 1 and len(ip_json("route show table 31000")) == 1)


@FAMILIES
def test_where_every_line_is_down_the_preferred_one_stays_and_is_called_degraded(
    daemon: Daemon, uplinks: Uplinks, family: int
) -> None:
    daemon.start(with_both_checked(family))
    wait_until(lambda: metrics() == [100, 200])
    uplinks.cut(0)
    wait_until(lambda: metrics() == [200])
    uplinks.cut(1)
    wait_until(lambda: metrics() == [100])
    assert daemon.entry("route/first")["state"] == "degraded"
    assert daemon.entry("route/second")["state"] == "withheld"
    assert daemon.ask("apply").code == 1
    uplinks.mend(1)
    wait_until(lambda: metrics() == [200])
    uplinks.mend(0)
    wait_until(lambda: metrics() == [100, 200])
    assert daemon.ask("apply").code == 0


@FAMILIES
def test_a_switch_shows_the_new_route_before_the_old_one_goes(
    daemon: Daemon, uplinks: Uplinks, monitor: Monitor, family: int
) -> None:
    daemon.start(with_both_checked(family))
    wait_until(lambda: metrics() == [100, 200])
    uplinks.cut(0)
    wait_until(lambda: metrics() == [200])
    monitor.heard()
    uplinks.cut(1)
    wait_until(lambda: metrics() == [100])
    assert [change.what for change in monitor.heard() if change.to == "default"] == ["route", "route gone"]


@FAMILIES
def test_a_line_that_is_down_may_stay_under_another_metric(daemon: Daemon, uplinks: Uplinks, family: int) -> None:
    daemon.start(a_file(family, route="down_metric = 300"))
    wait_until(lambda: metrics() == [100, 200])
    uplinks.cut(0)
    wait_until(lambda: metrics() == [200, 300])
    entry = daemon.entry("route/first")
    assert entry["state"] == "in-sync"
    assert entry["reason"].startswith("check/wan1 is down")
    uplinks.mend(0)
    wait_until(lambda: metrics() == [100, 200])


def legs() -> int:
    return sum(len(route.get("nexthops", [])) for route in shown("192.0.2.0/24"))


def test_a_leg_leaves_its_route_by_one_replace(daemon: Daemon, uplinks: Uplinks, monitor: Monitor) -> None:
    check = a_file(4).split("[[route]]")[0]
    hops = '{ via = "10.0.0.2", dev = "v0", requires = "@wan1" }, { via = "10.1.0.2", dev = "v1" }'
    daemon.start(f'{check}[[route]]\nname = "both"\nto = "192.0.2.0/24"\nhops = [{hops}]\nwhen_all_down = "keep"\n')
    wait_until(lambda: legs() == 2)
    monitor.heard()
    uplinks.cut(0)
    wait_until(lambda: [route.get("dev") for route in shown("192.0.2.0/24")] == ["v1"])
    assert [change.what for change in monitor.heard() if change.to == "192.0.2.0/24"] == ["route"]
    uplinks.mend(0)
    wait_until(lambda: legs() == 2)


def test_what_is_rather_kept_counts_as_up_when_nobody_knows_for_long(daemon: Daemon) -> None:
    entries = a_file(4, second_route='requires = "@wan2"').split("[[route]]", 1)[1]
    with TemporaryDirectory(dir="/dev/shm") as folder:
        file = Path(folder, "no-file-but-a-folder")
        file.mkdir()
        checks = [f'[[check]]\nname = "{name}"\ntype = "file"\nfile = "{file}"\n' for name in ("wan1", "wan2")]
        daemon.start("".join(checks) + "[[route]]" + entries)
        assert metrics() == []
        assert daemon.entry("route/first")["state"] == "waiting"
        wait_until(lambda: metrics() == [100, 200], within=10.0)


def test_a_filter_that_drops_the_answers_is_named(daemon: Daemon, uplinks: Uplinks) -> None:
    Path("/proc/sys/net/ipv4/conf/v1/rp_filter").write_text("1")
    daemon.start(by_routes(with_both_checked(4)))
    down = daemon.wait_for("check-down", "check/wan2")
    assert "rp_filter of the link is 1" in down["fields"]["ROUTED_REASON"]
    Path("/proc/sys/net/ipv4/conf/v1/rp_filter").write_text("2")
    daemon.wait_for("check-up", "check/wan2")


@FAMILIES
def test_an_echo_has_a_way_of_its_own_without_a_rule_a_table_or_a_mark(
    daemon: Daemon, uplinks: Uplinks, family: int
) -> None:
    for name in ("all", "v0", "v1"):
        Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("1")
    rules = ip_json(f"-{family} rule show")
    daemon.start(with_both_checked(family))
    wait_until(lambda: metrics() == [100, 200])
    for name in ("wan1", "wan2"):
        assert daemon.wait_for("check-up", f"check/{name}")
    assert ip_json(f"-{family} rule show") == rules
    assert [entry["entry"] for entry in daemon.ask_json("status")["entries"]] == ["route/first", "route/second"]


def test_an_echo_leaves_from_the_source_that_is_written(daemon: Daemon, uplinks: Uplinks) -> None:
    ip("address add 10.0.0.9/24 dev v0")
    ip(f"route add {FAR[4]} via {GATEWAYS[4][1]} dev v1")  # a better route elsewhere
    uplinks.filter(0, "chain input { type filter hook input priority 0; icmp type echo-request counter drop; }")
    daemon.start(a_file(4, 'src = "10.0.0.9"'))
    daemon.wait_for("check-down", "check/wan1")
    rule = "ip saddr != 10.0.0.9 icmp type echo-request drop"
    uplinks.filter(0, f"chain input {{ type filter hook input priority 0; {rule}; }}")
    daemon.wait_for("check-up", "check/wan1")
    ip("address del 10.0.0.9/24 dev v0")
    wait_until(lambda: metrics() == [200])
    assert "10.0.0.9 (src) is not on this host" in daemon.entry("route/first")["reason"]


@FAMILIES
def test_a_gateway_that_is_silent_is_told_from_a_line_that_is_dead_behind_it(
    daemon: Daemon, uplinks: Uplinks, family: int
) -> None:
    daemon.start(a_file(family))
    wait_until(lambda: metrics() == [100, 200])
    gateway = f"{GATEWAYS[family][0]}/{24 if family == 4 else 64}"
    uplinks.cut(0)
    uplinks.run(0, f"address del {gateway} dev v0p")
    down = daemon.wait_for("check-down", "check/wan1")
    wait_until(lambda: metrics() == [200])
    assert "icmp: " in down["fields"]["ROUTED_REASON"]
    wait_until(
        lambda: f"gateway {GATEWAYS[family][0]} does not answer" in daemon.ask_json("status")["checks"][0]["reason"]
    )
    uplinks.run(0, f"address add {gateway} dev v0p" + (" nodad" if family == 6 else ""))
    uplinks.mend(0)
    wait_until(lambda: metrics() == [100, 200])


@pytest.mark.parametrize(("family", "old", "new"), [(4, "10.0.0.1/24", "10.0.0.7/24"), (6, "fd00::1/64", "fd00::7/64")])
def test_a_new_address_of_the_line_is_followed(
    daemon: Daemon, uplinks: Uplinks, family: int, old: str, new: str
) -> None:
    daemon.start(a_file(family))
    wait_until(lambda: metrics() == [100, 200])
    ip(f"address del {old} dev v0")
    wait_until(lambda: metrics() == [200])
    ip(f"address add {new} dev v0 {'nodad' if family == 6 else ''}")
    wait_until(lambda: metrics() == [100, 200])
    uplinks.cut(0)
    wait_until(lambda: metrics() == [200])
    uplinks.mend(0)
    wait_until(lambda: metrics() == [100, 200])


@FAMILIES
def test_a_line_without_an_address_of_its_own_is_asked_from_another_one(
    daemon: Daemon, uplinks: Uplinks, family: int
) -> None:
    own, gateway, flags = ("10.0.0.1", GATEWAYS[4][0], "") if family == 4 else ("fd00::1", GATEWAYS[6][0], "nodad")
    ip(f"address del {own}/{24 if family == 4 else 64} dev v0")
    ip(f"address add {own} dev lo {flags}")
    ip(f"route add {gateway} dev v0 src {own}")
    daemon.start(a_file(family, route='when_all_down = "withdraw"'))
    wait_until(lambda: metrics() == [100, 200])
    uplinks.cut(0)
    wait_until(lambda: metrics() == [200])
    uplinks.mend(0)
    wait_until(lambda: metrics() == [100, 200])


def test_killed_in_the_middle_of_switches_it_converges(daemon: Daemon, uplinks: Uplinks) -> None:
    daemon.start(a_file(4))
    wait_until(lambda: metrics() == [100, 200])
    for turn in range(4):
        (uplinks.cut if turn % 2 == 0 else uplinks.mend)(0)
        time.sleep(0.15 * turn)
        daemon.kill()
        daemon.start()
        wait_until(lambda turn=turn: metrics() == ([200] if turn % 2 == 0 else [100, 200]))  # type: ignore[misc]


def test_without_a_daemon_what_is_rather_kept_counts_as_up_and_the_rest_waits(daemon: Daemon, uplinks: Uplinks) -> None:
    daemon.write(
        a_file(4, route='when_all_down = "keep"', second_route='requires = "@wan1"\nwhen_all_down = "withdraw"')
    )
    done = daemon.ask("apply", "--direct")
    assert (done.code, metrics()) == (0, [100])
