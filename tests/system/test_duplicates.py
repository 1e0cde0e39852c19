"""An address that another host has too is no use: it is failed, said, and tried again until the other one is gone."""

from __future__ import annotations

from pathlib import Path

from tests.kernel.netns import ip, ip_json, wait_until
from tests.system.daemon import PATIENCE, Daemon

FILE = '[[address]]\nname = "a"\naddress = "2001:db8:5::2/64"\ndev = "v0"\n'
REASON = "it failed duplicate address detection: another host on the link has it"


def flags() -> set[str]:
    return {
        flag
        for link in ip_json("-6 address show dev v0")
        for one in link["addr_info"]
        if one.get("local") == "2001:db8:5::2"
        for flag in ("tentative", "dadfailed")
        if one.get(flag)
    }


def test_an_address_that_another_host_has_is_failed_said_once_and_tried_until_it_is_free(daemon: Daemon) -> None:
    for end in ("v0", "v0p"):
        Path(f"/proc/sys/net/ipv6/conf/{end}/accept_dad").write_text("1")
    ip("-6 address add 2001:db8:5::2/64 dev v0p nodad")
    daemon.start(FILE)
    told = daemon.wait_for("failed", "address/a")["message"]
    assert REASON in told
    assert (daemon.entry("address/a")["state"], daemon.entry("address/a")["reason"]) == ("failed", REASON)
    before = ip_json("-6 address show dev v0")
    wait_until(lambda: "tentative" in flags(), PATIENCE)  # it is tried again
    assert daemon.entry("address/a")["state"] == "failed"
    assert before
    wait_until(lambda: "dadfailed" in flags(), PATIENCE)
    assert daemon.ask("apply").code in {0, 1}
    ip("-6 address del 2001:db8:5::2/64 dev v0p")
    wait_until(lambda: not flags() and daemon.entry("address/a")["state"] == "in-sync", PATIENCE)
    assert daemon.records("repaired") == []
