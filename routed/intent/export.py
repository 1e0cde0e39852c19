"""Export: objects of the kernel as the TOML that an operator would have written for them.

Here lives the way back from ``model.objects`` to the words of the file, for ``routed import``. What nobody wrote (the
kernel's own objects, those of other programs) is left out, and so is what the file has no word for. All of it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from routed.intent.export_neighbour import describe_neighbour, export_neighbour
from routed.intent.export_nexthop import describe_nexthop, export_nexthop
from routed.intent.export_service import describe_service, describe_timeout, export_service, export_timeout
from routed.intent.exporting import KeptByOthersError, Surroundings, UnspeakableError, check_name
from routed.intent.importing.statements import Leftover, Statement
from routed.intent.importing.whose import BY_KERNEL, judge_address, judge_route, judge_rule
from routed.intent.importing.writing import write
from routed.model import names, net
from routed.model.attributes import (
    FEATURES,
    FLAG,
    HOP_WORDS,
    LIST,
    METRIC_OF,
    METRIC_WORDS,
    ROUTE_WORDS,
    RULE_VALUE_WORDS,
    RULE_WORDS,
    has_more,
    has_more_than_a_rule,
    list_words,
)
from routed.model.entries import IPIP_MTU, Source
from routed.model.facts import Facts
from routed.model.ipvs import ServiceSlot
from routed.model.names import name_or_number
from routed.model.net import FAMILY_NAME, IPV4, family_of
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Hop,
    Ipip,
    Key,
    Kind,
    LinkMember,
    LinkSlot,
    LinkValue,
    Member,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
    Slot,
    Standing,
    Value,
)
from routed.model.text import Vocabulary, format_object, format_ports

MANY: Final = 8  # routes of one shape that become one entry with a list


class Exported(NamedTuple):
    """The text of a file, and what it does not say."""

    text: str
    left_out: tuple[Leftover, ...]


class Naming(NamedTuple):
    """How the host calls what objects have as numbers."""

    tables: Mapping[int, str] = {}
    protocols: Mapping[int, str] = {}
    files: Sequence[Source] = ()  # in which these names stand, by which the text will be read
    name_extra: Callable[[Kind, bytes], str] | None = None


NUMBERS: Final = Naming()  # a host that has a name for nothing


class Exporter(NamedTuple):
    """How objects of a kind are written, that share everything but their member."""

    # (slot, value, members, what is around them) → a table of the file; None for what is no business of the file.
    # Raises UnspeakableError and KeptByOthersError.
    write: Callable[[Any, Any, Sequence[Any], Surroundings], dict[str, Any] | None]
    describe: Callable[[Any, Sequence[Any]], str]  # (slot, members) → what they are called where they are left out
    may_list: bool = False  # has the table a list for very many?
    # may it stand with others of its key in one table, in their order? None: none of the kind may
    may_join: Callable[[Standing, Surroundings], bool] | None = None
    # objects of another kind that are written within its table, and (slot of such) → the slot and member of its own
    parts: Kind | None = None
    owner_of: Callable[[Any], tuple[Any, Any]] = lambda _slot: (None, None)
    table: str = ""  # of the file, where it is not called after the kind
    says_protocol: bool = False  # may the table say which of our numbers marks it?
    settings: str = ""  # the table with one bracket in which all of them are written, each as a key of one of its keys


def export(
    objects: Iterable[tuple[Kind, Standing]],
    facts: Facts,
    naming: Naming = NUMBERS,
    ours: Container[int] = frozenset(),
    further: Container[int] = frozenset(),
) -> Exported:
    """The file that makes these objects. What carries one of the protocol numbers ``ours`` is taken as well.

    Those among them that the files in force have for single entries are ``further`` ones, and are said again.
    """
    said: set[int] = set()
    statements: list[Statement] = []
    left_out: list[Leftover] = []
    whole, parts = _split_parts(objects)
    plain = Surroundings(facts, naming.tables, ours=ours)
    plain = plain._replace(name_extra=naming.name_extra) if naming.name_extra else plain
    links = {link.ifindex: link.name for link in facts.links.values()}
    vocabulary = Vocabulary(links, names.TABLES | dict(naming.tables), names.PROTOCOLS | dict(naming.protocols))
    for kind, slot, value, members in _group(_join_aliases(whole, plain)):
        exporter = EXPORTERS[kind]
        try:
            around = plain._replace(parts=parts.get((kind, slot, members[0]), ()))
            table = exporter.write(slot, value, members, around)
        except UnspeakableError as reason:
            left_out.append(Leftover(exporter.describe(slot, members), str(reason)))
        except KeptByOthersError as reason:
            is_usual = str(reason) == BY_KERNEL
            left_out.append(Leftover(exporter.describe(slot, members), str(reason), is_usual))
        else:
            if table is not None:
                if exporter.says_protocol and value.protocol in further:
                    table["protocol"] = value.protocol
                    said.add(value.protocol)
                origin = _tell_origin(Key(kind, slot, members[0]), value, len(members), vocabulary)
                word, called = exporter.settings or exporter.table or kind, exporter.describe(slot, members)
                statements.append(Statement(word, table, origin, called=called))
    if said:
        statements.append(Statement("daemon", {"protocols": sorted(said)}))
    text, refused = write(statements, naming.files)
    return Exported(text, (*left_out, *refused))


def _tell_origin(key: Key, value: Value, count: int, vocabulary: Vocabulary) -> str:
    """What stood in the kernel, as ``ip`` prints it."""
    first = format_object(key, value, vocabulary)
    return f"was: {first}" if count == 1 else f"was: {first}, and {count - 1} more"


def _split_parts(
    objects: Iterable[tuple[Kind, Standing]],
) -> tuple[list[tuple[Kind, Standing]], dict[tuple[Kind, Slot, Member], list[Standing]]]:
    """What has a table of its own, and what is written within one, by the key of that."""
    owners = {one.parts: (kind, one.owner_of) for kind, one in EXPORTERS.items() if one.parts}
    whole: list[tuple[Kind, Standing]] = []
    parts: dict[tuple[Kind, Slot, Member], list[Standing]] = {}
    for kind, standing in objects:
        if kind in owners:
            owner, owner_of = owners[kind]
            parts.setdefault((owner, *owner_of(standing.slot)), []).append(standing)
        else:
            whole.append((kind, standing))
    return whole, parts


def _join_aliases(objects: Iterable[tuple[Kind, Standing]], around: Surroundings) -> Iterator[tuple[Kind, Standing]]:
    """What stands one behind the other under a key as one, but for what is no business of the file."""
    first: tuple[Kind, Standing] | None = None
    for kind, standing in objects:
        may_join = EXPORTERS[kind].may_join
        if may_join is None or not may_join(standing, around):
            yield kind, standing
        elif first and (first[0], first[1].slot, first[1].member) == (kind, standing.slot, standing.member):
            value = first[1].value
            if any(one._replace(protocol=standing.value.protocol) == standing.value for one in value.aliases):
                yield kind, standing  # the file tells them apart by nothing
            else:
                first = kind, first[1]._replace(value=value._replace(append=(*value.append, standing.value)))
        else:
            if first:
                yield first
            first = kind, standing
    if first:
        yield first


def _group(objects: Iterable[tuple[Kind, Standing]]) -> Iterator[tuple[Kind, Slot, Value, list[Member]]]:
    """Those that become one table, in their order; last, those of which very many may become one."""
    alike: dict[tuple[Kind, Slot, Value], list[Member]] = {}
    for kind, (slot, member, value) in objects:
        if EXPORTERS[kind].may_list:
            alike.setdefault((kind, slot, value), []).append(member)
        else:
            yield kind, slot, value, [member]
    for (kind, slot, value), members in alike.items():
        for group in [members] if len(members) > MANY else [[member] for member in members]:
            yield kind, slot, value, group


def _describe_rule(_slot: RuleSlot, members: Sequence[RuleMember]) -> str:
    return f"rule {members[0].priority}"


def _describe_address(_slot: AddressSlot, members: Sequence[AddressMember]) -> str:
    return f"address {net.format_address(members[0].address)}/{members[0].prefixlen}"


def _describe_routes(slot: RouteSlot, prefixes: Sequence[bytes]) -> str:
    source = f" from {net.format_destination(slot.source)}" if slot.source else ""
    more = f" and {len(prefixes) - 1} more" if len(prefixes) > 1 else ""
    return f"route {net.format_destination(prefixes[0])}{source}{more}"


def _route(
    slot: RouteSlot, value: RouteValue, prefixes: Sequence[bytes], around: Surroundings
) -> dict[str, Any] | None:
    _refuse_kept(judge_route(value, around.facts, around.ours))
    _refuse_unspeakable(value, around)
    is_ipv4 = slot.family == IPV4
    table: dict[str, Any] = {}
    if len(prefixes) == 1:
        table["to"] = net.format_destination(prefixes[0])
    else:
        table["prefixes"] = [net.format_prefix(prefix) for prefix in sorted(prefixes)]
    if table.get("to") == "default" and not _tells_family(slot, value):
        table["family"] = FAMILY_NAME[slot.family]
    table["from"] = slot.source and net.format_prefix(slot.source)
    if value.type != names.UNICAST:
        table["type"] = names.ROUTE_TYPES[value.type]
    table["nhid"] = value.nhid or None
    if value.type not in names.TYPES_WITHOUT_HOP and not value.nhid:
        table |= _hops(value.hops, around)
    table["src"] = value.src and net.format_address(value.src)
    if slot.table != names.TABLE_MAIN:
        table["table"] = _table(slot.table, around.tables)
    if slot.metric != names.DEFAULT_METRIC[slot.family]:
        table["metric"] = slot.metric
    table["tos"] = f"0x{slot.tos:02x}" if slot.tos else None
    if is_ipv4 and value.scope != _usual_scope(value):
        table["scope"] = names.SCOPES.get(value.scope, value.scope)
    if value.append:
        each = [_route(slot, behind, prefixes, around) or {} for behind in value.append]
        keys = {"to", "prefixes", "family", "from", "table", "metric", "tos"}
        table["append"] = [{word: one for word, one in way.items() if one and word not in keys} for way in each]
    return table | dict(list_words(ROUTE_WORDS, value.extra)) | _metrics(value)


def _is_alias(route: Standing, around: Surroundings) -> bool:
    """May others of its key stand behind it? Only for IPv4 they have an order."""
    return route.slot.family == IPV4 and not judge_route(route.value, around.facts, around.ours)


def _refuse_kept(why: str) -> None:
    if why:
        raise KeptByOthersError(why)


def _refuse_unspeakable(value: RouteValue, around: Surroundings) -> None:
    if value.type not in names.WRITABLE_TYPES.values():
        type_ = name_or_number(names.ROUTE_TYPES, value.type)
        raise UnspeakableError(f"its type is {type_}, which the file has no word for")
    if has_more(ROUTE_WORDS, value.extra) or any(has_more(HOP_WORDS, hop.extra) for hop in value.hops):
        _refuse_extra(Kind.ROUTE, value.extra + b"".join(hop.extra for hop in value.hops), around)


def _refuse_extra(kind: Kind, extra: bytes, around: Surroundings) -> NoReturn:
    raise UnspeakableError(f"it carries {around.name_extra(kind, extra)}, which the file has no word for")


def _tells_family(slot: RouteSlot, value: RouteValue) -> bool:
    """Can the family of a default route be seen from its other words?"""
    gateways = {family_of(hop.gateway) for hop in value.hops if hop.gateway}
    return bool(value.src or slot.source) or (bool(gateways) and min(gateways) == slot.family)


def _metrics(value: RouteValue) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for number, amount in value.metrics:
        row = METRIC_OF.get(number)
        if row is None:
            raise UnspeakableError(f"it carries the metric {number}, which the file has no word for")
        if row.is_locked and not value.lock >> number & 1:
            raise UnspeakableError(f"its {row.name} is not locked, so that it does nothing")
        shown = row.form.show(row, amount)
        if row.form is LIST and not set(shown) <= FEATURES.keys():
            raise UnspeakableError(f"its {row.name} has a bit that the file has no word for")
        table[row.name] = bool(shown) if row.form is FLAG else shown
    locked = [row.name for row in METRIC_WORDS if value.lock >> row.number & 1 and not row.is_locked]
    return table | {"lock": locked or None}


def _usual_scope(value: RouteValue) -> int:
    """The scope that ``ip route`` gives an IPv4 route that names none (iproute_modify, ip/iproute.c)."""
    if value.type == names.LOCAL:
        return names.HOST
    if value.type in names.CAST_TYPES:
        return names.LINK
    is_on_link = value.type == names.UNICAST and len(value.hops) == 1 and not value.hops[0].gateway
    return names.LINK if is_on_link else names.UNIVERSE


def _hops(hops: tuple[Hop, ...], around: Surroundings) -> dict[str, Any]:
    written = [
        {
            key: word
            for key, word in {
                "via": net.format_address(hop.gateway) if hop.gateway else "",
                "dev": around.name_link(hop.dev),
                "weight": hop.weight if hop.weight != 1 else "",
                "onlink": hop.onlink,
                **dict(list_words(HOP_WORDS, hop.extra)),
            }.items()
            if word
        }
        for hop in hops
    ]
    if len(written) == 1 and "weight" not in written[0]:
        return written[0]
    return {"hops": written}


def _table(number: int, tables: Mapping[int, str]) -> str | int:
    return tables.get(number, number)


def _rule(
    slot: RuleSlot, value: RuleValue, members: Sequence[RuleMember], around: Surroundings
) -> dict[str, Any] | None:
    (rule,) = members
    _refuse_kept(judge_rule(slot, rule, value, around.ours))
    if has_more_than_a_rule(rule.extra) or has_more(RULE_VALUE_WORDS, value.extra):
        _refuse_extra(Kind.RULE, rule.extra + value.extra, around)
    table: dict[str, Any] = {
        "priority": rule.priority,
        "family": None if rule.source or rule.destination else FAMILY_NAME[slot.family],
        "not": rule.inverted,
        "from": rule.source and net.format_prefix(rule.source),
        "to": rule.destination and net.format_prefix(rule.destination),
        "iif": check_name(rule.iif),
        "oif": check_name(rule.oif),
        "fwmark": _mark(rule.fwmark, rule.fwmask) if rule.fwmask else None,
        "ipproto": names.IP_PROTOCOLS.get(rule.ipproto, rule.ipproto) if rule.ipproto else None,
        "sport": _ports("sport", rule) if any(rule.sport) else None,
        "dport": _ports("dport", rule) if any(rule.dport) else None,
        "uidrange": f"{rule.uidrange[0]}-{rule.uidrange[1]}" if rule.uidrange else None,
        "tos": f"0x{rule.tos:02x}" if rule.tos else None,
        "l3mdev": rule.l3mdev,
        **dict(list_words(RULE_WORDS, rule.extra)),
        **dict(list_words(RULE_VALUE_WORDS, value.extra)),
        "table": _table(rule.table, around.tables) if rule.table else None,
        "goto": rule.target if rule.action == names.GOTO else None,
        "type": names.name_or_number(names.ACTIONS, rule.action) if rule.action > names.GOTO else None,
    }
    for key in ("suppress_prefixlength", "suppress_ifgroup"):
        if getattr(rule, key) >= 0:
            table[key] = getattr(rule, key)
    # its protocol is part of a rule's key: else ours would come to stand beside it
    return table | {"on_conflict": None if value.protocol in around.ours else "replace"}


def _mark(mark: int, mask: int) -> str:
    return f"0x{mark:x}" if mask == 0xFFFFFFFF else f"0x{mark:x}/0x{mask:x}"


def _ports(word: str, rule: RuleMember) -> int | str:
    text = format_ports(word, rule)
    return int(text) if text.isdecimal() else text


def _address(
    _slot: AddressSlot, value: AddressValue, members: Sequence[AddressMember], around: Surroundings
) -> dict[str, Any] | None:
    (member,) = members
    _refuse_kept(judge_address(member, value, around.facts, around.ours))
    dev = around.name_link(member.dev)
    is_ipv4 = len(member.address) == 4
    return {
        "address": f"{net.format_address(member.address)}/{member.prefixlen}",
        "dev": dev,
        "peer": net.format_address(value.peer) if value.peer else None,
        "broadcast": net.format_address(value.broadcast) if value.broadcast else None,
        "label": value.label if value.label != dev else None,
        "scope": name_or_number(names.SCOPES, value.scope) if is_ipv4 and value.scope else None,
        "metric": value.metric or None,
        **{word: bool(value.flags & flag) for word, flag in names.ADDRESS_FLAGS.items()},
        **({"preferred_lft": 0} if value.deprecated else {}),
    }


def _tunnel(
    _slot: LinkSlot, value: LinkValue, members: Sequence[LinkMember], _around: Surroundings
) -> dict[str, Any] | None:
    """Of all links those alone that the file can have made: tunnels without a far end."""
    (member,), data = members, value.data
    if data is None or member.name in names.FALLBACK_LINKS:
        return None
    plain = Ipip(data.local, data.mtu, data.ttl, data.pmtudisc)
    if not data.local or data != plain or (data.ttl and not data.pmtudisc):
        raise UnspeakableError("it has a far end, or something else that the file has no word for")
    return {
        "dev": member.name,
        "mode": value.kind,
        "local": net.format_address(data.local),
        "mtu": data.mtu if data.mtu != IPIP_MTU else None,
        "ttl": data.ttl or None,
        "nopmtudisc": not data.pmtudisc,
    }


def _describe_link(_slot: LinkSlot, members: Sequence[LinkMember]) -> str:
    return f"tunnel {members[0].name}"


EXPORTERS: Final[dict[Kind, Exporter]] = {  # in the order of the file
    Kind.LINK: Exporter(_tunnel, _describe_link, table="tunnel"),
    Kind.ADDRESS: Exporter(_address, _describe_address, says_protocol=True),
    Kind.NEIGHBOUR: Exporter(export_neighbour, describe_neighbour),
    Kind.PROXY: Exporter(export_neighbour, describe_neighbour, table="neighbour"),
    Kind.NEXTHOP: Exporter(export_nexthop, describe_nexthop),
    Kind.ROUTE: Exporter(_route, _describe_routes, may_list=True, may_join=_is_alias, says_protocol=True),
    Kind.RULE: Exporter(_rule, _describe_rule, says_protocol=True),
    Kind.SERVICE: Exporter(
        export_service,
        describe_service,
        parts=Kind.SERVER,
        owner_of=lambda slot: (ServiceSlot(slot.family), slot.service),
    ),
    Kind.TIMEOUT: Exporter(export_timeout, describe_timeout, settings="ipvs"),
}
