"""A host in trouble: no journal, no disk, no time."""

from __future__ import annotations

from tests.vm.host import LAN, Host

ROUTE = '[[route]]\nname = "storage-lan"\nto = "10.40.0.0/16"\nvia = "10.20.0.1"\n'
STANDS = f"10.40.0.0/16 10.20.0.1 {LAN}"


def test_without_a_journal_routes_are_kept_and_afterwards_it_is_written_again(host: Host) -> None:
    host.start(ROUTE)
    before = host.main_pid()
    host.do(
        "systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket "
        "systemd-journald"
    )
    try:
        host.do("ip route del 10.40.0.0/16")
        host.wait_for_routes(STANDS)
    finally:
        host.do("systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald")
    host.do("ip route del 10.40.0.0/16")
    host.wait_for_record("ROUTED_EVENT=repaired")
    assert host.main_pid() == before


def test_a_full_disk_keeps_no_route_away_and_is_told(host: Host) -> None:
    host.start(ROUTE)
    host.configure(ROUTE.replace("10.40", "10.41"))
    host.do("fallocate -l 4G /var/tmp/full 2>/dev/null; dd if=/dev/zero of=/var/tmp/rest bs=4k 2>/dev/null; true")
    try:
        reload = host.reload()
        assert host.routes() == [f"10.41.0.0/16 10.20.0.1 {LAN}"]
        assert reload.code == 0
        host.do("ip route del 10.41.0.0/16")
        host.wait_for_routes(f"10.41.0.0/16 10.20.0.1 {LAN}")
    finally:
        host.do("rm -f /var/tmp/full /var/tmp/rest")
    assert host.reload().code == 0


def test_a_jump_of_the_clock_changes_nothing(host: Host) -> None:
    host.start(ROUTE)
    before = host.main_pid()
    try:
        for jump in ("+2 days", "-1 month"):
            host.do(f"date --set '{jump}'")
            host.do("ip route del 10.40.0.0/16")
            host.wait_for_routes(STANDS)
    finally:
        host.do("hwclock --hctosys || true")
    assert host.main_pid() == before
    assert "1 object in sync" in host.do("systemctl status routed")
