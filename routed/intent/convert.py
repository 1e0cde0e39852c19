"""Convert: a table of the file, as the schema has read it, into an entry of the model.

Here stands one function a kind of table, and the row for each in ``CONVERTERS``. Here names become numbers and text
became bytes; interface names stay, since what they mean is a fact of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from routed.intent import checks, schema
from routed.intent.names import Names
from routed.intent.own_protocols import find_protocol
from routed.intent.prefixes import PrefixFile
from routed.intent.problems import Fault
from routed.intent.schema_neighbour import NeighbourTable
from routed.intent.schema_nexthop import NexthopTable
from routed.intent.schema_service import ServiceTable
from routed.intent.selectors import find_unknown_checks, find_unknown_references
from routed.model import names, net
from routed.model.attributes import (
    DSCP,
    ENCAP,
    METRIC_WORDS,
    METRICS,
    PORT_MASKS,
    ROUTE_WORDS,
    RULE_VALUE_WORDS,
    RULE_WORDS,
    WHOLE_PORT,
    join,
    pack_port_mask,
)
from routed.model.checks import HANDED_OVER, Check
from routed.model.entries import (
    IPIP_MTU,
    AddressEntry,
    Enforce,
    Entry,
    HeldVipEntry,
    LinkEntry,
    OnConflict,
    Origin,
    Requirement,
    RouteEntry,
    RuleEntry,
    TunnelEntry,
    VipEntry,
    When,
    WhenDown,
)
from routed.model.net import FAMILIES, FAMILY_NAME, IPV6, family_of
from routed.model.objects import RuleMember

if TYPE_CHECKING:  # only files with services pay for it
    from routed.intent.servers import ServersFile

FAMILIES_OF: Final = {"ipv4": (net.IPV4,), "ipv6": (net.IPV6,), "both": FAMILIES}
_RULE_TYPES: Final = {text: number for number, text in names.ACTIONS.items()}
_ALL: Final = frozenset(net.DEFAULT.values())
_NO_PORT: Final = (0, 0, WHOLE_PORT)
SERVICE: Final = "service/"  # before the name of one that is required


class FaultsError(Exception):
    """What is wrong with one table."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(faults)
        self.faults = faults


class Draft(NamedTuple):
    """An entry, and what it may be called if the operator gave it no name: the parts of its key, the plainest first."""

    entry: Entry
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OtherFiles:
    """What a table needs to know of the other files."""

    names: Names
    read_prefixes: Callable[[str], PrefixFile | None]  # None: there is no such file, which is told elsewhere
    interfaces: frozenset[str] | None = None  # names of [[interface]]; None: not all of them could be read
    checks: Mapping[str, Check] | None = None  # by the names of [[check]]
    read_servers: Callable[[str], ServersFile | None] = lambda _: None  # as ``read_prefixes``
    has_members: bool = False  # is this table filled by the members of a source?
    ours: frozenset[int] | None = None  # the numbers of [daemon]; None: not all of them could be read


def convert(kind: str, spec: Any, origin: Origin, others: OtherFiles) -> Draft:
    """The entry of one table. Raises FaultsError with everything that is wrong with it."""
    head = {
        "name": f"{kind}/{spec.name or ''}",
        "origin": origin,
        "enforce": Enforce(spec.enforce),
        "on_conflict": spec.on_conflict and OnConflict(spec.on_conflict),
    }
    faults = list(find_unknown_references(spec, others.interfaces))
    if spec.requires:
        faults += find_unknown_checks(("requires",), spec.requires, others.checks)
        head["requires"] = require(spec.requires, others)
    if getattr(spec, "protocol", None) is not None:
        head["protocol"] = _take(faults, "protocol", find_protocol, others.names, others.ours, kind, spec.protocol)
    if faults:
        raise FaultsError(*faults)
    return CONVERTERS[kind](head, spec, others)


def require(requires: Iterable[tuple[str, bool]], others: OtherFiles) -> tuple[Requirement, ...]:
    """Requirements with the way of the questions, which is known where the checks are."""
    found = []
    for name, is_inverted in requires:
        if name.startswith(SERVICE):
            found.append(Requirement(name, is_inverted))  # what its servers require is seen when all entries are known
        elif known := (others.checks or {}).get(name):
            via = known.via if known.type in HANDED_OVER else b""  # the others tell by their answers what became of it
            found.append(Requirement(name, is_inverted, known.dev, known.src, via))
    return tuple(found)


