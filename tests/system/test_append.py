"""Several IPv4 routes under one key, in the order of the file. ``ip -j`` is the judge."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.monitor import Monitor

TO = "192.0.2.0/24"
GATEWAYS = ("10.0.0.2", "10.1.0.2", "10.0.0.3")
LINK_OF = {"10.0.0.2": "v0", "10.1.0.2": "v1", "10.0.0.3": "v0", "10.0.0.9": "v0"}
STRANGER = "10.0.0.9"


def entry(*gateways: str, name: str = "r", more: str = "") -> str:
    first, *rest = gateways
    ways = ", ".join(f'{{ via = "{one}" }}' for one in rest)
    behind = f"append = [{ways}]\n" if rest else ""
    return f'[[route]]\nname = "{name}"\nto = "{TO}"\nvia = "{first}"\n{behind}{more}\n'


def standing(to: str = TO) -> list[str]:
    """The gateways in the kernel's order."""
    return [one["gateway"] for one in ip_json(f"-4 route show exact {to}")]


def ways() -> list[tuple[str, str]]:
    """The gateways in the kernel's order, with who put them there."""
    return [(one["gateway"], one.get("protocol", "")) for one in ip_json(f"-4 -N route show exact {TO}")]


def is_at_rest(daemon: Daemon) -> bool:
    return daemon.ask("plan", "--exit-code").code == 0 and {
        one["state"] for one in daemon.ask_json("status")["entries"]
    } == {"in-sync"}


def wait_for(daemon: Daemon, *gateways: str) -> None:
    wait_until(lambda: standing() == list(gateways))
    wait_until(lambda: is_at_rest(daemon))
    assert standing() == list(gateways)


def test_they_stand_in_the_order_of_the_file(daemon: Daemon) -> None:
    daemon.start(entry(*GATEWAYS))
    assert standing() == list(GATEWAYS)
    assert is_at_rest(daemon)


