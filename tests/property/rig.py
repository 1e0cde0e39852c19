"""The story on the fake kernel: a clock that a test moves, the engine without a loop, and short builders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from routed.core.dirt import Dirt
from routed.core.kinds import KINDS
from routed.daemon.dataplane import Dataplane, Dataplanes
from routed.daemon.engine import Engine, Inquiry, Request
from routed.daemon.errand import Errand
from routed.daemon.host import Host
from routed.daemon.reconcile import Reconciler
from routed.daemon.report import Aborted, Report
from routed.daemon.wanted import Wanted
from routed.kernel.stamp import STAMPS, make_stamp
from routed.model import names
from routed.model.change import Cause, Plan, Verb
from routed.model.entries import (
    AddressEntry,
    Enforce,
    Entry,
    HopSpec,
    Intent,
    OnConflict,
    Origin,
    RouteEntry,
    RuleEntry,
    Settings,
)
from routed.model.lifetime import Passing
from routed.model.net import IPV4, IPV6, parse_address, parse_prefix
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Hop,
    Key,
    Kind,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
    Value,
)
from routed.model.owner import Marks, Stamps
from routed.model.prefixes import PrefixSet
from routed.model.reasons import Look
from tests.property.fake_kernel import STRANGER, FakeKernel

OURS = 114
THEIRS = 4  # proto static
BOOT = 3
ORIGIN = Origin("/etc/routed.toml", 1)
OWNERS = {kind: make_stamp(kind, Marks(OURS)) for kind in STAMPS}  # while OURS is ours
MOST_STEPS = 2000  # more steps of one run than this are a loop that wakes itself


@dataclass
class Rig:
    """A daemon without its edges."""

    kernel: FakeKernel
    now: float = 1000.0
    others: tuple[Dataplane, ...] = ()  # beside rtnetlink
    reports: list[Report] = field(default_factory=list)
    errors: int = 0
    reconciler: Reconciler = field(init=False)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(
            self.kernel, Dataplanes(self.kernel, *self.others), Host(Wanted(Intent())), lambda: self.now
        )
        self.engine = Engine(self.reconciler)
        self.kernel.inspect = self._inspect

    @property
    def stamps(self) -> Stamps:
        return self.reconciler.dataplanes.stamps(self.host.wanted.marks)

    @property
    def host(self) -> Host:
        return self.reconciler.host

    def start(self, *entries: Entry, settings: Settings | None = None) -> list[Report]:
        """Read the host, put the entries in force, and settle."""
        intent = Intent(settings or Settings(), entries)
        self.kernel.read_events()
        self.host.wanted.intent = intent
        self.reconciler.begin()
        return self.enforce(intent)

    def enforce(self, intent: Intent, *, is_forced: bool = False) -> list[Report]:
        """A reload: a full pass, then whatever it makes due at once."""
        self.host.enforce(intent, self.now)
        reports = self.settle(Dirt(everything=Cause(None, Look.RELOAD)), is_initial=True, is_forced=is_forced)
        return reports + self.run()

    def settle(self, dirt: Dirt, *, is_initial: bool = False, is_forced: bool = False) -> list[Report]:
        """The passes of one dirt, asked for as a reload asks."""
        self.engine.ask(Request(dirt, is_initial=is_initial, is_forced=is_forced))
        return self._advance()

    def _advance(self) -> list[Report]:
        """What the loop does: step by step, and in between it hears what the kernel tells."""
        reports: list[Report] = []
        for _ in range(MOST_STEPS):
            step = self.engine.advance()
            if step is None:
                break
            if isinstance(step, Errand):
                step.do()
            told = [step] if isinstance(step, (Report, Aborted)) else self.engine.hear()
            reports += [one for one in told if isinstance(one, Report)]
            self.errors += sum(isinstance(one, Aborted) for one in told)
        else:
            raise AssertionError("the loop never comes to rest")
        self.reports += reports
        return reports

    def run(self, seconds: float = 0.0) -> list[Report]:
        """Let the loop run for a while of the clock: each timer at its moment."""
        end = self.now + seconds
        reports: list[Report] = []
        for _ in range(MOST_STEPS):
            self.engine.hear()
            reports += self._advance()
            due = self.engine.find_due()
            if due is None or due > end:
                self.now = end
                return reports
            self.now = max(self.now, due)
        raise AssertionError("the loop never comes to rest")

    def resync(self) -> list[Report]:
        """Let the time to the next full comparison pass."""
        return self.run(self.host.schedule.resync + 1.0)

    def _inspect(self, verb: Verb, key: Key, value: Value) -> None:
        """Nothing may be asked for but what is wished or owned, at the moment of asking."""
        is_wished = self.host.wanted.desired.get(key) is not None
        is_owned = verb is Verb.DELETE and self.stamps[key.kind](value).is_ours
        displaced = self.host.ledger.displaced.get(key)
        is_given_back = value == (displaced.value if isinstance(displaced, Passing) else displaced)
        line = KINDS[key.kind].line
        is_in_our_place = (
            verb is Verb.DELETE
            and line is not None
            and self.host.wanted.desired.is_place_wanted(key.kind, key.slot, line.place(key.member))
        )
        assert is_wished or is_owned or is_given_back or is_in_our_place, (
            f"{verb} {key} {value} is none of our business"
        )

    def plan(self, intent: Intent | None = None) -> Plan:
        """What putting these files in force would do, by default those that are; made as soon as nothing is due."""
        inquiry = self.engine.inquire(Inquiry(intent or self.host.wanted.intent))
        self._advance()
        if inquiry.error is not None:
            raise inquiry.error
        assert inquiry.proposal is not None
        return inquiry.proposal.plan

    def plan_is_empty(self) -> bool:
        """Would a reload change nothing?"""
        return not self.plan().operations


def a_route(
    name: str = "lan",
    to: str | tuple[str, ...] = "10.30.0.0/16",
    hops: tuple[HopSpec, ...] = (HopSpec(dev="v0"),),
    *,
    type_: int = names.UNICAST,
    table: int = names.TABLE_MAIN,
    metric: int | None = None,
    src: str = "",
    metrics: tuple[tuple[int, int | str], ...] = (),
    scope: int | None = None,
    enforce: Enforce = Enforce.REPAIR,
    on_conflict: OnConflict | None = None,
    is_file: bool = False,
) -> RouteEntry:
    """``[[route]]``, on-link over v0 unless told otherwise; its prefixes those of a file or written out."""
    prefixes: dict[int, frozenset[bytes]] = {}
    for text in (to,) if isinstance(to, str) else to:
        family = IPV6 if ":" in text else IPV4
        prefixes[family] = prefixes.get(family, frozenset()) | {parse_prefix(text)}
    return RouteEntry(
        name=f"route/{name}",
        origin=ORIGIN,
        enforce=enforce,
        on_conflict=on_conflict,
        prefixes={family: PrefixSet.of(members) if is_file else members for family, members in prefixes.items()},
        table=table,
        type=type_,
        metric=metric,
        scope=scope,
        src=parse_address(src) if src else b"",
        hops=() if type_ in names.TYPES_WITHOUT_HOP else hops,
        metrics=metrics,
    )


def a_rule(
    name: str = "storage", priority: int = 1200, table: int = 120, families: tuple[int, ...] = (IPV4,), source: str = ""
) -> RuleEntry:
    """``[[rule]]``."""
    return RuleEntry(
        name=f"rule/{name}",
        origin=ORIGIN,
        families=families,
        rule=RuleMember(priority, table=table, source=parse_prefix(source) if source else b""),
    )


def an_address(text: str = "10.20.0.11/21", dev: str = "v0", name: str = "", *, metric: int = 0) -> AddressEntry:
    """``[[address]]``."""
    address, _, length = text.partition("/")
    return AddressEntry(
        name=f"address/{name or text}",
        origin=ORIGIN,
        address=parse_address(address),
        prefixlen=int(length),
        dev=dev,
        metric=metric,
    )


def via(gateway: str, dev: str = "", weight: int = 1) -> HopSpec:
    """One next hop as written."""
    return HopSpec(parse_address(gateway), dev, weight)


def route_key(
    to: str = "10.30.0.0/16", table: int = names.TABLE_MAIN, metric: int | None = None, source: str = ""
) -> Key:
    """The key of a route as ``ip route`` would make it."""
    family = IPV6 if ":" in to else IPV4
    chosen = names.DEFAULT_METRIC[family] if metric is None else metric
    slot = RouteSlot(family, table, chosen, source=parse_prefix(source) if source else b"")
    return Key(Kind.ROUTE, slot, parse_prefix(to))


def route_value(
    *hops: Hop, protocol: int = THEIRS, type_: int = names.UNICAST, scope: int = 0, src: str = ""
) -> RouteValue:
    """The content of a route."""
    return RouteValue(type_, protocol, scope, hops, parse_address(src) if src else b"")


def hop(dev: int, gateway: str = "", weight: int = 1) -> Hop:
    """One next hop as the kernel knows it."""
    return Hop(dev, parse_address(gateway) if gateway else b"", weight)


def address_key(text: str, dev: int) -> Key:
    """The key of an address."""
    address, _, length = text.partition("/")
    packed = parse_address(address)
    return Key(
        Kind.ADDRESS, AddressSlot(IPV6 if ":" in text else IPV4), AddressMember(dev, packed, int(length))
    )  # fmt: skip


def rule_key(priority: int = 1200, table: int = 120, family: int = IPV4) -> Key:
    """The key of a rule that selects all."""
    return Key(Kind.RULE, RuleSlot(family), RuleMember(priority, table=table))


def give_address(
    kernel: FakeKernel, text: str, dev: int, name: str = "", protocol: int = 0, port: int = STRANGER
) -> int:
    """``ip address add``."""
    label = name if ":" not in text else ""
    return kernel.request(Verb.ADD, address_key(text, dev), AddressValue(protocol, label=label), port)


def a_rule_value(protocol: int = OURS) -> RuleValue:
    """The content of a rule."""
    return RuleValue(protocol)


def a_host(*, mischief: Callable[[FakeKernel], None] | None = None) -> FakeKernel:
    """Link v0 (ifindex 1) with 192.0.2.1/24 and fd00::1/64, link v1 (2) with 198.51.100.1/24 and fd01::1/64."""
    kernel = FakeKernel()
    for name, ipv4, ipv6 in (("v0", "192.0.2.1/24", "fd00::1/64"), ("v1", "198.51.100.1/24", "fd01::1/64")):
        dev = kernel.make_link(name)
        assert give_address(kernel, ipv4, dev, name) == 0
        assert give_address(kernel, ipv6, dev, name) == 0
    for priority, table in names.DEFAULT_RULES[IPV4].items():
        kernel.request(Verb.ADD, rule_key(priority, table), a_rule_value(names.PROTOCOL_KERNEL), 0)
    kernel.read_events()
    if mischief:
        mischief(kernel)
    return kernel
