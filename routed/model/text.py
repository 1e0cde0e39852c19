"""Objects as text and as JSON, in the words of ``ip``.

One table row a kind. Links and tables are numbers in the model; a :class:`Vocabulary` has their names at the moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from routed.model import names
from routed.model.attributes import (
    ENCAP,
    HOP_WORDS,
    NEXTHOP_WORDS,
    REALMS_OF_HOP,
    ROUTE_WORDS,
    RULE_VALUE_WORDS,
    RULE_WORDS,
    WHOLE_PORT,
    ShownWord,
    find_port_mask,
    format_words,
    has_more,
    has_more_than_a_rule,
    list_words,
    show_metric,
)
from routed.model.facts import Facts
from routed.model.ipvs_text import (
    format_server,
    format_server_key,
    format_service,
    format_service_key,
    format_timeout,
    format_timeout_key,
    server_to_json,
    service_to_json,
    timeout_to_json,
)
from routed.model.neighbour_text import format_neighbour, format_neighbour_key, neighbour_to_json
from routed.model.net import IPV4, format_address, format_destination
from routed.model.nexthop_text import format_nexthop, format_nexthop_key, nexthop_to_json
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
    NexthopValue,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
    Value,
)

Json = dict[str, Any]

_UNNAMED: Final = "(with attributes that routed has no word for)"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names of links, tables and protocols as the host knows them now."""

    links: dict[int, str] = field(default_factory=dict)
    tables: dict[int, str] = field(default_factory=lambda: dict(names.TABLES))
    protocols: dict[int, str] = field(default_factory=lambda: dict(names.PROTOCOLS))

    @classmethod
    def of(cls, facts: Facts, tables: dict[int, str] | None = None, protocol: int | None = None) -> Vocabulary:
        """The names that the facts and the file give; ``protocol`` is the number that stands for us."""
        ours = {} if protocol is None else {protocol: "routed"}
        return cls(
            {link.ifindex: link.name for link in facts.links.values()},
            names.TABLES | (tables or {}),
            names.PROTOCOLS | ours,
        )

    def link(self, index: int) -> str:
        """The name of a link, ``if7`` where it has gone."""
        return self.links.get(index) or f"if{index}"

    def table(self, number: int) -> str:
        """The name of a table, its number where it has none."""
        return names.name_or_number(self.tables, number)

    def protocol(self, number: int) -> str:
        """The name of a protocol, its number where it has none."""
        return names.name_or_number(self.protocols, number)


def format_key(key: Key, vocabulary: Vocabulary) -> str:
    """The identity of an object, on one line: ``10.30.0.0/16 table storage metric 50``."""
    return TEXTS[key.kind].key(key.slot, key.member, vocabulary)


def format_object(key: Key, value: Value, vocabulary: Vocabulary) -> str:
    """An object with its content, on one line, as ``ip`` prints it."""
    return TEXTS[key.kind].whole(key.slot, key.member, value, vocabulary)


def to_json(key: Key, value: Value | None, vocabulary: Vocabulary) -> Json:
    """An object with the keys of ``ip -j``; without a value only its identity."""
    return TEXTS[key.kind].json(key.slot, key.member, value, vocabulary)


def find_differing(standing: Value, wanted: Value) -> list[str]:
    """The names of the fields in which two values of one kind differ; within a record, those of the record."""
    names_: list[str] = []
    for name in wanted._fields:
        one, other = getattr(standing, name), getattr(wanted, name)
        if one != other and name == "extra":
            names_ += _find_differing_words(type(wanted), one, other)
        elif one != other:
            is_record = type(one) is type(other) and hasattr(one, "_fields")
            names_ += find_differing(one, other) if is_record else [name]
    return names_


# The words that the attributes of a value have, beside its fields
_WORDS: Final = {
    RouteValue: ROUTE_WORDS,
    Hop: HOP_WORDS,
    NexthopValue: NEXTHOP_WORDS,
    RuleValue: RULE_VALUE_WORDS,
}


def _find_differing_words(kind: type[Any], standing: bytes, wanted: bytes) -> list[str]:
    one, other = dict(list_words(_WORDS.get(kind, ()), standing)), dict(list_words(_WORDS.get(kind, ()), wanted))
    return [word for word in one | other if one.get(word) != other.get(word)] or ["extra"]


