"""A source of facts that answers when it likes: its readers wait for it, follow it, and know when it is out of date.

The source and the entry that reads it live here alone; nothing in ``routed`` knows of a lamp.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import auto
from typing import Any

import pytest

from routed.audit import reasons
from routed.core.desired import Resolution
from routed.core.entries import ENTRIES, EntryRow
from routed.core.needs import Needs
from routed.core.resolve import resolve_route
from routed.daemon.status import describe_entries, summarise
from routed.model.change import Verb
from routed.model.entries import HopSpec, How, Intent, Matcher, RouteEntry, Selector
from routed.model.facts import Fact, FactKey, Facts, Freshness
from routed.model.reasons import Plain
from tests.property.rig import ORIGIN, OURS, Rig, a_host, a_route, hop, route_key, route_value, via

PATIENCE = 5.0  # seconds that a lamp may be stale before its routes go
KITCHEN, HALL = "route/kitchen", "route/hall"
LASTS = 10.0


class Lamp(Plain):
    """What is said of a lamp."""

    DARK = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class LampRoute(RouteEntry):
    """A route that is wanted while a lamp is on."""

    lamp: str


def find_needs(entry: LampRoute) -> Needs:
    return Needs(facts=frozenset({FactKey("lamp", entry.lamp)}))


def resolve_lamp_route(entry: LampRoute, facts: Facts, protocol: int) -> Resolution:
    found, key = resolve_route(entry, facts, protocol), FactKey("lamp", entry.lamp)
    fact = facts.find(key)
    end = fact.since + PATIENCE if fact.state is Freshness.STALE else None
    is_over = end is not None and end <= facts.moment
    found = found._replace(reads=found.reads | {key}, again=None if is_over else end)
    is_off = fact.state is not Freshness.LOADING and not fact.value
    return found._replace(sets=(), note=Lamp.DARK) if is_off or is_over else found


@pytest.fixture(autouse=True)
def resolved(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each entry was resolved."""
    counts: Counter[str] = Counter()

    def counting(row: EntryRow) -> EntryRow:
        def resolve(entry: Any, facts: Facts, protocol: int) -> Resolution:
            counts[entry.name] += 1
            return row.resolve(entry, facts, protocol)

        return row._replace(resolve=resolve)

    monkeypatch.setattr(reasons, "PLAIN", {**reasons.PLAIN, Lamp.DARK: "it is dark"})
    monkeypatch.setitem(ENTRIES, LampRoute, counting(EntryRow(resolve_lamp_route, find_needs)))
    monkeypatch.setitem(ENTRIES, RouteEntry, counting(ENTRIES[RouteEntry]))
    return counts


def a_lamp_route(lamp: str, to: str) -> LampRoute:
    plain = a_route(lamp, to)
    return LampRoute(name=plain.name, origin=plain.origin, prefixes=plain.prefixes, hops=plain.hops, lamp=lamp)


ENTRIES_OF_FILE = (
    a_lamp_route("kitchen", "10.1.0.0/16"),
    a_lamp_route("hall", "10.2.0.0/16"),
    a_route("plain", "10.3.0.0/16"),
)
KEYS = {KITCHEN: route_key("10.1.0.0/16"), HALL: route_key("10.2.0.0/16")}


class House:
    """A daemon, and the lamps that it is told of."""

    def __init__(self) -> None:
        self.rig = Rig(a_host())

    def start(self) -> None:
        self.rig.start(*ENTRIES_OF_FILE)

    def tell(self, lamp: str, value: bool | None, lasts: float = LASTS, state: Freshness = Freshness.LIVE) -> None:
        self.rig.engine.deliver({FactKey("lamp", lamp): Fact(value, state, until=self.rig.now + lasts)})
        self.rig.run()

    def stands(self, name: str) -> bool:
        return bool(self.rig.kernel.standing(KEYS[name]))

    def status(self, name: str) -> tuple[str, str]:
        (document,) = (one for one in describe_entries(self.rig.host, str) if one["entry"] == name)
        return document["state"], document["reason"]


@pytest.fixture
def house() -> House:
    return House()


def test_an_entry_waits_for_a_fact_that_is_not_there_yet_and_says_so(house: House) -> None:
    house.start()
    assert house.status(KITCHEN) == ("waiting", "lamp kitchen is not known yet")
    assert not house.stands(KITCHEN)
    assert summarise(house.rig.host, 1) == "revision 1 in force: 1 object in sync, 2 waiting"


