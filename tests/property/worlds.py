"""Strategies: files that an operator may write for the host of ``rig.a_host``, and what strangers may do to it.

Entries come from a pool of keys that never clash, so that any subset with any content is a valid file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from hypothesis import strategies as st

from routed.model import attributes, names
from routed.model.attributes import ENCAP, join
from routed.model.change import Verb
from routed.model.entries import Entry, HopSpec, RouteEntry, RuleEntry
from routed.model.net import IPV4, IPV6
from routed.model.objects import AddressValue, Key, RouteValue, Value
from tests.property.fake_kernel import FakeKernel
from tests.property.rig import (
    BOOT,
    OURS,
    THEIRS,
    a_route,
    a_rule,
    a_rule_value,
    address_key,
    an_address,
    give_address,
    hop,
    route_key,
    route_value,
    rule_key,
    via,
)

V4_TARGETS = ("10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
V6_TARGETS = ("2001:db8:1::/48", "2001:db8:2::/48")
V4_HOPS = (
    (HopSpec(dev="v0"),),
    (via("192.0.2.2"),),
    (via("198.51.100.2", "v1"),),
    (via("192.0.2.2", "v0", 3), via("198.51.100.2", "v1")),
)
WAYS_BEHIND = (*V4_HOPS, (via("192.0.2.4"),), ())
V6_HOPS = (
    (HopSpec(dev="v1"),),
    (via("fd00::2"),),
    (via("fd00::2", "v0"), via("fd01::2", "v1")),
)
HOST_ADDRESSES = (("192.0.2.1/24", "v0"), ("fd00::1/64", "v0"), ("198.51.100.1/24", "v1"), ("fd01::1/64", "v1"))
# Words that are attributes of their own: dscp with and without a mask, and a mask of a port; realms; pref
RULE_WORDS = (join({25: b"\x08"}), join({25: b"\x08", 30: b"\x38"}), join({28: b"\xf0\xff"}))
REALMS = (b"", join({11: b"\1\0\0\0"}), join({11: b"\2\0\1\0"}))
PREFS = (b"", join({20: b"\1"}))
# Two encapsulations and none; over one gateway, so that hops may differ in nothing else
ENCAPS = (b"", *(join(ENCAP.pack({"type": "ip", "id": number})) for number in (1, 2)))
PREFIXES = tuple(f"10.200.{number}.0/24" for number in range(12))
LISTED = ("10.0.0.0/8", "10.0.0.0/9", *(f"10.{number}.0.0/20" for number in range(1, 5)), "172.16.0.0/12")


def route_entries() -> st.SearchStrategy[list[Entry]]:
    """Any subset of the pool of single routes, each with any content."""

    def of(to: str) -> st.SearchStrategy[Entry]:
        is_ipv6 = ":" in to
        return st.builds(
            lambda hops, type_, has_src, mtu: a_route(
                to,
                to,
                hops,
                type_=type_,
                src=("fd01::1" if is_ipv6 else "192.0.2.1") if has_src and type_ == names.UNICAST else "",
                metrics=((attributes.METRICS["mtu"], mtu),) if mtu and type_ == names.UNICAST else (),
            ),
            st.sampled_from(V6_HOPS if is_ipv6 else V4_HOPS),
            st.sampled_from((names.UNICAST, names.UNICAST, names.BLACKHOLE)),
            st.booleans(),
            st.sampled_from((0, 1400)),
        )

    def with_more(to: str) -> st.SearchStrategy[Entry]:
        more = st.lists(st.sampled_from(WAYS_BEHIND), max_size=3, unique=True)
        return st.builds(append, of(to), st.just([]) | more)

    return _some_of([*map(with_more, V4_TARGETS), *map(of, V6_TARGETS)])


def append(entry: Entry, ways: Sequence[tuple[HopSpec, ...]]) -> Entry:
    """The route with others behind it, by these hops; by none it is a black hole."""
    assert isinstance(entry, RouteEntry)
    behind = (
        a_route(entry.name, (), hops, type_=names.UNICAST if hops else names.BLACKHOLE, table=entry.table)
        for hops in ways
    )
    return replace(entry, append=tuple(behind))


def with_words(entry: RuleEntry, extra: bytes) -> RuleEntry:
    """The rule with these words, and a port that may have a mask."""
    return replace(entry, rule=entry.rule._replace(sport=(80, 80), extra=extra))


def files() -> st.SearchStrategy[tuple[Entry, ...]]:
    """Any file: routes, a set, a route in another table, rules, addresses."""
    others: list[st.SearchStrategy[Entry]] = [
        st.builds(
            lambda chosen, is_file: a_route(
                "drop", tuple(sorted(chosen)), type_=names.BLACKHOLE, table=120, is_file=is_file
            ),
            st.sets(st.sampled_from(PREFIXES), min_size=1, max_size=12),
            st.booleans(),
        ),
        st.builds(
            lambda chosen, hops: a_route("listed", tuple(sorted(chosen)), hops, is_file=True),
            st.sets(st.sampled_from(LISTED), min_size=1, max_size=8),
            st.sampled_from(V4_HOPS),
        ),
        st.just(a_route("metric", "10.1.0.0/16", metric=50)),
        st.sampled_from([(IPV4,), (IPV4, IPV6)]).map(lambda families: a_rule(families=families)),
        st.just(a_rule("second", 1300, 254)),
        st.sampled_from(RULE_WORDS).map(lambda extra: with_words(a_rule("words", 1350, 254), extra)),
        st.sampled_from(REALMS).map(
            lambda realms: a_route("realms", "10.4.0.0/16", (via("192.0.2.2", "v0")._replace(extra=realms),))
        ),
        st.sampled_from(_some_encaps(via("192.0.2.2", "v0"))).map(lambda hops: a_route("encap", "10.5.0.0/16", hops)),
        st.sampled_from(_some_encaps(via("fd00::2", "v0"))).map(
            lambda hops: a_route("encap6", "2001:db8:5::/48", hops)
        ),
        st.sampled_from(PREFS).map(
            lambda pref: replace(a_route("pref", "2001:db8:4::/48", (via("fd00::2", "v0"),)), extra=pref)
        ),
        st.sampled_from([0, 77]).map(lambda metric: an_address("10.20.0.11/21", metric=metric)),
        st.just(an_address("2001:db8:20::1/64", "v1")),
    ]
    return st.builds(lambda routes, rest: (*routes, *rest), route_entries(), _some_of(others))


def numbered(
    drawn: st.SearchStrategy[tuple[Entry, ...]], numbers: Sequence[int]
) -> st.SearchStrategy[tuple[Entry, ...]]:
    """The same entries, each with one of these protocol numbers of its own; 0 is that of the daemon."""

    def of(entries: tuple[Entry, ...]) -> st.SearchStrategy[tuple[Entry, ...]]:
        own = st.lists(st.sampled_from(numbers), min_size=len(entries), max_size=len(entries))
        return own.map(
            lambda some: tuple(replace(one, protocol=number) for one, number in zip(entries, some, strict=True))
        )

    return drawn.flatmap(of)


def _some_encaps(hop: HopSpec) -> list[tuple[HopSpec, ...]]:
    none, one, other = (hop._replace(extra=extra) for extra in ENCAPS)
    return [(none,), (one,), (other,), (one, other), (other, none)]


def _some_of(strategies: Sequence[st.SearchStrategy[Entry]]) -> st.SearchStrategy[list[Entry]]:
    return st.tuples(*(st.none() | strategy for strategy in strategies)).map(
        lambda drawn: [entry for entry in drawn if entry is not None]
    )


class Act(NamedTuple):
    """Something that a stranger, or the kernel itself, does."""

    what: str
    do: Callable[[FakeKernel], object]

    def __repr__(self) -> str:
        return self.what


ROUTE_KEYS = (
    *(route_key(to) for to in (*V4_TARGETS, *V6_TARGETS)),
    route_key("10.1.0.0/16", metric=50),
    route_key(PREFIXES[0], table=120),
    route_key(V6_TARGETS[0], source="2001:db8:a::/48"),
    *(route_key(to) for to in LISTED[:3]),
    route_key("10.4.0.0/16"),
    route_key("2001:db8:4::/48"),
)
RULE_KEYS = (rule_key(), rule_key(1300, 254), rule_key(family=IPV6))


def dev(kernel: FakeKernel, name: str) -> int:
    """The ifindex of a link, 0 when there is none."""
    return next((link.ifindex for link in kernel.links.values() if link.name == name), 0)


def foreign_routes(kernel: FakeKernel, family: int, protocol: int = THEIRS) -> list[RouteValue]:
    """What a stranger may put under a route's key."""
    gateway = "192.0.2.3" if family == IPV4 else "fd00::3"
    scope = names.LINK if family == IPV4 else names.UNIVERSE
    return [
        route_value(hop(dev(kernel, "v0"), gateway), protocol=protocol),
        route_value(hop(dev(kernel, "v1")), protocol=protocol, scope=scope),
        route_value(protocol=protocol, type_=names.UNREACHABLE),
    ]