def _say_when_down(route: schema.Route) -> WhenDown | None:
    """Which entries are its alternatives is seen when all of them are known."""
    if not route.requires and not any(hop.requires for hop in route.hops or ()):
        return None
    return WhenDown(route.down_metric, keeps=None if route.when_all_down is None else route.when_all_down == "keep")


def split_reference(word: bytes | str | None) -> tuple[bytes, str]:
    """An address or ``@name`` as (address, name), of which one is empty."""
    return (b"", word[1:]) if isinstance(word, str) else (word or b"", "")


def convert_route(head: dict[str, Any], route: schema.Route, others: OtherFiles) -> Draft:
    """``[[route]]``."""
    route, faults = name_tables(route, others.names)
    faults += checks.check_destination_keys(route)
    if faults:
        raise FaultsError(*faults)
    prefixes, families = _destinations(route, others)
    faults += checks.check_route(route, frozenset(families))
    if route.append is not None:
        from routed.intent.append_table import check_append  # noqa: PLC0415  only who has some pays for it

        faults += check_append(route, frozenset(families), has_members=others.has_members)
    for index, hop in enumerate(route.hops or ()):
        faults += find_unknown_checks(("hops", index, "requires"), hop.requires or (), others.checks)
    table = _take(faults, "table", _route_table, others.names, route.table)
    tos = _take(faults, "tos", _tos, others.names, route.tos)
    if faults:
        raise FaultsError(*faults)
    src, src_of = split_reference(route.src)
    entry = RouteEntry(
        **head,
        prefixes=prefixes,
        table=table or names.TABLE_MAIN,
        type=names.WRITABLE_TYPES[route.type],
        metric=route.metric,
        tos=tos or 0,
        scope=route.scope,
        src=src,
        src_of=src_of,
        hops=tuple(hop._replace(requires=require(requires, others)) for hop, requires in checks.list_hops(route)),
        when_down=_say_when_down(route),
        metrics=_metrics(route),
        lock=_locks(route),
        extra=join(checks.pack_words(route, ROUTE_WORDS)),
        source=_selector(route.source),
        nhid=route.nhid or 0,
    )
    entry = _append(entry, head, route, others) if route.append else entry
    more = [str(word) for word in (route.table, route.metric, route.tos) if word is not None]
    return Draft(entry, (_destination_label(route, prefixes), *more))


def _append(entry: RouteEntry, head: dict[str, Any], route: schema.Route, others: OtherFiles) -> RouteEntry:
    """With what stands behind it. Raises FaultsError."""
    from routed.intent.append_table import append_ways, spell_out  # noqa: PLC0415  as above

    bare = {key: value for key, value in head.items() if key != "requires"}

    def convert_way(way: schema.Route) -> RouteEntry | tuple[Fault, ...]:
        try:
            found = convert_route(bare, way, others).entry
        except FaultsError as error:
            return error.faults
        assert isinstance(found, RouteEntry)
        return found

    whole, faults = append_ways(entry, spell_out(route), convert_way)
    if faults:
        raise FaultsError(*faults)
    return whole


def name_tables(spec: _T, known: Names) -> tuple[_T, list[Fault]]:
    """A table whose encapsulations have the numbers of routing tables in place of their names, and what is wrong."""
    if not any(getattr(one, ENCAP.name) for one in (spec, *(getattr(spec, "hops", None) or ()))):
        return spec, []
    from routed.intent import encap_table  # noqa: PLC0415  only who has one pays for it

    return encap_table.name_tables(spec, lambda word: _rule_table(known, word))


def _metrics(route: schema.Route) -> tuple[tuple[int, int | str], ...]:
    given = ((row, getattr(route, row.name)) for row in METRIC_WORDS)
    return tuple(sorted((row.number, row.form.pack(row, value)) for row, value in given if value))


def _locks(route: schema.Route) -> int:
    locked = {METRICS[word] for word in route.lock}
    locked |= {row.number for row in METRIC_WORDS if row.is_locked and getattr(route, row.name)}
    return sum(1 << number for number in locked)


