"""The documents of status: what is shown one by one, what is folded, and that every count is that of the objects."""

from __future__ import annotations

from collections.abc import Iterable

from routed.core.entries import resolve
from routed.core.troubles import State, Trouble, Troubled
from routed.daemon.host import Host
from routed.daemon.status import count_states, describe_entries, describe_leftovers, summarise
from routed.daemon.wanted import Wanted
from routed.daemon.world import World
from routed.model.documents import EntryDocument
from routed.model.entries import Entry, Intent
from routed.model.facts import Facts, Link
from routed.model.objects import Kind
from routed.model.reasons import LeftAlone, Paused, Reason, SaidNo
from tests.property.rig import OURS, a_route, hop, route_key, route_value, via

PREFIXES = tuple(f"10.{number >> 8}.{number & 255}.0/24" for number in range(500))
FACTS = Facts(links={1: Link(1, "v0", is_up=True, has_carrier=True)})
SLOT = route_key().slot
NO = SaidNo(22, "no")


def a_host(*entries: Entry) -> Host:
    """A host with these files in force, and everything in sync."""
    host = Host(Wanted(Intent(entries=entries)), World(FACTS))
    for entry in entries:
        host.wanted.desired.put(resolve(entry, FACTS, OURS))
        host.ledger.since[entry.name] = 5.0
    return host


def troubled(
    prefixes: Iterable[str],
    state: State = State.FAILED,
    reason: Reason = NO,
    since: float = 10.0,
    entry: str = "route/lan",
) -> Troubled:
    members = tuple(route_key(prefix).member for prefix in prefixes)
    return Troubled(Kind.ROUTE, SLOT, members, Trouble(state, reason, since, (), entry))


def describe(host: Host) -> EntryDocument:
    (document,) = describe_entries(host, str)
    return document


def folded(document: EntryDocument) -> list[tuple[str, str, int, str]]:
    """What stands for more than one object: state, reason, count and beginning."""
    many = (thing for thing in document["objects"] if thing["object"] == document["entry"])
    return [(thing["state"], thing["reason"], thing["count"], thing["since"]) for thing in many]


def test_an_entry_of_16_objects_shows_each_of_them() -> None:
    host = a_host(a_route(to=PREFIXES[:16]))
    host.ledger.troubles.update([troubled(PREFIXES[3:5])])
    document = describe(host)
    assert [thing["object"] for thing in document["objects"]] == list(PREFIXES[:16])
    assert [thing["state"] for thing in document["objects"]][2:6] == ["in-sync", "failed", "failed", "in-sync"]
    assert {thing["count"] for thing in document["objects"]} == {1}
    assert (document["state"], document["reason"], document["since"], document["total"]) == ("failed", "no", "10.0", 16)


def test_a_large_entry_in_sync_shows_none() -> None:
    assert describe(a_host(a_route(to=PREFIXES)))["objects"] == []


def test_of_a_large_entry_64_that_are_not_in_sync_are_shown_and_the_others_counted_by_state_and_reason() -> None:
    host = a_host(a_route(to=PREFIXES))
    host.ledger.troubles.update([
        troubled(PREFIXES[:50]),
        troubled(PREFIXES[50:90], State.HELD, since=30.0),
        troubled(PREFIXES[90:100], State.HELD, since=20.0),
    ])  # fmt: skip
    document = describe(host)
    assert folded(document) == [("held", "no", 36, "20.0")]
    assert [thing["object"] for thing in document["objects"][1:]] == list(PREFIXES[:64])
    assert count_states(host) == {"in-sync": 400, "failed": 50, "held": 50}


def test_very_many_of_one_trouble_are_not_shown_one_by_one() -> None:
    host = a_host(a_route(to=PREFIXES))
    host.ledger.troubles.update(
        [troubled(PREFIXES[:70]), troubled(PREFIXES[70:400], State.DRIFT), troubled(PREFIXES[400:402])]
    )
    document = describe(host)
    assert folded(document) == [("failed", "no", 72, "10.0"), ("drift", "no", 330, "10.0")]
    assert len(document["objects"]) == 2
    assert summarise(host, 3) == "revision 3 in force: 98 objects in sync, 330 drift, 72 failed"