def acts() -> st.SearchStrategy[Act]:
    """Any single act."""
    put = st.builds(
        _put_route,
        st.sampled_from(ROUTE_KEYS),
        st.sampled_from([Verb.ADD, Verb.REPLACE, Verb.PREPEND, Verb.APPEND]),
        st.integers(0, 2),
        st.sampled_from([THEIRS, BOOT, OURS]),
    )
    delete = st.builds(_delete, st.sampled_from((*ROUTE_KEYS, *RULE_KEYS)), st.integers(0, 2))
    rule = st.builds(_put_rule, st.sampled_from(RULE_KEYS), st.sampled_from([THEIRS, OURS]))
    links = st.builds(_on_link, st.sampled_from(["v0", "v1"]), st.sampled_from(["down", "up", "carrier", "delete"]))
    addresses = st.builds(_on_address, st.sampled_from(HOST_ADDRESSES), st.booleans())
    our_address = st.builds(_drop_address, st.sampled_from([("10.20.0.11/21", "v0"), ("2001:db8:20::1/64", "v1")]))
    return st.one_of(put, delete, rule, links, addresses, our_address)


def _put_route(key: Key, verb: Verb, which: int, protocol: int) -> Act:
    def do(kernel: FakeKernel) -> None:
        kernel.request(verb, key, foreign_routes(kernel, key.slot.family, protocol)[which])

    return Act(f"{verb} {key.slot} {key.member!r} #{which} proto {protocol}", do)


