"""The unit: started, asked, reloaded, restarted, stopped, killed and hung, by a real systemd."""

from __future__ import annotations

import re

import pytest

from tests.kernel import netns
from tests.vm.conftest import Installation
from tests.vm.host import LAN, SLOW, Host

ROUTE = '[[route]]\nname = "storage-lan"\nto = "10.40.0.0/16"\nvia = "10.20.0.1"\n'
STANDS = f"10.40.0.0/16 10.20.0.1 {LAN}"
RULE = '[[rule]]\npriority = 1200\nfrom = "10.20.0.11"\ntable = 120\n'
BAD = ROUTE + '[[route]]\nto = "10.41.0.0/16"\nvai = "10.20.0.1"\n'
EXPOSURE = 2.4  # as systemd-analyze security counts; less is better
MANY = 10_000  # routes: a storm for an emulated processor
MEMORY = 45 * 1024  # KiB, with ten routes


def test_a_service_at_rest_says_how_things_are_owns_its_routes_by_name_and_takes_little_memory(host: Host) -> None:
    host.start("".join(ROUTE.replace("10.40", f"10.{40 + n}").replace("lan", f"lan{n}") for n in range(10)))
    assert "10 objects in sync" in host.do("systemctl status routed")
    assert f"10.40.0.0/16 via 10.20.0.1 dev {LAN} proto routed" in host.do("ip route")
    assert int(host.do(f"awk '/^VmRSS/ {{ print $2 }}' /proc/{host.main_pid()}/status")) <= MEMORY


def test_when_reload_returns_the_new_file_is_in_force(host: Host) -> None:
    host.start(ROUTE)
    host.configure(ROUTE.replace("10.40", "10.41") + RULE)
    assert host.reload().code == 0
    assert host.routes() == [f"10.41.0.0/16 10.20.0.1 {LAN}"]
    assert host.ask("ip -j rule show priority 1200")


def test_reload_of_a_bad_file_fails_and_says_where_and_the_old_state_is_enforced(host: Host) -> None:
    host.start(ROUTE)
    host.configure(BAD)
    assert host.reload().code == 1
    told = host.do("systemctl status routed --lines=40") + "\n".join(host.messages())
    assert re.search(r"^.*/etc/routed\.toml:\d+:1: unknown key `vai`", told, re.MULTILINE)
    assert "did you mean `via`?" in told
    host.do("ip route del 10.40.0.0/16")
    host.wait_for_routes(STANDS)


@pytest.mark.long
def test_a_hundred_reloads_in_a_row_end_in_the_last_file(host: Host) -> None:
    host.start(ROUTE)
    storm = """for n in {101..200}; do
        printf 'version = 1\n[[route]]\nto = "10.%s.0.0/16"\nvia = "10.20.0.1"\n' $n >/etc/routed.toml
        systemctl --no-block reload routed || exit
    done
    systemctl reload routed"""
    host.do(storm, within=SLOW)
    assert host.routes() == [f"10.200.0.0/16 10.20.0.1 {LAN}"]
    assert host.show("NRestarts") == "0"


def test_restart_loses_no_route_for_any_moment(host: Host) -> None:
    host.start(ROUTE + RULE)
    before = host.main_pid()
    with host.watching() as heard:
        host.do("systemctl restart routed", within=SLOW)
    assert heard == []
    assert host.main_pid() not in {0, before}
    assert host.routes() == [STANDS]


def test_stop_leaves_the_objects(host: Host) -> None:
    host.start(ROUTE + RULE)
    with host.watching() as heard:
        host.do("systemctl stop routed")
    assert heard == []
    assert host.show("ActiveState") == "inactive"


def test_stop_removes_the_objects_where_the_file_says_so(host: Host) -> None:
    host.start(ROUTE + RULE, daemon='on_stop = "remove"')
    host.do("systemctl stop routed")
    assert host.routes() == []
    assert host.ask("ip -j rule show priority 1200") == []


def test_a_killed_daemon_is_back_and_has_changed_nothing(host: Host) -> None:
    host.start(ROUTE + RULE)
    before = host.main_pid()
    with host.watching() as heard:
        host.do(f"kill -9 {before}")
        host.wait_until("[ $(systemctl show --value -p NRestarts routed) = 1 ] && systemctl is-active routed")
    assert heard == []
    host.do("ip route del 10.40.0.0/16")
    host.wait_for_routes(STANDS)


def test_a_hung_daemon_is_shot_by_the_watchdog_and_is_back(host: Host) -> None:
    host.drop_in("WatchdogSec=5")
    host.start(ROUTE)
    before = host.main_pid()
    host.do(f"kill -STOP {before}")
    host.do("ip route del 10.40.0.0/16")
    host.wait_for_routes(STANDS)
    assert host.main_pid() != before
    assert host.do("journalctl _PID=1 UNIT=routed.service --grep 'Watchdog timeout'")


def test_a_storm_of_changes_wakes_no_watchdog_floods_no_journal_and_loses_no_count(host: Host) -> None:
    host.do(
        f"for n in $(seq {MANY}); do echo 172.$((16 + n / 4096)).$((n / 16 % 256)).$((n % 16 * 16))/28; done >/run/many"
    )
    host.start('[[route]]\nname = "many"\nprefixes_file = "/run/many"\ntype = "blackhole"\n')
    host.do("ip route flush proto routed", within=SLOW)
    host.wait_until(f"[ $(ip route show proto routed | wc -l) = {MANY} ]", within=SLOW)
    assert host.show("NRestarts") == "0"
    # What was left out of a flood of records is counted in one when its interval is over.
    netns.wait_until(lambda: count_repaired(host) >= MANY, SLOW)
    assert len(host.journal("ROUTED_EVENT=repaired")) < 200


def count_repaired(host: Host) -> int:
    """The objects that the journal tells of. Where a record is a summary, some of them have a record of their own."""
    told = [*host.journal("ROUTED_EVENT=repaired"), *host.journal("ROUTED_REPEATED=repaired")]
    return sum(int(record.get("ROUTED_COUNT", "1")) - int(record.get("ROUTED_TOLD", "0")) for record in told)


def test_the_unit_is_as_closed_as_it_can_be(installation: Installation) -> None:
    shown = installation.host.do("systemd-analyze security routed")
    (exposure,) = re.findall(r"exposure level for routed\.service: ([\d.]+)", shown)
    assert float(exposure) <= EXPOSURE
