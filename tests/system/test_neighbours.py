"""``[[neighbour]]`` with the daemon as a process; `ip -j neigh` is the judge."""

from __future__ import annotations

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon

FILE = """
[[neighbour]]
name = "meter"
to = "10.0.0.5"
dev = "v0"
lladdr = "02:00:00:00:00:05"

[[neighbour]]
name = "six"
to = "fd00::5"
dev = "v0"
lladdr = "02:00:00:00:00:06"

[[neighbour]]
name = "behind"
to = "10.0.0.77"
dev = "v0"
proxy = true
"""
NEIGHBOURS = {"10.0.0.5": "02:00:00:00:00:05", "fd00::5": "02:00:00:00:00:06"}


def neighbours() -> dict[str, str]:
    return {
        one["dst"]: one["lladdr"]
        for one in ip_json("neigh show nud permanent")
        if one.get("protocol") == "114" and "lladdr" in one
    }


def proxies() -> list[str]:
    return [one["dst"] for one in ip_json("neigh show proxy") if one.get("protocol") == "114"]


def is_whole() -> bool:
    return neighbours() == NEIGHBOURS and proxies() == ["10.0.0.77"]


def test_they_stand_a_restart_adopts_them_and_what_leaves_the_file_goes(daemon: Daemon) -> None:
    daemon.start(FILE)
    assert is_whole()
    assert daemon.ask_json("plan")["steps"] == []
    daemon.kill()
    daemon.start()
    assert daemon.records("repaired") == []
    assert is_whole()
    ip("neigh add 10.0.0.8 lladdr 02:00:00:00:00:08 dev v0 nud permanent protocol static")
    daemon.apply("")
    assert (neighbours(), proxies()) == ({}, [])
    assert [one["dst"] for one in ip_json("neigh show nud permanent") if "protocol" in one] == ["10.0.0.8"]


@pytest.mark.parametrize(
    "harm",
    [
        "neigh del 10.0.0.5 dev v0",
        "neigh replace 10.0.0.5 lladdr 02:00:00:00:00:99 dev v0 nud permanent",
        "-6 neigh flush dev v0 nud permanent",
        "link set v0 down",
        "addr flush dev v0",
    ],
)
def test_what_is_done_to_them_is_put_right_at_once(daemon: Daemon, harm: str) -> None:
    daemon.start(FILE)
    ip(harm)
    if harm.startswith("link"):
        wait_until(lambda: daemon.entry("neighbour/meter")["state"] == "waiting")
        ip("link set v0 up")
    wait_until(lambda: is_whole() and daemon.status()["counts"] == {"in-sync": 3}, 10)


@pytest.mark.parametrize(
    "harm", ["neigh del proxy 10.0.0.77 dev v0", "neigh replace 10.0.0.5 lladdr 02:00:00:00:00:05 dev v0 nud stale"]
)
def test_what_nobody_tells_of_is_found_by_the_next_comparison(daemon: Daemon, harm: str) -> None:
    daemon.start(FILE, daemon='resync = "1s"')
    ip(harm)
    wait_until(is_whole, 10)


@pytest.mark.parametrize("word", ["replace", "refuse"])
def test_one_of_somebody_else_is_replaced_and_put_back_or_left_as_the_entry_says(daemon: Daemon, word: str) -> None:
    ip("neigh add 10.0.0.5 lladdr 02:00:00:00:00:08 dev v0 nud permanent protocol static")
    daemon.start(FILE.replace('name = "meter"', f'name = "meter"\non_conflict = "{word}"'))
    (shown,) = ip_json("neigh show 10.0.0.5 dev v0")
    assert (shown["lladdr"], shown["protocol"]) == {
        "replace": ("02:00:00:00:00:05", "114"),
        "refuse": ("02:00:00:00:00:08", "4"),
    }[word]
    daemon.apply("")
    (shown,) = ip_json("neigh show 10.0.0.5 dev v0")
    assert (shown["lladdr"], shown["protocol"]) == ("02:00:00:00:00:08", "4")


def test_what_is_imported_is_what_makes_it(daemon: Daemon) -> None:
    daemon.start(FILE)
    imported = daemon.ask("import")
    assert "word for" not in imported.err
    for word in ('to = "10.0.0.5"', 'lladdr = "02:00:00:00:00:06"', "proxy = true"):
        assert word in imported.out
    daemon.apply(imported.out.removeprefix("version = 1\n"))
    assert is_whole()
    assert daemon.ask_json("plan")["steps"] == []
