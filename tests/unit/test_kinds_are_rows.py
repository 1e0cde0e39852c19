"""A kind of object is a row of a table, and so is a kind of entry: nothing else asks which kind it has before it.

What counts as a branch is read from the syntax tree: a comparison with ``Kind.X``, ``isinstance`` of a slot, a member,
a value or an entry, a ``match`` case on one, and what is keyed by them outside the tables. An ``assert isinstance`` is
none: it tells mypy what cannot be otherwise, and no way leads past it.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import pytest

from routed.audit.wording import WORDS
from routed.core.entries import ENTRIES
from routed.core.kinds import KINDS
from routed.core.linux.requests import DELETERS, INSERTERS
from routed.daemon.ipvs import SeldomIpvs
from routed.intent.export import EXPORTERS
from routed.kernel.codec import CODECS, Decoder
from routed.kernel.ipvs.dataplane import Ipvs
from routed.kernel.kernel import Kernel
from routed.kernel.stamp import STAMPS
from routed.model import entries, objects
from routed.model.entries import FORMS
from routed.model.objects import Kind
from routed.model.text import TEXTS
from tests.property.fake_kernel import FakeKernel
from tests.property.toy import Lamps, lamps_known

ROUTED: Final = Path(entries.__file__).parent.parent
FLOORS: Final = ("core", "daemon", "audit", "cli", "intent", "kernel")
KERNEL: Final = "core/linux/"  # what the kernel does with its kinds, each in its own way: no decision of ours
SHOWN: Final = 72  # characters of a branch
TABLES: Final = {
    ("core/kinds/__init__.py", "KINDS"),
    ("core/entries.py", "ENTRIES"),
    ("core/filling.py", "FILLS"),
    ("core/graph.py", "WRITTEN"),
    ("core/holding.py", "WRITTEN"),
    ("audit/wording.py", "WORDS"),
    ("intent/crosscheck.py", "CLASHES"),
    ("intent/export.py", "EXPORTERS"),
    ("intent/loops.py", "ROADS"),
    ("intent/ways.py", "PLACES"),
    ("kernel/codec/__init__.py", "CODECS"),
    ("kernel/codec/unspoken.py", "UNSPOKEN"),
    ("kernel/ipvs/claims.py", "PLACES"),
    ("kernel/ipvs/kinds.py", "ROWS"),
    ("kernel/stamp.py", "STAMPS"),
}

# The prefix of a route is the only member without a type of its own.
TYPES: Final = frozenset(
    {
        "bytes",
        *(name for name in vars(objects) if name.endswith(("Slot", "Member", "Value"))),
        *(
            name
            for name, one in vars(entries).items()
            if isinstance(one, type) and issubclass(one, entries.Entry) and one is not entries.Entry
        ),
    }
)

EXCEPTIONS: Final[dict[tuple[str, str, str], str]] = {
    ("core/reasons.py", "explain_facts", "isinstance(fact.which, bytes)"): "the name of a fact, and no member",
    ("daemon/revisions.py", "Revisions._leave_out_beside", "isinstance(value, RouteValue)"): (
        "only routes were kept wrongly by former versions, whose files are still read"
    ),
    ("daemon/revisions.py", "Revisions._leave_out_beside", "isinstance(key.slot, RouteSlot)"): "likewise",
    ("audit/history.py", "_to_text", "isinstance(value, bytes)"): "a field of the journal, and no member",
    ("intent/convert.py", "derive_links", "isinstance(entry, HeldVipEntry)"): (
        "the one word of the file, create, that makes a link; more than one would be a column"
    ),
    ("intent/hostdropin.py", "find_declared", "isinstance(entry, RouteEntry | VipEntry)"): (
        "routed route writes these two kinds of tables, and no other verb does"
    ),
    ("intent/hostdropin.py", "gateway_of", "isinstance(entry, VipEntry)"): "likewise",
    ("intent/hostdropin.py", "gateway_of", "isinstance(entry, RouteEntry)"): "likewise",
    ("daemon/facts.py", "_list_wanted_addresses", "host.wanted.desired.wants[Kind.ADDRESS]"): (
        "where a gateway is is decided by the networks of addresses, which are facts of the host as well"
    ),
    ("daemon/effect.py", "_look_around", "dataplanes.by_kind[Kind.RULE]"): "rules lead to routes, and to nothing else",
    ("daemon/effect.py", "_look_around", "stamps[Kind.RULE]"): "likewise",
    ("daemon/effect.py", "_look_around", "stamps[Kind.ROUTE]"): "likewise",
    ("daemon/effect.py", "is_our_dead_end", "desired.wants[Kind.ROUTE]"): "no route is named that drops a packet",
    ("daemon/wants.py", "", "{Kind.ROUTE: lambda members, prefixes: ((one, want) for one in prefixes "): (
        "packets go by rules and routes, and by nothing else"
    ),
    ("daemon/way.py", "", "{Kind.ROUTE: FibRoute, Kind.RULE: FibRule}"): "likewise",
    ("daemon/lifelines.py", "_read_rules", "dataplanes.by_kind[Kind.RULE]"): "likewise: packets go by routes",
    ("daemon/lifelines.py", "_find_others", "host.wanted.desired.wants[Kind.ROUTE]"): "likewise",
    ("daemon/lookups.py", "Lookups._read_around", "self._dataplanes.by_kind[Kind.ROUTE]"): "likewise",
    ("intent/own_prefixes.py", "note_own_sources", "isinstance(entry, RouteEntry)"): (
        "no other entry of the files makes a prefix of somebody's choice an address of this host"
    ),
    ("intent/required_services.py", "require_services", "isinstance(entry, ServiceEntry)"): (
        "the one table that others may require; more than one would be a column"
    ),
    ("intent/for_each.py", "_find_families", "isinstance(body, RouteEntry)"): "no other has prefixes of both families",
    ("intent/nexthop_table.py", "join_nexthops", "isinstance(one, NexthopEntry)"): (
        "what routes and groups name by a number; no other entry is named so"
    ),
    ("intent/nexthop_table.py", "join_nexthops", "isinstance(body, NexthopEntry)"): "likewise",
    ("intent/nexthop_table.py", "join_nexthops", "isinstance(body, RouteEntry)"): "likewise",
    ("intent/nexthop_table.py", "join_nexthops", "isinstance(entry, EachEntry)"): "likewise",
    ("intent/black_holes.py", "find_black_holes", "isinstance(entry, VipEntry)"): (
        "a trap of IPVS behind one of these: no other dataplane has it"
    ),
    ("intent/black_holes.py", "find_black_holes", "isinstance(entry, AddressEntry)"): "likewise",
    ("intent/black_holes.py", "find_black_holes", "isinstance(entry, ServiceEntry)"): "likewise",
    ("core/filling.py", "find_neighbourhood", "isinstance(entry, RouteEntry)"): "no other entry has a gateway",
    ("core/filling.py", "_fill_all", "isinstance(one, bytes)"): "the value of a key, which may be a number",
    ("core/filling.py", "_is_of", "isinstance(value, bytes)"): "likewise",
    ("core/filling.py", "_read", "isinstance(value, bytes)"): "likewise",
    ("core/for_each.py", "", "{EachEntry: FollowRow(lambda entry: entry, _put_lacking), ServiceEntry: "): (
        "the table of what follows a source"
    ),
    ("core/filling.py", "", "{EachEntry: make_entries, EachServer: make_servers}"): "likewise",
    ("intent/swallowed.py", "find_swallowed", "isinstance(entry, TunnelEntry)"): (
        "a trap of tunnels and of the routes over them: no other link has it"
    ),
    ("intent/swallowed.py", "find_swallowed", "isinstance(entry, RouteEntry)"): "likewise",
    ("core/services.py", "list_vips", "kind not in {Kind.SERVICE, Kind.SERVER}"): (
        "what others who keep IPVS have to leave alone; no other dataplane has such"
    ),
    ("core/strict.py", "Brought.by", "isinstance(entry, AddressEntry)"): "what the files bring, for a command",
    ("core/strict.py", "Brought.by", "isinstance(entry, LinkEntry)"): "likewise",
    ("core/strict.py", "Brought.by", "isinstance(entry, RouteEntry)"): "likewise",
    ("core/strict.py", "find_impossible", "isinstance(entry, RuleEntry)"): "no other looks in a table",
    ("core/strict.py", "list_open_tables", "isinstance(entry, RuleEntry)"): "likewise",
    ("core/waiting.py", "find_gone", "isinstance(entry, RouteEntry)"): "which link the file names, where one does",
    ("core/waiting.py", "find_gone", "isinstance(entry, AddressEntry)"): "likewise",
    ("daemon/strict.py", "judge", "isinstance(slot, RouteSlot)"): "only routes are in tables",
    ("core/sysctls.py", "find_needs", "isinstance(entry, ServiceEntry)"): "what IPVS takes of the host; no other does",
    ("core/sysctls.py", "find_needs", "isinstance(entry, VipEntry)"): "likewise",
    ("core/sysctls.py", "find_needs", "isinstance(entry, HeldVipEntry)"): "likewise",
    ("core/filters.py", "_compare", "isinstance(choice, bytes)"): "an address of a packet, and no member",
    ("core/routing_sysctls.py", "_find_lost_sources", "isinstance(entry, AddressEntry)"): (
        "what the kernel does to those who stand on an IPv6 address; no other kind has a source"
    ),
    ("core/routing_sysctls.py", "_find_lost_sources", "isinstance(entry, RouteEntry)"): "likewise",
    ("core/routing_sysctls.py", "_find_lost_sources", "isinstance(entry, VipEntry)"): "likewise",
    ("core/routing_sysctls.py", "find_unanswered", "isinstance(entry, VipEntry)"): "no other has a proxy",
    ("core/doctor/firewall.py", "_is_reached", "isinstance(one, HeldVipEntry)"): "who may ask at an address of these",
    ("core/doctor/firewall.py", "_is_reached", "isinstance(one, VipEntry)"): "likewise",
    ("daemon/doctor.py", "_read_routing", "stamps[Kind.RULE]"): "rules lead to routes, and to nothing else",
    ("daemon/doctor.py", "_read_routing", "stamps[Kind.ROUTE]"): "likewise",
    ("daemon/following.py", "Following.__init__", "reconciler.dataplanes.by_kind[Kind.SERVER]"): (
        "requests to IPVS are seen, and to no other dataplane without events"
    ),
    ("daemon/service.py", "Service.__init__", "self.reconciler.dataplanes.by_kind[Kind.SERVER]"): (
        "what IPVS counts; no other dataplane does"
    ),
    ("kernel/defaults.py", "_decode_zeros", "isinstance(route.member, bytes)"): "tells mypy what a route's member is",
    ("kernel/reflex.py", "RouteReflex._learn", "CODECS[Kind.ROUTE]"): "of routes there are the most, and they go alone",
    ("kernel/kernel.py", "Kernel.read_addresses", "CODECS[Kind.ADDRESS]"): (
        "addresses are facts of the host as well, and these are read where nobody wants any"
    ),
}  # fmt: skip


def test_nothing_asks_for_a_kind_but_the_tables_and_what_is_listed_here_with_its_reason() -> None:
    branches = (branch for floor in FLOORS for branch in find_branches(ROUTED / floor))
    found = Counter(branch for branch in branches if not branch[0].startswith(KERNEL))
    assert found - Counter(EXCEPTIONS.keys()) == Counter()


def test_every_exception_is_still_there() -> None:
    found = {branch for floor in FLOORS for branch in find_branches(ROUTED / floor)}
    assert EXCEPTIONS.keys() - found == set()


def test_every_exception_has_a_reason() -> None:
    assert [branch for branch, reason in EXCEPTIONS.items() if not reason] == []


def test_nobody_but_the_stamp_tells_by_a_protocol_number_whose_an_object_is() -> None:
    found = {
        (file, where)
        for floor in ("core", "daemon", "audit", "cli")
        for path in sorted((ROUTED / floor).rglob("*.py"))
        for file, where in _find_comparisons(str(path.relative_to(ROUTED)), ast.parse(path.read_text()))
        if not file.startswith(KERNEL)
    }
    assert found == {
        ("daemon/direct.py", "rival.protocol == ownership.kept.protocol"),  # of two locks
        ("cli/host_route.py", "one.value.protocol in files.others.settings.numbers"),  # it looks at routes alone
        ("cli/host_route.py", "one.value.protocol not in ours"),  # likewise
        ("core/routing_sysctls.py", "fact.protocol in names.KERNEL_ADDRESS_PROTOCOLS"),  # of a fact, and no object
    }


def _find_comparisons(file: str, tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(
            isinstance(side, ast.Attribute) and side.attr == "protocol" for side in (node.left, *node.comparators)
        ):
            yield file, ast.unparse(node)


@pytest.fixture(params=[nullcontext, lamps_known], ids=["as it is", "with a kind from outside"])
def _known(request: pytest.FixtureRequest) -> Iterator[None]:
    with request.param():
        yield


@pytest.mark.usefixtures("_known")
@pytest.mark.parametrize("table", [TEXTS, WORDS], ids=["model", "audit"])
def test_every_table_of_kinds_has_a_row_for_each_kind(table: Mapping[Kind, object]) -> None:
    assert table.keys() == KINDS.keys()


@pytest.mark.usefixtures("_known")
def test_every_kind_has_one_dataplane(tmp_path: Path) -> None:
    served = [*FakeKernel.kinds, *SeldomIpvs.kinds, *(kind for kind in Lamps(tmp_path).kinds if kind in KINDS)]
    assert SeldomIpvs.kinds == Ipvs.kinds
    assert sorted(served) == sorted(KINDS)
    assert set(FakeKernel.kinds) == set(Kernel.kinds)


@pytest.mark.parametrize(
    "table",
    [CODECS, STAMPS, Decoder()._decoders, INSERTERS, DELETERS],
    ids=["codecs", "stamps", "decoders", "fake inserters", "fake deleters"],
)
def test_every_table_of_rtnetlink_has_a_row_for_each_kind_that_it_serves(table: Mapping[Kind, object]) -> None:
    assert table.keys() == set(Kernel.kinds)


@pytest.mark.usefixtures("_known")
def test_every_mark_is_a_field_of_the_value_of_its_kind() -> None:
    for kind, row in TEXTS.items():
        assert any(row.mark in getattr(one, "_fields", ()) for one in KINDS[kind].types), kind


def test_what_may_be_imported_is_what_may_be_written() -> None:
    assert EXPORTERS.keys() == {kind for kind, row in KINDS.items() if row.is_written}
    assert {one.parts for one in EXPORTERS.values() if one.parts} == {
        kind for kind, row in KINDS.items() if row.is_part
    }


def test_a_kind_is_a_word_of_which_there_is_one_value() -> None:
    assert Kind("route") is Kind.ROUTE
    assert json.dumps(sorted([Kind.RULE, Kind("other"), Kind.LINK])) == '["link", "other", "rule"]'


@pytest.mark.usefixtures("_known")
def test_every_table_of_entries_has_a_row_for_each_kind_of_entry() -> None:
    assert FORMS.keys() == ENTRIES.keys()


def test_every_kind_of_entry_has_a_row() -> None:
    assert {one.__name__ for one in ENTRIES} == {one for one in TYPES if one.endswith("Entry")}


def test_the_audit_has_words_for_what_the_kernel_makes_itself() -> None:
    made = {kind for kind, row in KINDS.items() if row.made_by_kernel}
    assert {kind for kind, row in WORDS.items() if row.describe_absent} == made


@pytest.mark.usefixtures("_known")
def test_no_two_kinds_have_one_rank() -> None:
    assert len({row.rank for row in KINDS.values()}) == len(KINDS)


def test_each_form_of_a_branch_is_found() -> None:
    text = """
