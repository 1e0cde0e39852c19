"""Export: objects of the kernel as the TOML that an operator would have written for them.

Here lives the way back from ``model.objects`` to the words of the file, for ``routed import``. What nobody wrote (the
kernel's own objects, those of DHCP and router advertisements) is left out; what the file has no word for is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import tomli_w

from routed.intent import words
from routed.intent.export_service import describe_service, describe_timeout, export_service, export_timeout
from routed.intent.exporting import Surroundings, UnspeakableError
from routed.model import names, net
from routed.model.entries import IPIP_MTU
from routed.model.facts import Facts
from routed.model.ipvs import ServiceSlot
from routed.model.names import name_or_number
from routed.model.net import FAMILY_NAME, IPV4, IPV6, family_of
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Hop,
    Ipip,
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

MANY: Final = 8  # routes of one shape that become one entry with a list

_LINK_LOCAL: Final = net.parse_prefix("fe80::/10")
_LOOPBACK: Final = (net.parse_prefix("127.0.0.0/8"), net.parse_prefix("::1/128"))


class Exported(NamedTuple):
    """The text of a file, and a line for each object that it cannot express."""

    text: str
    left_out: tuple[str, ...]


class Exporter(NamedTuple):
    """How objects of a kind are written, that share everything but their member."""

    # (slot, value, members, what is around them) → a table of the file; None for what nobody wrote
    write: Callable[[Any, Any, Sequence[Any], Surroundings], dict[str, Any] | None]
    describe: Callable[[Any, Sequence[Any]], str]  # (slot, members) → what they are called where they are left out
    may_list: bool = False  # has the table a list for very many?
    # objects of another kind that are written within its table, and (slot of such) → the slot and member of its own
    parts: Kind | None = None
    owner_of: Callable[[Any], tuple[Any, Any]] = lambda _slot: (None, None)
    table: str = ""  # of the file, where it is not called after the kind
    settings: str = ""  # the table with one bracket in which all of them are written, each as a key of one of its keys


def export(objects: Iterable[tuple[Kind, Standing]], facts: Facts, tables: Mapping[int, str]) -> Exported:
    """The file that makes these objects; ``tables`` are the host's names for table numbers."""
    written: dict[Kind, list[str]] = {kind: [] for kind in EXPORTERS}
    settings: dict[str, dict[str, Any]] = {}
    left_out: list[str] = []
    whole, parts = _split_parts(objects)
    for kind, slot, value, members in _group(whole):
        exporter = EXPORTERS[kind]
        try:
            around = Surroundings(facts, tables, parts.get((kind, slot, members[0]), ()))
            table = exporter.write(slot, value, members, around)
            if table is not None and exporter.settings:
                joined = settings.setdefault(exporter.settings, {})
                joined |= {key: joined.get(key, {}) | part for key, part in table.items()}
            elif table is not None:
                written[kind].append(_render(table))
        except UnspeakableError as reason:
            left_out.append(f"{exporter.describe(slot, members)}: {reason}")
    texts = [f"\n[{word}]\n{_render(table)}" for word, table in settings.items()]
    texts += [
        f"\n[[{EXPORTERS[kind].table or kind}]]\n{entry}" for kind, entries in written.items() for entry in entries
    ]
    return Exported("version = 1\n" + "".join(texts), tuple(left_out))


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


def _render(table: dict[str, Any]) -> str:
    """The lines of one table, always in one form; tomli_w would choose between brackets and braces by length."""
    lines = []
    for key, value in table.items():
        if _is_left_out(value):
            continue
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            lines.append(f"{key} = [\n" + "".join(f"    {_render_inline(item)},\n" for item in value) + "]\n")
        elif isinstance(value, dict):
            lines.append(f"{key} = {_render_inline(value)}\n")
        else:
            lines.append(tomli_w.dumps({key: value}))
    text = "".join(lines)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UnspeakableError("it bears the name of an interface that is no UTF-8, which the file cannot hold")
    return text


def _render_inline(value: object) -> str:
    if not isinstance(value, dict):
        return tomli_w.dumps({"_": value}).removeprefix("_ = ").strip()
    return "{ " + ", ".join(tomli_w.dumps({word: item}).strip() for word, item in value.items()) + " }"


