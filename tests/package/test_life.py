"""The life of the package under systemd: installed, enabled, reloaded, restarted, upgraded, removed."""

from __future__ import annotations

import json
from typing import Any

from tests.kernel.netns import ip, wait_until
from tests.package.machine import Machine
from tests.system.host import routes
from tests.system.monitor import Monitor

CONFIG = "/etc/routed.toml"
ROUTE = """version = 1
[[route]]
name = "storage"
to = "192.0.2.0/24"
via = "10.0.0.2"
"""
BOUND_CAPABILITIES = 1 << 12 | 1 << 13  # CAP_NET_ADMIN and CAP_NET_RAW


def write(host: Machine, metric: int = 0, more: str = "") -> None:
    host.path(CONFIG).write_text(f"{ROUTE}metric = {metric}\n{more}")


def start(host: Machine, metric: int = 0) -> None:
    write(host, metric)
    host.run("systemctl", "enable", "--now", "--quiet", "routed")


def metrics() -> list[int]:
    return [route.get("metric", 0) for route in routes()]


def test_installation_starts_nothing_enables_nothing_and_changes_no_route(debian: Machine, monitor: Monitor) -> None:
    monitor.heard()
    debian.run("dpkg", "--install", "/root/routed.deb")
    assert debian.run("systemctl", "is-enabled", "routed", may_fail=True).stdout.strip() == "disabled"
    assert debian.show("routed", "ActiveState") == "inactive"
    assert monitor.heard() == []
    assert debian.ask("routed", "check") == f"{CONFIG} is valid: no entries"


def test_once_enabled_it_keeps_the_routes_and_ip_calls_them_ours(host: Machine) -> None:
    start(host)
    assert host.show("routed", "StatusText") == "revision 1 in force: 1 object in sync"
    assert "proto routed" in host.ask("ip", "route", "show", "192.0.2.0/24")
    ip("route del 192.0.2.0/24")
    wait_until(lambda: metrics() == [0])


