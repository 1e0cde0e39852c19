"""A restart, a reload, a second look: what is right is not written again; what was half done is finished."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.daemon import Daemon
from tests.system.host import everything, routes, rules
from tests.system.monitor import Monitor
from tests.system.worlds import GATEWAY, LAN, WORLD, prefixes


def writes_in(trace: Path) -> set[str]:
    """The types of all netlink requests that strace saw and that change something."""
    text = trace.read_text()
    assert "nlmsg_type=RTM_GETROUTE" in text, "strace saw no netlink at all"
    words = ("ROUTE", "RULE", "ADDR", "LINK", "NEXTHOP")
    return {f"RTM_{verb}{word}" for verb in ("NEW", "DEL") for word in words if f"nlmsg_type=RTM_{verb}{word}" in text}


def traced(trace: Path) -> list[str]:
    """A command that writes down what is sent, by the process itself as our child."""
    return ["strace", "-D", "-f", "-e", "trace=sendto,sendmsg,write,writev", "-o", str(trace)]


def test_a_restart_with_everything_right_sends_no_netlink_write(
    daemon: Daemon, monitor: Monitor, tmp_path: Path
) -> None:
    for trace in (tmp_path / "first", tmp_path / "second"):
        daemon.start(WORLD, before=traced(trace))
        assert daemon.ask("apply").code == 0
        daemon.signal(signal.SIGTERM)
        wait_until(lambda trace=trace: "+++ exited with 0 +++" in trace.read_text())  # type: ignore[misc]
        daemon.wait()
        if trace.name == "first":
            assert writes_in(trace) == {"RTM_NEWROUTE", "RTM_NEWRULE", "RTM_NEWADDR"}
            monitor.heard()
    assert writes_in(tmp_path / "second") == set()
    assert monitor.heard() == []


def test_what_is_kept_of_the_files_and_damaged_is_said_and_the_start_is_as_ever(daemon: Daemon) -> None:
    daemon.state.mkdir(parents=True, exist_ok=True)
    daemon.start(WORLD)
    before = everything()
    daemon.kill()
    kept = daemon.state / "compiled"
    kept.write_bytes(kept.read_bytes()[:-1])
    ip("route flush proto 114")
    daemon.start()
    assert everything() == before
    assert f"{kept} is damaged, so the files were read instead" in (daemon.folder / "log").read_text()
    daemon.kill()
    daemon.forget()
    daemon.start()
    assert everything() == before
    assert [one["message"] for one in daemon.records() if "damaged" in one["message"]] == []


def test_whoever_waits_to_write_a_file_that_is_being_read_does_not_end_the_daemon(daemon: Daemon) -> None:
    daemon.start(WORLD)
    ignored = int(Path(f"/proc/{daemon.pid}/status").read_text().split("SigIgn:")[1].split()[0], 16)
    assert ignored >> (signal.SIGIO - 1) & 1  # the kernel sends it to who has a lease: fcntl(2)


@pytest.mark.parametrize("again", ["apply", "SIGHUP", "restart", "kill -9"])
def test_what_is_right_is_not_written_again(daemon: Daemon, monitor: Monitor, again: str) -> None:
    daemon.start(WORLD)
    monitor.heard()
    daemon.forget()

    if again == "apply":
        assert daemon.ask_json("apply")["changed"] == 0
    elif again == "SIGHUP":
        daemon.read_notifications()
        daemon.signal(signal.SIGHUP)
        daemon.wait_until_ready()
    else:
        daemon.stop() if again == "restart" else daemon.kill()
        daemon.start()

    assert monitor.heard() == []
    assert {record["fields"]["ROUTED_EVENT"] for record in daemon.records()} <= {"started", "stopped", "config-loaded"}


def test_the_order_of_entries_is_irrelevant(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    monitor.heard()
    tables = WORLD.strip().split("\n[[")
    assert daemon.apply("\n[[".join(["", *(table.removeprefix("[[") for table in reversed(tables))]))["changed"] == 0
    assert monitor.heard() == []


def test_the_plan_is_empty_after_apply(daemon: Daemon) -> None:
    daemon.write(WORLD)
    assert daemon.ask("plan", "--exit-code").code == 2
    daemon.start()
    assert daemon.ask("plan", "--exit-code").code == 0
    assert daemon.ask_json("plan")["steps"] == []


def test_drift_while_no_daemon_ran_is_repaired_at_the_start(daemon: Daemon) -> None:
    daemon.start(WORLD)
    wanted = everything()
    daemon.stop()
    ip("route flush proto 114")
    ip("route add 192.0.2.0/24 via 10.0.0.3 proto static")
    ip("rule del priority 1200")
    daemon.start()
    assert everything() == wanted


def test_entries_that_went_while_no_daemon_ran_leave_nothing(daemon: Daemon) -> None:
    daemon.start(WORLD)
    daemon.stop()
    daemon.start(GATEWAY, daemon='max_deletes = "100%"')
    assert [route["dst"] for route in routes()] == ["192.0.2.0/24"]


def test_leftovers_stay_while_the_bad_file_is_not_the_one_in_force(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    ip("route add 198.51.100.0/24 via 10.0.0.2 proto 114")
    wait_until(lambda: len(routes()) == 1)
    daemon.stop()
    ip("route add 198.51.100.0/24 via 10.0.0.2 proto 114")
    daemon.start("nonsense")
    assert len(routes()) == 2


def test_a_kill_at_any_moment_of_an_apply_is_mended_by_the_next_start(
    daemon: Daemon, monitor: Monitor, tmp_path: Path
) -> None:
    chance = random.Random(5)  # noqa: S311  no secret
    listed = tmp_path / "drop.txt"
    daemon.write(f'[[route]]\nname = "drop"\nprefixes_file = "{listed}"\ntype = "blackhole"\n')
    for first in (0, 2500, 0, 5000):
        listed.write_text(prefixes(5000, first))
        moment = chance.randrange(1, 5000)
        daemon.launch()
        heard = 0
        while heard < moment:
            heard += len(monitor.heard())
        daemon.kill()

        daemon.start()
        there = {route["dst"] for route in routes()}
        assert there == set(prefixes(5000, first).split()), "\n".join(r["message"] for r in daemon.records())
        assert daemon.ask("plan", "--exit-code").code == 0
        daemon.stop()
        monitor.heard()


def test_a_second_daemon_is_refused_and_so_is_a_direct_apply(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    monitor.heard()
    second = daemon.ask("run", "--log-format", "json")
    assert second.code == 4
    assert f"another routed (pid {daemon.pid})" in second.err
    direct = daemon.ask("apply", "--direct")
    assert direct.code == 4
    assert str(daemon.pid) in direct.err
    assert monitor.heard() == []
    assert daemon.entry("route/gateway")["state"] == "in-sync"


def test_a_direct_apply_does_the_same_without_a_daemon(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(WORLD)
    wanted = everything()
    daemon.stop()
    ip("route flush proto 114")
    assert daemon.ask("apply", "--direct").code == 0
    assert everything() == wanted
    monitor.heard()
    assert daemon.ask("apply", "--direct").code == 0
    assert monitor.heard() == []


def test_a_command_without_a_daemon_says_so(daemon: Daemon) -> None:
    daemon.write(WORLD)
    assert daemon.ask("apply").code == 69
    assert daemon.ask("status").code == 69


def test_without_the_capability_the_daemon_does_not_start(daemon: Daemon, monitor: Monitor) -> None:
    daemon.write(WORLD)
    daemon.launch(before=["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"])
    assert daemon.wait() == 77
    assert monitor.heard() == []


ASIDE = f'{LAN}via = "10.0.0.2"\n[[route]]\nname = "other"\nto = "192.0.3.0/24"\nvia = "10.0.0.2"\n'


def test_a_paused_entry_is_left_alone_and_repaired_when_it_is_resumed(daemon: Daemon, monitor: Monitor) -> None:
    daemon.start(ASIDE)
    wanted = everything()
    assert daemon.ask("pause", "route/lan", "--for", "1h", "--reason", "an experiment").code == 0
    monitor.heard()

    ip("route del 192.0.3.0/24")
    daemon.wait_for("repaired", "route/other")
    ip("route del 192.0.2.0/24")
    ip("route del 192.0.3.0/24")
    wait_until(lambda: len(daemon.records("repaired", "route/other")) == 2)

    assert [route["dst"] for route in routes()] == ["192.0.3.0/24"]
    assert daemon.entry("route/lan")["state"] == "paused"
    assert daemon.entry("route/lan")["reason"] == "an experiment"
    assert daemon.ask("resume", "route/lan").code == 0
    wait_until(lambda: everything() == wanted)
    daemon.wait_for("repaired", "route/lan")


def test_a_pause_ends_by_itself(daemon: Daemon) -> None:
    daemon.start(ASIDE)
    wanted = everything()
    assert daemon.ask("pause", "--for", "1500ms").code == 0
    ip("route del 192.0.2.0/24")
    assert len(routes()) == 1
    wait_until(lambda: everything() == wanted)
    daemon.wait_for("repaired", "route/lan")


def test_an_import_adopts_what_stands_and_writes_nothing_else(daemon: Daemon, monitor: Monitor) -> None:
    for command in (
        "route add 192.0.2.0/24 via 10.0.0.2 proto static mtu lock 1400 metric 5",
        "route add 192.0.3.0/24 proto static nexthop via 10.0.0.2 weight 2 nexthop via 10.1.0.2 weight 3",
        "route add blackhole 192.0.4.0/24 proto static table 77",
        "route add 192.0.5.0/24 dev v1 proto static src 10.1.0.1",
        "-6 route add 2001:db8::/48 via fd00::2 proto static",
        "-6 route add 2001:db8:1::/48 proto static nexthop via fd00::2 nexthop via fd01::2",
        "rule add priority 900 from 10.99.0.0/16 lookup 77",
        "-6 rule add priority 901 fwmark 0x1/0xff lookup 77",
    ):
        ip(command)
    before, theirs = everything("4"), rules("0")
    imported = daemon.ask("import")
    assert imported.code == 0, imported.err
    daemon.config.write_text(imported.out)

    steps = daemon.ask_json("plan")["steps"]
    assert {step["symbol"] for step in steps} == {"="}
    assert {step["reason"] for step in steps} == {"the same under another protocol"}
    assert daemon.ask("plan", "--exit-code").code == 0

    daemon.start()
    assert [route | {"protocol": "4"} for route in routes()] == before["routes"]
    assert [rule | {"protocol": "0"} for rule in rules()] == theirs
    assert rules("0") == []
    assert daemon.ask("plan", "--exit-code").code == 0
    monitor.heard()
    assert daemon.ask("apply").code == 0
    assert monitor.heard() == []
    fields = [record["fields"] for record in daemon.records(entry="*/*")]
    said = {(one["ROUTED_EVENT"], one["ROUTED_ENTRY"].partition("/")[0]) for one in fields}
    # a rule's protocol is part of its key: ours comes first, then theirs goes
    assert said == {("adopted", kind) for kind in ("route", "address", "rule")} | {("removed", "rule")}


def test_an_import_that_goes_leaves_the_host_as_it_was(daemon: Daemon) -> None:
    ip("rule add priority 900 from 10.99.0.0/16 lookup 77")
    ip("route add 192.0.2.0/24 via 10.0.0.2 proto static metric 5")
    before = everything("")
    daemon.config.write_text(daemon.ask("import").out)
    daemon.start()
    assert len(rules()) == 1
    daemon.apply("")
    assert everything("") == before
