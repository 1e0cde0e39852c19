"""Checks: what an entry requires decides whether it is in force, and what is found is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.kernel.netns import ip_json, wait_until
from tests.system.daemon import Daemon
from tests.system.host import shown
from tests.system.monitor import Monitor

OTHER = '[[route]]\nname = "other"\nto = "192.0.2.0/24"\ndev = "v1"\nmetric = 9\n'
TO, TO6 = "192.0.2.0/24", "2001:db8::/48"
PORT = 8080


@contextmanager
def listening(address: str = "127.0.0.1", port: int = PORT) -> Iterator[socket.socket]:
    """A server that takes connections and says nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as server:
        yield server


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that the shipped unit would see."""
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def a_check(keys: str = "", every: str = "200ms", type_: str = "tcp", target: str = f"127.0.0.1:{PORT}") -> str:
    return f'[[check]]\nname = "web"\ntype = "{type_}"\ntarget = "{target}"\nevery = "{every}"\nfall = 2\n{keys}\n'


def a_route(requires: str = "@web", to: str = TO) -> str:
    return f'[[route]]\nname = "lan"\nto = "{to}"\ndev = "v0"\nrequires = "{requires}"\nwhen_all_down = "withdraw"\n'


@pytest.mark.parametrize("to", [TO, TO6])
def test_a_route_is_there_while_what_it_requires_answers(daemon: Daemon, to: str) -> None:
    with listening():
        daemon.start(a_check() + a_route(to=to))
        wait_until(lambda: shown(to) != [])
        daemon.wait_for("check-up", "check/web")
    wait_until(lambda: shown(to) == [])
    down = daemon.wait_for("check-down", "check/web")
    assert down["fields"]["ROUTED_REASON"] == "tcp: connection refused, 2 in a row"
    removed = daemon.wait_for("removed")
    assert "route/lan is not wanted: check/web is down (tcp: connection refused" in removed["message"]
    entry = daemon.entry("route/lan")
    assert entry["state"] == "withheld"
    assert entry["reason"] == "check/web is down (tcp: connection refused, 2 in a row)"
    with listening():
        wait_until(lambda: shown(to) != [])


def test_a_route_that_requires_the_opposite_is_there_while_the_check_is_down(daemon: Daemon) -> None:
    daemon.start(a_check() + a_route("!@web"))
    wait_until(lambda: shown(TO) != [])
    with listening():
        wait_until(lambda: shown(TO) == [])


def test_what_requires_nothing_is_not_asked_about(daemon: Daemon) -> None:
    free = a_route().replace("requires", "# requires").replace("when", "# when")
    with listening() as server:
        server.setblocking(False)
        daemon.start(a_check() + free)
        daemon.apply(a_check("rise = 3") + a_route() + "disabled = true\n" + free.replace("lan", "other"))
        assert daemon.ask("apply").code == 0
        with pytest.raises(BlockingIOError):
            server.accept()
        (check,) = daemon.ask_json("status")["checks"]
        assert check["state"] == "unknown"
        assert check["reason"] == "no entry requires it, so it is not asked"


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_restart_neither_flaps_nor_forgets(daemon: Daemon, monitor: Monitor, is_killed: bool) -> None:
    daemon.start(a_check("rise = 5", every="1s") + a_route())
    daemon.wait_for("check-down", "check/web")
    monitor.heard()
    with listening():  # a first answer would decide at once, if nothing were known
        (daemon.kill if is_killed else daemon.stop)()
        daemon.forget()
        daemon.start()
        wait_until(lambda: daemon.ask_json("status")["checks"][0]["targets"][0]["last"] == "tcp: answered")
        assert daemon.ask_json("status")["checks"][0]["state"] == "down"
        assert [change for change in monitor.heard() if change.to == TO] == []
        wait_until(lambda: shown(TO) != [])


def test_what_is_installed_stays_while_a_check_is_not_known_yet(daemon: Daemon, monitor: Monitor) -> None:
    with listening():
        daemon.start(a_check() + a_route())
        wait_until(lambda: shown(TO) != [])
        daemon.kill()
        (daemon.folder / "run" / "checks.json").unlink()
        monitor.heard()
        daemon.forget()
        daemon.start()
        daemon.wait_for("check-up", "check/web")
        assert daemon.ask("apply").code == 0
        assert [change for change in monitor.heard() if change.to == TO] == []


def test_a_failover_of_many_prefixes_is_not_held(daemon: Daemon) -> None:
    many = ", ".join(f'"10.200.{number}.0/24"' for number in range(60))
    entry = (
        f'[[route]]\nname = "many"\nprefixes = [{many}]\ndev = "v0"\nrequires = "@web"\nwhen_all_down = "withdraw"\n'
    )
    with listening():
        daemon.start(a_check() + entry, daemon='max_deletes = "10%"')
        wait_until(lambda: len(shown("root 10.200.0.0/16")) == 60)
    wait_until(lambda: shown("root 10.200.0.0/16") == [])
    assert daemon.records("guard-held") == []


def test_a_check_that_flaps_is_followed_and_told_a_few_times(daemon: Daemon, shared_folder: Path) -> None:
    state = shared_folder / "web"
    state.write_text("up")
    check = f'[[check]]\nname = "web"\ntype = "file"\nfile = "{state}"\nevery = "20ms"\nfall = 1\nrise = 1\n'
    daemon.start(check + a_route())
    for turn in range(10):
        state.write_text("down" if turn % 2 == 0 else "up")
        wait_until(lambda turn=turn: (shown(TO) == []) is (turn % 2 == 0))  # type: ignore[misc]
    turns = [r for r in daemon.records(entry="check/web") if r["fields"]["ROUTED_EVENT"] in {"check-up", "check-down"}]
    assert len(turns) == 4
    assert len(daemon.records("check-flapping")) == 1


def test_status_shows_what_each_check_found(daemon: Daemon) -> None:
    daemon.start(a_check() + a_route())
    daemon.wait_for("check-down", "check/web")
    table = daemon.ask("status").out
    assert "route/lan  withheld" in table
    assert "check/web  down" in table
    details = daemon.ask("status", "check/web").out
    assert "127.0.0.1:8080  down" in details
    assert "tcp: connection refused" in details
    assert daemon.ask("apply").code == 0


def test_a_check_whose_link_is_not_there_is_down(daemon: Daemon) -> None:
    daemon.start(a_check('dev = "none0"') + a_route())
    wait_until(lambda: daemon.entry("route/lan")["state"] == "withheld")
    assert daemon.entry("route/lan")["reason"] == "check/web is down (link none0 does not exist)"


def test_every_kind_of_entry_may_require_a_check(daemon: Daemon) -> None:
    entries = """