def differs_in_mark(kind: Kind, standing: Value, wanted: Value) -> bool:
    """Do two values of this kind differ in nothing but in whose they are?"""
    return find_differing(standing, wanted) == [TEXTS[kind].mark]


def mark_name(kind: Kind) -> str:
    """The name of the field that says whose a value is."""
    return TEXTS[kind].mark


def mark_of(kind: Kind, value: Value) -> Any:
    """What a value says of whose it is."""
    return getattr(value, TEXTS[kind].mark)


def format_route_key(slot: RouteSlot, member: bytes, vocabulary: Vocabulary) -> str:
    """``default``, ``10.30.0.0/16 table storage metric 50``; for IPv6 the metric always, as ``ip`` does."""
    words = _format_selector(slot, member)
    if slot.table != names.TABLE_MAIN:
        words += ["table", vocabulary.table(slot.table)]
    if slot.metric:
        words += ["metric", str(slot.metric)]
    return " ".join(words)


def format_route(slot: RouteSlot, member: bytes, value: RouteValue, vocabulary: Vocabulary) -> str:
    """A route as ``ip route`` prints it, and what stands behind it without what they share."""
    table = ["table", vocabulary.table(slot.table)] if slot.table != names.TABLE_MAIN else []
    metric = ["metric", str(slot.metric)] if slot.metric else []
    protocol = ["proto", vocabulary.protocol(value.protocol)]
    words = _format_way(slot, value, vocabulary, _format_selector(slot, member), [*table, *protocol], metric)
    for behind in value.append:
        other = ["proto", vocabulary.protocol(behind.protocol)] if behind.protocol != value.protocol else []
        words += ["append", *_format_way(slot, behind, vocabulary, [], other, [])]
    return " ".join(words)


def _format_way(
    slot: RouteSlot, value: RouteValue, vocabulary: Vocabulary, key: list[str], whose: list[str], metric: list[str]
) -> list[str]:
    words = [] if value.type == names.UNICAST else [names.name_or_number(names.ROUTE_TYPES, value.type)]
    words += key
    words += ["nhid", str(value.nhid)] if value.nhid else []
    if len(value.hops) == 1:
        words += _format_hop(slot.family, value.hops[0], vocabulary)
    words += [*whose, *_format_attributes(value), *metric, *_format_metrics(value)]
    words += format_words(ROUTE_WORDS, value.extra)
    if len(value.hops) > 1:
        for hop in value.hops:
            words += ["nexthop", *_format_hop(slot.family, hop, vocabulary), "weight", str(hop.weight)]
    if has_more(ROUTE_WORDS, value.extra) or any(has_more(HOP_WORDS, hop.extra) for hop in value.hops):
        words.append(_UNNAMED)  # such as a program of eBPF: it does not go as it looks
    return words


def _format_selector(slot: RouteSlot, member: bytes) -> list[str]:
    """Which packets a route is for."""
    words = [format_destination(member)]
    if slot.source:
        words += ["from", format_destination(slot.source)]
    return [*words, "tos", f"0x{slot.tos:02x}"] if slot.tos else words


def _format_attributes(value: RouteValue) -> list[str]:
    scope = [] if value.scope == names.UNIVERSE else ["scope", names.name_or_number(names.SCOPES, value.scope)]
    return [*scope, "src", format_address(value.src)] if value.src else scope


def _format_metrics(value: RouteValue) -> list[str]:
    words = []
    for number, setting in value.metrics:
        lock = ["lock"] if value.lock & (1 << number) else []
        name, shown = show_metric(number, setting)
        words += [name, *lock, *(shown if isinstance(shown, list) else [str(shown)])]
    return words


