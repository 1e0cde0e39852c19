"""The picture of what is wanted: rules, the tables that they look up, the routes in these, and the links behind them.

A pure function from what every entry comes to and what is wrong with it to a graph, whose nodes stand in their order.
Whatever is not as it should be has a node of its own; of what is in order, entries that are alike may be one. Here must
never live: a word or a colour (``audit.graph``), or the language that a graph is written in (``cli.graph``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from routed.core.desired import ObjectSet
from routed.core.kinds import KINDS
from routed.core.kinds.hooks import find_target_of_rule
from routed.core.references import find_link
from routed.core.troubles import Looked, State, Trouble, Troubled
from routed.model.entries import (
    FORMS,
    AddressEntry,
    EachEntry,
    Entry,
    HeldVipEntry,
    LinkEntry,
    NeighbourEntry,
    NexthopEntry,
    RouteEntry,
    RuleEntry,
    TimeoutsEntry,
    TunnelEntry,
    VipEntry,
)
from routed.model.facts import Facts
from routed.model.graph import ABSENT, DOWN, MISSING, NO_CARRIER, TABLE, UP, Edge, Example, Graph, Node
from routed.model.objects import Key, Kind, Member, Slot, SlotKey, Value
from routed.model.reasons import Reason

FEW: Final = 3  # objects that a node names one by one
READABLE: Final = 32  # nodes of entries up to which each is shown by itself
SORTED: Final = 4096  # of very many members so many are looked at for some to name
ALIKE: Final = 3  # from so many on, what is alike is one node
# Said of a whole entry, and so of those of its objects of which nothing else is said.
WHOLE: Final = frozenset({State.PAUSED, State.HELD, State.DEGRADED})
# What may be folded: what is in order, and what the operator, or the file by his word, has put out of force.
CALM: Final = frozenset({State.IN_SYNC, State.PAUSED, State.WITHHELD})


class _Piece(NamedTuple):
    """Objects of one entry that share state, reason and where they hang."""

    entry: str
    kind: Kind
    state: str
    reason: Reason | None = None
    tables: tuple[int, ...] = ()  # that they stand in
    targets: tuple[int, ...] = ()  # that they have packets look up
    links: tuple[str, ...] = ()
    drops: bool = False
    total: int = 0
    shown: tuple[Example, ...] = ()

    @property
    def form(self) -> tuple[object, ...]:
        """What two pieces of one entry have alike that are one."""
        return self._replace(total=0, shown=())

    @property
    def likeness(self) -> tuple[object, ...]:
        """What pieces of several entries have alike that may be one node."""
        return self._replace(entry=self.entry.partition("/")[0], total=0, shown=())


class _Written(NamedTuple):
    """What an entry says of itself while nobody knows its objects."""

    kind: Kind | None = None  # of its objects; None: it is called as its table is
    find_table: Callable[[Any], int | None] = lambda _entry: None
    find_target: Callable[[Any], int | None] = lambda _entry: None
    list_links: Callable[[Any], Iterable[str]] = lambda _entry: ()
    find_body: Callable[[Any], Entry] = lambda entry: entry  # that says it for each of its members


def _list_devs(entry: AddressEntry | NeighbourEntry) -> tuple[str, ...]:
    return (entry.dev,)


def _list_own_link(entry: LinkEntry) -> tuple[str, ...]:
    return (entry.link,)


WRITTEN: Final[dict[type[Entry], _Written]] = {
    AddressEntry: _Written(list_links=_list_devs),
    EachEntry: _Written(find_body=lambda entry: entry.body),
    HeldVipEntry: _Written(Kind.ADDRESS, list_links=_list_devs),
    LinkEntry: _Written(Kind.LINK, list_links=_list_own_link),
    TunnelEntry: _Written(Kind.LINK, list_links=_list_own_link),
    RouteEntry: _Written(
        find_table=lambda entry: entry.table, list_links=lambda entry: (hop.dev for hop in entry.every_hop if hop.dev)
    ),
    NeighbourEntry: _Written(list_links=_list_devs),
    NexthopEntry: _Written(list_links=lambda entry: (hop.dev for hop in entry.hops if hop.dev)),
    TimeoutsEntry: _Written(Kind.TIMEOUT),
    RuleEntry: _Written(find_target=lambda entry: find_target_of_rule(entry.rule)),
    VipEntry: _Written(Kind.ROUTE, find_table=lambda entry: entry.table),
}
NOTHING_WRITTEN: Final = _Written()


def draw(
    looked: Iterable[Looked],
    leftovers: Iterable[Troubled],
    facts: Facts,
    absent: Mapping[SlotKey, Collection[Member]],
    *,
    is_folded: bool = True,
) -> Graph:
    """The picture. ``absent`` is what the kernel makes itself, and what of it is not there."""
    entries = list(looked)
    wholes = {name.partition("[")[0] for one in entries if "[" in (name := one.resolution.entry.name)}
    pieces = [piece for one in entries if not _is_told_by_parts(one, wholes) for piece in _split(one, facts)]
    left = _merge(_make_stray("", one, facts) for one in leftovers)
    ordered = [*pieces, *left]  # what nobody wants comes last
    groups = _fold(ordered) if is_folded and len(ordered) > READABLE else [[piece] for piece in ordered]
    return _join(groups, facts, absent)


def _is_told_by_parts(one: Looked, wholes: Collection[str]) -> bool:
    """Is it a table with ``for_each`` of which there is nothing to say but what its members make?"""
    return one.resolution.entry.name in wholes and one.overall is None and not one.resolution.sets


# --- entries to pieces --------------------------------------------------------------------------------------------


def _split(one: Looked, facts: Facts) -> list[_Piece]:
    """An entry by what is alike in it; at least one piece."""
    entry, calm, overall = one.resolution.entry, _find_calm(one.overall), one.overall
    places = Counter((group.kind, group.slot) for group in one.resolution.sets)
    pieces: list[_Piece] = []
    for group in one.resolution.sets:
        place = group.kind, group.slot
        here = [
            (members, troubled.trouble)
            for troubled in one.wrong
            if (troubled.kind, troubled.slot) == place
            and (members := _pick(troubled.members, group.members, is_alone=places[place] == 1))
        ]
        pieces += [_make_piece(entry, group, members, trouble, facts) for members, trouble in here]
        if rest := len(group.members) - sum(len(members) for members, _ in here):
            some = islice(_order(group.members), SORTED)
            right = (member for member in some if not any(member in members for members, _ in here))
            pieces.append(_make_piece(entry, group, tuple(islice(right, FEW)), calm, facts)._replace(total=rest))
    strays = (one for one in one.wrong if (one.kind, one.slot) not in places)
    pieces += [_make_stray(entry.name, troubled, facts) for troubled in strays]
    if not pieces or (overall is not None and overall.state not in {*WHOLE, *(piece.state for piece in pieces)}):
        pieces.append(_make_written(entry, overall or calm, facts))
    return pieces if len(pieces) == 1 else _merge(pieces)


def _find_calm(overall: Trouble | None) -> Trouble:
    if overall is not None and overall.state in WHOLE:
        return overall
    return Trouble(State.IN_SYNC, None, 0.0)


def _pick(members: Collection[Member], among: Collection[Member], *, is_alone: bool) -> Collection[Member]:
    """Those that are of this set: all of them, unless another set of the entry has the same place."""
    return members if is_alone else tuple(member for member in members if member in among)


def _order(members: Collection[Member]) -> Iterable[Member]:
    """In their order, unless they are very many: prefixes of a file stand in theirs."""
    return sorted(members) if len(members) <= SORTED else members


def _make_piece(entry: Entry, group: ObjectSet, members: Collection[Member], trouble: Trouble, facts: Facts) -> _Piece:
    values = (group.value, *group.also) if group.value is not None else ()
    bare = _Piece(entry.name, group.kind, trouble.state, trouble.reason)
    piece = _hang(bare, group.slot, members or group.members, values, facts)
    links = piece.links or (() if values else _list_written_links(entry, facts))
    return piece._replace(links=links, shown=_show_some(group.kind, group.slot, members, group.value))


def _hang(piece: _Piece, slot: Slot, members: Collection[Member], values: Collection[Value], facts: Facts) -> _Piece:
    """These are its objects, at least one, and so it hangs there."""
    row, first = KINDS[piece.kind], next(iter(members))
    own, stands_on = row.hook.name_link(first), row.find_links(members, values)
    return piece._replace(
        tables=_some(row.hook.find_table(slot)),
        targets=_some(row.hook.find_target(first)),
        links=(own,) if own else tuple(sorted(facts.name_of(index) for index in stands_on if index)),
        drops=any(row.drops(first, value) for value in values),
        total=len(members),
    )


def _show_some(kind: Kind, slot: Slot, members: Collection[Member], value: Value | None) -> tuple[Example, ...]:
    return tuple(Example(Key(kind, slot, member), value) for member in islice(_order(members), FEW))


def _make_stray(name: str, one: Troubled, facts: Facts) -> _Piece:
    """Objects that the entry does not come to just now, by what stands there."""
    standing = one.trouble.standing
    piece = _hang(_Piece(name, one.kind, one.trouble.state, one.trouble.reason), one.slot, one.members, standing, facts)
    return piece._replace(shown=_show_some(one.kind, one.slot, one.members, standing[0] if standing else None))


def _make_written(entry: Entry, trouble: Trouble, facts: Facts) -> _Piece:
    """The entry itself: nothing is known of its objects, or it has none."""
    written, body = _read_written(entry)
    return _Piece(
        entry=entry.name,
        kind=written.kind or Kind(FORMS[type(body)].table),
        state=trouble.state,
        reason=trouble.reason,
        tables=_some(written.find_table(body)),
        targets=_some(written.find_target(body)),
        links=_list_written_links(entry, facts),
    )


def _read_written(entry: Entry) -> tuple[_Written, Entry]:
    """What it says of itself, or what each of its members will."""
    body = WRITTEN.get(type(entry), NOTHING_WRITTEN).find_body(entry)
    return WRITTEN.get(type(body), NOTHING_WRITTEN), body


def _list_written_links(entry: Entry, facts: Facts) -> tuple[str, ...]:
    """The links that it names, by their own names where a selector has chosen one."""
    written, body = _read_written(entry)
    return tuple(sorted({_name_link(word, facts) for word in written.list_links(body)}))


def _name_link(word: str, facts: Facts) -> str:
    link = find_link(word, facts).link if word else None
    return link.name if link else word


def _some(number: int | None) -> tuple[int, ...]:
    return () if number is None else (number,)


def _merge(pieces: Iterable[_Piece]) -> list[_Piece]:
    """Those of one entry that are alike, such as those of both families, together."""
    merged: dict[tuple[object, ...], _Piece] = {}
    for piece in pieces:
        before = merged.get(piece.form, piece._replace(total=0, shown=()))
        shown = (*before.shown, *piece.shown)[:FEW]
        merged[piece.form] = piece._replace(total=before.total + piece.total, shown=shown)
    return list(merged.values())


def _fold(pieces: Iterable[_Piece]) -> list[list[_Piece]]:
    """Groups of what is alike and calm; everything else by itself. A group stands where its first one does."""
    alike: dict[object, list[_Piece]] = {}
    for place, piece in enumerate(pieces):
        may_fold = piece.state in CALM and piece.entry
        alike.setdefault(piece.likeness if may_fold else place, []).append(piece)
    return [
        group for some in alike.values() for group in ([some] if len(some) >= ALIKE else [[piece] for piece in some])
    ]


# --- pieces to a graph --------------------------------------------------------------------------------------------


class _Ahead(NamedTuple):
    """What is asked before any table, in its turn."""

    turn: int
    node: Node
    targets: tuple[int, ...]


def _join(groups: list[list[_Piece]], facts: Facts, absent: Mapping[SlotKey, Collection[Member]]) -> Graph:
    every = [piece for group in groups for piece in group]
    tables = sorted({number for piece in every for number in (*piece.tables, *piece.targets)})
    ahead = [_Ahead(_find_turn(group[0]), _make_node(group), group[0].targets) for group in groups if _leads(group[0])]
    ahead = sorted([*ahead, *_list_kernels(tables, every, absent)], key=lambda one: one.turn)
    others = [group for group in groups if not _leads(group[0]) and not _is_link(group[0])]
    makers = {piece.links[0]: piece for piece in every if _is_link(piece) and piece.links}
    links = sorted({name for piece in every for name in piece.links})
    place_of_table = {number: at for at, number in enumerate(tables, len(ahead))}
    first = len(ahead) + len(tables)
    place_of_link = {name: at for at, name in enumerate(links, first + len(others))}
    wholes = {piece.entry: at for at, group in enumerate(others, first) for piece in group if _has_parts(piece)}
    edges = [Edge(at, place_of_table[target]) for at, one in enumerate(ahead) for target in one.targets]
    for at, group in enumerate(others, first):
        edges += [Edge(place_of_table[number], at) for number in group[0].tables]
        edges += [Edge(at, place_of_link[name]) for name in group[0].links]
        edges += [Edge(whole, at) for whole in _find_wholes(group, wholes)]
    nodes = (
        *(one.node for one in ahead),
        *(Node(TABLE, table=number) for number in tables),
        *map(_make_node, others),
        *(_make_link(name, makers.get(name), facts) for name in links),
    )
    return Graph(nodes, tuple(edges))


def _leads(piece: _Piece) -> bool:
    return piece.kind in KINDS and KINDS[piece.kind].hook.leads_to_tables


def _is_link(piece: _Piece) -> bool:
    return piece.kind in KINDS and KINDS[piece.kind].hook.is_link


def _find_turn(piece: _Piece) -> int:
    """Rules come in their own order, everything else as the files have it."""
    return KINDS[piece.kind].hook.rank(piece.shown[0].key.member) if piece.shown and piece.kind in KINDS else 0


def _has_parts(piece: _Piece) -> bool:
    return piece.kind in KINDS and KINDS[piece.kind].has_parts


def _find_wholes(group: list[_Piece], wholes: Mapping[str, int]) -> list[int]:
    if group[0].kind not in KINDS or KINDS[group[0].kind].find_whole is None:
        return []
    return sorted({wholes[piece.entry] for piece in group if piece.entry in wholes})


def _make_node(group: list[_Piece]) -> Node:
    first = group[0]
    return Node(
        kind=first.kind,
        state=first.state,
        reason=first.reason,
        entries=tuple(piece.entry for piece in group if piece.entry),
        total=sum(piece.total for piece in group),
        shown=tuple(islice((one for piece in group for one in piece.shown), FEW)),
    )


def _make_link(name: str, maker: _Piece | None, facts: Facts) -> Node:
    """A link as it is; of one that routed makes, what is wrong with it comes first."""
    link = facts.link_named(name)
    state = ABSENT if link is None else DOWN if not link.is_up else UP if link.has_carrier else NO_CARRIER
    node = Node(Kind.LINK, state, link=name)
    if maker is None:
        return node
    node = node._replace(entries=(maker.entry,) if maker.entry else (), total=maker.total, reason=maker.reason)
    return node._replace(state=maker.state) if maker.state != State.IN_SYNC else node


def _list_kernels(
    tables: Collection[int], pieces: Iterable[_Piece], absent: Mapping[SlotKey, Collection[Member]]
) -> Iterator[_Ahead]:
    """What the kernel makes itself, or lacks, and leads to one of these tables."""
    families = {one.key.slot.family for piece in pieces if piece.tables or piece.targets for one in piece.shown}
    for kind, row in KINDS.items():
        found: dict[tuple[int, int, str], list[Example]] = {}
        for slot, members in row.made_by_kernel.items():
            for member in members if slot.family in families else ():
                target = row.hook.find_target(member)
                if target is not None and target in tables:
                    state = MISSING if member in absent.get((kind, slot), ()) else ""
                    shown = found.setdefault((row.hook.rank(member), target, state), [])
                    shown.append(Example(Key(kind, slot, member), None))
        for (turn, target, state), shown in sorted(found.items()):
            yield _Ahead(turn, Node(kind, state, total=len(shown), shown=tuple(shown), is_kernels=True), (target,))
