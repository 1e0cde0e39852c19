"""Drop-ins as automation writes them: a hundred files of one object each come, change and go while the daemon runs.

What is in force is what `ip -j` shows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel.netns import wait_until
from tests.system.daemon import PATIENCE, Answer, Daemon
from tests.system.host import routes
from tests.system.monitor import Monitor

COUNT = 100
CHECK, APPLY = 'watch = "check"', 'watch = "apply"'
Shown = dict[str, tuple[str, int]]  # destination: gateway and metric
IntoForce = Callable[[Daemon, Shown], None]


def drop_in(number: int, *, gateway: str = "10.0.0.2", metric: int = 0) -> str:
    return f'[[route]]\nname = "net-{number}"\nto = "10.64.{number}.0/24"\nvia = "{gateway}"\nmetric = {metric}\n'


def expected(numbers: range, gateway: str = "10.0.0.2", metric: int = 0) -> Shown:
    return {f"10.64.{number}.0/24": (gateway, metric) for number in numbers}


def shown() -> Shown:
    return {route["dst"]: (route["gateway"], route.get("metric", 0)) for route in routes()}


def path_of(daemon: Daemon, number: int) -> Path:
    return daemon.drop_ins / f"50-net-{number}.toml"


def put(path: Path, text: str) -> None:
    """As Ansible's `copy` and `template` do."""
    new = path.with_name(f".ansible_tmp5x{path.name}")
    new.write_text(text)
    new.rename(path)


def write_all(daemon: Daemon, numbers: range, gateway: str = "10.0.0.2", metric: int = 0) -> None:
    """Prepare every file, then give all their names at once."""
    fresh = daemon.folder / "fresh"
    fresh.mkdir(exist_ok=True)
    for number in numbers:
        (fresh / path_of(daemon, number).name).write_text(drop_in(number, gateway=gateway, metric=metric))
    for number in numbers:
        path = path_of(daemon, number)
        (fresh / path.name).rename(path)


def by_watch(daemon: Daemon, wanted: Shown) -> None:
    wait_until(lambda: shown() == wanted, PATIENCE)


def by_apply(daemon: Daemon, wanted: Shown) -> None:
    assert daemon.ask("apply").code == 0
    assert shown() == wanted


WAYS: dict[str, tuple[str, IntoForce]] = {"watch": (APPLY, by_watch), "apply": (CHECK, by_apply)}


@pytest.fixture(params=WAYS)
def into_force(request: pytest.FixtureRequest, daemon: Daemon) -> IntoForce:
    """How what was written comes into force; the daemon runs, with a folder for drop-ins that is empty."""
    watch, way = WAYS[request.param]
    daemon.drop_ins.mkdir()
    daemon.start("", daemon=watch)
    return way


@pytest.mark.long
@pytest.mark.timeout(600)  # the watch waits for a fifth of a second of silence, a hundred times
def test_a_hundred_drop_ins_come_change_and_go_one_after_the_other(daemon: Daemon, into_force: IntoForce) -> None:
    for newest in range(COUNT + 2):
        wanted: Shown = {}
        if newest < COUNT:
            put(path_of(daemon, newest), drop_in(newest))
            wanted |= expected(range(newest, newest + 1))
        if 0 < newest <= COUNT:
            put(path_of(daemon, newest - 1), drop_in(newest - 1, gateway="10.1.0.2", metric=newest))
            wanted |= expected(range(newest - 1, newest), "10.1.0.2", newest)
        if newest > 1:
            path_of(daemon, newest - 2).unlink()
        into_force(daemon, wanted)
    assert shown() == {}
    assert daemon.records("guard-held") == []