[[rule]]
priority = 1200
family = "both"
table = 77
requires = "@web"
[[address]]
address = "10.5.0.1/24"
dev = "v0"
requires = "@web"
[[vip]]
address = "10.103.97.2"
node = "10.0.0.1"
when = "always"
requires = ["@web"]
"""
    is_there = (
        lambda: ip_json("rule show priority 1200") != [],
        lambda: ip_json("address show to 10.5.0.1") != [],
        lambda: shown("10.103.97.2") != [],
    )
    with listening():
        daemon.start(a_check() + entries)
        for thing in is_there:
            wait_until(thing)
    for thing in is_there:
        wait_until(lambda thing=thing: not thing())  # type: ignore[misc]


def test_what_the_operator_says_of_a_check_counts_until_it_is_over_or_resumed(daemon: Daemon) -> None:
    with listening():
        daemon.start(a_check() + a_route())
        wait_until(lambda: shown(TO) != [])
        assert daemon.ask("override", "web", "down", "--reason", "tests").code == 0
        wait_until(lambda: shown(TO) == [])
        status = daemon.ask_json("status")
        assert status["checks"][0]["state"] == "down"
        assert "said to be down: tests" in status["checks"][0]["reason"]
        assert [pause["entry"] for pause in status["pauses"]] == ["check/web"]
        daemon.kill()
        daemon.start()
        wait_until(lambda: daemon.ask_json("status")["checks"][0]["state"] == "down")
        assert shown(TO) == []
        assert daemon.ask("resume", "check/web").code == 0
        wait_until(lambda: shown(TO) != [])
        assert daemon.ask("override", "web", "down", "--for", "500ms").code == 0
        wait_until(lambda: shown(TO) == [])
        wait_until(lambda: shown(TO) != [])
    assert daemon.ask("override", "other", "up").code == 1


def test_a_paused_check_counts_as_it_did(daemon: Daemon) -> None:
    with listening():
        daemon.start(a_check() + a_route())
        wait_until(lambda: shown(TO) != [])
        assert daemon.ask("pause", "check/web").code == 0
    wait_until(lambda: "refused" in daemon.ask_json("status")["checks"][0]["targets"][0]["last"])
    daemon.ask("apply")
    assert shown(TO) != []
    assert daemon.ask("resume", "check/web").code == 0
    wait_until(lambda: shown(TO) == [])


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (a_route("@other"), 'no [[check]] is named "other"'),
        (a_check(target="192.0.2.7:80") + a_route(), "its questions would go with route/lan, which requires check/web"),
        (a_check('path = "/"'), "a check of type tcp has none"),
        (a_check(target="127.0.0.1"), "`target` has no port"),
        (a_check() + a_route().replace("when_all", "# "), "this route stands alone"),
        (a_route().replace("requires", "# "), "`when_all_down` goes with `requires` only"),
        (
            a_check() + a_route().replace('when_all_down = "withdraw"', "down_metric = 9") + OTHER,
            "192.0.2.0/24 with metric 9 in this table is also in route/lan",
        ),
        (a_check('via = "fd00::2"'), "different families"),
        (
            a_check('via = "10.0.0.2"') + a_route() + '[[rule]]\npriority = 10\nfamily = "ipv4"\ntable = 7\n',
            "[daemon] probe",
        ),
        (a_check(type_="file", target="").replace('target = ""', 'file = "/tmp/x"'), "does not see this folder"),
    ],
)
def test_what_cannot_be_is_said_before_it_is_tried(daemon: Daemon, toml: str, said: str) -> None:
    daemon.write(toml)
    answer = daemon.ask("check")
    assert answer.code == 78
    assert said in answer.err


def test_a_check_that_nothing_requires_is_a_notice(daemon: Daemon) -> None:
    daemon.write(a_check())
    answer = daemon.ask("check")
    assert answer.code == 0
    assert "no entry requires check/web, so it is not asked" in answer.out + answer.err
