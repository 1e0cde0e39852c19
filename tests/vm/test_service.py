"""The unit: started, asked, reloaded, restarted, stopped, killed and hung, by a real systemd."""

from __future__ import annotations

import re

from tests.vm.host import LAN, SAN, SLOW, Host

ROUTE = '[[route]]\nname = "storage-lan"\nto = "10.40.0.0/16"\nvia = "10.20.0.1"\n'
STANDS = f"10.40.0.0/16 10.20.0.1 {LAN}"
RULE = '[[rule]]\npriority = 1200\nfrom = "10.20.0.11"\ntable = 120\n'
BAD = ROUTE + '[[route]]\nto = "10.41.0.0/16"\nvai = "10.20.0.1"\n'
EXPOSURE = 2.4  # as systemd-analyze security counts; less is better
MEMORY = 45 * 1024  # KiB, with ten routes


def test_systemctl_status_says_in_a_sentence_how_things_are(host: Host) -> None:
    host.start(ROUTE)
    assert "1 object in sync" in host.do("systemctl status routed")
    assert host.routes() == [STANDS]


def test_ip_route_calls_us_by_name(host: Host) -> None:
    host.start(ROUTE)
    assert f"10.40.0.0/16 via 10.20.0.1 dev {LAN} proto routed" in host.do("ip route")


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


def test_a_hundred_reloads_in_a_row_end_in_the_last_file(host: Host) -> None:
    host.start(ROUTE)
    host.write("/run/storm", ROUTE)
    storm = (
        "for n in $(seq 100); do"
        "  sed s/10.40/10.$((100 + n))/ /run/storm | cat <(echo 'version = 1') - >/etc/routed.toml;"
        "  systemctl --no-block reload routed || exit;"
        "done; systemctl reload routed"
    )
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
        host.wait_until(f"[ $(systemctl show --value -p NRestarts routed) = 1 ] && systemctl is-active routed")
    assert heard == []
    host.do("ip route del 10.40.0.0/16")
    host.wait_for_routes(STANDS)


def test_a_hung_daemon_is_shot_by_the_watchdog_and_is_back(host: Host) -> None:
    host.write("/etc/systemd/system/routed.service.d/soon.conf", "[Service]\nWatchdogSec=5\n")
    host.do("systemctl daemon-reload")
    host.start(ROUTE)
    before = host.main_pid()
    host.do(f"kill -STOP {before}")
    host.do("ip route del 10.40.0.0/16")
    host.wait_for_routes(STANDS)
    assert host.main_pid() != before
    assert host.do(f"journalctl _PID=1 UNIT=routed.service --grep 'Watchdog timeout.*{before}' -q") or host.do(
        "journalctl _PID=1 UNIT=routed.service --grep 'Watchdog timeout' -q"
    )


def test_the_watchdog_leaves_a_busy_daemon_alone(host: Host) -> None:
    host.write("/etc/systemd/system/routed.service.d/soon.conf", "[Service]\nWatchdogSec=5\n")
    host.do("systemctl daemon-reload")
    host.do(
        "for n in $(seq 20000); do echo 172.$((16 + n / 4096)).$((n / 16 % 256)).$((n % 16 * 16))/28; done >/run/many"
    )
    host.start('[[route]]\nprefixes_file = "/run/many"\ntype = "blackhole"\n')
    for _ in range(3):
        host.do("ip route flush proto routed", within=SLOW)
        host.wait_until("[ $(ip route show proto routed | wc -l) = 20000 ]", within=SLOW)
    assert host.show("NRestarts") == "0"


def test_the_unit_is_as_closed_as_it_can_be(host: Host) -> None:
    (unit,) = [row for row in host.ask("systemd-analyze security --json=short") if row["unit"] == "routed.service"]
    assert float(unit["exposure"]) <= EXPOSURE


def test_ten_routes_take_little_memory(host: Host) -> None:
    host.start("".join(ROUTE.replace("10.40", f"10.{40 + n}").replace("lan", f"lan{n}") for n in range(10)))
    assert int(host.do(f"awk '/^VmRSS/ {{ print $2 }}' /proc/{host.main_pid()}/status")) <= MEMORY


def test_a_route_waits_for_its_interface_and_comes_with_it(host: Host) -> None:
    host.start(ROUTE + f'[[route]]\nto = "10.50.0.0/16"\ndev = "dummy7"\n')
    assert host.routes() == [STANDS]
    assert "waiting" in host.do("routed status")
    host.do("ip link add dummy7 type dummy && ip link set dummy7 up")
    host.wait_for_routes(STANDS, "10.50.0.0/16 - dummy7")
    assert SAN
