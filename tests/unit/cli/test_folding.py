"""What members make of one table is one row of status."""

from __future__ import annotations

from typing import Any

from routed.cli.folding import SEVERITY, make_rows
from routed.core.troubles import State
from routed.model.documents import is_asked


def entry(name: str, state: str = "in-sync", reason: str = "", total: int = 1, wrong: int = 0) -> Any:
    objects = [{"state": state, "count": wrong}] if wrong else []
    return {"entry": name, "state": state, "since": state, "reason": reason, "total": total, "objects": objects}


def rows(*entries: Any, is_folded: bool = True) -> list[tuple[str, ...]]:
    return [
        (row.name, row.state, f"{row.in_sync}/{row.total}", row.note) for row in make_rows(entries, is_folded=is_folded)
    ]


NODES = [entry("route/pods", total=0), *(entry(f"route/pods[node{number}]") for number in range(1, 31))]
WAITS = entry("route/pods[node31]", "waiting", "gateway 10.9.0.2 is not on-link", wrong=1)


def test_all_of_one_table_are_one_row() -> None:
    assert rows(*NODES, entry("rule/pods")) == [
        ("route/pods", "in-sync", "30/30", "30 members, 30 in sync"),
        ("rule/pods", "in-sync", "1/1", ""),
    ]


def test_the_row_is_as_bad_as_the_worst_and_says_who_that_is() -> None:
    assert rows(*NODES, WAITS) == [
        ("route/pods", "waiting", "30/31",
         "31 members, 30 in sync, 1 waiting (node31: gateway 10.9.0.2 is not on-link)"),
    ]  # fmt: skip


def test_of_several_of_one_state_the_first_is_named() -> None:
    held = [entry(f"route/pods[{name}]", "failed", "no", wrong=1) for name in ("a", "b", "c")]
    assert rows(NODES[0], *held, WAITS)[0][3] == (
        "4 members, 1 waiting (node31: gateway 10.9.0.2 is not on-link), 3 failed (a: no, and 2 more)"
    )


def test_what_the_table_itself_has_to_say_stands_behind() -> None:
    whole = entry("route/pods", "waiting", "member x has nothing for `to`", total=0)
    assert rows(whole, *NODES[1:3]) == [
        ("route/pods", "waiting", "2/2", "2 members, 2 in sync; member x has nothing for `to`"),
    ]  # fmt: skip


def test_several_entries_of_one_member_are_one_member() -> None:
    assert rows(NODES[0], entry("route/pods[a]"), entry("route/pods[a+2]"))[0][3] == "1 member, 2 in sync"


def test_nothing_is_folded_where_each_is_asked_for() -> None:
    assert len(rows(*NODES, is_folded=False)) == 31


def test_a_table_without_members_is_as_any_other() -> None:
    assert rows(entry("route/pods", total=0)) == [("route/pods", "in-sync", "0/0", "")]


def test_a_part_without_its_table_stands_for_itself() -> None:
    assert rows(entry("service/api[10.0.0.1:80]")) == [("service/api[10.0.0.1:80]", "in-sync", "1/1", "")]


def test_a_state_is_as_bad_here_as_it_is_for_the_daemon() -> None:
    assert list(State) == list(SEVERITY)


def test_an_entry_is_asked_for_by_its_name_or_by_that_of_its_table() -> None:
    asked = ("route/pods", "pods", "route/pods[node2]", "pods[node2]", "route/pod", "rule/pods", "node2")
    found = {one for one in asked if is_asked("route/pods[node2]", one)}
    assert found == {"route/pods", "pods", "route/pods[node2]", "pods[node2]"}
    assert not is_asked("route/pods", "route/pods[node2]")