def test_what_stands_from_before_is_left_alone_while_nobody_knows(house: House) -> None:
    value = route_value(hop(1), protocol=OURS, scope=253)
    assert house.rig.kernel.request(Verb.ADD, KEYS[KITCHEN], value) == 0
    house.start()
    house.rig.resync()
    assert house.stands(KITCHEN)
    house.tell("kitchen", False)
    assert not house.stands(KITCHEN)


def test_a_late_answer_puts_the_entry_in_force_and_resolves_no_other(house: House, resolved: Counter[str]) -> None:
    house.start()
    resolved.clear()
    house.tell("kitchen", True)
    assert house.stands(KITCHEN)
    assert house.status(KITCHEN) == ("in-sync", "")
    assert house.status(HALL)[0] == "waiting"
    assert resolved == {KITCHEN: 1}


def test_an_answer_asks_no_other_source(house: House) -> None:
    house.rig.start(*ENTRIES_OF_FILE, a_route("gateway", "10.4.0.0/16", (via("192.0.2.2"),)))
    asked: list[str] = []
    house.rig.kernel.mischief.fail = asked.append
    house.tell("kitchen", True)
    assert "apply" in asked
    assert not {"read_links", "read_addresses", "locate_gateways"} & set(asked)


def test_the_entry_follows_each_change(house: House, resolved: Counter[str]) -> None:
    house.start()
    resolved.clear()
    for number, value in enumerate((True, False, True, True), start=1):
        house.tell("kitchen", value)
        assert house.stands(KITCHEN) is value
        assert resolved[KITCHEN] == min(number, 3), "the same answer again changes nothing"
    assert resolved.keys() == {KITCHEN}


def test_the_same_answer_again_makes_no_pass_and_lasts_longer(house: House) -> None:
    house.start()
    for _ in range(5):
        house.tell("kitchen", True)
        passes = len(house.rig.reports)
        house.rig.run(LASTS - 1.0)
        house.tell("kitchen", True)
        assert len(house.rig.reports) == passes
    assert house.rig.host.world.facts.find(FactKey("lamp", "kitchen")).state is Freshness.LIVE


def test_there_is_none_is_an_answer_and_loading_is_not(house: House) -> None:
    house.start()
    assert house.rig.host.world.facts.find(FactKey("lamp", "kitchen")).state is Freshness.LOADING
    house.tell("kitchen", None)
    assert house.rig.host.world.facts.find(FactKey("lamp", "kitchen"))[:2] == (None, Freshness.LIVE)
    assert house.status(KITCHEN) == ("in-sync", "it is dark")


def test_a_source_that_does_not_speak_in_time_is_stale_and_the_entry_is_kept_for_a_while(
    house: House, resolved: Counter[str]
) -> None:
    house.start()
    house.tell("kitchen", True)
    house.tell("hall", True, lasts=1e6)
    resolved.clear()
    house.rig.run(LASTS)
    assert house.stands(KITCHEN)
    assert house.status(KITCHEN) == ("in-sync", "lamp kitchen is stale")
    assert resolved == {KITCHEN: 1}

    house.rig.run(PATIENCE)
    assert not house.stands(KITCHEN)
    assert house.status(KITCHEN) == ("in-sync", "it is dark; lamp kitchen is stale")
    assert house.stands(HALL)
    assert resolved == {KITCHEN: 2}


def test_a_source_that_comes_back_in_time_changes_nothing_in_the_kernel(house: House) -> None:
    house.start()
    house.tell("kitchen", True)
    house.rig.run(LASTS)
    writes = house.rig.kernel.writes
    house.tell("kitchen", True)
    house.rig.run(PATIENCE)
    assert house.rig.kernel.writes == writes
    assert house.status(KITCHEN) == ("in-sync", "")


def test_a_source_that_comes_back_late_puts_it_in_force_again(house: House) -> None:
    house.start()
    house.tell("kitchen", True)
    house.rig.run(LASTS + PATIENCE)
    house.tell("kitchen", True)
    assert house.stands(KITCHEN)


