"""What an entry only observes, or put once, is told where it differs: each new difference once."""

from __future__ import annotations

import pytest

from tests.kernel.netns import ip
from tests.system.daemon import Daemon

CASES = pytest.mark.parametrize(
    ("family", "to", "gateways"),
    [
        ("-4", "192.0.2.0/24", ("10.0.0.2", "10.0.0.8", "10.0.0.9")),
        ("-6", "2001:db8:9::/48", ("fd00::2", "fd00::8", "fd00::9")),
    ],
)
WORDS = {"observe": "observed only", "once": "installed once, then left alone"}


@CASES
@pytest.mark.parametrize("enforce", list(WORDS))
def test_each_new_difference_is_told_once(
    daemon: Daemon, family: str, to: str, gateways: tuple[str, str, str], enforce: str
) -> None:
    right, first, second = gateways
    if enforce == "observe":
        ip(f"{family} route add {to} via {right} proto 114")
    daemon.start(
        f'[[route]]\nname = "lan"\nto = "{to}"\nvia = "{right}"\nenforce = "{enforce}"\n', daemon='resync = "1s"'
    )
    assert daemon.entry("route/lan")["state"] == "in-sync"

    ip(f"{family} route replace {to} via {first} proto 114")
    told = daemon.wait_for("conflict", "route/lan", f"gateway {first} instead of {right}")["message"]
    assert WORDS[enforce] in told
    assert daemon.entry("route/lan")["state"] == "drift"
    assert daemon.entry("route/lan")["reason"] == f"{WORDS[enforce]}: gateway {first} instead of {right}"

    ip(f"{family} route replace {to} via {second} proto 114")
    daemon.wait_for("conflict", "route/lan", f"gateway {second} instead of {right}")
    ip(f"{family} route del {to}")
    daemon.wait_for("conflict", "route/lan", f"{WORDS[enforce]}: missing")
    assert daemon.entry("route/lan")["reason"] == f"{WORDS[enforce]}: missing"
    for _ in range(2):
        daemon.wait_for_resync()
    assert len(daemon.records("conflict")) == 3
    plan = daemon.ask_json("plan")
    if enforce == "observe":
        assert plan["refusals"][0]["reason"] == "observed only: missing"


def test_what_several_objects_have_in_common_is_not_told_again_when_it_is_found_again(daemon: Daemon) -> None:
    prefixes = ", ".join(f'"198.51.{number}.0/24"' for number in range(3))
    daemon.start(
        f'[[route]]\nname = "list"\nprefixes = [{prefixes}]\ntype = "blackhole"\nenforce = "once"\n',
        daemon='resync = "1s"',
    )
    for number in range(3):
        ip(f"route del blackhole 198.51.{number}.0/24")
        daemon.wait_for("conflict", "route/list", f"198.51.{number}.0/24")
    for _ in range(2):
        daemon.wait_for_resync()
    assert len(daemon.records("conflict")) == 3
