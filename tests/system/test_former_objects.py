"""While the new wish of an entry waits, the former route that still carries traffic is named wherever one looks."""

from __future__ import annotations

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import PATIENCE, Daemon

CASES = pytest.mark.parametrize(
    ("family", "to", "near", "far", "here"),
    [
        ("-4", "192.0.2.0/24", "10.0.0.9", "10.9.9.1", "10.9.9.2/24"),
        ("-6", "2001:db8:9::/48", "fd00::9", "fd09::1", "fd09::2/64"),
    ],
)


def entry(to: str, gateway: str) -> str:
    return f'[[route]]\nname = "lan"\nto = "{to}"\nvia = "{gateway}"\n'


@CASES
def test_the_former_route_of_an_entry_that_waits_is_named_by_apply_status_and_plan(
    daemon: Daemon, family: str, to: str, near: str, far: str, here: str
) -> None:
    daemon.start(entry(to, near))
    (before,) = ip_json(f"{family} route show {to}")
    applied = daemon.apply(entry(to, far))
    assert ip_json(f"{family} route show {to}") == [before]
    plan = daemon.ask_json("plan")
    assert plan["steps"] == []
    told = [applied["waiting"][0]["former"], plan["waiting"][0]["former"], daemon.entry("route/lan")["former"]]
    assert all(one == told[0] for one in told)
    assert f"{to} via {near} dev v0" in told[0][0]
    note = f"gateway {far} is on no network of this host; until then {told[0][0]} stays"
    assert daemon.entry("route/lan")["reason"] == note
    assert note in daemon.ask("apply").out
    assert note in daemon.ask("plan").out

    ip(f"address add {here} dev v1" + (" nodad" if family == "-6" else ""))
    wait_until(lambda: [one["gateway"] for one in ip_json(f"{family} route show {to}")] == [far], PATIENCE)
    assert "former" not in daemon.entry("route/lan")


@CASES
def test_the_former_route_is_named_after_a_restart_too(
    daemon: Daemon, family: str, to: str, near: str, far: str, here: str
) -> None:
    del here
    daemon.start(entry(to, near))
    daemon.apply(entry(to, far))
    daemon.kill()
    daemon.start()
    assert near in daemon.entry("route/lan")["former"][0]
    ip(f"{family} route del {to}")
    wait_until(lambda: "former" not in daemon.entry("route/lan"), PATIENCE)