def test_a_source_says_itself_that_it_is_stale_or_from_before(house: House) -> None:
    house.start()
    house.tell("kitchen", True, state=Freshness.CACHED)
    assert house.stands(KITCHEN)
    assert house.status(KITCHEN) == ("in-sync", "lamp kitchen is cached")
    house.tell("kitchen", True, state=Freshness.STALE)
    assert house.status(KITCHEN) == ("in-sync", "lamp kitchen is stale")
    house.rig.run(PATIENCE)
    assert not house.stands(KITCHEN)
    passes = len(house.rig.reports)
    house.rig.run(LASTS)
    assert len(house.rig.reports) == passes, "nothing is due any more"


def test_an_interface_that_lasts_is_followed_at_its_moment_by_those_who_use_it(
    house: House, resolved: Counter[str]
) -> None:
    matchers = tuple(Matcher(How.NAME, name) for name in ("v0", "v1"))
    selector = Selector(name="in", origin=ORIGIN, match=matchers, hold=7.0)
    users = (
        a_route("user", "10.5.0.0/16", (HopSpec(dev="@in"),)),
        a_route("plain", "10.6.0.0/16", (HopSpec(dev="v1"),)),
    )
    intent = Intent(entries=users, selectors=(selector,))
    house.rig.start()
    house.rig.enforce(intent)

    def links() -> list[int]:
        return [one.dev for value in house.rig.kernel.standing(route_key("10.5.0.0/16")) for one in value.hops]

    assert links() == [1]
    house.rig.kernel.set_down(1)
    house.rig.run()
    house.rig.run(6.9)
    assert links() == []
    resolved.clear()
    house.rig.run(0.2)
    assert links() == [2]
    assert resolved == {"route/user": 1}


def test_what_no_file_asks_for_is_not_kept(house: House, resolved: Counter[str]) -> None:
    house.start()
    resolved.clear()
    house.tell("cellar", True)
    assert FactKey("lamp", "cellar") not in house.rig.host.world.facts.told
    assert not resolved


def test_other_files_keep_what_was_told_and_forget_what_they_do_not_ask_for(house: House) -> None:
    house.start()
    house.tell("kitchen", True)
    house.tell("hall", True)
    house.rig.enforce(Intent(entries=ENTRIES_OF_FILE[:1]))
    assert house.stands(KITCHEN)
    assert set(house.rig.host.world.facts.told) == {FactKey("lamp", "kitchen")}
    house.rig.enforce(Intent(entries=ENTRIES_OF_FILE))
    assert house.status(HALL)[0] == "waiting"


def test_a_plan_knows_what_was_told(house: House) -> None:
    house.start()
    house.tell("kitchen", True)
    assert house.rig.plan_is_empty()
    entries = (replace(ENTRIES_OF_FILE[0], metric=7), *ENTRIES_OF_FILE[1:])
    keys = [operation.members for operation in house.rig.plan(Intent(entries=entries)).operations]
    assert len(keys) == 2, "the one of another metric comes, the other goes"


def test_an_answer_amid_a_full_pass_is_not_lost(house: House) -> None:
    house.start()
    told = False

    def tell_once() -> None:
        nonlocal told
        if not told:
            told = True
            house.rig.engine.deliver({FactKey("lamp", "kitchen"): Fact(True, Freshness.LIVE)})

    house.rig.kernel.mischief.meanwhile = tell_once
    house.rig.resync()
    assert told
    assert house.stands(KITCHEN)


def test_an_answer_while_the_kernel_cannot_be_read_counts_once_it_can(house: House) -> None:
    house.start()

    def fail(_call: str) -> None:
        raise OSError(105, "No buffer space available")

    house.rig.kernel.mischief.fail = fail
    house.rig.resync()
    house.tell("kitchen", True, lasts=1e6)
    assert not house.stands(KITCHEN)
    house.rig.kernel.mischief.fail = lambda _call: None
    house.rig.run(60.0)
    assert house.stands(KITCHEN)


def test_the_revision_grows_with_each_change_and_only_then(house: House) -> None:
    house.start()
    revisions = [house.rig.host.world.facts.revision]
    house.tell("kitchen", True, lasts=1e6)
    revisions.append(house.rig.host.world.facts.revision)
    house.rig.kernel.set_down(2)
    house.rig.run()
    revisions.append(house.rig.host.world.facts.revision)
    assert revisions == sorted(set(revisions))
    house.rig.resync()
    assert house.rig.host.world.facts.revision == revisions[-1]
