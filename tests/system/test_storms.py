"""Too much at once: lost events, floods, and somebody who will not let go."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.kernel.netns import ip, ip_batch, wait_until
from tests.system.daemon import Daemon, cpu_seconds
from tests.system.host import everything, routes
from tests.system.monitor import Monitor
from tests.system.worlds import GATEWAY, WORLD

pytestmark = pytest.mark.xdist_group("timing")


def flood(protocol: int) -> str:
    """50 000 routes that come and go: 100 000 changes."""
    each = [f"blackhole 172.{16 + n // 65536}.{n // 256 % 256}.{n % 256} proto {protocol}\n" for n in range(50_000)]
    return "".join([f"route add {one}" for one in each] + [f"route del {one}" for one in each])


def test_events_that_were_lost_are_counted_and_the_host_converges(daemon: Daemon) -> None:
    daemon.start(WORLD)
    wanted = everything()

    daemon.signal(signal.SIGSTOP)
    ip_batch("route del 192.0.2.0/24\nroute replace 192.0.3.0/24 via 10.1.0.2\nrule del priority 1200\n" + flood(114))
    daemon.signal(signal.SIGCONT)

    wait_until(lambda: everything() == wanted, within=20)
    assert "could not deliver all events" in daemon.wait_for("overrun")["message"]
    wait_until(lambda: daemon.ask_json("status")["overruns"] >= 1)
    daemon.wait_for("repaired", "route/gateway")
    daemon.wait_for("repaired", "route/device")
    assert daemon.ask("plan", "--exit-code").code == 0


def test_a_flood_of_foreign_changes_loses_no_repair(daemon: Daemon) -> None:
    daemon.start(WORLD)
    wanted = everything()
    before = cpu_seconds(daemon.pid)

    ip_batch(flood(12) + "route del 192.0.2.0/24\n")

    wait_until(lambda: everything() == wanted, within=20)
    daemon.wait_for("repaired", "route/gateway")
    assert cpu_seconds(daemon.pid) - before < 10


@contextmanager
def rival(command: str) -> Iterator[None]:
    """A script that does the same every 20 ms."""
    script = subprocess.Popen(
        ["sh", "-c", f"while :; do ip {command} 2>/dev/null; sleep 0.02; done"], start_new_session=True
    )
    try:
        yield
    finally:
        script.kill()
        script.wait()


@pytest.mark.parametrize("command", ["route del 192.0.2.0/24", "route replace 192.0.2.0/24 via 10.0.0.9 proto static"])
def test_a_fight_is_held_and_told_once_and_is_over_when_the_rival_is_gone(daemon: Daemon, command: str) -> None:
    daemon.start(GATEWAY)
    wanted = everything()
    before = cpu_seconds(daemon.pid)

    with rival(command):
        daemon.wait_for("fight-held", "route/lan")
        held_at = cpu_seconds(daemon.pid)
        for _ in range(100):  # more of the same, and nobody answers
            ip("route replace 192.0.2.0/24 via 10.0.0.8 proto static")
        assert routes() == []
        assert daemon.entry("route/lan")["state"] == "held"
    fight = daemon.records("fight-held")
    assert len(fight) == 1
    assert "30 times" in fight[0]["message"]
    assert int(fight[0]["fields"]["ROUTED_ACTOR_PORT"]) > 0
    assert len(daemon.records("repaired")) <= 31
    assert held_at - before < 1
    assert cpu_seconds(daemon.pid) - held_at < 0.5

    assert daemon.ask("apply").code == 0
    assert everything() == wanted
    assert daemon.entry("route/lan")["state"] == "in-sync"


def test_a_fight_limit_that_is_off_is_no_limit(daemon: Daemon) -> None:
    daemon.start(GATEWAY, daemon='fight_limit = "off"')
    wanted = everything()
    for _ in range(50):
        ip("route del 192.0.2.0/24")
        wait_until(lambda: everything() == wanted)
    assert daemon.records("fight-held") == []


def test_what_the_kernel_does_is_no_fight(daemon: Daemon) -> None:
    daemon.start(GATEWAY, daemon="fight_limit = 3")
    wanted = everything()
    for _ in range(6):
        ip("link set v0 down")
        wait_until(lambda: routes() == [])
        ip("link set v0 up")
        wait_until(lambda: routes() == wanted["routes"])
    assert daemon.records("fight-held") == []


def test_what_goes_on_and_on_is_counted_and_no_count_is_lost(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(GATEWAY, daemon='fight_limit = "off"')
    monitor.heard()
    for _ in range(150):
        ip("route del 192.0.2.0/24")
        wait_until(lambda: len(routes()) == 1)
    went = [change for change in monitor.heard() if change.what == "route gone"]

    assert daemon.stop() == 0

    repaired = daemon.records("repaired", "route/lan")
    repeated = daemon.records("repeated", "route/lan")
    assert repeated
    assert len(repaired) + sum(int(record["fields"]["ROUTED_COUNT"]) for record in repeated) == len(went) == 150


def test_a_route_that_is_deleted_while_very_many_are_put_is_back_before_they_are(
    daemon: Daemon, monitor: Monitor
) -> None:
    daemon.start(GATEWAY)
    many = daemon.folder / "many"
    many.write_text("".join(f"172.{16 + n // 65536}.{n // 256 % 256}.{n % 256}\n" for n in range(200_000)))
    daemon.write(f'{GATEWAY}[[route]]\nname = "many"\nprefixes_file = "{many}"\ntype = "blackhole"\n')
    heard = monitor.heard()
    with ThreadPoolExecutor() as beside:
        reload = beside.submit(daemon.ask, "apply")
        while not any(change.to.startswith("172.") for change in heard):
            heard += monitor.heard()
        ip("route del 192.0.2.0/24")
        while not reload.done():
            heard += monitor.heard()
    assert reload.result().code == 0

    def is_heard() -> bool:  # the monitor may be behind
        heard.extend(monitor.heard())
        told = [(change.what, change.to) for change in heard]
        return ("route", "192.0.2.0/24") in told[told.index(("route gone", "192.0.2.0/24")) :]

    wait_until(is_heard)
    told = [(change.what, change.to) for change in heard]
    gone = told.index(("route gone", "192.0.2.0/24"))
    back = told.index(("route", "192.0.2.0/24"), gone)
    assert back - gone < 10_000