def route_to_json(slot: RouteSlot, member: bytes, value: RouteValue | None, vocabulary: Vocabulary) -> Json:
    """A route with the keys of ``ip -j route``."""
    json: Json = {"dst": format_destination(member), "table": vocabulary.table(slot.table)}
    if slot.source:
        json["from"] = format_destination(slot.source)
    if slot.metric:
        json["metric"] = slot.metric
    if slot.tos:
        json["tos"] = f"0x{slot.tos:02x}"
    if value is None:
        return json
    json["type"] = names.name_or_number(names.ROUTE_TYPES, value.type)
    if value.nhid:
        json["nhid"] = value.nhid
    hops = [_hop_to_json(slot.family, hop, vocabulary) for hop in value.hops]
    if len(hops) == 1:
        json |= hops[0]
    elif hops:
        json["nexthops"] = [
            leg | {"weight": hop.weight} for leg, hop in zip(hops, value.hops, strict=True)
        ]  # fmt: skip
    json["protocol"] = vocabulary.protocol(value.protocol)
    json["scope"] = names.name_or_number(names.SCOPES, value.scope)
    if value.src:
        json["prefsrc"] = format_address(value.src)
    if value.metrics:
        json["metrics"] = [dict(show_metric(number, setting) for number, setting in value.metrics)]
    return json | dict(list_words(ROUTE_WORDS, value.extra)) | _append_to_json(slot, member, value, vocabulary)


def _append_to_json(slot: RouteSlot, member: bytes, value: RouteValue, vocabulary: Vocabulary) -> Json:
    """What stands behind it, each without what is part of the key."""
    each = [route_to_json(slot, member, behind, vocabulary) for behind in value.append]
    keys = {"dst", "table", "metric", "tos"}
    shown = [{name: one for name, one in json.items() if name not in keys} for json in each]
    return {"append": shown} if shown else {}


def format_rule_key(slot: RuleSlot, member: RuleMember, vocabulary: Vocabulary) -> str:
    """A rule as ``ip rule`` prints it, without its protocol: all of it is key."""
    words = [f"{member.priority}:", *(["not"] if member.inverted else [])]
    words += ["from", format_destination(member.source) if member.source else "all"]
    if member.destination:
        words += ["to", format_destination(member.destination)]
    words += [word for name, setting in _rule_selectors(member) for word in (name, str(setting))]
    words += [_format_action(member, vocabulary)]
    words += [_UNNAMED] if has_more_than_a_rule(member.extra) else []
    return " ".join(words) + ("" if slot.family == IPV4 else " (IPv6)")


def format_rule(slot: RuleSlot, member: RuleMember, value: RuleValue, vocabulary: Vocabulary) -> str:
    """A rule as ``ip rule`` prints it."""
    words = [format_rule_key(slot, member, vocabulary), *format_words(RULE_VALUE_WORDS, value.extra)]
    return " ".join([*words, "proto", vocabulary.protocol(value.protocol)])


def rule_to_json(slot: RuleSlot, member: RuleMember, value: RuleValue | None, vocabulary: Vocabulary) -> Json:
    """A rule with the keys of ``ip -j rule``."""
    json: Json = {"priority": member.priority, "family": "inet" if slot.family == IPV4 else "inet6"}
    if member.inverted:
        json["not"] = None
    json["src"] = format_destination(member.source) if member.source else "all"
    if member.destination:
        json["dst"] = format_destination(member.destination)
    json |= dict(_rule_selectors(member))
    if member.action == names.TO_TABLE:
        json["table"] = vocabulary.table(member.table)
    else:
        json["action"] = _format_action(member, vocabulary)
    if value is not None:
        json |= dict(list_words(RULE_VALUE_WORDS, value.extra))
        json["protocol"] = vocabulary.protocol(value.protocol)
    return json


def format_address_key(_slot: AddressSlot, member: AddressMember, vocabulary: Vocabulary) -> str:
    """``10.20.0.11/21 dev eth1``."""
    return f"{format_address(member.address)}/{member.prefixlen} dev {vocabulary.link(member.dev)}"


