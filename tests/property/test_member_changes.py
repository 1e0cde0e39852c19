"""What is found from a change is what would be found from nothing, after any changes in any order.

A change costs what it names. So each step keeps what it knows and brings it up to date; none of that may become a
truth of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routed.core import membership
from routed.core.desired import Desired
from routed.core.for_each import AS_WRITTEN, Unfolded, unfold
from routed.daemon.status import count_states
from routed.members.document import format_document
from routed.members.lines import read_kept
from routed.model.change import Verb
from routed.model.entries import Entry
from routed.model.events import Interest
from routed.model.facts import Fact, Facts, Freshness, GatewayLink
from routed.model.members import Member, MemberSource, Roster, Snapshot, key_of
from routed.model.net import IPV4, IPV6, parse_address, parse_prefix
from routed.model.objects import Kind, Scope
from tests.property.fake_kernel import STRANGER, FakeKernel
from tests.property.rig import route_key
from tests.property.test_members import PODS, SOURCE, Scene
from tests.unit.intent.intent_help import read

SERVICES = (
    '[[service]]\nname = "a"\nlisten = "10.9.9.9:80"\nservers = { for_each = "@fleet", address = "{address}", %s }\n'
)
CHECKED = SERVICES % 'weight = "{weight}", check = { type = "tcp" }'
NEEDING = (
    '[[route]]\nname = "n"\nto = "10.8.0.0/16"\nvia = "192.0.2.200"\nrequires = "@service/a"\nwhen_all_down = "keep"\n'
)
NAMES = st.sampled_from("abcdefgh")
ADDRESSES = st.sampled_from(["192.0.2.2", "192.0.2.3", "192.0.2.4", "198.51.100.9", "203.0.113.1"]).map(parse_address)
PREFIXES = st.sampled_from(["10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24", "10.9.0.0/16"]).map(parse_prefix)
MEMBERS = st.tuples(
    NAMES,
    st.sampled_from(["", "", "", "2"]),
    st.lists(ADDRESSES, max_size=2, unique=True),
    st.lists(PREFIXES, max_size=2, unique=True),
    st.sampled_from([None, 1, 5]),
).map(lambda told: Member(told[0], told[1], tuple(told[2]), tuple(told[3]), weight=told[4]))


def sorted_by_name(members: list[Member]) -> list[Member]:
    return sorted(members, key=lambda one: one.name)


CHANGES = st.tuples(
    st.lists(MEMBERS, max_size=3, unique_by=lambda one: one.name).map(sorted_by_name),
    st.lists(NAMES, max_size=3, unique=True),
    st.sampled_from(["change", "change", "change", "complete", "partial", "let go", "later", "much later"]),
)


class Told:
    """What a source knows, and what was taken in of it: change by change, and from whole snapshots."""

    def __init__(self, source: MemberSource) -> None:
        self.source = source
        self.members: dict[str, Member] = {}
        self.changed: Roster = membership.NOBODY
        self.whole: Roster = membership.NOBODY
        self.now = 0.0

    def do(self, some: list[Member], gone: list[str], what: str) -> None:
        told = {one.name: one for one in some}
        match what:
            case "let go":
                self.changed = membership.let_go(self.changed, self.source, self.now)
                self.whole = membership.let_go(self.whole, self.source, self.now)
            case "later" | "much later":
                self.now += 11.0 if what == "later" else 100.0
                self.changed = membership.expire(self.changed, self.now)
                self.whole = membership.expire(self.whole, self.now)
            case "partial":
                self.members |= told
                snapshot = Snapshot(tuple(some), is_complete=False)
                self.changed = membership.take(self.changed, snapshot, self.source, self.now)
                self.whole = membership.take(self.whole, snapshot, self.source, self.now)
            case _:
                left = tuple(name for name in gone if name in self.members and name not in told)
                self.members = {name: one for name, one in self.members.items() if name not in left} | told
                whole = Snapshot(tuple(self.members[name] for name in sorted(self.members)))
                change = Snapshot(tuple(some), is_complete=False, gone=left) if what == "change" else whole
                self.changed = membership.take(self.changed, change, self.source, self.now)
                self.whole = membership.take(self.whole, whole, self.source, self.now)


def a_source(options: str = "") -> MemberSource:
    return read(SOURCE + options).member_sources[0]


OPTIONS = st.sampled_from(["", 'gone_after = "10s"\n', 'max_loss = "off"\n', 'on_empty = "apply"\nmax_loss = "off"\n'])


@settings(max_examples=50)
@given(OPTIONS, st.lists(CHANGES, max_size=8))
def test_changes_come_to_the_members_that_whole_snapshots_come_to(options: str, changes: list[Any]) -> None:
    told = Told(a_source(options))
    for change in changes:
        told.do(*change)
        assert told.changed == told.whole
        present = told.changed.present
        assert told.changed.leaving == {name for name, one in present.items() if one.until is not None}
        assert told.changed.latest >= max((one.since for one in present.values()), default=0)
        claims = [{*one.member.prefixes, *one.member.addresses} for one in present.values()]
        assert dict(told.changed.claims) == Counter(claim for some in claims for claim in some)


@settings(max_examples=50)
@given(OPTIONS, st.lists(CHANGES, max_size=6))
def test_what_is_kept_change_by_change_is_read_back_as_one(options: str, changes: list[Any]) -> None:
    told, source = Told(a_source(options)), a_source(options)
    kept, before = b"", told.changed
    for number, change in enumerate(changes):
        told.do(*change)
        if told.changed.present == before.present and number:
            continue
        snapshot = membership.make_change(before.present, told.changed.present)  # type: ignore[arg-type]
        whole = membership.make_snapshot(told.changed)
        kept += json.dumps(format_document("fleet", snapshot if kept else whole)).encode() + b"\n"
        before = told.changed
        assert read_kept(kept) == replace_revision(whole)
        assert read_kept(kept + b'{"schema": "routed.memb') == replace_revision(whole)
        restored = membership.restore(read_kept(kept), source)
        assert {name: one.member for name, one in restored.present.items()} == {
            name: one.member for name, one in told.changed.present.items()
        }


def replace_revision(snapshot: Snapshot) -> Snapshot:
    return snapshot._replace(revision="")


def a_node(number: int, gateway: str) -> Member:
    return Member(f"n{number}", addresses=(parse_address(gateway),), prefixes=(parse_prefix(f"10.244.{number}.0/24"),))


def test_of_gateways_only_those_are_asked_for_that_a_change_of_members_brings() -> None:
    scene = Scene(text=PODS, options=FREE)
    told, asked = Told(scene.source), list[set[bytes]]()
    told.do([a_node(number, f"192.0.2.{number}") for number in (2, 3, 4)], [], "complete")
    scene.become(told.changed)
    locate, new = FakeKernel.locate_gateways, parse_address("192.0.2.9")

    def note(kernel: FakeKernel, gateways: Iterable[bytes], *others: Any) -> dict[bytes, GatewayLink]:
        asked.append(set(gateways))
        return locate(kernel, gateways, *others)

    with patch.object(FakeKernel, "locate_gateways", note):
        told.do([a_node(2, "192.0.2.9")], [], "change")
        scene.become(told.changed)
        assert asked == [{new}]
        scene.rig.resync()
        assert asked[-1] > {new}
    assert len(scene.pods()) == 3


def show(unfolded: Unfolded, written: tuple[Entry, ...]) -> list[Entry]:
    return list(unfolded.list_entries(written))


@settings(max_examples=50)
@given(st.lists(CHANGES, max_size=6))
def test_what_members_make_is_the_same_made_at_once_or_bit_by_bit(changes: list[Any]) -> None:
    intent = read(SOURCE + 'max_loss = "off"\n' + PODS + CHECKED + NEEDING)
    told, before = Told(intent.member_sources[0]), AS_WRITTEN
    for change in changes:
        told.do(*change)
        facts = Facts(told={key_of("fleet"): Fact(told.changed, Freshness.LIVE)})
        after, anew = unfold(intent.entries, facts, before), unfold(intent.entries, facts)
        assert show(after, intent.entries) == show(anew, intent.entries)
        assert after.forms == anew.forms
        assert after.expansions == anew.expansions
        before = after


FREE = 'max_loss = "off"\non_empty = "apply"\ngone_after = "5s"\n'


def check_indexes(desired: Desired) -> None:
    """All that is kept beside the resolutions says what they say."""
    anew = Desired()
    for resolution in desired.resolutions.values():
        anew.follow(resolution)
    assert (desired.total, desired.notable, desired.again) == (anew.total, anew.notable, anew.again)
    facts = {fact for one in desired.resolutions.values() for fact in one.reads}
    for fact in facts:
        assert desired.list_readers([fact]) == [name for name, one in desired.resolutions.items() if fact in one.reads]


@settings(max_examples=60)
@given(st.lists(CHANGES, min_size=1, max_size=6))
def test_a_host_that_followed_every_change_is_as_one_that_sees_the_last_members_at_once(changes: list[Any]) -> None:
    scene = Scene(text=PODS, options=FREE)
    told = Told(scene.source)
    for change in changes:
        told.do(*change)
        scene.become(told.changed)
        check_indexes(scene.rig.host.wanted.desired)
        interest = scene.rig.kernel.interest
        for prefix in scene.pods():
            assert interest is None or interest.covers(parse_prefix(prefix), STRANGER)
    host = scene.rig.host
    fresh = Scene(text=PODS, options=FREE)
    fresh.become(told.whole)
    assert scene.pods() == fresh.pods()
    assert host.wanted.needs.gateways >= fresh.rig.host.wanted.needs.gateways
    assert count_states(host) == count_states(fresh.rig.host)
    assert set(host.ledger.since) == set(fresh.rig.host.ledger.since)
    assert scene.rig.errors == 0
    assert scene.rig.plan_is_empty()
    before = dict(scene.pods())
    scene.rig.resync()
    assert scene.pods() == before
    assert scene.rig.host.wanted.desired.wants[Kind.ROUTE] == fresh_wants(scene)


def fresh_wants(scene: Scene) -> Any:
    """What is wanted, put anew in the order in which it came."""
    anew = Desired()
    for resolution in scene.rig.host.wanted.desired.resolutions.values():
        anew.put(resolution)
    anew.settle()
    return anew.wants[Kind.ROUTE]


def test_one_member_is_changed_without_that_anything_is_dumped(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.tell(
        *({"name": f"n{n}", "addresses": [f"192.0.2.{n}"], "prefixes": [f"10.244.{n}.0/24"]} for n in range(2, 60))
    )
    scene.rig.run(1.0)
    dumped: list[Any] = []
    read_dump = FakeKernel.read_dump

    def read(kernel: FakeKernel, scope: Scope) -> Any:
        dumped.append(scope)
        return read_dump(kernel, scope)

    monkeypatch.setattr(FakeKernel, "read_dump", read)
    members = {name: one.member for name, one in scene.roster.present.items()}
    other = members["n7"]._replace(addresses=(parse_address("192.0.2.99"),))
    for snapshot in (
        Snapshot((other,), is_complete=False, gone=()),
        Snapshot((other._replace(name="new", prefixes=(parse_prefix("10.244.99.0/24"),)),), is_complete=False, gone=()),
        Snapshot((), is_complete=False, gone=("n9",)),
    ):
        scene.become(membership.take(scene.roster, snapshot, scene.source, scene.rig.now))
    assert scene.pods()["10.244.7.0/24"] == scene.pods()["10.244.99.0/24"] == "192.0.2.99"
    assert "10.244.9.0/24" not in scene.pods()
    assert dumped == []
    assert scene.rig.plan_is_empty()


def test_a_place_that_is_taken_unseen_is_looked_at_after_the_kernel_refused() -> None:
    scene = Scene()
    scene.tell({"name": "a", "addresses": ["192.0.2.2"], "prefixes": ["10.244.1.0/24"]})
    scene.rig.run(1.0)
    key = route_key("10.244.5.0/24")
    value = next(
        one.value for one in scene.rig.kernel.stand(Kind.ROUTE) if one.member == route_key("10.244.1.0/24").member
    )
    scene.rig.kernel.listen_for(Interest(frozenset(), {IPV4: (), IPV6: ()}))  # so it is not heard of
    assert scene.rig.kernel.request(Verb.ADD, key, value._replace(protocol=4)) == 0
    one = Member("b", addresses=(parse_address("192.0.2.3"),), prefixes=(parse_prefix("10.244.5.0/24"),))
    scene.become(membership.take(scene.roster, Snapshot((one,), is_complete=False, gone=()), scene.source, 0.0))
    assert scene.pods()["10.244.5.0/24"] == "192.0.2.3"


def test_what_was_in_a_place_that_was_taken_unseen_is_back_when_the_member_goes() -> None:
    scene = Scene(options='max_loss = "off"\n')
    scene.tell({"name": "a", "addresses": ["192.0.2.2"], "prefixes": ["10.244.1.0/24"]})
    scene.rig.run(1.0)
    kernel, key = scene.rig.kernel, route_key("10.244.5.0/24")
    [value] = kernel.standing(route_key("10.244.1.0/24"))
    kernel.listen_for(Interest(frozenset(), {IPV4: (), IPV6: ()}))
    foreign = value._replace(protocol=4)
    assert kernel.request(Verb.ADD, key, foreign) == 0
    scene.tell(
        {"name": "a", "addresses": ["192.0.2.2"], "prefixes": ["10.244.1.0/24"]},
        {"name": "b", "addresses": ["192.0.2.3"], "prefixes": ["10.244.5.0/24"]},
    )
    scene.rig.run(1.0)
    assert scene.pods()["10.244.5.0/24"] == "192.0.2.3"
    assert scene.rig.host.ledger.displaced == {key: foreign}
    assert "route/pods[b]" not in scene.rig.host.wanted.new_entries
    scene.tell({"name": "a", "addresses": ["192.0.2.2"], "prefixes": ["10.244.1.0/24"]})
    scene.rig.run(1.0)
    assert kernel.standing(key) == (foreign,)


@pytest.mark.parametrize("after", ["192.0.2.9", ""], ids=["is another one", "goes"])
@pytest.mark.parametrize("verb", [Verb.DELETE, Verb.REPLACE])
def test_what_somebody_did_right_before_his_member_changes_is_reckoned_with(verb: Verb, after: str) -> None:
    scene = Scene(options='max_loss = "off"\n')
    stays = {"name": "a", "addresses": ["192.0.2.2"], "prefixes": ["10.244.1.0/24"]}
    moves = {"name": "b", "addresses": ["192.0.2.2"], "prefixes": ["10.244.2.0/24"]}
    scene.tell(stays, moves)
    scene.rig.run(1.0)
    kernel, key = scene.rig.kernel, route_key("10.244.2.0/24")
    [value] = kernel.standing(key)
    foreign = value._replace(protocol=4)
    assert kernel.request(verb, key, value if verb is Verb.DELETE else foreign) == 0
    scene.rig.reconciler.listen()
    scene.rig.reports.clear()
    scene.tell(stays, *([moves | {"addresses": [after]}] if after else []))
    befores = [one.operation.before for report in scene.rig.reports for one in report.outcomes]
    assert befores == ([None if verb is Verb.DELETE else foreign] if after else [])
    assert bool(kernel.standing(key)) is bool(after or verb is Verb.REPLACE)
