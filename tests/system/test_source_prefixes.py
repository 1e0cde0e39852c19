"""IPv6 routes for the packets of some sources alone (``from``) are other keys than ours, whatever their destination."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.daemon import Daemon
from tests.system.host import OURS, routes
from tests.system.monitor import Monitor

BABEL = "42"
SOURCES = ("2001:db8:a::/48", "2001:db8:b::/48")
DEFAULT = '[[route]]\nname = "out"\nto = "default"\nvia = "fd00::2"\non_conflict = "replace"\n'
LAN = '[[route]]\nname = "lan"\nto = "2001:db8:77::/48"\nvia = "fd00::2"\n'
RESYNC = 'resync = "1s"'


def add_theirs(to: str, *sources: str) -> list[dict[str, Any]]:
    """What babel puts, and how it stands."""
    for number, source in enumerate(sources):
        ip(f"-6 route add {to} from {source} via fd00::{9 - number} dev v0 metric 1024 proto babel")
    return routes(BABEL)


@pytest.fixture
def resynced(daemon: Daemon) -> Callable[[], None]:
    """Wait until the daemon has compared everything: what lies in a table that no entry names is seen by that alone."""

    def wait() -> None:
        ip("route add blackhole 198.51.100.0/24 table 77 proto 114")
        wait_until(lambda: not routes_in_table_77(), within=10.0)

    def routes_in_table_77() -> list[dict[str, Any]]:
        return [route for route in routes() if route.get("table") == "77"]

    return wait


def test_defaults_of_other_sources_stand_beside_ours_and_stay(daemon: Daemon, resynced: Callable[[], None]) -> None:
    theirs = add_theirs("default", *SOURCES)
    assert [route["from"] for route in theirs] == list(SOURCES)
    daemon.start(DEFAULT, daemon=RESYNC)
    assert [route["gateway"] for route in routes()] == ["fd00::2"]
    for _ in range(2):
        resynced()
    assert routes(BABEL) == theirs
    assert daemon.entry("route/out")["state"] == "in-sync"
    assert daemon.ask_json("plan")["steps"] == []

    ip(f"-6 route del default from {SOURCES[0]}")
    assert add_theirs("default", SOURCES[0]) == theirs
    resynced()
    assert routes(BABEL) == theirs


def test_a_route_of_another_source_is_no_drift_of_ours(
    daemon: Daemon, monitor: Monitor, resynced: Callable[[], None]
) -> None:
    daemon.start(LAN, daemon=RESYNC)
    ours = routes()
    daemon.forget()
    theirs = add_theirs("2001:db8:77::/48", *SOURCES)
    resynced()
    assert (routes(), routes(BABEL)) == (ours, theirs)
    assert daemon.records(entry="route/lan") == []
    ip(f"-6 route del 2001:db8:77::/48 from {SOURCES[0]}")
    resynced()
    assert routes() == ours
    assert daemon.records(entry="route/lan") == []


@pytest.mark.parametrize(("entry", "to"), [(DEFAULT, "default"), (LAN, "2001:db8:77::/48")])
def test_when_the_entry_goes_ours_goes_at_once_and_theirs_stay(daemon: Daemon, entry: str, to: str) -> None:
    theirs = add_theirs(to, *SOURCES)
    daemon.start(entry)
    assert len(routes()) == 1
    daemon.apply("")
    assert routes() == []
    assert routes(BABEL) == theirs


def test_what_stood_under_our_key_is_displaced_and_put_back_beside_those_of_other_sources(daemon: Daemon) -> None:
    theirs = add_theirs("2001:db8:77::/48", *SOURCES)
    ip("-6 route add 2001:db8:77::/48 via fd00::7 dev v0 proto static")
    daemon.start(LAN)
    assert routes("4") == []
    daemon.stop()
    daemon.start()
    daemon.apply("")
    assert [route["gateway"] for route in routes("4")] == ["fd00::7"]
    assert routes(OURS) == []
    assert routes(BABEL) == theirs


def test_an_import_says_from_where(daemon: Daemon) -> None:
    add_theirs("default", SOURCES[0])
    answer = daemon.ask("import")
    assert "default" not in answer.out
    assert (
        f"left out: route default from {SOURCES[0]}: a program keeps it under this number (proto babel)" in answer.err
    )