def _is_left_out(item: object) -> bool:
    """Whether this is the absence of a word; 0 is a word."""
    return item is None or item is False or item in ("", b"")


def _describe_rule(_slot: RuleSlot, members: Sequence[RuleMember]) -> str:
    return f"rule {members[0].priority}"


def _describe_address(_slot: AddressSlot, members: Sequence[AddressMember]) -> str:
    return f"address {net.format_address(members[0].address)}/{members[0].prefixlen}"


def _describe_routes(slot: RouteSlot, prefixes: Sequence[bytes]) -> str:
    source = f" from {net.format_destination(slot.source)}" if slot.source else ""
    more = f" and {len(prefixes) - 1} more" if len(prefixes) > 1 else ""
    return f"route {net.format_destination(prefixes[0])}{source}{more}"


def _is_nobodys_route(slot: RouteSlot, value: RouteValue) -> bool:
    is_written = value.type in names.WRITABLE_TYPES.values()
    return value.protocol in names.NEVER_OURS or slot.table == names.TABLE_LOCAL or not is_written


def _route(
    slot: RouteSlot, value: RouteValue, prefixes: Sequence[bytes], around: Surroundings
) -> dict[str, Any] | None:
    if _is_nobodys_route(slot, value):
        return None
    _refuse_unspeakable(slot, value)
    is_ipv4 = slot.family == IPV4
    table: dict[str, Any] = {}
    if len(prefixes) == 1:
        table["to"] = net.format_destination(prefixes[0])
    else:
        table["prefixes"] = [net.format_prefix(prefix) for prefix in sorted(prefixes)]
    if table.get("to") == "default" and not _tells_family(slot, value):
        table["family"] = FAMILY_NAME[slot.family]
    if value.type != names.UNICAST:
        table["type"] = names.ROUTE_TYPES[value.type]
    if value.type not in names.TYPES_WITHOUT_HOP:
        table |= _hops(value.hops, around.facts)
    table["src"] = value.src and net.format_address(value.src)
    if slot.table != names.TABLE_MAIN:
        table["table"] = _table(slot.table, around.tables)
    if slot.metric != names.DEFAULT_METRIC[slot.family]:
        table["metric"] = slot.metric
    table["tos"] = f"0x{slot.tos:02x}" if slot.tos else None
    if is_ipv4 and value.scope != _usual_scope(value):
        table["scope"] = names.SCOPES.get(value.scope, value.scope)
    return table | _metrics(value)


def _refuse_unspeakable(slot: RouteSlot, value: RouteValue) -> None:
    if slot.source:
        raise UnspeakableError("it has a source prefix (from), which the file has no word for")
    if value.extra or any(hop.extra for hop in value.hops):
        raise UnspeakableError("it carries an attribute that the file has no word for")


def _tells_family(slot: RouteSlot, value: RouteValue) -> bool:
    """Can the family of a default route be seen from its other words?"""
    gateways = {family_of(hop.gateway) for hop in value.hops if hop.gateway}
    return bool(value.src) or (bool(gateways) and min(gateways) == slot.family)


def _metrics(value: RouteValue) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for number, amount in value.metrics:
        if number not in names.METRIC_NAMES:
            raise UnspeakableError(f"it carries the metric {number}, which the file has no word for")
        word = names.METRIC_NAMES[number]
        table[word] = bool(amount) if word in {"quickack", "fastopen_no_cookie"} else amount
    table["lock"] = [word for word, number in names.METRICS.items() if value.lock >> number & 1] or None
    return table


def _usual_scope(value: RouteValue) -> int:
    """The scope that ``ip route`` gives an IPv4 route that names none (iproute_modify, ip/iproute.c)."""
    if value.type == names.LOCAL:
        return names.HOST
    is_on_link = value.type == names.UNICAST and len(value.hops) == 1 and not value.hops[0].gateway
    return names.LINK if is_on_link else names.UNIVERSE


def _hops(hops: tuple[Hop, ...], facts: Facts) -> dict[str, Any]:
    written = [
        {
            key: word
            for key, word in {
                "via": net.format_address(hop.gateway) if hop.gateway else "",
                "dev": _dev(hop.dev, facts),
                "weight": hop.weight if hop.weight != 1 else "",
                "onlink": hop.onlink,
            }.items()
            if word
        }
        for hop in hops
    ]
    if len(written) == 1 and "weight" not in written[0]:
        return written[0]
    return {"hops": written}