def judge(kind, value, member, event):
    a = kind is Kind.ROUTE
    b = event.kind in {Kind.LINK, Kind.ADDRESS}
    c = isinstance(value, RouteValue)
    d = isinstance(member, AddressMember | RuleMember)
    e = issubclass(type(entry), (VipEntry, str))
    f = wants[Kind.ROUTE]
    g = {Kind.ROUTE: 1}
    h = type(entry) is VipEntry
    i = {VipEntry: 1}
    CHOSEN = frozenset({Kind.ROUTE})
    match value:
        case RouteValue(type=1):
            pass
    match kind:
        case Kind.ROUTE | Kind.RULE:
            pass
    assert isinstance(value, RouteValue)
    return Key(Kind.ROUTE, slot, member), isinstance(value, Report), {Report: 1}
"""
    assert len(list(_find("judge.py", ast.parse(text), ""))) == 13


def find_branches(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Each branch as (file, function, source)."""
    for path in sorted(folder.rglob("*.py")):
        yield from _find(str(path.relative_to(ROUTED)), ast.parse(path.read_text()), "")


def _find(file: str, node: ast.AST, where: str) -> Iterator[tuple[str, str, str]]:
    if _is_narrowing(node) or any(file == place and _assigns(node, name) for place, name in TABLES):
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}" if where else node.name
    if _is_branch(node, file):
        yield file, where, ast.unparse(node)[:SHOWN]
        return
    for child in ast.iter_child_nodes(node):
        yield from _find(file, child, where)


