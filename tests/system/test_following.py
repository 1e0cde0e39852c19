"""``--follow-netlink`` where links of the kind nlmon cannot be made: said once, and nothing else is different.

Where they can: tests/vm/test_following.py and tests/kernel/test_ipvs_tap.py.
"""

from __future__ import annotations

import subprocess

import pytest

from tests.kernel.netns import wait_until
from tests.system.daemon import Daemon

ROUTE = '[[route]]\nname = "lan"\nto = "10.30.0.0/16"\nvia = "10.0.0.2"\ndev = "v0"\n'
SERVICE = '[[service]]\nname = "api"\nlisten = "10.103.97.2:443"\nservers = ["127.0.0.1:9"]\n'


def can_tap() -> bool:
    made = subprocess.run(["ip", "link", "add", "probe", "type", "nlmon"], check=False, capture_output=True)
    if not made.returncode:
        subprocess.run(["ip", "link", "del", "probe"], check=True)
    return not made.returncode


def test_where_no_tap_can_be_made_it_is_said_why_and_the_rest_stands(daemon: Daemon) -> None:
    if can_tap():
        pytest.skip("this kernel has nlmon")
    daemon.write(ROUTE + SERVICE)
    daemon.launch(options=["--follow-netlink"])
    daemon.wait_until_ready()
    wait_until(lambda: bool(daemon.records("not-following")))
    assert daemon.entry("route/lan")["state"] == "in-sync"
    daemon.ask("apply")  # a full pass, which tries again
    [record] = daemon.records("not-following")
    assert "CONFIG_NLMON" in record["message"]
    assert daemon.stop() == 0


def test_without_services_nothing_is_tried(daemon: Daemon) -> None:
    daemon.write(ROUTE)
    daemon.launch(options=["--follow-netlink"])
    daemon.wait_until_ready()
    assert daemon.ask("apply").code == 0
    assert daemon.records("not-following") == daemon.records("following") == []