def test_it_is_confined_and_can_still_say_who_did_it(host: Machine) -> None:
    start(host)
    status = host.path(f"/proc/{host.show('routed', 'MainPID')}/status").read_text()
    allowed = {line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
    assert allowed["CapBnd:"] == allowed["CapEff:"] == BOUND_CAPABILITIES
    assert host.show("routed", "MemoryDenyWriteExecute") == "yes"
    with host.open("ip", "-batch", "-") as batch:  # which is still there when it is looked at
        assert batch.stdin is not None
        batch.stdin.write("route del 192.0.2.0/24\n")
        batch.stdin.flush()
        wait_until(lambda: bool(host.journal("ROUTED_EVENT=repaired")))
    (record,) = host.journal("ROUTED_EVENT=repaired")
    assert 'deleted by "ip -batch -"' in record["MESSAGE"]
    assert host.run("su", "nobody", "-s", "/bin/sh", "-c", "routed status", may_fail=True).returncode == 0


CHECKS = """
[[check]]
name = "echo"
type = "icmp"
target = "127.0.0.1"
dev = "lo"

[[check]]
name = "neighbour"
type = "arp"
target = "10.0.0.9"
dev = "v0"
every = "1s"

[[check]]
name = "service"
type = "https"
target = "127.0.0.1:443"
via = "10.0.0.2"

[[check]]
name = "maintenance"
type = "file"
file = "/run/maintenance"

[[route]]
to = "198.51.100.0/24"
dev = "v0"
requires = ["@echo", "!@neighbour", "!@maintenance", "!@service"]
when_all_down = "withdraw"
"""


def test_confined_it_can_ask_whatever_checks_ask(host: Machine) -> None:
    write(host, more=CHECKS)
    host.run("systemctl", "enable", "--now", "--quiet", "routed")
    wait_until(lambda: "198.51.100.0/24" in [route["dst"] for route in routes()], within=20.0)
    checks = {one["check"]: one for one in json.loads(host.ask("routed", "status", "--json"))["checks"]}
    assert {name: one["state"] for name, one in checks.items()} == {
        "check/echo": "up", "check/neighbour": "down", "check/service": "down", "check/maintenance": "down",
    }  # fmt: skip
    assert "could not be asked" not in str(checks)
    host.path("/run/maintenance").touch()
    wait_until(lambda: "198.51.100.0/24" not in [route["dst"] for route in routes()], within=20.0)


COMMAND = """
[[check]]
name = "command"
type = "exec"
command = ["/usr/local/bin/check"]
every = "500ms"
fall = 1

[[route]]
to = "198.51.100.0/24"
dev = "v0"
requires = "@command"
when_all_down = "withdraw"
"""
LEAVES_ONE = """#!/bin/sh
setsid sleep 4711 &
echo "$(id -u) $(grep CapEff /proc/self/status)"
test ! -e /run/bad
"""


def install_command(host: Machine, text: str = LEAVES_ONE) -> None:
    host.path("/usr/local/bin/check").write_text(text)
    host.path("/usr/local/bin/check").chmod(0o755)


def find_check(host: Machine) -> dict[str, Any]:
    (check,) = json.loads(host.ask("routed", "status", "--json"))["checks"]
    assert isinstance(check, dict)
    return check


def test_commands_of_checks_run_as_a_user_of_their_own_without_rights(host: Machine) -> None:
    install_command(host)
    write(host, more=COMMAND)
    host.run("systemctl", "enable", "--now", "--quiet", "routed")
    wait_until(lambda: "198.51.100.0/24" in [route["dst"] for route in routes()], within=20.0)
    last = find_check(host)["targets"][0]["last"]
    user, _, held = last.removeprefix("exec: answered ").split()
    assert 61184 <= int(user) <= 65519  # DynamicUser= of systemd.exec(5)
    assert int(held, 16) == 0
    wait_until(lambda: host.run("pgrep", "--full", "sleep 4711", may_fail=True).stdout == "")
    assert host.ask("stat", "--format=%U %a", "/run/routed/exec") == "root 600"
    host.path("/run/bad").touch()
    wait_until(lambda: "198.51.100.0/24" not in [route["dst"] for route in routes()], within=20.0)
    assert host.journal("_SYSTEMD_UNIT=routed-exec.service") == []


def test_a_user_that_the_helper_is_not_is_refused_until_a_drop_in_names_it(host: Machine) -> None:
    install_command(host)
    write(host, more=COMMAND.replace("fall = 1", 'fall = 1\nuser = "daemon"'))
    host.run("systemctl", "enable", "--now", "--quiet", "routed")
    wait_until(lambda: bool(find_check(host)["state"] == "failed"), within=20.0)
    assert "commands run as routed-exec here" in find_check(host)["reason"]
    drop_in = host.path("/etc/systemd/system/routed-exec.service.d/user.conf")
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nUser=daemon\n")
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "stop", "routed-exec.service")
    wait_until(lambda: bool(find_check(host)["state"] == "up"), within=20.0)


def test_without_the_socket_a_command_is_failed_and_says_what_to_do(host: Machine) -> None:
    install_command(host)
    write(host, more=COMMAND)
    host.run("systemctl", "mask", "--quiet", "--now", "routed-exec.socket")
    host.run("systemctl", "enable", "--now", "--quiet", "routed")
    wait_until(lambda: bool(find_check(host)["state"] == "failed"), within=20.0)
    assert "systemctl start routed-exec.socket" in find_check(host)["reason"]
    host.run("systemctl", "unmask", "--quiet", "routed-exec.socket")
    host.run("systemctl", "start", "routed-exec.socket")
    wait_until(lambda: bool(find_check(host)["state"] == "up"), within=20.0)


