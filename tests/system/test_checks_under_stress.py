"""Checks when the world is odd: steps of the clock, reasons that change all the time, a kill amid a switch."""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Iterator

import pytest

from tests.kernel.netns import ip, wait_until
from tests.probes.servers import http, serving
from tests.system.daemon import Daemon
from tests.system.host import shown
from tests.system.monitor import Monitor
from tests.system.test_checks import TO, a_check, a_route
from tests.system.test_failover import FAMILIES, a_file, metrics, with_both_checked
from tests.system.uplinks import GATEWAYS, Uplinks, two_lines

pytestmark = pytest.mark.long

DAY = 86400.0


@pytest.fixture
def uplinks(network: None) -> Iterator[Uplinks]:
    with two_lines() as uplinks:
        yield uplinks


def turns(daemon: Daemon) -> list[str]:
    events = [record["fields"]["ROUTED_EVENT"] for record in daemon.records(entry="check/*")]
    return [event for event in events if event in {"check-up", "check-down"}]


@pytest.mark.parametrize("step", [DAY, -DAY, 3600.0, -3600.0, -30 * 365 * DAY])
def test_a_step_of_the_wall_clock_turns_no_verdict_and_hides_no_fall(
    daemon: Daemon, uplinks: Uplinks, step: float
) -> None:
    clock = daemon.folder / "step"
    clock.write_text("0")
    daemon.start(with_both_checked(4), before=(sys.executable, "-m", "tests.system.stepped", str(clock)))
    wait_until(lambda: metrics() == [100, 200])
    assert turns(daemon) == ["check-up", "check-up"]
    asked = daemon.status()["checks"][0]["targets"][0]["asked"]
    clock.write_text(str(step))
    wait_until(lambda: daemon.status()["checks"][0]["targets"][0]["asked"][:7] != asked[:7] or abs(step) < 40 * DAY)
    for _ in range(5):  # they are asked on, at their own pace
        asked = daemon.status()["checks"][0]["targets"][0]["asked"]
        wait_until(lambda asked=asked: daemon.status()["checks"][0]["targets"][0]["asked"] != asked)  # type: ignore[misc]
    assert turns(daemon) == ["check-up", "check-up"]
    assert metrics() == [100, 200]
    uplinks.cut(0)
    wait_until(lambda: metrics() == [200])
    clock.write_text("0")
    uplinks.mend(0)
    wait_until(lambda: metrics() == [100, 200])
    assert turns(daemon)[2:] == ["check-down", "check-up"]


def test_a_reason_that_changes_fifty_times_makes_no_more_than_five_records(daemon: Daemon) -> None:
    numbers = itertools.count()

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(http(f"{500 + next(numbers) % 50} Broken"))

    with serving(serve) as port:
        check = a_check("rise = 1", every="20ms", type_="http", target=f"127.0.0.1:{port}")
        daemon.start(check + a_route())
        daemon.wait_for("check-down", "check/web")
        daemon.forget()
        first = next(numbers)
        wait_until(lambda: next(numbers) > first + 150)  # our own looks count as well
        said = {daemon.entry("route/lan")["reason"] for _ in range(20)}
        assert len(said) > 1, "status follows what changes"
        assert len(daemon.records()) <= 5
    assert shown(TO) == []


MANY = 6_000


def of_many(daemon: Daemon, family: int) -> str:
    """A line with very many prefixes, and another one for the same."""
    form = "10.{}.{}.0/24" if family == 4 else "2001:db8:{:x}:{:x}::/64"
    file = daemon.folder / "many"
    file.write_text("".join(form.format(number // 250 + 10, number % 250) + "\n" for number in range(MANY)))
    check = a_file(family).split("[[route]]")[0]
    both = zip(("first", "second"), GATEWAYS[family], ("v0", "v1"), (100, 200), ('requires = "@wan1"', ""), strict=True)
    return check + "".join(
        f'[[route]]\nname = "{name}"\nprefixes_file = "{file}"\nvia = "{via}"\ndev = "{dev}"\nmetric = {metric}\n'
        f"{keys}\n"
        for name, via, dev, metric, keys in both
    )


def count(family: int, dev: str) -> int:
    return ip(f"-{family} route show dev {dev} proto 114").count(" metric ")


@FAMILIES
def test_killed_in_the_middle_of_a_switch_it_converges_and_no_destination_is_without_a_route(
    daemon: Daemon, uplinks: Uplinks, monitor: Monitor, family: int
) -> None:
    daemon.start(of_many(daemon, family))
    wait_until(lambda: count(family, "v0") == count(family, "v1") == MANY)
    for is_cut in (True, False):
        monitor.heard()
        (uplinks.cut if is_cut else uplinks.mend)(0)
        assert monitor.wait()
        daemon.kill()
        assert 0 < count(family, "v0") < MANY, "the switch was under way"
        assert count(family, "v1") == MANY
        daemon.start()
        wait_until(lambda is_cut=is_cut: count(family, "v0") == (0 if is_cut else MANY))  # type: ignore[misc]
        assert count(family, "v1") == MANY
        assert daemon.records("failed") == []
