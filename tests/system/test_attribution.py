"""Who did it: a repair names the process behind the change, or the kernel's reason, or says that it is not known."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from routed.audit.history import count_objects
from tests.kernel.netns import ip, wait_until
from tests.system import stranger
from tests.system.daemon import Daemon
from tests.system.host import routes
from tests.system.worlds import GATEWAY, GATEWAY6, WORLD

TO = "192.0.2.0/24"
GONE = 4_194_303  # no process has this pid: PID_MAX_LIMIT is one more, and pids are given out from below
AS_SHIPPED = ("setpriv", "--bounding-set=-all,+net_admin")  # all that the unit gives


def actor_fields(record: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name.removeprefix("ROUTED_ACTOR_"): value for name, value in record["fields"].items() if "_ACTOR_" in name}


@contextmanager
def ip_at_work() -> Iterator[subprocess.Popen[str]]:
    """One `ip` that takes command after command."""
    with subprocess.Popen(["ip", "-batch", "-"], stdin=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        yield process
        process.stdin.close()


def test_a_deletion_is_named_with_command_line_pid_uid_and_unit(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    with ip_at_work() as process:
        assert process.stdin is not None
        process.stdin.write(f"route del {TO}\n")

        record = daemon.wait_for("repaired", "route/lan")

    assert f' {TO} deleted by "ip -batch -" (pid {process.pid}, uid 0' in record["message"]
    told = actor_fields(record)
    assert told.pop("UNIT", "") in record["message"]
    told.pop("LOGINUID", None)
    pid = str(process.pid)
    assert told == {"PORT": pid, "PID": pid, "COMM": "ip", "CMDLINE": "ip -batch -", "UID": "0"}


def test_what_one_flush_deleted_is_told_whole_and_by_name(daemon: Daemon) -> None:
    routes_of_one = "\n".join(f'[[route]]\nto = "192.0.{number}.0/24"\nvia = "10.0.0.2"' for number in range(100))
    daemon.start(routes_of_one)
    with ip_at_work() as process:
        assert process.stdin is not None
        process.stdin.write("route flush proto 114\n")

        wait_until(lambda: sum(count_objects(one["fields"]) for one in daemon.records("repaired")) >= 100)

    records = daemon.records("repaired")
    assert any(f"(pid {process.pid}, " in record["message"] for record in records)


def test_two_at_once_are_told_apart_by_what_each_deleted(daemon: Daemon) -> None:
    daemon.start(
        "".join(f'[[route]]\nname = "{n}"\nto = "192.0.{n}.0/24"\nvia = "10.0.0.2"\n' for n in range(2))
    )  # fmt: skip
    with ip_at_work() as one, ip_at_work() as other:
        for number, process in enumerate((one, other)):
            assert process.stdin is not None
            process.stdin.write(f"route del 192.0.{number}.0/24\n")
        for number, process in enumerate((one, other)):
            record = daemon.wait_for("repaired", f"route/{number}")
            assert actor_fields(record)["PID"] == str(process.pid)


def test_a_second_socket_is_traced_to_its_process(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    with stranger.long_lived(2) as (process, port):
        assert port != process.pid
        for _ in range(2):
            daemon.forget()
            stranger.ask(process, TO)

            told = actor_fields(daemon.wait_for("repaired", "route/lan"))

            assert (told["PORT"], told["PID"]) == (str(port), str(process.pid))
            assert told["CMDLINE"].endswith("-m tests.system.stranger 2")


def test_a_second_socket_is_not_traced_without_the_right_to_and_that_is_said(daemon: Daemon) -> None:
    daemon.start(GATEWAY, before=AS_SHIPPED)
    with stranger.long_lived(2) as (process, port):
        stranger.ask(process, TO)
        record = daemon.wait_for("repaired", "route/lan")
    assert f"deleted by port id {port}, whose process is not known;" in record["message"]
    assert actor_fields(record) == {"PORT": str(port)}


def test_the_first_socket_of_a_process_is_named_with_what_the_unit_gives(daemon: Daemon) -> None:
    daemon.start(GATEWAY, before=AS_SHIPPED)
    with stranger.long_lived(1) as (process, _):
        stranger.ask(process, TO)
        record = daemon.wait_for("repaired", "route/lan")
    assert f'-m tests.system.stranger 1" (pid {process.pid}, uid 0' in record["message"]


def test_a_process_that_is_gone_is_told_by_its_port_id(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    with stranger.open_socket(GONE) as opened:
        stranger.delete(opened, TO)

    record = daemon.wait_for("repaired", "route/lan")

    assert f"deleted by port id {GONE}, whose process is not known;" in record["message"]
    assert actor_fields(record) == {"PORT": str(GONE)}


def test_a_process_in_another_network_namespace_is_not_taken_for_the_culprit(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(b"\n")
        other.stdin.flush()
        other.stdout.readline()  # it is cat by now
        with stranger.open_socket(other.pid) as opened:
            stranger.delete(opened, TO)
        record = daemon.wait_for("repaired", "route/lan")
        other.stdin.close()
    assert f"port id {other.pid}, whose process is not known" in record["message"]


def test_a_process_that_may_not_change_routes_is_not_taken_for_the_culprit(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    command = ["setpriv", "--bounding-set=-net_admin", "cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(b"\n")
        other.stdin.flush()
        other.stdout.readline()
        with stranger.open_socket(other.pid) as opened:
            stranger.delete(opened, TO)
        record = daemon.wait_for("repaired", "route/lan")
        other.stdin.close()
    assert f"port id {other.pid}, whose process is not known" in record["message"]


def test_what_the_kernel_did_names_nobody(daemon: Daemon) -> None:
    daemon.start(WORLD)
    ip("link set v0 down")
    ip("link set v0 up")
    daemon.wait_for("repaired", "route/gateway")
    daemon.wait_for("repaired", "route/gateway6")
    assert [actor_fields(record) for record in daemon.records("repaired", "route/*") if actor_fields(record)] == []


def test_our_own_changes_name_nobody(daemon: Daemon) -> None:
    daemon.start(WORLD)
    assert daemon.apply(GATEWAY6)
    assert daemon.apply(WORLD)
    assert daemon.records()
    assert [record for record in daemon.records() if actor_fields(record)] == []
    assert routes()


def test_a_rival_is_named_in_a_fight_and_in_the_state_that_is_shown(daemon: Daemon) -> None:
    daemon.start(GATEWAY, daemon="fight_limit = 3")
    with ip_at_work() as process:
        assert process.stdin is not None
        for _ in range(3):
            daemon.forget()
            process.stdin.write(f"route del {TO}\n")
            daemon.wait_for("repaired", "route/lan")
        process.stdin.write(f"route del {TO}\n")
        held = daemon.wait_for("fight-held", "route/lan")
    assert f'the last was "ip -batch -" (pid {process.pid}' in held["message"]
    wait_until(lambda: daemon.entry("route/lan")["state"] == "held")
    assert f'last by "ip -batch -" (pid {process.pid}' in daemon.entry("route/lan")["reason"]