def test_the_socket_and_the_helper_come_and_go_with_the_daemon(host: Machine) -> None:
    install_command(host, "#!/bin/sh\nsetsid sleep 4711 &\nexec sleep 4711\n")
    write(host, more=COMMAND.replace("fall = 1", 'fall = 1\ntimeout = "60s"').replace("500ms", "60s"))
    host.run("systemctl", "enable", "--now", "--quiet", "routed")
    for end in (("kill", "-KILL", host.show("routed", "MainPID")), ("systemctl", "restart", "routed")):
        wait_until(lambda: len(host.run("pgrep", "--full", "sleep 4711", may_fail=True).stdout.split()) == 2, 30)
        host.run(*end)
    wait_until(lambda: len(host.run("pgrep", "--full", "sleep 4711", may_fail=True).stdout.split()) == 2, 30)
    host.run("systemctl", "stop", "routed")
    assert host.run("pgrep", "--full", "sleep 4711|routed-exec", may_fail=True).stdout == ""
    assert host.show("routed-exec.socket", "ActiveState") == "inactive"
    assert not host.path("/run/routed").exists()
    host.run("systemctl", "start", "routed")
    assert host.show("routed-exec.socket", "ActiveState") == "active"


def test_a_reload_returns_when_the_new_file_is_in_force(host: Machine) -> None:
    start(host, 1)
    for metric in range(2, 12):
        write(host, metric)
        host.run("systemctl", "reload", "routed")
        assert metrics() == [metric]


def test_a_reload_of_a_bad_file_fails_names_the_place_and_changes_nothing(host: Machine, monitor: Monitor) -> None:
    start(host, 1)
    monitor.heard()
    write(host, 2, "colour = 5\n")

    done = host.run("systemctl", "reload", "routed", may_fail=True)

    assert done.returncode == 1
    place = f"{CONFIG}:7:1"
    problem = f"{place}: unknown key `colour`"
    status = host.run("systemctl", "status", "--no-pager", "--full", "routed", may_fail=True).stdout
    assert f'Status: "{place} is wrong, so the files are not in force; revision 1 in force: 1 object in sync"' in status
    assert "status=78" in status  # of ExecReload
    assert any(problem in record["MESSAGE"] for record in host.journal("_SYSTEMD_UNIT=routed.service"))
    assert monitor.heard() == []
    applied = host.run("routed", "apply", may_fail=True)
    assert (applied.returncode, applied.stderr.splitlines()[0]) == (78, problem)

    write(host, 3)
    host.run("systemctl", "reload", "routed")
    assert metrics() == [3]
    assert host.show("routed", "StatusText") == "revision 2 in force: 1 object in sync"


def test_a_hundred_reloads_at_once_end_in_the_last_file(host: Machine) -> None:
    start(host, 1000)
    for metric in range(1, 101):
        write(host, metric)
        host.run("systemctl", "reload", "--no-block", "routed")
    host.run("systemctl", "reload", "routed")
    assert metrics() == [100]
    assert host.show("routed", "NRestarts") == "0"


def test_a_restart_takes_no_route_away_for_any_moment(host: Machine, monitor: Monitor) -> None:
    start(host)
    monitor.heard()
    pid = host.show("routed", "MainPID")
    host.run("systemctl", "restart", "routed")
    assert host.show("routed", "MainPID") != pid
    assert monitor.heard() == []


def test_a_stop_leaves_the_objects(host: Machine, monitor: Monitor) -> None:
    start(host, 7)
    monitor.heard()
    host.run("systemctl", "stop", "routed")
    assert monitor.heard() == []
    assert metrics() == [7]


def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_comes_back(host: Machine, monitor: Monitor) -> None:
    drop_in = host.path("/etc/systemd/system/routed.service.d/test.conf")
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nWatchdogSec=1\n")
    host.run("systemctl", "daemon-reload")
    start(host)
    monitor.heard()
    pid = host.show("routed", "MainPID")
    host.run("kill", "-STOP", pid)
    wait_until(lambda: host.show("routed", "NRestarts") == "1", 30)
    wait_until(lambda: host.show("routed", "ActiveState") == "active", 30)
    assert host.show("routed", "MainPID") != pid
    assert any("Watchdog timeout" in record["MESSAGE"] for record in host.journal("UNIT=routed.service"))
    assert monitor.heard() == []