def test_groups_of_two_families_are_one_count() -> None:
    host = a_host(a_route(to=(*PREFIXES, *(f"2001:db8:{number:x}::/48" for number in range(100)))))
    six = tuple(route_key(f"2001:db8:{number:x}::/48") for number in range(100))
    trouble = Trouble(State.DRIFT, LeftAlone.OBSERVED, 8.0, (), "route/lan")
    host.ledger.troubles.update([
        troubled(PREFIXES[:100], State.DRIFT, LeftAlone.OBSERVED),
        Troubled(Kind.ROUTE, six[0].slot, tuple(key.member for key in six), trouble),
    ])  # fmt: skip
    assert folded(describe(host)) == [("drift", "observed only", 200, "8.0")]
    assert count_states(host) == {"in-sync": 400, "drift": 200}


def test_all_objects_of_an_entry_whose_gateway_is_not_there_wait() -> None:
    host = a_host(a_route(to=PREFIXES, hops=(via("203.0.113.9"),)))
    reason = "gateway 203.0.113.9 is on no network of this host"
    assert folded(describe(host)) == [("waiting", reason, 500, "5.0")]
    assert count_states(host) == {"in-sync": 0, "waiting": 500}


def test_a_paused_entry_is_paused_and_what_stands_of_it_is_in_sync() -> None:
    host = a_host(a_route(to=PREFIXES))
    host.ledger.holds.pause("route/lan", "maintenance", 100.0, 50.0)
    host.ledger.troubles.update([troubled(PREFIXES[:499], State.PAUSED, Paused("maintenance"), 50.0)])
    document = describe(host)
    assert (document["state"], document["reason"], document["since"]) == ("paused", "maintenance", "50.0")
    assert count_states(host) == {"in-sync": 1, "paused": 499}


def test_a_single_leftover_tells_what_stands() -> None:
    host = a_host()
    standing = (route_value(hop(1), protocol=OURS),)
    one = troubled(PREFIXES[:1], State.HELD, entry="")
    host.ledger.troubles.update([one._replace(trouble=one.trouble._replace(standing=standing))])
    (leftover,) = describe_leftovers(host, str)
    assert (leftover["object"], leftover["ip"]["dev"]) == (PREFIXES[0], "v0")


def test_many_leftovers_are_one_for_each_reason_and_former_entry() -> None:
    host = a_host()
    former = a_route(to=PREFIXES[:300], is_file=True)
    host.wanted.former.note("route/lan", resolve(former, FACTS, OURS).sets)
    host.ledger.troubles.update([
        troubled(PREFIXES[:400], State.HELD, LeftAlone.NOT_ON_DISK, entry=""),
        troubled(PREFIXES[400:440], State.HELD, LeftAlone.UNDECIDED, entry=""),
    ])  # fmt: skip
    assert sorted((one["object"], one["reason"], one["count"]) for one in describe_leftovers(host, str)) == [
        ("", "an [[interface]] is ambiguous, and it may belong to it", 40),
        ("", "the files on disk are not in force", 100),
        ("route/lan", "the files on disk are not in force", 300),
    ]


def test_leftovers_of_very_many_entries_are_one_without_a_name() -> None:
    host = a_host()
    for number, prefix in enumerate(PREFIXES[:20]):
        host.wanted.former.note(f"route/{number}", resolve(a_route(to=prefix), FACTS, OURS).sets)
    host.ledger.troubles.update([troubled(PREFIXES[:20], State.HELD, LeftAlone.NOT_ON_DISK, entry="")])
    assert [(one["object"], one["count"]) for one in describe_leftovers(host, str)] == [("", 20)]
