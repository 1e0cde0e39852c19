"""A fight is over what the rival does: not over a mark, and not over what the kernel drops meanwhile."""

from __future__ import annotations

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import PATIENCE, Daemon

OURS = "114"
LIMIT = 3
CASES = pytest.mark.parametrize(
    ("family", "to", "gateway", "other"),
    [("-4", "192.0.2.0/24", "10.0.0.2", "10.1.0.9"), ("-6", "2001:db8:9::/48", "fd00::2", "fd01::9")],
)


def shown(family: str, to: str) -> list[tuple[str, str]]:
    return [(route["gateway"], route["protocol"]) for route in ip_json(f"{family} route show {to}")]


def entry(to: str, gateway: str) -> str:
    return f'[[route]]\nname = "lan"\nto = "{to}"\nvia = "{gateway}"\ndev = "v0"\n'


@CASES
def test_a_route_that_a_rival_took_comes_back_when_his_link_goes(
    daemon: Daemon, family: str, to: str, gateway: str, other: str
) -> None:
    daemon.start(entry(to, gateway), daemon=f"fight_limit = {LIMIT}")
    for _ in range(LIMIT):
        ip(f"{family} route replace {to} via {other} proto static")
        wait_until(lambda: shown(family, to) == [(gateway, OURS)])
    daemon.wait_for("fight-held", "route/lan")
    ip(f"{family} route replace {to} via {other} proto static")
    wait_until(lambda: daemon.entry("route/lan")["state"] == "held", PATIENCE)
    ip("link set v1 down")
    wait_until(lambda: shown(family, to) == [(gateway, OURS)], PATIENCE)
    assert daemon.entry("route/lan")["state"] == "in-sync"
    assert "by the kernel" in daemon.records("repaired")[-1]["message"]
    assert daemon.records("fight-over") == []  # nobody knows yet


@CASES
def test_the_same_route_that_a_rival_puts_again_and_again_is_no_fight_and_comes_back_after_a_flap(
    daemon: Daemon, family: str, to: str, gateway: str, other: str
) -> None:
    del other
    daemon.start(entry(to, gateway), daemon=f"fight_limit = {LIMIT}")
    for _ in range(LIMIT):
        ip(f"{family} route replace {to} via {gateway} dev v0 proto static")
        wait_until(lambda: shown(family, to) == [(gateway, OURS)])
    told = daemon.wait_for("yielded", "route/lan")["message"]
    assert "stays under the mark of another process" in told
    ip(f"{family} route replace {to} via {gateway} dev v0 proto static")
    assert daemon.entry("route/lan")["state"] == "in-sync"
    assert daemon.records("fight-held") == []
    ip("link set v0 down")
    wait_until(lambda: shown(family, to) == [])
    ip("link set v0 up")
    if family == "-6":
        ip("-6 address add fd00::1/64 dev v0 nodad")
    wait_until(lambda: shown(family, to) == [(gateway, OURS)], PATIENCE)
