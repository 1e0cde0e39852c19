"""Checks: what an entry requires decides whether it is in force, and what is found is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kernel.netns import wait_until
from tests.system.daemon import Daemon
from tests.system.host import shown

TO, TO6 = "192.0.2.0/24", "2001:db8::/48"
PORT = 8080


@contextmanager
def listening(address: str = "127.0.0.1", port: int = PORT) -> Iterator[socket.socket]:
    """A server that takes connections and says nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as server:
        yield server


def a_check(keys: str = "", every: str = "200ms", type_: str = "tcp", target: str = f"127.0.0.1:{PORT}") -> str:
    return f'[[check]]\nname = "web"\ntype = "{type_}"\ntarget = "{target}"\nevery = "{every}"\nfall = 2\n{keys}\n'


def a_route(requires: str = "@web", to: str = TO) -> str:
    return f'[[route]]\nname = "lan"\nto = "{to}"\ndev = "v0"\nrequires = "{requires}"\n'


@pytest.mark.parametrize("to", [TO, TO6])
def test_a_route_is_there_while_what_it_requires_answers(daemon: Daemon, to: str) -> None:
    with listening():
        daemon.start(a_check() + a_route(to=to))
        wait_until(lambda: shown(to) != [])
        daemon.wait_for("check-up", "check/web")
    wait_until(lambda: shown(to) == [])
    down = daemon.wait_for("check-down", "check/web")
    assert down["fields"]["ROUTED_REASON"] == "tcp: connection refused, 2 in a row"
    entry = daemon.entry("route/lan")
    assert entry["state"] == "withheld"
    assert entry["reason"] == "check/web is down (tcp: connection refused, 2 in a row)"
    with listening():
        wait_until(lambda: shown(to) != [])


def test_a_route_that_requires_the_opposite_is_there_while_the_check_is_down(daemon: Daemon) -> None:
    daemon.start(a_check() + a_route("!@web"))
    wait_until(lambda: shown(TO) != [])
    with listening():
        wait_until(lambda: shown(TO) == [])