def _put_rule(key: Key, protocol: int) -> Act:
    return Act(f"add {key} proto {protocol}", lambda kernel: kernel.request(Verb.ADD, key, a_rule_value(protocol)))


def _delete(key: Key, which: int) -> Act:
    def do(kernel: FakeKernel) -> None:
        standing: tuple[Value, ...] = kernel.standing(key)
        if standing:
            kernel.request(Verb.DELETE, key, standing[which % len(standing)])

    return Act(f"delete {key.slot} {key.member!r} #{which}", do)


def _on_link(name: str, what: str) -> Act:
    def do(kernel: FakeKernel) -> None:
        index = dev(kernel, name)
        if not index:
            kernel.make_link(name)
        elif what == "down":
            kernel.set_down(index)
        elif what == "up":
            kernel.set_up(index)
        elif what == "carrier":
            kernel.change_link(index, has_carrier=False)
        else:
            kernel.delete_link(index)

    return Act(f"link {name} {what}", do)


def _on_address(address: tuple[str, str], is_given: bool) -> Act:
    text, name = address

    def do(kernel: FakeKernel) -> None:
        if is_given:
            give_address(kernel, text, dev(kernel, name), name)
        else:
            _take_address(kernel, text, name)

    return Act(f"address {text} {name} {'given' if is_given else 'taken'}", do)


def _drop_address(address: tuple[str, str]) -> Act:
    return Act(f"address {address[0]} deleted", lambda kernel: _take_address(kernel, *address))


def _take_address(kernel: FakeKernel, text: str, name: str) -> None:
    key = address_key(text, dev(kernel, name))
    for value in kernel.standing(key):
        kernel.request(Verb.DELETE, key, value)


def heal(kernel: FakeKernel) -> None:
    """Give the host back what it had: both links up, with their addresses. Nothing goes wrong any more."""
    kernel.mischief.meanwhile = lambda: None
    kernel.mischief.refuse = lambda _operation, _member: 0
    kernel.mischief.interrupt = lambda _scope: False
    for name in ("v0", "v1"):
        index = dev(kernel, name)
        if not index:
            kernel.make_link(name)
        elif not kernel.links[index].is_up:
            kernel.set_up(index)
    for text, name in HOST_ADDRESSES:
        give_address(kernel, text, dev(kernel, name), name)


class Meanwhile:
    """Strangers who act between two steps of ours: each act after so many steps."""

    def __init__(self, kernel: FakeKernel, plan: Sequence[tuple[int, Act]]) -> None:
        self._kernel = kernel
        self._rest = deque(plan)
        self._waited = 0

    def __call__(self) -> None:
        self._waited += 1
        while self._rest and self._rest[0][0] <= self._waited:
            self._waited = 0
            _, act = self._rest.popleft()
            act.do(self._kernel)


def outsiders() -> list[tuple[Key, Value]]:
    """Objects of strangers beside ours: other tables, metrics, prefixes, priorities, addresses."""
    return [
        (route_key("10.99.0.0/16"), route_value(hop(1, "192.0.2.9"))),
        (route_key("10.1.0.0/16", metric=700), route_value(hop(2), protocol=BOOT, scope=names.LINK)),
        (route_key("2001:db8:1::/48", metric=700), route_value(hop(1, "fd00::9"))),
        (route_key("10.2.0.0/16", table=77), route_value(type_=names.BLACKHOLE)),
        *((route_key(to, source="2001:db8:b::/48"), route_value(hop(1, "fd00::9"))) for to in (*V6_TARGETS, "::/0")),
        (rule_key(900, 77), a_rule_value(THEIRS)),
        (address_key("10.88.0.1/32", 1), AddressValue(THEIRS, label="v0")),
    ]


def place(kernel: FakeKernel, objects: Sequence[tuple[Key, Value]]) -> None:
    """Put strangers' objects in place."""
    for key, value in objects:
        assert kernel.request(Verb.ADD, key, value) == 0
    kernel.read_events()


def all_that_stands(kernel: FakeKernel) -> dict[Key, tuple[Value, ...]]:
    """Everything in the kernel."""
    return {
        Key(kind, slot, member): tuple(values)
        for kind in kernel.kinds
        for slot, members in kernel.objects[kind].items()
        for member, values in members.items()
    }
