"""The files on disk: what a bad one does (nothing), and which changes are seen and when they come into force."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.kernel.netns import ip, wait_until
from tests.system.daemon import Daemon
from tests.system.host import routes
from tests.system.monitor import Monitor
from tests.system.worlds import GATEWAY, LAN, blackholes, prefixes

APPLY, CHECK = 'watch = "apply"', 'watch = "check"'


def destinations() -> list[str]:
    return [route["dst"] for route in routes()]


def metric(number: int) -> str:
    return f"{GATEWAY}metric = {number}\n"


def metrics() -> list[int]:
    return [route.get("metric", 0) for route in routes()]


def test_a_bad_file_at_the_first_start_ends_it_and_names_each_place(daemon: Daemon, monitor: Monitor) -> None:
    daemon.write(f'{GATEWAY}lookup = 5\n[[rule]]\nname = "r"\nfrom = "10.0.0.0/8"\ntable = 5\n')
    answer = daemon.ask("run", "--log-format", "json")
    assert answer.code == 78
    assert f"{daemon.config}:8:1" in answer.err
    assert f"{daemon.config}:9:1" in answer.err
    assert "priority" in answer.err
    assert monitor.heard() == []


def test_a_bad_file_at_a_later_start_leaves_the_last_good_one_in_force(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.stop()
    ip("route del 192.0.2.0/24")

    daemon.start("nonsense")

    assert destinations() == ["192.0.2.0/24"]
    assert f"{daemon.config}:4:" in daemon.wait_for("config-rejected")["message"]
    status = daemon.ask_json("status")
    assert (status["files"]["state"], status["files"]["problems"][0]["line"]) == ("invalid", 4)
    ip("route del 192.0.2.0/24")
    daemon.wait_for("repaired", "route/lan")


def test_a_bad_file_at_a_reload_changes_nothing_and_its_repair_comes_into_force(
    daemon: Daemon, monitor: Monitor
) -> None:
    daemon.start(metric(1))
    monitor.heard()
    daemon.write(f"{metric(2)}colour = 5\n")

    answer = daemon.ask("apply")

    assert answer.code == 78
    assert f"{daemon.config}:9:1" in answer.err
    assert "colour = 5" in answer.err
    assert monitor.heard() == []
    assert metrics() == [1]
    assert daemon.apply(metric(3))["problems"] == []
    assert metrics() == [3]


def test_a_bad_line_of_a_prefix_file_is_named_and_nothing_of_it_is_used(daemon: Daemon, tmp_path: Path) -> None:
    listed = tmp_path / "drop.txt"
    listed.write_text("192.0.2.0/24\n192.0.3.0/24\n")
    entry = f'[[route]]\nname = "drop"\ntype = "blackhole"\nprefixes_file = "{listed}"\n'
    daemon.start(entry)
    listed.write_text("192.0.2.0/24\n192.0.4.0/24\n# a comment\n192.0.5.1/24\n")

    answer = daemon.ask("apply")

    assert answer.code == 78
    assert f"{listed}:4:" in answer.err
    assert "192.0.5.1/24" in answer.err
    assert destinations() == ["192.0.2.0/24", "192.0.3.0/24"]


def test_two_entries_with_one_key_are_an_error_that_names_both_places(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.write(f'{GATEWAY}[[route]]\nname = "twin"\nto = "192.0.2.0/24"\nvia = "10.0.0.3"\n')
    answer = daemon.ask("apply")
    assert answer.code == 78
    assert f"{daemon.config}:8" in answer.err
    assert f"{daemon.config}:4" in answer.err


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (f'{LAN}via = "203.0.113.1"\ndev = "v0"', "invalid gateway"),
        (f'{LAN}via = "203.0.113.1"', "gateway 203.0.113.1 is on no network of this host"),
        (f'{LAN}dev = "nosuch0"', "link nosuch0 does not exist"),
        (f'{LAN}via = "10.0.0.2"\ncongctl = "nosuch"', ""),
    ],
)
def test_one_impossible_route_among_a_thousand_leaves_the_others_in_place(daemon: Daemon, bad: str, why: str) -> None:
    daemon.start(f"{blackholes(500)}{bad}\n{blackholes(999).removeprefix(blackholes(500))}")
    assert len(routes()) == 999
    entry = daemon.entry("route/lan")
    assert entry["state"] in {"waiting", "failed"}
    assert why in entry["reason"]
    assert entry["origin"].startswith(f"{daemon.config}:")
    assert {one["state"] for one in daemon.ask_json("status")["entries"]} == {"in-sync", entry["state"]}


def test_a_change_is_checked_and_told_and_waits_for_apply(daemon: Daemon) -> None:
    daemon.start(metric(1), daemon=CHECK)
    daemon.write(metric(2), CHECK)
    assert "not in force" in daemon.wait_for("files-changed")["message"]
    assert metrics() == [1]
    assert daemon.ask_json("status")["files"]["state"] == "changed, not in force"
    assert daemon.ask("apply").code == 0
    assert metrics() == [2]


def test_a_change_that_is_bad_is_told_when_it_is_saved(daemon: Daemon) -> None:
    daemon.start(metric(1), daemon=CHECK)
    daemon.write(f"{metric(2)}colour = 1\n", CHECK)
    assert "colour" in daemon.wait_for("config-rejected")["message"]
    assert metrics() == [1]


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_rename(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    new.rename(path)


def as_vim_does(path: Path, text: str) -> None:
    """Its default with backup: the old file goes aside, a new one takes its name."""
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text)
    path.with_name(f"{path.name}~").unlink()


@pytest.mark.parametrize("save", [in_place, by_rename, as_vim_does])
def test_a_saved_file_comes_into_force_by_itself_where_the_file_says_so(
    daemon: Daemon, save: Callable[[Path, str], None]
) -> None:
    daemon.start(metric(1), daemon=APPLY)
    for number in (2, 3):
        save(daemon.config, f"version = 1\n[daemon]\n{APPLY}\n{metric(number)}")
        wait_until(lambda number=number: metrics() == [number])  # type: ignore[misc]
    assert f"{daemon.config} changed" in daemon.wait_for("added", "route/lan", "metric 3")["fields"]["ROUTED_CAUSE"]


def test_a_drop_in_that_is_added_comes_into_force_and_goes_with_its_file(daemon: Daemon) -> None:
    daemon.start(metric(1), daemon=APPLY)
    daemon.drop_ins.mkdir()
    drop_in = daemon.drop_ins / "50-more.toml"
    drop_in.write_text('[[route]]\nname = "more"\nto = "192.0.3.0/24"\nvia = "10.0.0.2"\n')
    wait_until(lambda: destinations() == ["192.0.2.0/24", "192.0.3.0/24"])
    drop_in.write_text(metric(7))
    wait_until(lambda: metrics() == [7])
    drop_in.unlink()
    wait_until(lambda: metrics() == [1])


@pytest.mark.parametrize("watch", [CHECK, APPLY])
def test_a_prefix_file_comes_into_force_by_itself_in_any_case(daemon: Daemon, tmp_path: Path, watch: str) -> None:
    listed = tmp_path / "drop.txt"
    listed.write_text(prefixes(3))
    daemon.start(f'[[route]]\nname = "drop"\ntype = "blackhole"\nprefixes_file = "{listed}"\n', daemon=watch)
    by_rename(listed, prefixes(3, 1))
    wait_until(lambda: destinations() == prefixes(3, 1).split())
    in_place(listed, prefixes(2, 1))
    wait_until(lambda: destinations() == prefixes(2, 1).split())


def test_a_link_to_a_folder_that_is_turned_brings_the_new_files_into_force(daemon: Daemon, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        folder = tmp_path / f"..{number}"
        folder.mkdir()
        (folder / "routed.toml").write_text(f"version = 1\n[daemon]\n{APPLY}\n{metric(number)}")
    data = tmp_path / "..data"
    data.symlink_to("..1")
    daemon.config.symlink_to("..data/routed.toml")
    daemon.start()
    assert metrics() == [1]
    for number in (2, 3):
        new = tmp_path / "..new"
        new.symlink_to(f"..{number}")
        os.replace(new, data)  # noqa: PTH105  a link itself is renamed
        wait_until(lambda number=number: metrics() == [number])  # type: ignore[misc]


def test_a_storm_of_hangups_ends_in_the_last_file(daemon: Daemon) -> None:
    daemon.start(metric(1))
    daemon.read_notifications()
    for number in range(2, 102):
        daemon.write(metric(number))
        daemon.signal(signal.SIGHUP)
    wait_until(lambda: metrics() == [101])
    daemon.wait_until_ready()
    assert daemon.ask("plan", "--exit-code").code == 0
    assert daemon.ask_json("status")["files"]["state"] == "in force"


def test_a_new_protocol_number_takes_the_objects_along(daemon: Daemon) -> None:
    daemon.start(GATEWAY)
    daemon.apply(GATEWAY, daemon="protocol = 115")
    assert (routes("114"), len(routes("115"))) == ([], 1)
    daemon.stop()
    daemon.start(GATEWAY, daemon="protocol = 116")
    assert (routes("115"), len(routes("116"))) == ([], 1)


def test_a_change_during_the_first_pass_is_not_missed(daemon: Daemon, tmp_path: Path) -> None:
    listed = tmp_path / "drop.txt"
    listed.write_text(prefixes(20_000))
    daemon.write(f'[[route]]\nname = "drop"\ntype = "blackhole"\nprefixes_file = "{listed}"\n')
    daemon.launch()
    wait_until(lambda: daemon.ask("status", "--quiet").code == 0)
    listed.write_text(prefixes(20_001))
    daemon.wait_until_ready()
    wait_until(lambda: len(routes()) == 20_001)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_files_that_took_too_long_to_read_are_read_again_by_themselves(daemon: Daemon) -> None:
    daemon.start(metric(7), daemon=APPLY)
    with readers_stopped(daemon.pid):
        daemon.write(metric(8), daemon=APPLY)
        wait_until(lambda: bool(daemon.records("config-rejected")), 60)
    assert "took longer than" in daemon.records("config-rejected")[0]["message"]
    assert metrics() == [7]
    wait_until(lambda: metrics() == [8], 90)


@contextmanager
def readers_stopped(pid: int) -> Iterator[None]:
    """No process that reads files for this one comes on, during the block."""
    is_over = threading.Event()

    def stop_all() -> None:
        while not is_over.wait(0.005):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    for child in (thread / "children").read_text().split():
                        if b"reader" in Path(f"/proc/{child}/cmdline").read_bytes():
                            os.kill(int(child), signal.SIGSTOP)

    thread = threading.Thread(target=stop_all)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