def _destinations(route: schema.Route, others: OtherFiles) -> tuple[dict[int, AbstractSet[bytes]], tuple[int, ...]]:
    """The prefixes by family, and the families that the rest of the entry has to suit."""
    if route.to == b"":
        families = _families_of_default(route)
        return {family: frozenset((net.DEFAULT[family],)) for family in families}, families
    if route.prefixes_file is not None:
        file = others.read_prefixes(route.prefixes_file)
        prefixes: dict[int, AbstractSet[bytes]] = {**file.prefixes} if file else {}
    else:
        listed = route.prefixes if route.prefixes is not None else [route.to or b""]
        prefixes = {
            family: frozenset(prefix for prefix in listed if family_of(prefix) == family)
            for family in FAMILIES
            if any(family_of(prefix) == family for prefix in listed)
        }
    allowed = FAMILIES_OF[route.family or "both"]
    for family in prefixes:
        if family not in allowed:
            raise FaultsError(Fault(("family",), f"`family` is {route.family}, and the destination is not"))
    return prefixes, tuple(prefixes)


def _families_of_default(route: schema.Route) -> tuple[int, ...]:
    if route.family is not None:
        return FAMILIES_OF[route.family]
    for told in (route.src, route.source):
        if isinstance(told, bytes):
            return (family_of(told),)
    gateways = [family_of(hop.via) for _, hop in checks.hop_specs(route) if hop.via]
    if not gateways:
        hint = 'write family = "ipv4", "ipv6" or "both"'
        raise FaultsError(Fault((), "nothing tells the family of this default route", hint))
    return (min(gateways),)  # an IPv4 route may have gateways of both families, an IPv6 route may not


def _destination_label(route: schema.Route, prefixes: dict[int, AbstractSet[bytes]]) -> str:
    if route.prefixes_file is not None:
        return PurePath(route.prefixes_file).name
    if route.to == b"":
        return "default"
    if not prefixes:
        return "nothing"
    first = min(min(members) for members in prefixes.values())
    count = sum(map(len, prefixes.values()))
    return net.format_prefix(first) if count == 1 else f"{net.format_prefix(first)}:{count}"


def convert_rule(head: dict[str, Any], rule: schema.Rule, others: OtherFiles) -> Draft:
    """``[[rule]]``."""
    faults = list(checks.check_rule(rule))
    families = tuple(_take(faults, "", _rule_families, rule) or ())
    table = _take(faults, "table", _rule_table, others.names, rule.table)
    tos = _take(faults, "tos", _tos, others.names, rule.tos)
    said = getattr(rule, DSCP.name)
    dscp = _take(faults, DSCP.name, others.names.dscp, said[0]) if said else None
    faults += checks.check_tos_of_rule(tos or 0, families)
    faults += checks.check_words(rule, (*RULE_WORDS, *RULE_VALUE_WORDS), families)
    if rule.suppress_prefixlength is not None and rule.suppress_prefixlength > 32 and net.IPV4 in families:
        faults.append(Fault(("suppress_prefixlength",), "`suppress_prefixlength` of an IPv4 rule must be 32 or less"))
    if faults:
        raise FaultsError(*faults)
    mark, mask = rule.fwmark or (0, 0)
    words = checks.pack_words(rule, (row for row in RULE_WORDS if row is not DSCP))
    if dscp is not None:
        words |= DSCP.pack((dscp, said[1]))
    for key in PORT_MASKS:
        words |= pack_port_mask(key, (getattr(rule, key) or _NO_PORT)[2])
    source, source_of = split_reference(rule.source)
    entry = RuleEntry(
        **head,
        families=families,
        source_of=source_of,
        rule=RuleMember(
            priority=rule.priority or 0,
            action=names.GOTO if rule.goto is not None else _RULE_TYPES[rule.type or "lookup"],
            table=0 if rule.goto is not None and table == names.TABLE_MAIN else table or 0,  # as ``decode_rule`` has it
            target=rule.goto or 0,
            inverted=rule.inverted,
            source=_selector(source),
            destination=_selector(rule.destination),
            tos=tos or 0,
            iif=rule.iif or "",
            oif=rule.oif or "",
            fwmark=mark,
            fwmask=mask,
            ipproto=rule.ipproto or 0,
            sport=(rule.sport or _NO_PORT)[:2],
            dport=(rule.dport or _NO_PORT)[:2],
            uidrange=rule.uidrange,
            l3mdev=rule.l3mdev,
            suppress_prefixlength=-1 if rule.suppress_prefixlength is None else rule.suppress_prefixlength,
            suppress_ifgroup=-1 if rule.suppress_ifgroup is None else rule.suppress_ifgroup,
            extra=join(words),
        ),
        extra=join(checks.pack_words(rule, RULE_VALUE_WORDS)),
    )
    return Draft(entry, (str(rule.priority), *_rule_labels(rule)))