def test_a_restart_changes_nothing(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(entry(*GATEWAYS))
    daemon.stop()
    monitor.heard()
    daemon.start()
    assert is_at_rest(daemon)
    assert monitor.heard() == []


@pytest.mark.parametrize("gone", GATEWAYS)
def test_one_that_is_deleted_comes_back_at_its_place(daemon: Daemon, gone: str) -> None:
    daemon.start(entry(*GATEWAYS))
    ip(f"route del {TO} via {gone}")
    wait_for(daemon, *GATEWAYS)


def test_all_come_back_after_a_flush(daemon: Daemon) -> None:
    daemon.start(entry(*GATEWAYS))
    ip(f"route flush exact {TO}")
    wait_for(daemon, *GATEWAYS)


@pytest.mark.parametrize("after", [p for n in (2, 3) for p in permutations(GATEWAYS, n)], ids=" ".join)
def test_a_reload_brings_another_order(daemon: Daemon, after: tuple[str, ...]) -> None:
    daemon.start(entry(*GATEWAYS))
    assert daemon.apply(entry(*after))["failures"] == []
    assert standing() == list(after)
    assert is_at_rest(daemon)


@pytest.mark.parametrize("before", [p for n in (1, 2, 3) for p in permutations(GATEWAYS, n)], ids=" ".join)
def test_what_stood_there_with_our_mark_is_put_in_order(daemon: Daemon, before: tuple[str, ...]) -> None:
    for gateway in before:
        ip(f"route append {TO} via {gateway} proto 114")
    daemon.start(entry(*GATEWAYS))
    wait_for(daemon, *GATEWAYS)


def test_one_of_our_mark_in_front_is_taken_away(daemon: Daemon) -> None:
    daemon.start(entry(*GATEWAYS))
    ip(f"route prepend {TO} via {STRANGER} proto 114")
    wait_for(daemon, *GATEWAYS)


@pytest.mark.parametrize("place", range(4))
def test_ours_come_before_a_stranger_that_stays(daemon: Daemon, place: int) -> None:
    for gateway in (*GATEWAYS[:place], STRANGER, *GATEWAYS[place:]):
        ip(f"route append {TO} via {gateway} proto {99 if gateway == STRANGER else 114}")
    daemon.start(entry(*GATEWAYS))
    wait_for(daemon, *GATEWAYS, STRANGER)
    assert ways()[-1] == (STRANGER, "99")


@pytest.mark.parametrize("verb", ["prepend", "append"])
def test_ours_come_before_a_stranger_that_comes_later(daemon: Daemon, verb: str) -> None:
    daemon.start(entry(*GATEWAYS))
    ip(f"route {verb} {TO} via {STRANGER} proto 99")
    wait_for(daemon, *GATEWAYS, STRANGER)
    ip(f"route del {TO} via {GATEWAYS[1]}")
    wait_for(daemon, *GATEWAYS, STRANGER)


def test_a_single_stranger_gives_its_place_and_gets_it_back(daemon: Daemon) -> None:
    ip(f"route add {TO} via {STRANGER} proto 99")
    daemon.start(entry(*GATEWAYS))
    wait_for(daemon, *GATEWAYS)
    daemon.apply("")
    assert ways() == [(STRANGER, "99")]


def test_the_end_of_the_entry_takes_all_of_ours_and_nothing_else(daemon: Daemon) -> None:
    daemon.start(entry(*GATEWAYS))
    ip(f"route append {TO} via {STRANGER} proto 99")
    wait_for(daemon, *GATEWAYS, STRANGER)
    daemon.apply("")
    assert ways() == [(STRANGER, "99")]


def test_those_that_differ_in_little_go_all(daemon: Daemon) -> None:
    """A request to delete the last fits the first as well."""
    toml = f"""
        [[route]]
        to = "{TO}"
        via = "10.0.0.2"
        src = "10.0.0.1"
        append = [{{ via = "10.0.0.2", mtu = 1400 }}, {{ via = "10.0.0.2" }}]
    """
    daemon.start(toml)
    shown = ip_json(f"-4 route show exact {TO}")
    assert [(one.get("prefsrc"), one.get("metrics")) for one in shown] == [
        ("10.0.0.1", None),
        (None, [{"mtu": 1400}]),
        (None, None),
    ]
    assert is_at_rest(daemon)
    ip(f"route prepend {TO} via 10.0.0.2 mtu 1300 proto 114")
    wait_until(lambda: ip_json(f"-4 route show exact {TO}") == shown)
    wait_until(lambda: is_at_rest(daemon))
    daemon.apply("")
    assert standing() == []


@pytest.mark.parametrize("link", ["v0", "v1"])
def test_those_of_a_link_go_with_it_and_come_back_at_their_places(daemon: Daemon, link: str) -> None:
    daemon.start(entry(*GATEWAYS))
    ip(f"link set {link} down")
    left = [one for one in GATEWAYS if LINK_OF[one] != link]
    wait_until(lambda: standing() == left)
    wait_until(lambda: daemon.entry("route/r")["state"] == "waiting")
    assert standing() == left
    ip(f"link set {link} up")
    wait_for(daemon, *GATEWAYS)


def test_packets_go_by_the_second_while_the_link_of_the_first_is_down(daemon: Daemon) -> None:
    daemon.start(entry(*GATEWAYS[:2]))

    def way() -> str:
        return str(ip_json("-4 route get 192.0.2.9")[0]["gateway"])

    assert way() == GATEWAYS[0]
    ip("link set v0 down")
    wait_until(lambda: way() == GATEWAYS[1])
    ip("link set v0 up")
    wait_until(lambda: way() == GATEWAYS[0])


def test_many_prefixes_share_an_order(daemon: Daemon) -> None:
    prefixes = [f"198.18.{number}.0/24" for number in range(200)]
    toml = entry(*GATEWAYS).replace(f'to = "{TO}"', f"prefixes = {prefixes}")
    daemon.start(toml)
    assert all(standing(prefix) == list(GATEWAYS) for prefix in prefixes)
    assert is_at_rest(daemon)
    for prefix in prefixes[:20]:
        ip(f"route del {prefix} via {GATEWAYS[0]}")
    wait_until(lambda: all(standing(prefix) == list(GATEWAYS) for prefix in prefixes))
    wait_until(lambda: is_at_rest(daemon))
