"""Lines that answer and are of no use, and lines without a neighbour: what the daemon does and says of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kernel import netns
from tests.kernel.netns import ip, wait_until
from tests.probes.tunnel import Tunnel, tunnel
from tests.system.daemon import Daemon
from tests.system.test_failover import FAMILIES, a_file, metrics
from tests.system.uplinks import FAR, GATEWAYS, Uplinks, two_lines

pytestmark = pytest.mark.long

WITH_LIMIT = 'loss = "20%"\nwindow = "4s"\ntimeout = "100ms"\nfall = 20\n'


@pytest.fixture
def uplinks(network: None) -> Iterator[Uplinks]:
    with two_lines() as uplinks:
        yield uplinks


def measured(family: int, keys: str = WITH_LIMIT) -> str:
    return a_file(family, keys).replace("fall = 2\n", "", 1).replace('every = "200ms"', 'every = "100ms"')


def check(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = daemon.ask_json("status")["checks"][0]
    return found


@FAMILIES
def test_a_line_that_loses_too_much_is_left_until_it_is_whole_again(
    daemon: Daemon, uplinks: Uplinks, family: int
) -> None:
    daemon.start(measured(family))
    wait_until(lambda: metrics() == [100, 200])
    uplinks.lose(0, 60)
    down = daemon.wait_for("check-down", "check/wan1")
    reason = down["fields"]["ROUTED_REASON"]
    assert reason.endswith(" % loss over 4 s, at most 20 %")
    wait_until(lambda: metrics() == [200])
    assert daemon.entry("route/first")["reason"] == f"check/wan1 is down ({reason})"
    uplinks.lose(0, 0)
    wait_until(lambda: metrics() == [100, 200], within=15.0)
    assert len(daemon.records("check-down")) == 1


def test_little_loss_is_told_and_changes_nothing(daemon: Daemon, uplinks: Uplinks) -> None:
    daemon.start(measured(4, WITH_LIMIT.replace("20%", "90%")))
    wait_until(lambda: metrics() == [100, 200])
    uplinks.lose(0, 40)
    wait_until(lambda: check(daemon)["targets"][0].get("loss", 0) > 0.1)
    assert metrics() == [100, 200]
    (line,) = [line for line in daemon.ask("status").out.splitlines() if line.startswith("check/wan1")]
    assert " up " in line
    assert " ms, " in line
    assert line.endswith(" % loss")


def test_killed_while_a_line_loses_too_much_it_does_not_take_it_again(daemon: Daemon, uplinks: Uplinks) -> None:
    daemon.start(measured(4))
    wait_until(lambda: metrics() == [100, 200])
    uplinks.lose(0, 50)
    daemon.wait_for("check-down", "check/wan1")
    daemon.kill()
    daemon.forget()
    daemon.start()
    wait_until(lambda: check(daemon)["targets"][0]["asked"] != "")
    wait_until(lambda: len(daemon.records()) > 0)
    wait_until(lambda: check(daemon)["targets"][0].get("loss", 0) > 0.2, within=10.0)
    assert daemon.records("check-up") == []
    assert metrics() == [200]


# --- a line without a neighbour -----------------------------------------------------------------------------------


@pytest.fixture
def between(uplinks: Uplinks) -> Iterator[Tunnel]:
    """The first gateway stands at the far end of tun0 as well."""
    with tunnel(uplinks.find_namespace(0)) as between:
        wait_until(lambda: "LOWER_UP" in ip("link show tun0"))
        yield between


def over_tunnel(family: int, type_: str, keys: str) -> str:
    """The first line is tun0, without a gateway."""
    target = FAR[family] if type_ == "icmp" else f"{FAR[family]}:80"
    return f"""
[[check]]
name = "wan1"
type = "{type_}"
target = "{target}"
dev = "tun0"
every = "200ms"
{keys}
[[route]]
name = "first"
to = "default"
family = "ipv{family}"
dev = "tun0"
metric = 100
requires = "@wan1"
[[route]]
name = "second"
to = "default"
via = "{GATEWAYS[family][1]}"
dev = "v1"
metric = 200
"""


@pytest.mark.parametrize(
    ("family", "type_", "way"),
    [(4, "icmp", ""), (4, "tcp", ""), (4, "icmp", 'via = "10.9.0.2"'), (6, "icmp", 'via = "fd09::2"')],
)
def test_a_line_without_a_neighbour_is_left_and_taken_again_by_no_more_than_its_link(
    daemon: Daemon, uplinks: Uplinks, between: Tunnel, family: int, type_: str, way: str
) -> None:
    rules = netns.ip_json(f"-{family} rule show")
    daemon.start(over_tunnel(family, type_, f'{way}\nfall = 2\nhold = "500ms"'))
    wait_until(lambda: sorted(metrics()) == [100, 200])
    uplinks.cut(0)
    wait_until(lambda: metrics() == [200])
    assert netns.ip_json(f"-{family} rule show") == rules
    uplinks.mend(0)
    wait_until(lambda: sorted(metrics()) == [100, 200])


@pytest.mark.parametrize(("family", "way"), [(4, 'via = "10.9.0.2"'), (6, 'via = "fd09::2"')])
def test_a_line_that_answers_too_late_is_left_until_it_is_clearly_faster(
    daemon: Daemon, uplinks: Uplinks, between: Tunnel, family: int, way: str
) -> None:
    limits = 'hold = "500ms"\nrtt = "40ms"\nwindow = "3s"\ntimeout = "200ms"\nfall = 20'
    daemon.start(over_tunnel(family, "icmp", f"{way}\n{limits}"))
    wait_until(lambda: sorted(metrics()) == [100, 200])
    between.delay = 0.03  # there and back
    down = daemon.wait_for("check-down", "check/wan1")
    assert down["fields"]["ROUTED_REASON"].startswith("median ")
    assert down["fields"]["ROUTED_REASON"].endswith(" ms over 3 s, at most 40 ms")
    wait_until(lambda: metrics() == [200])
    between.delay = 0.0
    wait_until(lambda: sorted(metrics()) == [100, 200], within=15.0)


def test_what_a_busy_host_misses_is_neither_an_answer_that_is_missing_nor_a_loss(
    daemon: Daemon, uplinks: Uplinks, between: Tunnel
) -> None:
    between.delay = 0.3  # there and back: a question is on the way most of the time
    limits = 'via = "10.9.0.2"\nevery = "1s"\ntimeout = "1s"\nfall = 1\nloss = "1%"\n'
    daemon.start(over_tunnel(4, "icmp", limits).replace('every = "200ms"\n', "", 1))
    wait_until(lambda: sorted(metrics()) == [100, 200])
    for _ in range(4):
        daemon.signal(signal.SIGSTOP)
        time.sleep(1.7)  # the host is what is too slow
        daemon.signal(signal.SIGCONT)
        before = check(daemon)["targets"][0]["asked"]
        wait_until(lambda before=before: check(daemon)["targets"][0]["asked"] != before)  # type: ignore[misc]
    assert daemon.records("check-down") == []
    assert check(daemon)["targets"][0]["loss"] == 0.0
