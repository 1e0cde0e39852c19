"""A host in trouble: no journal, no disk, no time."""

from __future__ import annotations

from tests.vm.host import LAN, SLOW, Host

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


def test_a_full_var_keeps_no_route_away_and_no_daemon(host: Host) -> None:
    # Not /tmp besides: in it systemd makes a directory for each process that it starts with a /dev of its own.
    with host.small_var():
        host.start(ROUTE)
        host.do("dd if=/dev/zero of=/var/full bs=4k 2>/dev/null; true")
        assert host.run("echo x >/var/lib/routed/x").code != 0
        host.configure(ROUTE.replace("10.40", "10.41"))
        reload = host.reload()  # fails, because a restart would not know of it
        assert (reload.code, host.routes()) == (1, [f"10.41.0.0/16 10.20.0.1 {LAN}"])
        assert "No space left on device" in host.do("routed status")
        host.do("ip route del 10.41.0.0/16")
        host.wait_for_routes(f"10.41.0.0/16 10.20.0.1 {LAN}")
        host.do("systemctl restart routed", within=SLOW)
        host.do("ip route del 10.41.0.0/16")
        host.wait_for_routes(f"10.41.0.0/16 10.20.0.1 {LAN}")


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