def format_held_address(slot: AddressSlot, member: AddressMember, value: AddressValue, vocabulary: Vocabulary) -> str:
    """An address as ``ip address`` prints it."""
    words = [format_address_key(slot, member, vocabulary)]
    if value.peer:
        words += ["peer", format_address(value.peer)]
    if value.broadcast:
        words += ["brd", format_address(value.broadcast)]
    words += ["scope", names.name_or_number(names.SCOPES, value.scope)]
    words += [name for name, bit in names.ADDRESS_FLAGS.items() if value.flags & bit]
    if value.deprecated:
        words.append("deprecated")
    if value.dynamic:
        words.append("dynamic")
    if value.has_failed:
        words.append("dadfailed")
    if value.metric:
        words += ["metric", str(value.metric)]
    if value.label and value.label != vocabulary.link(member.dev):
        words += ["label", value.label]
    return " ".join([*words, "proto", vocabulary.protocol(value.protocol)])


def address_to_json(
    _slot: AddressSlot, member: AddressMember, value: AddressValue | None, vocabulary: Vocabulary
) -> Json:
    """An address with the keys of ``ip -j address``."""
    json: Json = {
        "local": format_address(member.address),
        "prefixlen": member.prefixlen,
        "dev": vocabulary.link(member.dev),
    }
    if value is None:
        return json
    json["scope"] = names.name_or_number(names.SCOPES, value.scope)
    json["protocol"] = vocabulary.protocol(value.protocol)
    json |= {name: True for name, bit in names.ADDRESS_FLAGS.items() if value.flags & bit}
    optional = {
        "peer": format_address(value.peer) if value.peer else "",
        "broadcast": format_address(value.broadcast) if value.broadcast else "",
        "label": value.label,
        "metric": value.metric,
        "deprecated": value.deprecated,
        "dynamic": value.dynamic,
        "dadfailed": value.has_failed,
    }
    return json | {name: setting for name, setting in optional.items() if setting}


def format_link_key(_slot: LinkSlot, member: LinkMember, _vocabulary: Vocabulary) -> str:
    """``routed0``."""
    return member.name


def format_link(slot: LinkSlot, member: LinkMember, value: LinkValue, vocabulary: Vocabulary) -> str:
    """A link in the words of ``ip link``."""
    words = [format_link_key(slot, member, vocabulary), "type", value.kind]
    words += [*_format_ipip(value.data)] if value.data else []
    words += ["up" if value.is_up else "down"]
    return " ".join([*words, "alias", f"{names.ALIAS}{value.protocol}"] if value.protocol else words)


def _format_ipip(data: Ipip) -> list[str]:
    words = ["external"] if data.is_external else []
    words += ["remote", _format_end(data.remote), "local", _format_end(data.local)]
    words += ["ttl", str(data.ttl or "inherit"), *([] if data.pmtudisc else ["nopmtudisc"]), "mtu", str(data.mtu)]
    return [*words, _UNNAMED] if data.extra else words


def _format_end(address: bytes) -> str:
    return format_address(address) if address else "any"


def link_to_json(_slot: LinkSlot, member: LinkMember, value: LinkValue | None, _vocabulary: Vocabulary) -> Json:
    """A link with the keys of ``ip -j -d link``."""
    json: Json = {"ifname": member.name}
    if value is None:
        return json
    info: Json = {"info_kind": value.kind}
    if value.data is not None:
        info["info_data"] = _ipip_to_json(value.data)
        json["mtu"] = value.data.mtu
    json |= {"linkinfo": info, "flags": ["UP"] if value.is_up else []}
    return json | ({"ifalias": f"{names.ALIAS}{value.protocol}"} if value.protocol else {})


def _ipip_to_json(data: Ipip) -> Json:
    json: Json = {"external": True} if data.is_external else {}
    json |= {"proto": names.TUNNELLED.get(data.carries, str(data.carries))}
    return json | {
        "remote": _format_end(data.remote),
        "local": _format_end(data.local),
        "ttl": data.ttl,
        "pmtudisc": data.pmtudisc,
    }


class TextRow(NamedTuple):
    """How a kind is written. The four take the slot, the member and so on of that kind only."""

    key: Callable[[Any, Any, Vocabulary], str]
    whole: Callable[[Any, Any, Any, Vocabulary], str]
    json: Callable[[Any, Any, Any, Vocabulary], Json]
    mark: str = "protocol"  # the field of its value that says whose it is, and nothing else