def _rule_labels(rule: schema.Rule) -> Iterator[str]:
    for prefix in (rule.source, rule.destination):
        if prefix:
            yield prefix[1:] if isinstance(prefix, str) else net.format_prefix(prefix)
    for word in (rule.iif, rule.oif, rule.family, rule.table, rule.type):
        if word is not None:
            yield str(word)


def _selector(prefix: bytes | None) -> bytes:
    """A prefix of length 0 selects everything, and the kernel reads it back as no selector at all."""
    return b"" if prefix is None or prefix in _ALL else prefix


def _rule_families(rule: schema.Rule) -> tuple[int, ...]:
    told = {family_of(prefix) for prefix in (rule.source, rule.destination) if isinstance(prefix, bytes) and prefix}
    if len(told) == 2:
        raise FaultsError(Fault(("to",), "`from` and `to` are of different families"))
    if rule.family is None and not told and isinstance(rule.source, str):
        return FAMILIES  # the addresses of the interface tell
    if rule.family is None and not told:
        hint = 'write family = "ipv4", "ipv6" or "both"'
        raise FaultsError(Fault((), "nothing tells the family of this rule", hint))
    if rule.family is None:
        return tuple(told)
    families = FAMILIES_OF[rule.family]
    if told and told != set(families):
        raise FaultsError(Fault(("family",), f"`family` is {rule.family}, and the prefix is {FAMILY_NAME[min(told)]}"))
    return families


def convert_address(head: dict[str, Any], spec: schema.AddressTable, others: OtherFiles) -> Draft:
    """``[[address]]``."""
    del others
    address, length = _held(spec)
    if faults := tuple(checks.check_address(spec, address, length)):
        raise FaultsError(*faults)
    entry = AddressEntry(
        **head,
        address=address,
        prefixlen=length,
        dev=spec.dev or "",
        scope=spec.scope,
        peer=spec.peer or b"",
        broadcast=_broadcast(spec.broadcast, address, length),
        label=spec.label or "",
        metric=spec.metric or 0,
        flags=sum(flag for word, flag in names.ADDRESS_FLAGS.items() if getattr(spec, word)),
        deprecated=spec.preferred_lft,
    )
    return Draft(entry, (f"{net.format_address(address)}/{length}", entry.dev))


def convert_vip(head: dict[str, Any], spec: schema.Vip, others: OtherFiles) -> Draft:
    """``[[vip]]``: with ``node`` routed, with ``dev`` held as an address."""
    if faults := tuple(checks.check_vip(spec)):
        raise FaultsError(*faults)
    return _convert_held_vip(head, spec) if spec.node is None else _convert_routed_vip(head, spec, others)


def _convert_routed_vip(head: dict[str, Any], spec: schema.Vip, others: OtherFiles) -> Draft:
    faults: list[Fault] = []
    table = _take(faults, "table", _vip_table, others.names, spec.table)
    if faults:
        raise FaultsError(*faults)
    assert spec.address is not None
    address, length = spec.address
    node, node_of = split_reference(spec.node)
    entry = VipEntry(
        **head,
        prefix=net.network_of(address, length),
        node=node,
        node_of=node_of,
        when=When(spec.when or (When.ALWAYS if spec.local else When.NOT_DEFAULT)),
        metric=spec.metric,
        table=names.TABLE_LOCAL if spec.local else table or names.TABLE_MAIN,
    )
    more = [str(word) for word in (spec.table, spec.metric) if word is not None]
    return Draft(entry, (net.format_address(address), str(length), *more))


def _convert_held_vip(head: dict[str, Any], spec: schema.Vip) -> Draft:
    """An IPv6 one must never become a source by itself, nor wait for its own echo."""
    address, length = _held(spec)
    is_ipv6 = family_of(address) == IPV6
    flags = names.IFA_NODAD if is_ipv6 else 0
    entry = HeldVipEntry(
        **head,
        address=address,
        prefixlen=length,
        dev=spec.dev or "",
        scope=spec.scope,
        broadcast=_broadcast(spec.broadcast, address, length),
        label=spec.label or "",
        flags=flags,
        deprecated=is_ipv6,
        create=spec.create or "",
        **_announcements(spec.announce),
    )
    return Draft(entry, (net.format_address(address), str(length), entry.dev))


def _held(spec: schema.AddressTable | schema.Vip) -> tuple[bytes, int]:
    if missing := [key for key in ("address", "dev") if getattr(spec, key) is None]:
        raise FaultsError(*(Fault((), f"`{key}` is missing") for key in missing))
    assert spec.address is not None
    return spec.address


