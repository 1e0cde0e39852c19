"""The status of the entries that are for one address: their objects that are, and counts of all others."""

from __future__ import annotations

from routed.cli.folding import make_row
from routed.core.troubles import State
from routed.daemon.status_of_address import describe_entries_of
from routed.model.net import parse_address
from tests.property.rig import a_route
from tests.unit.daemon.test_status import PREFIXES, a_host, troubled

ADDRESS = parse_address("10.0.7.1")


def test_only_the_entries_that_are_for_it_are_told_in_the_order_of_the_files() -> None:
    host = a_host(a_route("b", "10.0.0.0/8"), a_route("other", "10.9.0.0/24"), a_route("a", "10.0.7.0/24"))
    assert [one["entry"] for one in describe_entries_of(host, str, ADDRESS)] == ["route/b", "route/a"]
    assert describe_entries_of(host, str, parse_address("192.0.2.1")) == []


def test_of_a_large_entry_the_object_is_shown_with_its_content_and_no_other() -> None:
    (entry,) = describe_entries_of(a_host(a_route(to=PREFIXES)), str, ADDRESS)
    (thing,) = entry["objects"]
    assert (thing["object"], thing["state"], thing["ip"]["dev"]) == ("10.0.7.0/24", "in-sync", "v0")


def test_what_is_wrong_with_its_other_objects_is_counted() -> None:
    host = a_host(a_route(to=PREFIXES))
    host.ledger.troubles.update([troubled(PREFIXES[:10]), troubled(PREFIXES[10:15], State.HELD)])
    (entry,) = describe_entries_of(host, str, ADDRESS)
    assert [(thing["object"], thing["state"], thing["count"]) for thing in entry["objects"]] == [
        ("route/lan", "failed", 9),
        ("route/lan", "held", 5),
        ("10.0.7.0/24", "failed", 1),
    ]
    row = make_row(entry)
    assert (row.in_sync, row.total) == (485, 500)


def test_the_reason_is_that_of_the_object() -> None:
    host = a_host(a_route(to=PREFIXES))
    host.ledger.troubles.update([troubled(PREFIXES[7:8])])
    (entry,) = describe_entries_of(host, str, ADDRESS)
    (thing,) = entry["objects"]
    assert (thing["state"], thing["reason"]) == ("failed", "no")