def test_a_hundred_drop_ins_come_and_change_all_at_once(daemon: Daemon, into_force: IntoForce) -> None:
    write_all(daemon, range(COUNT))
    into_force(daemon, expected(range(COUNT)))
    write_all(daemon, range(COUNT // 2), "10.1.0.2")
    write_all(daemon, range(COUNT // 2, COUNT), "10.0.0.2", metric=50)
    into_force(daemon, expected(range(COUNT // 2), "10.1.0.2") | expected(range(COUNT // 2, COUNT), metric=50))
    status = daemon.ask_json("status")
    assert {entry["state"] for entry in status["entries"]} == {"in-sync"}
    assert {entry["origin"] for entry in status["entries"]} == {f"{path_of(daemon, n)}:1" for n in range(COUNT)}


def test_a_hundred_drop_ins_that_go_at_once_are_held_until_they_are_asked_for_by_force(
    daemon: Daemon, into_force: IntoForce
) -> None:
    write_all(daemon, range(COUNT))
    into_force(daemon, expected(range(COUNT)))
    for number in range(COUNT):
        path_of(daemon, number).unlink()
    answer = daemon.ask("apply")
    assert answer.code == 4
    assert "100 of 100 owned objects would go at once" in daemon.wait_for("guard-held")["message"]
    assert shown() == expected(range(COUNT))
    assert daemon.ask("apply", "--force").code == 0
    assert shown() == {}


def test_a_hundred_drop_ins_go_at_once_where_the_file_allows_it(daemon: Daemon) -> None:
    daemon.drop_ins.mkdir()
    write_all(daemon, range(COUNT))
    daemon.start("", daemon=f'{APPLY}\nmax_deletes = "100%"')
    assert shown() == expected(range(COUNT))
    for number in range(COUNT):
        path_of(daemon, number).unlink()
    by_watch(daemon, {})


BROKEN = {
    "half-written": ('[[route]]\nname = "net-50"\nto = "10.64.50', 3),
    "misspelt": (drop_in(50) + "colour = 5\n", 6),
    "against another": (drop_in(50).replace("10.64.50.0", "10.64.49.0"), 1),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("watch", [CHECK, APPLY])
def test_one_bad_file_among_a_hundred_is_named_and_nothing_is_changed_until_it_is_right(
    daemon: Daemon, monitor: Monitor, case: str, watch: str
) -> None:
    text, line = BROKEN[case]
    daemon.drop_ins.mkdir()
    write_all(daemon, range(COUNT))
    daemon.start("", daemon=watch)
    monitor.heard()

    put(path_of(daemon, 50), text)
    write_all(daemon, range(50), "10.1.0.2")
    write_all(daemon, range(51, COUNT), "10.1.0.2")
    path_of(daemon, 0).unlink()

    daemon.wait_for("config-rejected", saying=f"{path_of(daemon, 50)}:{line}:")
    answer = daemon.ask("apply")
    assert answer.code == 78
    assert f"{path_of(daemon, 50)}:{line}:" in answer.err
    assert daemon.ask_json("status")["files"]["state"] == "invalid"
    assert shown() == expected(range(COUNT))
    assert monitor.heard() == []

    put(path_of(daemon, 50), drop_in(50))
    by_apply(daemon, expected(range(1, COUNT), "10.1.0.2") | expected(range(50, 51)))


def test_a_bad_file_is_seen_by_check_where_it_is_written_before_it_is_put_in_place(daemon: Daemon) -> None:
    """A copy of the whole set is checked: the drop-in alone may lean on the others."""
    daemon.drop_ins.mkdir()
    write_all(daemon, range(3))
    daemon.start("")
    copy = daemon.folder / "copy"
    (copy / "routed.toml.d").mkdir(parents=True)
    (copy / "routed.toml").write_bytes(daemon.config.read_bytes())

    def check(text: str) -> Answer:
        (copy / "routed.toml.d/60-new.toml").write_text(text)
        return daemon.ask("check", str(copy / "routed.toml"))

    assert check(drop_in(5)).code == 0
    answer = check("[[route]]\nto = 5\n")
    assert (answer.code, answer.out) == (78, "")
    assert f"{copy}/routed.toml.d/60-new.toml:2:" in answer.err
    assert shown() == expected(range(3))


def test_a_drop_in_is_masked_by_a_link_and_an_entry_is_taken_away_by_a_later_file(daemon: Daemon) -> None:
    daemon.drop_ins.mkdir()
    write_all(daemon, range(3))
    daemon.start("", daemon=APPLY)
    path_of(daemon, 1).unlink()
    path_of(daemon, 1).symlink_to("/dev/null")
    by_watch(daemon, expected(range(1)) | expected(range(2, 3)))
    put(daemon.drop_ins / "90-local.toml", '[[route]]\nname = "net-2"\ndisabled = true\n')
    by_watch(daemon, expected(range(1)))
    put(daemon.drop_ins / "90-local.toml", drop_in(2, metric=7))
    by_watch(daemon, expected(range(1)) | expected(range(2, 3), metric=7))
    (daemon.drop_ins / "90-local.toml").unlink()
    put(path_of(daemon, 1), drop_in(1))
    by_watch(daemon, expected(range(3)))


@pytest.mark.parametrize(
    "name",
    [
        ".ansible_tmp5x50-net-1.toml",
        "50-net-1.toml.4711.2026-11-21@13:44:25~",
        "50-net-1.toml.dpkg-new",
        "50-net-1.toml.rpmsave",
        ".50-net-1.toml.swp",
        "README",
    ],
)
def test_what_tools_leave_beside_a_drop_in_does_not_count(daemon: Daemon, name: str) -> None:
    daemon.drop_ins.mkdir()
    write_all(daemon, range(1))
    (daemon.drop_ins / name).write_text("nonsense\n")
    daemon.start("")
    assert shown() == expected(range(1))
    assert daemon.ask_json("status")["files"]["state"] == "in force"