def _broadcast(word: bytes | str | None, address: bytes, length: int) -> bytes:
    if word is None or isinstance(word, bytes):
        return word or b""
    network = int.from_bytes(net.network_of(address, length)[:-1], "big")
    ones = (1 << (32 - length)) - 1
    return (network | ones if word == "+" else network).to_bytes(4, "big")


def _announcements(announce: schema.Announce | None) -> dict[str, Any]:
    """What was said of them; the defaults are the entry's."""
    said = {"announcements": announce.count, "interval": announce.interval} if announce else {}
    return {name: value for name, value in said.items() if value is not None}


def convert_tunnel(head: dict[str, Any], spec: schema.TunnelTable, others: OtherFiles) -> Draft:
    """``[[tunnel]]``."""
    del others
    if faults := tuple(checks.check_tunnel(spec)):
        raise FaultsError(*faults)
    local, local_of = split_reference(spec.local)
    entry = TunnelEntry(
        **head | {"on_conflict": OnConflict.REFUSE},  # what somebody else made is not touched
        link=spec.dev or "",
        kind=spec.mode,
        local=local,
        local_of=local_of,
        mtu=spec.mtu or IPIP_MTU,
        ttl=spec.ttl or 0,
        pmtudisc=not spec.nopmtudisc,
    )
    return Draft(entry, (entry.link,))


def derive_links(entries: Iterable[Entry]) -> Iterator[LinkEntry]:
    """The links that these entries want to be created, each once: many VIPs may share one."""
    wanted: dict[str, list[HeldVipEntry]] = {}
    for entry in entries:
        if isinstance(entry, HeldVipEntry) and entry.create:
            wanted.setdefault(entry.dev, []).append(entry)
    for dev, (first, *others) in wanted.items():
        is_repaired = any(entry.enforce is Enforce.REPAIR for entry in (first, *others))
        yield LinkEntry(
            name=f"link/{dev}",
            origin=first.origin,
            enforce=Enforce.REPAIR if is_repaired else first.enforce,
            link=dev,
            kind=first.create,
        )


_T = TypeVar("_T")


def _take(faults: list[Fault], key: str, look_up: Callable[..., _T], *arguments: Any) -> _T | None:
    """What ``look_up`` returns, or None with its complaint among the faults."""
    try:
        return look_up(*arguments)
    except ValueError as error:
        message, *hint = error.args
        faults.append(Fault((key,), f"`{key}`: {message}", *hint))
    except FaultsError as error:
        faults += error.faults
    return None


def _route_table(known: Names, word: str | int | None) -> int:
    return _rule_table(known, "main" if word is None else word)


def _vip_table(known: Names, word: str | int | None) -> int:
    number = _route_table(known, word)
    if number == names.TABLE_LOCAL:
        raise ValueError("there it needs `local`", "write local = true, and no table")
    return number


def _rule_table(known: Names, word: str | int | None) -> int:
    if word is None:
        return 0
    number = known.table(word)
    if number == 0:
        raise ValueError("there is no table 0", 'the main table is "main" or 254')
    return number


def _tos(known: Names, word: str | int | None) -> int:
    number = 0 if word is None else known.tos(word)
    checks.check_tos(number)
    return number


def convert_service(head: dict[str, Any], spec: ServiceTable, others: OtherFiles) -> Draft:
    """``[[service]]``."""
    from routed.intent import service_table  # noqa: PLC0415  only files with services pay for it

    return service_table.convert_service(head, spec, others)


def convert_neighbour(head: dict[str, Any], spec: NeighbourTable, others: OtherFiles) -> Draft:
    """``[[neighbour]]``."""
    from routed.intent import neighbour_table  # noqa: PLC0415  only files with neighbours pay for it

    return neighbour_table.convert_neighbour(head, spec, others)


def convert_nexthop(head: dict[str, Any], spec: NexthopTable, others: OtherFiles) -> Draft:
    """``[[nexthop]]``."""
    from routed.intent import nexthop_table  # noqa: PLC0415  only files with next hops pay for it

    return nexthop_table.convert_nexthop(head, spec, others)


CONVERTERS: Final[dict[str, Callable[[dict[str, Any], Any, OtherFiles], Draft]]] = {
    "route": convert_route,
    "rule": convert_rule,
    "address": convert_address,
    "vip": convert_vip,
    "tunnel": convert_tunnel,
    "neighbour": convert_neighbour,
    "nexthop": convert_nexthop,
    "service": convert_service,
}