def _is_branch(node: ast.AST, file: str) -> bool:
    match node:
        case ast.Compare():
            return any(map(_names_a_kind, (node.left, *node.comparators)))
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name(id="bytes")]) if file.startswith("intent/"):
            return False  # what a word of the file comes to, an address mostly, and no member
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, asked]):
            return _names_a_kind(asked)
        case ast.MatchClass(cls=asked) | ast.MatchValue(value=asked) | ast.Subscript(slice=asked):
            return _names_a_kind(asked) and not _is_annotation(node)
        case ast.Dict(keys=keys):
            return any(key is not None and _names_a_kind(key) for key in keys)
        case ast.Set():
            return _names_a_kind(node)
        case _:
            return False


def _names_a_kind(node: ast.AST) -> bool:
    """Is it ``Kind.X`` or one of the types, or are there some among what it lists?"""
    match node:
        case ast.Attribute(value=ast.Name(id="Kind")):
            return True
        case ast.Name(id=name):
            return name in TYPES
        case ast.Set(elts=each) | ast.Tuple(elts=each) | ast.List(elts=each):
            return any(map(_names_a_kind, each))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _names_a_kind(left) or _names_a_kind(right)
        case _:
            return False


def _is_annotation(node: ast.AST) -> bool:
    """``dict[RouteSlot, int]`` is a type; only ``wants[Kind.ROUTE]`` looks something up."""
    return isinstance(node, ast.Subscript) and not any(
        isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "Kind"
        for part in ast.walk(node.slice)
    )


def _is_narrowing(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert) and isinstance(node.test, ast.Call)


def _assigns(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name
