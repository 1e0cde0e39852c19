"""The picture as a value: what is a node, what leads where, what is folded, and what never is."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from routed.core.entries import resolve
from routed.core.graph import ALIKE, READABLE, draw
from routed.core.kinds import KINDS
from routed.core.troubles import Looked, State, Trouble, Troubled
from routed.model import names
from routed.model.entries import EachEntry, Entry, Origin
from routed.model.facts import Facts, Link
from routed.model.graph import TABLE, Graph, Node
from routed.model.net import IPV4, IPV6
from routed.model.objects import Kind, Member, RuleMember, RuleSlot, SlotKey
from routed.model.reasons import LinkDown, Reason, SaidNo
from tests.property.rig import OURS, a_route, a_rule, an_address, route_key, via
from tests.unit.core.test_services import ONE, TWO, a_service, server

FACTS = Facts(
    links={
        1: Link(1, "v0", is_up=True, has_carrier=True),
        2: Link(2, "v1", is_up=True, has_carrier=False),
        3: Link(3, "v2", is_up=False, has_carrier=False),
    }
)
NO = SaidNo(22, "no")
MANY = tuple(f"10.{number >> 8}.{number & 255}.0/24" for number in range(1000))


def looked(entry: Entry, *wrong: Troubled, overall: Trouble | None = None) -> Looked:
    return Looked(resolve(entry, FACTS, OURS), wrong, overall)


def troubled(
    entry: str, *prefixes: str, state: State = State.FAILED, reason: Reason = NO, table: int = names.TABLE_MAIN
) -> Troubled:
    keys = [route_key(prefix, table) for prefix in prefixes]
    return Troubled(Kind.ROUTE, keys[0].slot, [key.member for key in keys], Trouble(state, reason, 1.0, (), entry))


def picture(*entries: Entry | Looked, leftovers: Iterable[Troubled] = (), is_folded: bool = True) -> Graph:
    every = [one if isinstance(one, Looked) else looked(one) for one in entries]
    return draw(every, leftovers, FACTS, {}, is_folded=is_folded)


def name(node: Node) -> str:
    """What a node is, for a test to read."""
    if node.kind == TABLE:
        return f"table {node.table}"
    if node.link:
        return node.link
    return "+".join(node.entries) or ("kernel" if node.is_kernels else "nobody")


def ways(graph: Graph) -> set[tuple[str, str]]:
    return {(name(graph.nodes[edge.tail]), name(graph.nodes[edge.head])) for edge in graph.edges}


def find(graph: Graph, wanted: str) -> Node:
    (node,) = [node for node in graph.nodes if name(node) == wanted]
    return node


def test_a_rule_leads_to_its_table_a_table_to_its_routes_and_a_route_to_its_links() -> None:
    graph = picture(
        a_rule("storage", table=120),
        a_route("lan", table=120),
        a_route("two", "10.9.0.0/16", (via("192.0.2.1", "v0"), via("198.51.100.1", "v1")), table=120),
        an_address(),
    )
    assert ways(graph) == {
        ("rule/storage", "table 120"),
        ("table 120", "route/lan"),
        ("table 120", "route/two"),
        ("route/lan", "v0"),
        ("route/two", "v0"),
        ("route/two", "v1"),
        ("address/10.20.0.11/21", "v0"),
    }


def test_rules_stand_in_the_order_of_their_priorities_and_the_kernels_among_them() -> None:
    graph = picture(
        a_rule("late", 40000, names.TABLE_MAIN), a_rule("early", 5, names.TABLE_MAIN), a_route("lan", table=120)
    )
    rules = [name(node) for node in graph.nodes if node.kind == Kind.RULE]
    assert rules == ["rule/early", "kernel", "rule/late"]
    assert ("kernel", "table 254") in ways(graph)


def test_the_kernels_rules_are_those_of_the_families_that_are_there() -> None:
    four, both = picture(a_route()), picture(a_route(to=("10.30.0.0/16", "2001:db8::/32")))
    assert [one.key.slot.family for one in find(four, "kernel").shown] == [IPV4]
    assert [one.key.slot.family for one in find(both, "kernel").shown] == [IPV4, IPV6]


def test_a_rule_of_the_kernel_that_was_removed_is_missing() -> None:
    main = RuleMember(32766, table=names.TABLE_MAIN)
    absent: dict[SlotKey, frozenset[Member]] = {(Kind.RULE, RuleSlot(IPV4)): frozenset({main})}
    graph = draw([looked(a_route())], (), FACTS, absent)
    assert find(graph, "kernel").state == "missing"


def test_a_rule_that_drops_leads_nowhere_and_stands_among_the_rules() -> None:
    rule = a_rule("drop")
    dropping = type(rule)(
        name=rule.name, origin=rule.origin, families=(IPV4,), rule=RuleMember(1200, action=7)
    )  # fmt: skip
    graph = picture(dropping, a_rule("later", 1300))
    assert [name(node) for node in graph.nodes][:2] == ["rule/drop", "rule/later"]
    assert "rule/drop" not in {tail for tail, _ in ways(graph)}


def test_links_say_how_they_are() -> None:
    graph = picture(*(an_address(f"10.0.0.{dev}/32", f"v{dev}") for dev in range(4)))
    assert {name: find(graph, name).state for name in ("v0", "v1", "v2", "v3")} == {
        "v0": "up", "v1": "no carrier", "v2": "down", "v3": "absent",
    }  # fmt: skip


def test_an_entry_that_waits_leads_to_the_link_that_it_names() -> None:
    entry = a_route("gone", hops=(via("192.0.2.1", "v9"),))
    resolution = resolve(entry, FACTS, OURS)
    waiting = Trouble(State.WAITING, resolution.waiting[0].reason, 1.0, (), entry.name)
    graph = picture(Looked(resolution, [Troubled(*group[:3], waiting) for group in resolution.sets], waiting))
    assert ways(graph) >= {("table 254", "route/gone"), ("route/gone", "v9")}
    assert (find(graph, "route/gone").state, find(graph, "v9").state) == ("waiting", "absent")


def test_objects_of_an_entry_in_different_states_are_different_nodes_and_every_count_is_right() -> None:
    entry = a_route(to=MANY, is_file=True)
    wrong = (
        troubled("route/lan", *MANY[:300]),
        troubled("route/lan", MANY[999], state=State.DRIFT, reason=LinkDown("v0")),
    )
    nodes = [node for node in picture(looked(entry, *wrong)).nodes if node.entries]
    assert {node.state: node.total for node in nodes} == {"failed": 300, "drift": 1, "in-sync": 699}
    assert all(len(node.shown) <= 3 for node in nodes)
    in_sync = next(node for node in nodes if node.state == "in-sync")
    assert in_sync.shown[0].key == route_key(MANY[300])


def test_both_families_of_an_entry_are_one_node() -> None:
    graph = picture(a_route(to=("10.30.0.0/16", "2001:db8::/32")))
    assert find(graph, "route/lan").total == 2


def test_what_is_said_of_a_whole_entry_is_said_of_its_objects_that_are_in_order() -> None:
    paused = Trouble(State.PAUSED, None, 1.0)
    nodes = picture(looked(a_route(to=MANY[:5]), troubled("route/lan", MANY[0]), overall=paused)).nodes
    assert {node.state: node.total for node in nodes if node.entries} == {"failed": 1, "paused": 4}


@pytest.mark.parametrize("state", [State.WITHHELD, State.WAITING, State.CONFLICT])
def test_what_is_said_of_an_entry_and_of_none_of_its_objects_has_a_node(state: State) -> None:
    nodes = picture(looked(a_route(), overall=Trouble(state, NO, 1.0))).nodes
    assert {node.state: node.total for node in nodes if node.entries} == {"in-sync": 1, state: 0}


def test_what_is_left_over_stands_in_its_table() -> None:
    left = troubled("", "10.99.0.0/16", state=State.HELD, table=7)
    graph = picture(a_route(), leftovers=[left])
    assert ("table 7", "nobody") in ways(graph)
    assert find(graph, "nobody").state == "held"


def test_entries_that_are_alike_are_one_node_when_there_are_many() -> None:
    entries = [a_route(f"r{at}", MANY[at], table=100 + at % 2) for at in range(500)]
    graph = picture(*entries)
    folded = [node for node in graph.nodes if node.entries]
    assert [(len(node.entries), node.total) for node in folded] == [(250, 250), (250, 250)]
    assert len(picture(*entries, is_folded=False).nodes) == 503


def test_of_few_entries_none_is_folded() -> None:
    entries = [a_route(f"r{at}", MANY[at]) for at in range(READABLE)]
    assert len([node for node in picture(*entries).nodes if node.entries]) == READABLE


@pytest.mark.parametrize("state", sorted(set(State) - {State.IN_SYNC, State.PAUSED, State.WITHHELD}))
def test_what_drifts_waits_or_is_worse_is_never_folded(state: State) -> None:
    entries = [looked(a_route(f"r{at}", MANY[at])) for at in range(READABLE)]
    wrong = [
        looked(a_route(f"w{at}", MANY[100 + at]), troubled(f"route/w{at}", MANY[100 + at], state=state))
        for at in range(ALIKE + 2)
    ]
    graph = picture(*entries, *wrong)
    assert [node.entries for node in graph.nodes if node.state == state] == [(f"route/w{at}",) for at in range(5)]


@pytest.mark.parametrize("state", [State.PAUSED, State.WITHHELD])
def test_what_somebody_put_out_of_force_may_be_folded_by_itself(state: State) -> None:
    entries = [looked(a_route(f"r{at}", MANY[at])) for at in range(READABLE)]
    some = [
        looked(a_route(f"w{at}", MANY[100 + at]), troubled(f"route/w{at}", MANY[100 + at], state=state))
        for at in range(ALIKE)
    ]
    assert [len(node.entries) for node in picture(*entries, *some).nodes if node.entries] == [READABLE, ALIKE]


@pytest.mark.parametrize(
    "other",
    [
        a_route("other", "10.99.0.0/16", table=7),
        a_route("other", "10.99.0.0/16", (via("198.51.100.9", "v1"),)),
        a_route("other", "10.99.0.0/16", type_=names.BLACKHOLE),
        an_address(name="other"),
    ],
    ids=["another table", "another link", "dropped", "another kind"],
)
def test_what_is_not_alike_is_not_folded(other: Entry) -> None:
    entries = [a_route(f"r{at}", MANY[at]) for at in range(READABLE)]
    assert find(picture(*entries, other), other.name).total == 1


def test_the_servers_of_a_service_stand_behind_it() -> None:
    graph = picture(a_service(server(ONE), server(TWO)))
    kinds = {(graph.nodes[edge.tail].kind, graph.nodes[edge.head].kind) for edge in graph.edges}
    assert kinds == {(Kind.SERVICE, Kind.SERVER)}


def test_a_table_with_for_each_is_drawn_where_its_members_do_not_tell_of_it() -> None:
    body = a_route("pods[x]")
    each = EachEntry(name="route/pods", origin=Origin("f", 1), source="fleet", body=body, fills=())
    whole, part = looked(each), looked(a_route("pods[x]"))
    assert "route/pods" not in [name(node) for node in picture(whole, part).nodes]
    assert ("table 254", "route/pods") in ways(picture(whole))
    assert "route/pods" in [
        name(node) for node in picture(whole._replace(overall=Trouble(State.WAITING, NO, 1.0)), part).nodes
    ]


def test_the_picture_is_the_same_whatever_order_sets_have() -> None:
    prefixes = MANY[:20]
    one = picture(a_route(to=prefixes), a_rule(families=(IPV4, IPV6)))
    other = picture(a_route(to=tuple(reversed(prefixes))), a_rule(families=(IPV4, IPV6)))
    assert one == other


def test_every_kind_has_a_hook_that_takes_its_own_objects() -> None:
    graph = picture(a_rule(), a_route(), an_address(), a_service(server(ONE)))
    assert {node.kind for node in graph.nodes} <= {*KINDS, TABLE}