def _dev(index: int, facts: Facts) -> str:
    if index not in facts.links:
        raise UnspeakableError(f"its interface {index} is not known")
    return _check_name(facts.links[index].name)


def _check_name(name: str) -> str:
    """The name of an interface, or nothing. Raises UnspeakableError for one that the file would not take for a name."""
    if name.startswith("@") or words.WILDCARD.search(name):
        raise UnspeakableError(f'it bears the name of an interface, "{name}", which the file takes for something else')
    return name


def _table(number: int, tables: Mapping[int, str]) -> str | int:
    return tables.get(number, number)


def _rule(
    slot: RuleSlot, value: RuleValue, members: Sequence[RuleMember], around: Surroundings
) -> dict[str, Any] | None:
    (rule,) = members
    if rule.priority in names.KERNEL_PRIORITIES or value.protocol in {names.PROTOCOL_RA, names.PROTOCOL_REDIRECT}:
        return None
    if rule.extra or value.extra:
        raise UnspeakableError("it carries an attribute that the file has no word for")
    table: dict[str, Any] = {
        "priority": rule.priority,
        "family": None if rule.source or rule.destination else FAMILY_NAME[slot.family],
        "not": rule.inverted,
        "from": rule.source and net.format_prefix(rule.source),
        "to": rule.destination and net.format_prefix(rule.destination),
        "iif": _check_name(rule.iif),
        "oif": _check_name(rule.oif),
        "fwmark": _mark(rule.fwmark, rule.fwmask) if rule.fwmask else None,
        "ipproto": names.IP_PROTOCOLS.get(rule.ipproto, rule.ipproto) if rule.ipproto else None,
        "sport": _range(rule.sport) if any(rule.sport) else None,
        "dport": _range(rule.dport) if any(rule.dport) else None,
        "uidrange": f"{rule.uidrange[0]}-{rule.uidrange[1]}" if rule.uidrange else None,
        "tos": f"0x{rule.tos:02x}" if rule.tos else None,
        "l3mdev": rule.l3mdev,
        "table": _table(rule.table, around.tables) if rule.action == names.TO_TABLE and rule.table else None,
        "goto": rule.target if rule.action == names.GOTO else None,
        "type": names.name_or_number(names.ACTIONS, rule.action) if rule.action > names.GOTO else None,
    }
    for key in ("suppress_prefixlength", "suppress_ifgroup"):
        if getattr(rule, key) >= 0:
            table[key] = getattr(rule, key)
    return table


def _mark(mark: int, mask: int) -> str:
    return f"0x{mark:x}" if mask == 0xFFFFFFFF else f"0x{mark:x}/0x{mask:x}"


def _range(ends: tuple[int, int]) -> int | str:
    return ends[0] if ends[0] == ends[1] else f"{ends[0]}-{ends[1]}"


def _address(
    _slot: AddressSlot, value: AddressValue, members: Sequence[AddressMember], around: Surroundings
) -> dict[str, Any] | None:
    (member,) = members
    if value.dynamic or value.protocol in names.KERNEL_ADDRESS_PROTOCOLS or _is_kernels_address(member, around.facts):
        return None
    dev = _dev(member.dev, around.facts)
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


def _is_kernels_address(member: AddressMember, facts: Facts) -> bool:
    """Loopback and link-local addresses, which kernels before 5.18 do not mark as theirs."""
    link = facts.links.get(member.dev)
    is_loopback = (
        link is not None and link.name == "lo" and any(net.is_inside(member.address, one) for one in _LOOPBACK)
    )
    return is_loopback or (family_of(member.address) == IPV6 and net.is_inside(member.address, _LINK_LOCAL))


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
    Kind.ADDRESS: Exporter(_address, _describe_address),
    Kind.ROUTE: Exporter(_route, _describe_routes, may_list=True),
    Kind.RULE: Exporter(_rule, _describe_rule),
    Kind.SERVICE: Exporter(
        export_service,
        describe_service,
        parts=Kind.SERVER,
        owner_of=lambda slot: (ServiceSlot(slot.family), slot.service),
    ),
    Kind.TIMEOUT: Exporter(export_timeout, describe_timeout, settings="ipvs"),
}
