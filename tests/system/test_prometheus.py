"""The dashboard and the alerts that are shipped, on a real Prometheus that reads a running daemon."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.daemon import PROJECT, Daemon
from tests.system.fleet import Fleet, node, source
from tests.system.prometheus import Prometheus, running
from tests.unit.test_prometheus_files import DASHBOARD, RULES, find_expressions

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SERVED = 'metrics = "127.0.0.1:9914"\nresync = "1s"'
MANY = "\n".join(f'[[route]]\nto = "10.50.{number}.0/24"\nvia = "10.0.0.2"' for number in range(40))
# Each needs what a panel shows: what is in force, what waits, a check, a source with members.
FILE = """
[[route]]
name = "lan"
to = "10.9.0.0/16"
via = "10.0.0.2"
metric = 50
[[route]]
name = "later"
to = "10.10.0.0/16"
dev = "v7"
[[check]]
name = "web"
type = "file"
file = "{web}"
every = "50ms"
fall = 1
rise = 1
[[route]]
name = "checked"
to = "10.11.0.0/16"
via = "10.0.0.2"
requires = "@web"
when_all_down = "withdraw"
"""
# Panels that are empty on this host, which is well and has no IPVS.
EMPTY = {"routed_service_servers": "no services", 'state!="live"} == 1': "all sources live"}


class World:
    """A daemon, what it follows, and the Prometheus that reads it."""

    def __init__(self, daemon: Daemon, fleet: Fleet, prometheus: Prometheus, web: Path) -> None:
        self.daemon, self.fleet, self.prometheus = daemon, fleet, prometheus
        self.web = web  # what the check reads

    @staticmethod
    def text(web: Path) -> str:
        return FILE.format(web=web) + MANY + "\n" + source()


@pytest.fixture
def world(daemon: Daemon, tmp_path: Path) -> Iterator[World]:
    fleet = Fleet(tmp_path)
    fleet.tell(*(node(number) for number in range(1, 7)))
    with TemporaryDirectory(dir="/run") as folder:
        web = Path(folder, "web")
        web.write_text("up")
        daemon.start(World.text(web), daemon=SERVED)
        with running(tmp_path, RULES.read_text()) as prometheus:
            yield World(daemon, fleet, prometheus, web)


def test_every_panel_of_the_dashboard_has_data(world: World) -> None:
    ip("route del 10.9.0.0/16")
    wait_until(lambda: world.daemon.status()["repairs"] >= 1)
    expressions = [
        one.replace("$instance", ".*").replace("$__rate_interval", "30s")
        for one in find_expressions(json.loads(DASHBOARD.read_text()))
        if "label_values" not in one
    ]
    assert len(expressions) >= 25
    for one in expressions:
        if any(word in one for word in EMPTY):
            world.prometheus.query(one)
        else:
            wait_until(lambda one=one: world.prometheus.query(one) != [], within=20.0)  # type: ignore[misc]
    values = world.prometheus.query('sum(routed_entries{instance=~".*",state!="in-sync"})')
    assert [one["value"][1] for one in values] == ["1"]  # route/later


def shadow(world: World) -> None:
    ip("route add 10.9.0.0/16 via 10.0.0.3 metric 1")


def fight(world: World) -> None:
    """Again and again: a counter that comes with its first repairs has not risen yet."""
    for repairs in (40, 80):
        for number in range(40):
            ip(f"route del 10.50.{number}.0/24")
        wait_until(lambda repairs=repairs: world.daemon.status()["repairs"] >= repairs, within=20.0)  # type: ignore[misc]
        told = f"sum(routed_repairs_total) >= {repairs}"
        wait_until(lambda told=told: world.prometheus.query(told) != [], within=20.0)  # type: ignore[misc]


def pause(world: World) -> None:
    assert world.daemon.ask("pause", "route/lan").code == 0


def break_files(world: World) -> None:
    world.daemon.write("[[route]]\nto = 7", daemon=SERVED)
    world.daemon.ask("apply")


def change_files(world: World) -> None:
    world.daemon.write(World.text(world.web).replace("10.9.0.0", "10.8.0.0"), daemon=SERVED)


def lose_check(world: World) -> None:
    world.web.write_text("down")


def lose_members(world: World) -> None:
    world.fleet.tell(node(1))


def kill(world: World) -> None:
    world.daemon.kill()


def do_nothing(world: World) -> None:
    """``route/later`` waits from the beginning."""


FAULTS: dict[str, Callable[[World], None]] = {
    "RoutedDown": kill,
    "RoutedEntryNotInForce": shadow,
    "RoutedEntryWaits": do_nothing,
    "RoutedEntryPausedForLong": pause,
    "RoutedFight": fight,
    "RoutedFilesInvalid": break_files,
    "RoutedFilesNotInForce": change_files,
    "RoutedCheckDown": lose_check,
    "RoutedMembersHeld": lose_members,
}


@pytest.mark.parametrize("alert", FAULTS)
def test_an_alert_fires_on_its_fault_and_on_nothing_before(world: World, alert: str) -> None:
    assert world.prometheus.firing() <= {"RoutedEntryWaits"}
    FAULTS[alert](world)
    world.prometheus.wait_for(alert)


def test_the_configuration_of_the_how_to_is_the_one_that_is_tried() -> None:
    page = (PROJECT / "docs/how-to/watch-routed-with-prometheus.md").read_text()
    assert '- job_name: routed\n    static_configs:\n      - targets: ["127.0.0.1:9914"]' in page
