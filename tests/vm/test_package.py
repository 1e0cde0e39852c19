"""The package on a clean Debian: it changes no route and enables nothing, whatever is done to it."""

from __future__ import annotations

from tests.vm.conftest import Installation
from tests.vm.host import INSTALL, LAN, SLOW, Host

ROUTE = '[[route]]\nname = "storage-lan"\nto = "10.40.0.0/16"\nvia = "10.20.0.1"\n'
STANDS = f"10.40.0.0/16 10.20.0.1 {LAN}"


def test_installation_changes_no_route_and_enables_nothing(installation: Installation) -> None:
    assert installation.heard == []
    assert installation.is_enabled == "disabled"
    assert installation.is_active == "inactive"


def test_an_upgrade_loses_no_route_and_puts_the_new_version_to_work(host: Host) -> None:
    host.start(ROUTE)
    before = host.main_pid()
    with host.watching() as heard:
        host.do(INSTALL, within=SLOW)
    assert heard == []
    assert host.main_pid() not in {0, before}
    assert host.run("systemctl is-enabled routed").out.strip() == "disabled"
    host.do("ip route del 10.40.0.0/16")
    host.wait_for_routes(STANDS)


def test_removal_leaves_the_routes(host: Host) -> None:
    host.start(ROUTE)
    with host.watching() as heard:
        host.do("dpkg --purge routed", within=SLOW)
    assert heard == []
    assert host.run("test -e /etc/routed.toml").code == 1
    assert host.routes("proto 114") == [STANDS]
