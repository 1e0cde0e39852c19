"""The kernel's own routes behind an address are put back: without them it is there, and dead."""

from __future__ import annotations

import pytest

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import PATIENCE, Daemon

LATE = 'resync = "1h"'  # nothing but an event
FOUR = '[[address]]\nname = "a"\naddress = "10.5.0.2/24"\ndev = "v0"\n'
SIX = '[[address]]\nname = "a"\naddress = "2001:db8:5::2/64"\ndev = "v0"\nnodad = true\n'


def everything() -> list[str]:
    """All routes, as ``ip`` shows them, but for what depends on a moment."""
    return sorted(line for family in ("-4", "-6") for line in ip(f"{family} route show table all").splitlines())


def settles_as(before: list[str]) -> None:
    wait_until(lambda: everything() == before, PATIENCE)


@pytest.mark.parametrize(
    "deleted",
    [
        "route del 10.5.0.0/24 dev v0",
        "route del local 10.5.0.2 table local",
        "route del 10.5.1.0/24 dev v0",
        "route del local 10.5.0.3 table local",
        "route del 10.5.9.2 dev v0",
        "route del local 10.5.0.80 table local",
    ],
)
def test_a_route_of_the_kernel_behind_an_ipv4_address_is_put_back_as_the_kernel_writes_it(
    daemon: Daemon, deleted: str
) -> None:
    daemon.start(
        FOUR
        + '[[address]]\nname = "second"\naddress = "10.5.0.3/24"\ndev = "v0"\n'
        + '[[address]]\nname = "metric"\naddress = "10.5.1.2/24"\ndev = "v0"\nmetric = 77\n'
        + '[[address]]\nname = "peer"\naddress = "10.5.9.1/32"\npeer = "10.5.9.2"\ndev = "v0"\n'
        + '[[vip]]\nname = "v"\naddress = "10.5.0.80"\ndev = "v0"\n',
        daemon=LATE,
    )
    before = everything()
    ip(deleted)
    settles_as(before)
    told = daemon.wait_for("repaired")["message"]
    assert "deleted by" in told
    assert all(entry["state"] == "in-sync" for entry in daemon.ask_json("status")["entries"])
    assert daemon.records("failed") == []
    assert daemon.apply("")["leftovers"] == 0
    assert "10.5." not in ip("route show table all")


@pytest.mark.parametrize(
    "deleted",
    [
        "-6 route del 2001:db8:5::/64 dev v0",
        "-6 route del 2001:db8:6::/64 dev v0",
        "-6 route del 2001:db8:5::80 dev v0",
    ],
)
def test_a_prefix_route_of_the_kernel_behind_an_ipv6_address_is_put_back_as_the_kernel_writes_it(
    daemon: Daemon, deleted: str
) -> None:
    daemon.start(
        SIX
        + '[[address]]\nname = "b"\naddress = "2001:db8:6::2/64"\ndev = "v0"\nnodad = true\nmetric = 77\n'
        + '[[vip]]\nname = "v"\naddress = "2001:db8:5::80"\ndev = "v0"\n',
        daemon=LATE,
    )
    before = everything()
    ip(deleted)
    settles_as(before)
    assert "deleted by" in daemon.wait_for("repaired")["message"]
    daemon.apply("")
    assert "2001:db8:" not in ip("-6 route show table all")


def local(address: str) -> list[str]:
    return [route["protocol"] for route in ip_json("-6 route show table local") if route["dst"] == address]


def test_the_local_route_of_an_ipv6_address_comes_back_as_ours_and_goes_with_the_address(daemon: Daemon) -> None:
    daemon.start(SIX, daemon=LATE)
    assert local("2001:db8:5::2") == ["2"]
    ip("-6 route del local 2001:db8:5::2 table local")
    wait_until(lambda: local("2001:db8:5::2") == ["114"], PATIENCE)
    wait_until(lambda: daemon.entry("address/a")["state"] == "in-sync", PATIENCE)
    ip("-6 route del local 2001:db8:5::2 table local")  # ours as well
    wait_until(lambda: local("2001:db8:5::2") == ["114"], PATIENCE)
    daemon.kill()
    daemon.start()
    assert local("2001:db8:5::2") == ["114"]
    ip("-6 address del 2001:db8:5::2/64 dev v0")  # it comes back, and with it the kernel's own
    wait_until(lambda: local("2001:db8:5::2") == ["2"], PATIENCE)
    ip("-6 route del local 2001:db8:5::2 table local")
    wait_until(lambda: local("2001:db8:5::2") == ["114"], PATIENCE)
    daemon.apply("")
    assert local("2001:db8:5::2") == []


def test_the_local_route_of_ours_goes_at_a_start_when_its_address_went_meanwhile(daemon: Daemon) -> None:
    daemon.start(SIX, daemon=LATE)
    ip("-6 route del local 2001:db8:5::2 table local")
    wait_until(lambda: local("2001:db8:5::2") == ["114"], PATIENCE)
    daemon.kill()
    ip("-6 address del 2001:db8:5::2/64 dev v0")
    assert local("2001:db8:5::2") == ["114"]
    daemon.start("")
    assert local("2001:db8:5::2") == []


@pytest.mark.parametrize(
    ("flags", "address"), [("", "10.5.0.2/24"), ("nodad = true\n", "2001:db8:5::2/64")], ids=["ipv4", "ipv6"]
)
def test_no_prefix_route_is_made_where_the_file_wants_none(daemon: Daemon, flags: str, address: str) -> None:
    daemon.start(
        f'[[address]]\naddress = "{address}"\ndev = "v0"\nnoprefixroute = true\n{flags}', daemon='resync = "1s"'
    )
    before = everything()
    daemon.wait_for_resync()
    assert everything() == before
    assert daemon.records("repaired") == []


def test_a_flush_of_the_kernels_routes_is_undone(daemon: Daemon) -> None:
    daemon.start(FOUR + SIX.replace('"a"', '"six"'), daemon=LATE)
    before = everything()
    ip("-4 route flush dev v0 proto kernel")
    ip("-6 route flush dev v0 proto kernel table main")
    ours = {line for line in before if line.startswith(("10.5.0.0/24", "2001:db8:5::/64"))}
    assert len(ours) == 2
    wait_until(lambda: ours <= set(everything()), PATIENCE)
    assert daemon.ask_json("plan")["steps"] == []


def test_a_start_beside_addresses_that_are_there_changes_nothing(daemon: Daemon, monitor: object) -> None:
    del monitor
    daemon.start(FOUR + SIX.replace('"a"', '"six"'))
    daemon.stop()
    before = everything()
    daemon.start()
    assert everything() == before
    assert daemon.ask_json("plan")["steps"] == []