def test_a_killed_daemon_comes_back(host: Machine) -> None:
    start(host)
    host.run("kill", "-KILL", host.show("routed", "MainPID"))
    wait_until(lambda: host.show("routed", "NRestarts") == "1", 30)
    wait_until(lambda: host.show("routed", "ActiveState") == "active", 30)
    ip("route del 192.0.2.0/24")
    wait_until(lambda: metrics() == [0])


def test_a_bad_file_at_the_first_start_is_a_failure_that_is_not_tried_again(host: Machine) -> None:
    host.path(CONFIG).write_text("version = 1\nnonsense")
    assert host.run("systemctl", "start", "routed", may_fail=True).returncode == 1
    assert (host.show("routed", "Result"), host.show("routed", "NRestarts")) == ("exit-code", "0")
    assert any(f"{CONFIG}:2:" in record["MESSAGE"] for record in host.journal("_SYSTEMD_UNIT=routed.service"))


def test_an_upgrade_restarts_what_runs_and_touches_neither_routes_nor_files(host: Machine, monitor: Monitor) -> None:
    start(host)
    pid = host.show("routed", "MainPID")
    monitor.heard()
    host.run("dpkg", "--install", "/root/routed.deb")
    assert host.show("routed", "ActiveState") == "active"
    assert host.show("routed", "MainPID") != pid
    assert host.ask("systemctl", "is-enabled", "routed") == "enabled"
    assert host.path(CONFIG).read_text().startswith(ROUTE)
    assert monitor.heard() == []


def test_an_upgrade_starts_nothing_that_does_not_run(host: Machine) -> None:
    host.run("dpkg", "--install", "/root/routed.deb")
    assert host.show("routed", "ActiveState") == "inactive"


def test_a_removal_stops_the_daemon_and_leaves_its_objects_and_a_purge_leaves_no_file(
    host: Machine, monitor: Monitor
) -> None:
    start(host)
    monitor.heard()

    host.run("dpkg", "--remove", "routed")

    assert host.show("routed", "LoadState") == "not-found"
    assert host.run("pgrep", "routed", may_fail=True).stdout == ""
    assert host.path(CONFIG).exists()
    host.run("dpkg", "--purge", "routed")
    left = host.ask("find", "/etc", "/usr", "/var/lib", "/run", "-name", "*routed*")
    assert left == ""
    assert monitor.heard() == []
    assert metrics() == [0]


def test_the_journal_explains_its_records(host: Machine) -> None:
    start(host)
    host.run("ip", "route", "del", "192.0.2.0/24")
    wait_until(lambda: bool(host.journal("ROUTED_EVENT=repaired")))
    text = host.ask("journalctl", "--no-pager", "--catalog", "ROUTED_EVENT=repaired")
    assert "Documentation: man:routed-messages(7)" in text
    assert "What to do" in text


def test_ten_routes_take_little_memory(host: Machine) -> None:
    write(host, 0, "".join(f'[[route]]\nto = "198.51.{number}.0/24"\ntype = "blackhole"\n' for number in range(9)))
    host.run("systemctl", "start", "routed")
    status = host.path(f"/proc/{host.show('routed', 'MainPID')}/status").read_text()
    (resident,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")]
    assert len(routes()) == 10
    assert resident <= 45 * 1024  # kB, the bar of the design


def test_a_routed_of_the_days_of_rip_is_replaced(host: Machine) -> None:
    """It had the same name, and a version that would otherwise count as newer."""
    assert host.ask("dpkg-query", "--show", "--showformat=${Conflicts}", "routed") == "routed (<< 1:0)"
    assert host.run("dpkg", "--compare-versions", "1:0.1.0", "gt", "0.17-14").returncode == 0
