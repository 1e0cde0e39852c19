"""Counts are true: whatever is shown and folded, they add up to what the kernel has. `ip -j` is the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kernel.netns import ip, ip_batch, wait_until
from tests.system.daemon import PATIENCE, Daemon
from tests.system.host import routes

PREFIXES = [f"10.{100 + number // 250}.{number % 250}.0/24" for number in range(500)]
IN_SYNC = "in-sync"


@pytest.fixture
def prefixes(tmp_path: Path) -> str:
    """A file of 500 prefixes."""
    path = tmp_path / "prefixes.txt"
    path.write_text("\n".join(PREFIXES))
    return str(path)


def big(prefixes: str, shape: str = 'type = "blackhole"', *, more: str = "") -> str:
    return f'[[route]]\nname = "big"\nprefixes_file = "{prefixes}"\n{shape}\n{more}\n'


def delete(count: int) -> None:
    ip_batch("\n".join(f"route del blackhole {prefix}" for prefix in PREFIXES[:count]))


def states(entry: dict[str, Any]) -> dict[str, int]:
    """How many objects of an entry are in each state, by its document alone."""
    counts: dict[str, int] = {}
    for thing in entry["objects"]:
        counts[thing["state"]] = counts.get(thing["state"], 0) + thing["count"]
    counts[IN_SYNC] = entry["total"] - sum(count for state, count in counts.items() if state != IN_SYNC)
    return counts


def assert_status_counts(daemon: Daemon, **wrong: int) -> None:
    """Status counts so many objects of route/big in these states, and in sync exactly what the kernel has of it."""
    in_sync = 500 - sum(wrong.values())
    assert len(routes()) == in_sync
    said = ", ".join(f"{count} {state}" for state, count in wrong.items())
    wait_until(lambda: states(daemon.entry("route/big")) == wrong | {IN_SYNC: in_sync}, PATIENCE)
    status = daemon.ask_json("status")
    assert status["state"].endswith(f": {in_sync} objects in sync, {said}")
    assert status["counts"] == wrong | {IN_SYNC: in_sync}
    for answer in (daemon.ask("status"), daemon.ask("status", "route/big")):
        assert f"{in_sync}/500" in answer.out


def test_of_500_routes_whose_gateway_the_kernel_refuses_none_is_in_sync(daemon: Daemon, prefixes: str) -> None:
    daemon.start("")
    daemon.write(big(prefixes, 'via = "10.9.9.9"\ndev = "v0"'))
    answer = daemon.ask("apply")
    assert (answer.code, answer.out.splitlines()[-1]) == (
        0,
        "Revision 2 is in force: 0 changed, 0 in sync, 500 waiting.",
    )
    assert len(answer.out.splitlines()) < 10
    assert_status_counts(daemon, waiting=500)
    result = daemon.ask_json("apply")
    assert (result["in_sync"], result["counts"]) == (0, {IN_SYNC: 0, "waiting": 500})


def test_of_500_routes_that_the_kernel_calls_invalid_all_have_failed(daemon: Daemon, prefixes: str) -> None:
    daemon.start("")
    daemon.write(big(prefixes, 'dev = "v0"\ncongctl = "nonesuch"'))
    answer = daemon.ask("apply")
    assert (answer.code, answer.out.splitlines()[-1]) == (
        1,
        "Revision 2 is in force: 0 changed, 0 in sync, 500 failed.",
    )
    assert len(answer.err.splitlines()) == 1
    assert_status_counts(daemon, failed=500)


def test_troubles_of_both_families_are_counted_beside_each_other(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "both.txt"
    path.write_text("\n".join([*PREFIXES[:250], *(f"2001:db8:{number:x}::/48" for number in range(250))]))
    daemon.start(big(str(path), more='enforce = "once"'))
    delete(70)
    ip_batch("\n".join(f"route del blackhole 2001:db8:{number:x}::/48" for number in range(90)))
    assert_status_counts(daemon, drift=160)


def test_a_paused_entry_that_lost_all_its_500_routes_has_none_in_sync(daemon: Daemon, prefixes: str) -> None:
    daemon.start(big(prefixes))
    daemon.ask("pause", "route/big")
    assert daemon.entry("route/big")["state"] == "paused"
    assert states(daemon.entry("route/big")) == {IN_SYNC: 500}  # paused, and all of it in the kernel
    ip("route flush proto 114")
    assert_status_counts(daemon, paused=500)


def test_of_500_observed_routes_70_deleted_ones_are_in_drift_and_the_others_in_sync(
    daemon: Daemon, prefixes: str
) -> None:
    daemon.start(big(prefixes))
    daemon.apply(big(prefixes, more='enforce = "observe"'))
    delete(70)
    assert_status_counts(daemon, drift=70)
    ip(f"route add blackhole {PREFIXES[0]} proto 114")
    assert_status_counts(daemon, drift=69)
    delete(1)
    ip(f"route del blackhole {PREFIXES[100]}")
    assert_status_counts(daemon, drift=71)
    answer = daemon.ask("apply")
    assert (answer.code, answer.out.splitlines()[-1]) == (
        0,
        "Revision 2 is in force: 0 changed, 429 in sync, 71 left alone.",
    )


def test_of_500_routes_that_somebody_flushes_again_and_again_none_is_in_sync(daemon: Daemon, prefixes: str) -> None:
    def has_settled() -> bool:
        counts, standing = states(daemon.entry("route/big")), len(routes())
        return counts[IN_SYNC] == standing == 500 - counts.get("held", 0)

    daemon.start(big(prefixes), daemon="fight_limit = 3")
    for _ in range(20):  # `ip` deletes again what came back meanwhile, so that some are held sooner than others
        ip("route flush proto 114")
        wait_until(has_settled, PATIENCE)
        if not routes():
            break
    assert_status_counts(daemon, held=500)


def test_2000_leftovers_are_one_line_that_says_whose_they_were(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "many.txt"
    path.write_text("\n".join(f"10.{100 + number // 250}.{number % 250}.0/24" for number in range(2000)))
    daemon.start(big(str(path)))
    daemon.write("")
    answer = daemon.ask("apply")
    assert (answer.code, answer.out.splitlines()[-1]) == (
        4,
        "Revision 2 is in force: 0 changed, 0 in sync, 2000 left alone.",
    )
    assert len(routes()) == 2000
    (leftover,) = daemon.ask_json("status")["leftovers"]
    assert (leftover["object"], leftover["count"], leftover["state"]) == ("route/big", 2000, "held")
    lines = daemon.ask("status").out.splitlines()
    assert len(lines) < 10
    assert [line for line in lines if "2000" in line and "of route/big before" in line]
    assert len(daemon.ask("plan").out.splitlines()) < 10