TEXTS: Final[dict[Kind, TextRow]] = {
    Kind.LINK: TextRow(format_link_key, format_link, link_to_json),
    Kind.ADDRESS: TextRow(format_address_key, format_held_address, address_to_json),
    Kind.NEIGHBOUR: TextRow(format_neighbour_key, format_neighbour, neighbour_to_json),
    Kind.PROXY: TextRow(format_neighbour_key, format_neighbour, neighbour_to_json),
    Kind.NEXTHOP: TextRow(format_nexthop_key, format_nexthop, nexthop_to_json),
    Kind.ROUTE: TextRow(format_route_key, format_route, route_to_json),
    Kind.RULE: TextRow(format_rule_key, format_rule, rule_to_json),
    Kind.SERVICE: TextRow(format_service_key, format_service, service_to_json),
    Kind.SERVER: TextRow(format_server_key, format_server, server_to_json),
    Kind.TIMEOUT: TextRow(format_timeout_key, format_timeout, timeout_to_json),
}


def _format_hop(family: int, hop: Hop, vocabulary: Vocabulary) -> list[str]:
    words = format_words((ENCAP,), hop.extra)
    if hop.gateway:
        is_other_family = family == IPV4 and len(hop.gateway) == 16
        words += ["via", *(["inet6"] if is_other_family else []), format_address(hop.gateway)]
    if hop.dev:
        words += ["dev", vocabulary.link(hop.dev)]
    words += format_words((REALMS_OF_HOP,), hop.extra)
    return [*words, "onlink"] if hop.onlink else words


def _hop_to_json(family: int, hop: Hop, vocabulary: Vocabulary) -> Json:
    json: Json = {}
    if hop.gateway and family == IPV4 and len(hop.gateway) == 16:
        json["via"] = {"family": "inet6", "host": format_address(hop.gateway)}
    elif hop.gateway:
        json["gateway"] = format_address(hop.gateway)
    if hop.dev:
        json["dev"] = vocabulary.link(hop.dev)
    if hop.onlink:
        json["flags"] = ["onlink"]
    json |= dict(list_words(HOP_WORDS, hop.extra))
    return json


def _rule_selectors(member: RuleMember) -> list[tuple[str, ShownWord]]:
    """The selectors that are set, by the words of ``ip rule``."""
    mark = f"0x{member.fwmark:x}" + ("" if member.fwmask == 0xFFFFFFFF else f"/0x{member.fwmask:x}")
    uid = member.uidrange
    every: list[tuple[str, ShownWord, bool]] = [
        ("tos", f"0x{member.tos:02x}", bool(member.tos)),
        ("fwmark", mark, bool(member.fwmask)),
        ("iif", member.iif, bool(member.iif)),
        ("oif", member.oif, bool(member.oif)),
        ("uidrange", f"{uid[0]}-{uid[1]}" if uid else "", uid is not None),
        ("ipproto", names.name_or_number(names.IP_PROTOCOLS, member.ipproto), bool(member.ipproto)),
        ("sport", format_ports("sport", member), member.sport != (0, 0)),
        ("dport", format_ports("dport", member), member.dport != (0, 0)),
        ("suppress_prefixlength", member.suppress_prefixlength, member.suppress_prefixlength >= 0),
        ("suppress_ifgroup", member.suppress_ifgroup, member.suppress_ifgroup >= 0),
    ]
    said = [(name, setting) for name, setting, is_set in every if is_set]
    if not member.extra:
        return said
    return [*said, *list_words(RULE_WORDS, member.extra)]


def format_ports(word: str, member: RuleMember) -> str:
    """The ``sport`` or ``dport`` of a rule: ``80``, ``1000-2000`` or ``80/0xfff0``."""
    first, last = getattr(member, word)
    mask = find_port_mask(word, member.extra)
    return f"{first}-{last}" if first != last else str(first) + ("" if mask == WHOLE_PORT else f"/0x{mask:x}")


def _format_action(member: RuleMember, vocabulary: Vocabulary) -> str:
    if member.l3mdev:
        return "lookup [l3mdev-table]"
    if member.action == names.TO_TABLE:
        return f"lookup {vocabulary.table(member.table)}"
    if member.action == names.GOTO:
        return f"goto {member.target}"
    return names.name_or_number(names.ACTIONS, member.action)
