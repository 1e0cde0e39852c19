"""Members on the fake kernel: whatever a source says, in whatever order, what stands is what its members may have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routed.core import membership
from routed.members.document import DocumentError, parse_document
from routed.model.change import Verb
from routed.model.facts import Fact, Freshness
from routed.model.members import Roster, key_of
from routed.model.net import contains, format_address, format_prefix, is_inside, parse_prefix
from routed.model.objects import AddressMember, Key, Kind, RouteValue, RuleMember, Value
from tests.property.rig import OURS, Rig, a_host, route_key
from tests.unit.intent.intent_help import read

PREFIXES = ("10.244.0.0/16", "fd44::/16")
ADDRESSES = ("192.0.2.0/24", "fd00::/64", "198.51.100.0/24")
SOURCE = f"""
[[source]]
name = "fleet"
type = "file"
path = "fleet.json"
prefixes_within = {json.dumps(PREFIXES)}
addresses_within = {json.dumps(ADDRESSES)}
"""
PODS = '[[route]]\nname = "pods"\nfor_each = "@fleet"\nto = "{prefixes}"\nvia = "{address}"\n'
EVERYTHING = """
[[route]]
name = "labels"
for_each = "@fleet"
to = "{labels.net}"
via = "{addresses}"
metric = 7
[[route]]
name = "hosts"
for_each = "@fleet"
to = "{address}"
via = "{labels.gateway}"
src = "{labels.src}"
metric = 8
[[rule]]
name = "from"
for_each = "@fleet"
priority = 50
table = 120
from = "{labels.net}"
to = "{prefix}"
[[address]]
name = "held"
for_each = "@fleet"
address = "{labels.held}"
dev = "v1"
"""


@dataclass
class Scene:
    """A daemon whose source says something from time to time."""

    text: str = PODS
    options: str = ""
    roster: Roster = membership.NOBODY
    rig: Rig = field(default_factory=lambda: Rig(a_host()))
    verbs: list[tuple[Verb, str]] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)  # prefixes that stand at every moment

    def __post_init__(self) -> None:
        self.intent = read(SOURCE + self.options + self.text)
        self.source = self.intent.member_sources[0]
        self.rig.kernel.read_events()
        self.rig.host.wanted.intent = self.intent
        self.rig.reconciler.begin()
        self.rig.enforce(self.intent)
        inspect = self.rig.kernel.inspect

        def watch(verb: Verb, key: Key, value: Value) -> None:
            inspect(verb, key, value)
            self.look_at_kept()
            if key.kind is Kind.ROUTE:
                assert isinstance(key.member, bytes)
                self.verbs.append((verb, format_prefix(key.member)))

        self.rig.kernel.inspect = watch

    def look_at_kept(self) -> None:
        for prefix in self.kept:
            assert self.rig.kernel.standing(route_key(prefix)), f"there is no route to {prefix} at this moment"

    def tell(self, *members: dict[str, Any], is_complete: bool = True) -> None:
        self.tell_text(json.dumps({"members": members, "complete": is_complete}))

    def tell_text(self, text: str) -> None:
        try:
            snapshot = parse_document(text.encode(errors="surrogatepass"))
        except DocumentError:
            return
        self.become(membership.take(self.roster, snapshot, self.source, self.rig.now))

    def become(self, roster: Roster) -> None:
        self.roster = roster
        self.rig.engine.deliver({key_of("fleet"): Fact(roster, Freshness.LIVE)})
        self.rig.run(0.5)
        self.look_at_kept()

    def pods(self) -> dict[str, str]:
        """The routes of ours, and their gateways."""
        found = {}
        for one in self.rig.kernel.stand(Kind.ROUTE):
            if isinstance(one.value, RouteValue) and one.value.protocol == OURS:
                assert isinstance(one.member, bytes)
                found[format_prefix(one.member)] = " ".join(format_address(hop.gateway) for hop in one.value.hops)
        return found


def node(name: str, gateway: int, *prefixes: str, **other: Any) -> dict[str, Any]:
    return {"name": name, "addresses": [f"192.0.2.{gateway}"], "prefixes": list(prefixes)} | other


ONE, TWO = "10.244.1.0/24", "10.244.2.0/24"


# --- claims -----------------------------------------------------------------------------------------------------------


def test_the_one_who_claimed_first_has_it_and_when_the_other_goes_nothing_is_touched() -> None:
    scene = Scene(options='max_loss = "off"\n')
    scene.tell(node("b", 2, ONE))
    scene.kept = {ONE}
    scene.tell(node("a", 3, ONE), node("b", 2, ONE))
    assert scene.pods() == {ONE: "192.0.2.2"}
    scene.verbs.clear()
    scene.tell(node("b", 2, ONE))
    assert (scene.pods(), scene.verbs) == ({ONE: "192.0.2.2"}, [])


@pytest.mark.parametrize("after", [
    [node("a", 3, ONE)], [node("a", 3, ONE), node("b", 2)], [node("a", 3, ONE), node("b", 2, TWO)],
    [node("a", 3, ONE), node("b", 2, ONE, uid="new")],
], ids=["goes", "claims nothing", "claims another", "is another one"])  # fmt: skip
def test_when_the_first_gives_it_up_the_other_takes_its_place_at_once(after: list[dict[str, Any]]) -> None:
    scene = Scene(options='max_loss = "off"\n')
    scene.tell(node("b", 2, ONE))
    scene.tell(node("a", 3, ONE), node("b", 2, ONE))
    scene.kept = {ONE}
    scene.verbs.clear()
    scene.tell(*after)
    assert scene.pods()[ONE] == "192.0.2.3"
    assert [verb for verb, prefix in scene.verbs if prefix == ONE] == [Verb.REPLACE]
    assert scene.rig.plan_is_empty()


def test_a_claim_that_was_late_comes_before_one_that_is_new() -> None:
    scene = Scene(options='max_loss = "off"\n')
    scene.tell(node("b", 2, ONE))
    scene.tell(node("a", 3, ONE), node("b", 2, ONE))
    scene.kept = {ONE}
    scene.tell(node("a", 3, ONE), node("0", 4, ONE))
    assert scene.pods() == {ONE: "192.0.2.3"}


def test_a_prefix_that_moves_to_another_member_is_never_without_a_route() -> None:
    scene = Scene()
    scene.tell(node("a", 2, ONE), node("b", 3, TWO))
    scene.kept = {ONE, TWO}
    scene.tell(node("a", 2, TWO), node("b", 3, ONE))
    assert scene.pods() == {ONE: "192.0.2.3", TWO: "192.0.2.2"}
    assert {verb for verb, _ in scene.verbs[2:]} == {Verb.REPLACE}


def test_an_address_that_changes_replaces_the_route_in_its_place() -> None:
    scene = Scene()
    scene.tell(node("a", 2, ONE))
    scene.kept = {ONE}
    scene.tell(node("a", 9, ONE))
    assert scene.pods() == {ONE: "192.0.2.9"}
    assert scene.verbs[1:] == [(Verb.REPLACE, ONE)]


# --- hostile documents ------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "0.0.0.0/0", "::/0", "0.0.0.0/32", "::", "10.244.0.0/16", "10.244.0.0/15", "10.244.1.0/24", "10.244.1.7/32",
        "10.244.1.0/33", "10.244.1.1/24", "10.244.0.0/0", "10.244.300.0/24", "fd44::/16", "fd44:1::/32", "fd44::/8",
        "fd44::/129", "192.0.2.1", "192.0.2.7", "192.0.2.7/24", "192.0.2.7/0", "192.0.2.7/1", "198.51.100.7",
        "203.0.113.1", "127.0.0.1", "127.0.0.0/8", "224.0.0.1", "224.0.0.0/4", "255.255.255.255", "::1", "fe80::1",
        "ff02::1", "fd00::7", "fd00::7/0", "::ffff:192.0.2.7", "::ffff:0:0/96", "default", "lo", "", " ", "\x1b[2J",
        "\u202e", "192.0.2.7 dev lo", "{address}", "@fleet", "0x0a000001", "010.0.0.1", "192.0.2.07", "192.0.2.7\x00",
    ]
)  # fmt: skip
VALUES = st.one_of(
    WORDS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.just(10**400),
    st.text(max_size=20),
    st.recursive(WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)),
)
LISTS = st.lists(WORDS, max_size=4) | st.lists(VALUES, max_size=3) | VALUES
LABELS = st.fixed_dictionaries(dict.fromkeys(("net", "gateway", "src", "held"), WORDS)) | VALUES
MEMBERS = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "c", "", "x" * 254, "a\x1b[31m", "../../etc", "a[b]", "a+2"])},
    optional={
        "addresses": LISTS, "prefixes": LISTS, "labels": LABELS, "port": VALUES, "weight": VALUES, "uid": VALUES,
        "ready": VALUES, "terminating": VALUES, "more": VALUES,
    },
)  # fmt: skip
GOOD = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "c"])},
    optional={
        "addresses": st.lists(WORDS, max_size=4),
        "prefixes": st.lists(WORDS, max_size=4),
        "labels": st.fixed_dictionaries(dict.fromkeys(("net", "gateway", "src", "held"), WORDS)),
    },
)
DOCUMENTS = st.one_of(
    st.lists(GOOD, max_size=3, unique_by=lambda one: str(one["name"])).map(lambda some: {"members": some}),
    st.lists(MEMBERS, max_size=4).map(lambda some: {"members": some}),
    st.dictionaries(st.sampled_from(["members", "schema", "complete", "revision", "x"]), VALUES),
)


def is_allowed(member: object) -> bool:
    """Is what stands there inside of what the file allows?"""
    wide = [*map(parse_prefix, PREFIXES), *map(parse_prefix, ADDRESSES)]
    if isinstance(member, bytes):
        return any(contains(one, member) for one in wide)
    if isinstance(member, AddressMember):
        return any(is_inside(member.address, one) and member.prefixlen >= one[-1] for one in wide)
    assert isinstance(member, RuleMember)
    return all(any(contains(one, prefix) for one in wide) for prefix in (member.source, member.destination))


def check_bounds(scene: Scene) -> None:
    wanted: Mapping[Kind, Any] = scene.rig.host.wanted.desired.wants
    for slots in wanted.values():
        for members in slots.values():
            for member, want in members.items():
                assert is_allowed(member), member
                for hop in want.value.hops if isinstance(want.value, RouteValue) else ():
                    assert not hop.gateway or is_allowed(hop.gateway + bytes((len(hop.gateway) * 8,)))


@settings(max_examples=150)
@given(st.lists(DOCUMENTS, min_size=1, max_size=3))
def test_nothing_outside_of_what_the_file_allows_ever_becomes_an_object(documents: list[Any]) -> None:
    scene = Scene(text=PODS + EVERYTHING, options='max_loss = "off"\non_empty = "apply"\n')
    before = dict(scene.rig.kernel.addresses())
    for document in documents:
        scene.tell_text(json.dumps(document))
        check_bounds(scene)
    assert before.keys() <= scene.rig.kernel.addresses().keys()
    assert scene.rig.errors == 0
    assert scene.rig.plan_is_empty()


@settings(max_examples=100)
@given(st.text(max_size=60), st.integers(0, 200))
def test_what_is_no_document_changes_nothing(rubbish: str, cut: int) -> None:
    scene = Scene()
    scene.tell(node("a", 2, ONE))
    good = json.dumps({"members": [node("b", 3, TWO)]})
    for text in (rubbish, good[:cut] + rubbish, good[: min(cut, len(good) - 1)]):
        try:
            parse_document(text.encode(errors="surrogatepass"))
        except DocumentError:
            scene.tell_text(text)
            assert scene.pods() == {ONE: "192.0.2.2"}


# --- any order --------------------------------------------------------------------------------------------------------

FLEETS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.tuples(st.integers(2, 6), st.sets(st.sampled_from([f"10.244.{net}.0/24" for net in range(5)]), max_size=2)),
    max_size=6,
)
TURNS = st.lists(st.tuples(FLEETS, st.sampled_from(["complete", "partial", "let go", "rubbish", "later"])), max_size=6)


@settings(max_examples=150)
@given(TURNS, FLEETS)
def test_any_order_of_snapshots_ends_as_the_last_complete_one_says_once_those_who_are_held_may_go(
    turns: list[tuple[dict[str, tuple[int, set[str]]], str]], last: dict[str, tuple[int, set[str]]]
) -> None:
    scene = Scene(options='gone_after = "10s"\n')

    def expire() -> None:
        scene.rig.run(11.0)
        scene.become(membership.expire(scene.roster, scene.rig.now))

    def tell(fleet: dict[str, tuple[int, set[str]]], *, is_complete: bool = True) -> None:
        members = [node(name, gateway, *prefixes) for name, (gateway, prefixes) in fleet.items()]
        scene.tell(*members, is_complete=is_complete)

    for fleet, what in turns:
        present = set(scene.pods())
        claimed = {prefix for _, prefixes in fleet.values() for prefix in prefixes}
        scene.kept = present & claimed
        if what == "rubbish":
            scene.tell_text("{")
        elif what == "let go":
            scene.become(membership.let_go(scene.roster, scene.source, scene.rig.now))
        elif what == "later":
            scene.kept = set()
            expire()
        else:
            tell(fleet, is_complete=what == "complete")
        scene.kept = set()
    tell(last)
    scene.become(membership.let_go(scene.roster, scene.source, scene.rig.now))
    expire()
    assert set(scene.roster.present) == set(last)
    gateways: dict[str, set[str]] = {}
    for gateway, prefixes in last.values():
        for prefix in prefixes:
            gateways.setdefault(prefix, set()).add(f"192.0.2.{gateway}")
    pods = scene.pods()
    assert pods.keys() == gateways.keys()
    assert all(pods[prefix] in gateways[prefix] for prefix in pods)
    assert scene.rig.plan_is_empty()


def test_the_routes_of_all_members_are_back_after_a_flap_while_the_source_says_nothing() -> None:
    scene = Scene()
    scene.tell(*(node(f"n{number}", 2 + number, f"10.244.{number}.0/24") for number in range(50)))
    before = scene.pods()
    assert len(before) == 50
    scene.rig.kernel.set_down(1)
    scene.rig.run(1.0)
    assert scene.pods() == {}
    scene.rig.kernel.set_up(1)
    scene.rig.run(1.0)
    assert scene.pods() == before
