"""Checks: what the kernel would refuse, said before it is asked.

Here stand the rules between the keys of one table, as pure functions that yield faults. What one value may be stands in
``words``; contradictions between entries in ``crosscheck``. Each rule names the kernel's own refusal or its silence
(all measured on Linux 6.18); host facts are no concern of this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from routed.intent import schema
from routed.intent.problems import Fault, KeyPath
from routed.model import names, net
from routed.model.attributes import DSCP, ENCAP, HOP_WORDS, ROUTE_WORDS, Word, join
from routed.model.entries import HopSpec
from routed.model.net import FAMILY_NAME, IPV4, IPV6, family_of

ECN_BITS: Final = 0x03  # INET_ECN_MASK, net/inet_ecn.h
MAXIMUM_TOS_OF_RULE: Final = 0x1C  # IPTOS_RT_MASK, net/route.h
PROTOCOLS_WITH_PORTS: Final = frozenset({6, 17, 33, 132, 136})
MULTICAST: Final = {IPV4: net.parse_prefix("224.0.0.0/4"), IPV6: net.parse_prefix("ff00::/8")}
LINK_LOCAL: Final = net.parse_prefix("fe80::/10")
# The kernel derives the scope of an IPv6 address by itself (ipv6_addr_scope).
_ADDRESS_KEYS_OF_OTHERS: Final = {
    IPV4: ("nodad", "optimistic", "home", "mngtmpaddr"),
    IPV6: ("broadcast", "label", "scope"),
}
_FAMILY_TITLE: Final = {IPV4: "IPv4", IPV6: "IPv6"}
_OTHER_FAMILY: Final = {IPV4: "IPv6", IPV6: "IPv4"}
_DESTINATION_KEYS: Final = ("to", "prefixes", "prefixes_file")
_RULE_ACTIONS: Final = ("table", "goto", "type", "l3mdev")


def hop_specs(route: schema.Route) -> tuple[tuple[KeyPath, HopSpec], ...]:
    """The next hops of a route, each with its place: those of ``hops``, or the one that via and dev make."""
    if route.hops is not None:
        return tuple((("hops", index), _specify(hop, hop.weight)) for index, hop in enumerate(route.hops))
    if route.via is None and route.dev is None:
        return ()
    return (((), _specify(route, 1)),)


def _specify(hop: schema.Hop | schema.Route, weight: int) -> HopSpec:
    return HopSpec(hop.via or b"", hop.dev or "", weight, hop.onlink, extra=join(pack_words(hop, HOP_WORDS)))


def pack_words(table: object, rows: Iterable[Word]) -> dict[int, bytes]:
    """The attributes of these words of a table."""
    said: dict[int, bytes] = {}
    for row in rows:
        value = getattr(table, row.name)
        if value is not None:
            said |= row.pack(value)
    return said


def check_tos_of_rule(tos: int, families: Iterable[int]) -> Iterator[Fault]:
    """IPv4 rules know three bits of it: "Invalid tos" (fib4_rule_configure)."""
    if IPV4 in families and tos > MAXIMUM_TOS_OF_RULE:
        yield Fault(("tos",), f"`tos` of an IPv4 rule is {MAXIMUM_TOS_OF_RULE} or less", f"write dscp = {tos >> 2}")


def check_words(table: object, rows: Iterable[Word], families: Iterable[int], path: KeyPath = ()) -> Iterator[Fault]:
    """Words that one of these families does not have: the kernel refuses them, or passes over them in silence."""
    for row in rows:
        if getattr(table, row.name) is not None and not set(families) <= set(row.families):
            yield Fault((*path, row.name), f"`{row.name}` is for {_FAMILY_TITLE[row.families[0]]} only")


def check_hop_words(
    table: object, rows: Iterable[Word], families: frozenset[int], path: KeyPath = ()
) -> Iterator[Fault]:
    """Everything that can be said about the words of one next hop of a route of these families."""
    yield from check_words(table, rows, families, path)
    encap = getattr(table, ENCAP.name)
    if encap is not None:
        from routed.intent.encap_table import check_encap  # noqa: PLC0415  only who has one pays for it

        yield from check_encap(encap, families, (*path, ENCAP.name))


def list_hops(route: schema.Route) -> list[tuple[HopSpec, tuple[tuple[str, bool], ...]]]:
    """The same next hops, with what each requires."""
    written = route.hops if route.hops is not None else [None]
    return [
        (hop, (one.requires if one else None) or ()) for (_, hop), one in zip(hop_specs(route), written, strict=False)
    ]


def check_route(route: schema.Route, families: frozenset[int]) -> Iterator[Fault]:
    """Everything that can be said about a route and the families of its destinations."""
    faults = list(check_hop_words(route, HOP_WORDS, families))
    for index, one in enumerate(route.hops or ()):
        faults += check_hop_words(one, HOP_WORDS, families, ("hops", index))
    if faults:  # what is wrong in itself cannot be packed
        yield from faults
        return
    hops = hop_specs(route)
    yield from _check_hop_keys(route)
    yield from _check_nhid(route)
    yield from _check_when_down(route)
    yield from _check_type(route)
    for path, hop in hops:
        yield from check_hop(path, hop, families)
    yield from _check_many_hops(hops, families)
    if isinstance(route.src, bytes):
        yield from _check_local_address("src", route.src, families)
    yield from _check_scope(route, families)
    if route.source is not None and families != {IPV6}:
        hint = "the address that this host sends from is `src`" if family_of(route.source) == IPV4 else ""
        yield Fault(("from",), "`from` of a route is for IPv6 only", hint)
    elif route.source is not None and family_of(route.source) != IPV6:
        yield Fault(("from",), "`from` and the destination are of different families")
    if route.tos and IPV6 in families:  # "option not available for IPv6" (rtm_to_fib6_config)
        yield Fault(("tos",), "`tos`: IPv6 routes have none")
    yield from check_words(route, ROUTE_WORDS, families)
    for word in route.lock:
        if not getattr(route, word):
            yield Fault(("lock",), f"`lock` names `{word}`, which this route does not set")


def _check_when_down(route: schema.Route) -> Iterator[Fault]:
    has_conditions = route.requires or any(hop.requires for hop in route.hops or ())
    for key in ("down_metric", "when_all_down"):
        if getattr(route, key) is not None and not has_conditions:
            yield Fault((key,), f"`{key}` goes with `requires` only")
    if route.down_metric is not None and route.when_all_down is not None:
        yield Fault(("when_all_down",), "`down_metric` and `when_all_down` exclude each other: the route stays anyway")


def _check_hop_keys(route: schema.Route) -> Iterator[Fault]:
    if route.hops is None:
        if route.onlink and route.via is None and route.dev is None:
            yield Fault(("onlink",), "`onlink` needs `via` and `dev`")
        return
    for key in ("via", "dev", "onlink", *(row.name for row in HOP_WORDS)):
        if getattr(route, key):
            yield Fault((key,), f"`{key}` and `hops` exclude each other", f"write `{key}` inside each hop")
    if not route.hops:
        yield Fault(("hops",), "`hops` is empty")


def _check_nhid(route: schema.Route) -> Iterator[Fault]:
    of_hop = ("via", "dev", "hops", "onlink", *(row.name for row in HOP_WORDS))
    for key in of_hop if route.nhid is not None else ():
        if getattr(route, key):
            hint = "" if key == "realms" else f"write `{key}` at the [[nexthop]]"
            yield Fault((key,), f"`{key}` and `nhid` exclude each other", hint)


def _check_type(route: schema.Route) -> Iterator[Fault]:
    of_hop = ("via", "dev", "hops", "nhid", *(row.name for row in HOP_WORDS))
    given = [key for key in of_hop if getattr(route, key) is not None]
    number = names.WRITABLE_TYPES[route.type]
    if number in names.TYPES_WITHOUT_HOP:
        # "Gateway, device and multipath can not be specified for this route type" (fib_create_info)
        for key in given:
            yield Fault((key,), f"`{key}`: a route of type {route.type} leads nowhere", f"leave `{key}` out")
    elif number in names.ON_LINK_TYPES:
        # "Route with host scope can not have a gateway" (fib_create_info)
        for key in given:
            if key in {"via", "hops"}:
                yield Fault((key,), f"`{key}`: a route of type {route.type} has no gateway")
        if "dev" not in given:
            hint = 'write dev = "lo"' if number == names.LOCAL else "write `dev`"
            yield Fault((), f"a route of type {route.type} needs `dev`", hint)
    elif not {"via", "dev", "hops", "nhid"}.intersection(given):
        yield Fault(
            (), "the route leads nowhere", "write `via`, `dev`, `hops` or `nhid`, or a `type` such as blackhole"
        )


def check_hop(path: KeyPath, hop: HopSpec, families: frozenset[int]) -> Iterator[Fault]:
    """Everything that can be said about one next hop of a route of these families."""
    if not hop.via and not hop.dev:
        yield Fault(path, "the hop has neither `via` nor `dev`")
    if hop.onlink and not (hop.via and hop.dev):  # "Nexthop device required for onlink" (fib_check_nh_v4_gw)
        yield Fault((*path, "onlink"), "`onlink` needs `via` and `dev`")
    if not hop.via:
        return
    family = family_of(hop.via)
    text = net.format_address(hop.via)
    if family == IPV4 and IPV6 in families:
        yield Fault((*path, "via"), f"`via`: an IPv6 route cannot have the IPv4 gateway {text}")
    if not any(hop.via) or net.is_inside(hop.via, MULTICAST[family]):
        yield Fault((*path, "via"), f"`via`: {text} is not the address of a gateway")
    if net.is_inside(hop.via, LINK_LOCAL) and not hop.dev:
        # "Egress device not specified" (fib6_nh_init)
        yield Fault((*path, "via"), f"`via`: {text} is on every link", "write `dev` too")


def _check_many_hops(hops: tuple[tuple[KeyPath, HopSpec], ...], families: frozenset[int]) -> Iterator[Fault]:
    if len(hops) < 2:
        return
    seen: set[tuple[bytes, str, bytes]] = set()
    for path, hop in hops:
        if not hop.via and hop.dev and IPV6 in families:
            # "Device only routes can not be added for IPv6 using the multipath API" (ip6_route_multipath_add)
            yield Fault(path, "a hop of an IPv6 route with several hops needs `via`")
        if (hop.via, hop.dev, hop.extra) in seen:
            yield Fault(path, "this hop stands there already", "give the first one a higher `weight`")
        seen.add((hop.via, hop.dev, hop.extra))


def _check_local_address(key: str, address: bytes, families: frozenset[int]) -> Iterator[Fault]:
    family, text = family_of(address), net.format_address(address)
    if families - {family}:
        other = FAMILY_NAME[next(iter(families - {family}))]
        yield Fault((key,), f"`{key}`: {text} cannot be the source of {other} traffic")
    if not any(address) or net.is_inside(address, MULTICAST[family]):
        yield Fault((key,), f"`{key}`: {text} is not the address of a host")


def _check_scope(route: schema.Route, families: frozenset[int]) -> Iterator[Fault]:
    scope = route.scope
    if scope is None:
        return
    if scope and IPV6 in families:  # IPv6 ignores it, so it would never be in sync
        yield Fault(("scope",), "`scope`: IPv6 routes have none")
    has_gateway = any(hop.via for _, hop in hop_specs(route))
    if has_gateway and scope >= names.LINK:  # "Nexthop has invalid gateway" (fib_check_nh_v4_gw)
        yield Fault(("scope",), "`scope` of a route through a gateway must be global or site")
    if route.type == "local" and scope != names.HOST:  # "Invalid scope" (fib_create_info)
        yield Fault(("scope",), "`scope` of a route of type local must be host")
    if route.type in {"broadcast", "anycast"} and scope < names.LINK:
        yield Fault(("scope",), f"`scope` of a route of type {route.type} must be link")


def check_destination_keys(route: schema.Route) -> Iterator[Fault]:
    """Exactly one of the keys that say where the route leads to."""
    given = [key for key in _DESTINATION_KEYS if getattr(route, key) is not None]
    if not given:
        yield Fault((), "the route has no destination", "write `to`, `prefixes` or `prefixes_file`")
    for key in given[1:]:
        yield Fault((key,), f"`{given[0]}` and `{key}` exclude each other")


def check_rule(rule: schema.Rule) -> Iterator[Fault]:
    """Everything that can be said about a rule."""
    if rule.priority is None:
        yield Fault((), "the rule has no `priority`", "the kernel must never choose the order: write one, such as 1000")
    elif rule.priority in names.KERNEL_PRIORITIES:
        yield Fault(("priority",), f"`priority` {rule.priority} belongs to the kernel's own rule", "use 1 to 32765")
    yield from _check_action(rule)
    if rule.tos and getattr(rule, DSCP.name) is not None:  # "Cannot specify both TOS and DSCP" (fib4_nl2rule_dscp)
        yield Fault((DSCP.name,), "`tos` and `dscp` exclude each other")
    if rule.ipproto is not None and rule.ipproto not in PROTOCOLS_WITH_PORTS:
        for key in ("sport", "dport"):
            if getattr(rule, key) is not None:  # the kernel takes it, and it never matches
                name = names.name_or_number(names.IP_PROTOCOLS, rule.ipproto)
                yield Fault((key,), f"`{key}`: {name} has no ports")


def _check_action(rule: schema.Rule) -> Iterator[Fault]:
    given = [key for key in _RULE_ACTIONS if getattr(rule, key) not in (None, False)]
    if not given:
        yield Fault((), "the rule says nothing about what to do", "write `table`, `goto`, `type` or `l3mdev`")
    for key in given[1:]:
        if given != ["table", "goto"]:  # there it says nothing, and ``ip rule`` writes it all the same
            yield Fault((key,), f"`{given[0]}` and `{key}` exclude each other")
    if rule.goto is not None and rule.goto <= (rule.priority or 0):  # "Backward goto not supported" (fib_nl2rule)
        yield Fault(("goto",), "`goto` must be higher than the rule's own `priority`")


def check_address(entry: schema.AddressTable, address: bytes, length: int) -> Iterator[Fault]:
    """Everything that can be said about an address with its prefix length."""
    family = family_of(address)
    yield from check_held_address(address)
    yield from _check_shown(entry, address, length)
    if isinstance(entry.peer, bytes) and family_of(entry.peer) != family:
        yield Fault(("peer",), "`peer` must be of the family of `address`")
    if entry.mngtmpaddr and family == IPV6 and length != 64:  # inet6_addr_add
        yield Fault(("mngtmpaddr",), "`mngtmpaddr` needs a prefix length of 64")
    if entry.nodad and entry.optimistic:  # inet6_rtm_newaddr
        yield Fault(("optimistic",), "`nodad` and `optimistic` exclude each other")
    is_multicast = net.is_inside(address, MULTICAST[family])
    if entry.autojoin and not is_multicast:  # ip_mc_autojoin_config, ipv6_mc_config
        yield Fault(("autojoin",), "`autojoin` needs a multicast address")
    if is_multicast and not entry.autojoin:  # "Cannot assign requested address" (ipv6_add_addr)
        yield Fault(("address",), "`address`: a host cannot have a multicast address", "`autojoin` joins its group")


def _check_shown(entry: schema.AddressTable | schema.Vip, address: bytes, length: int) -> Iterator[Fault]:
    """What addresses and held VIPs say of how they stand."""
    family = family_of(address)
    for key in _ADDRESS_KEYS_OF_OTHERS[family]:
        if getattr(entry, key, None) not in (None, False):
            yield Fault((key,), f"`{key}` is for {_OTHER_FAMILY[family]} only")
    if isinstance(entry.broadcast, bytes) and family_of(entry.broadcast) != family:
        yield Fault(("broadcast",), "`broadcast` must be of the family of `address`")
    if entry.broadcast in {"+", "-"} and family == IPV4 and length > 30:
        yield Fault(("broadcast",), f"`broadcast`: a /{length} has no broadcast address")


def check_vip(vip: schema.Vip) -> Iterator[Fault]:
    """Everything that can be said about a VIP, routed (``node``) or held (``dev``)."""
    if vip.node is None and vip.dev is None:
        yield Fault((), "the vip has neither `node` nor `dev`", "`node` routes it, `dev` holds it as an address")
    if vip.node is not None and vip.dev is not None:
        yield Fault(("dev",), "`node` and `dev` exclude each other", "`node` routes the VIP over the link of `node`")
    if vip.node is None:
        for key in ("when", "metric", "table", "local"):
            if getattr(vip, key):
                yield Fault((key,), f"`{key}` goes with `node` only")
    else:
        yield from _check_routed_vip(vip)
    if vip.create and vip.dev and vip.dev.startswith("@"):
        yield Fault(("dev",), "`dev`: what is to be created needs a name of its own, not that of an [[interface]]")
    if vip.address is None:
        yield Fault((), "`address` is missing")
    else:
        yield from _check_vip_address(vip, *vip.address)


def _check_routed_vip(vip: schema.Vip) -> Iterator[Fault]:
    for key in ("create", "announce", "label", "scope", "broadcast"):
        if getattr(vip, key) is not None:
            yield Fault((key,), f"`{key}` goes with `dev` only")
    if vip.local and vip.table is not None:
        hint = "in any other table this host would answer for it only until somebody adds a rule"
        yield Fault(("table",), "`table`: with `local` it is always the table local", hint)


def _check_vip_address(vip: schema.Vip, address: bytes, length: int) -> Iterator[Fault]:
    family = family_of(address)
    yield from check_held_address(address)
    if net.is_inside(address, MULTICAST[family]):
        yield Fault(("address",), "`address`: a host cannot have a multicast address")
    network = net.network_of(address, length)
    if vip.node is None:
        yield from _check_shown(vip, address, length)
    if vip.node is not None and network[:-1] != address:
        yield Fault(("address",), f"`address` has host bits set: write {net.format_prefix(network)}")
    if isinstance(vip.node, bytes):
        yield from _check_local_address("node", vip.node, frozenset({family}))
        if net.is_inside(vip.node, network):
            yield Fault(("node",), "`node` must be this host's own address, not that of the VIP")


def check_tunnel(tunnel: schema.TunnelTable) -> Iterator[Fault]:
    """Everything that can be said about a tunnel."""
    yield from (Fault((), f"`{key}` is missing") for key in tunnel.list_missing())
    if tunnel.dev in names.FALLBACK_LINKS:
        hint = "choose another name, such as routed-ipip"
        yield Fault(("dev",), f"`dev`: {tunnel.dev} is the kernel's own, which cannot be changed", hint)
    if isinstance(tunnel.local, bytes) and family_of(tunnel.local) != IPV4:
        yield Fault(("local",), "`local`: packets of ipip leave from an IPv4 address")
    elif isinstance(tunnel.local, bytes):
        yield from _check_local_address("local", tunnel.local, frozenset({IPV4}))
    if tunnel.ttl is not None and tunnel.nopmtudisc:  # ip_tunnel_netlink_parms
        yield Fault(("nopmtudisc",), "`nopmtudisc`: with `ttl` the kernel lets nobody fragment outer packets")
    if tunnel.on_conflict == "replace":
        hint = "choose another `dev`, or delete that interface"
        yield Fault(("on_conflict",), "`on_conflict`: an interface of somebody else is never taken over", hint)


def check_held_address(address: bytes) -> Iterator[Fault]:
    """What no address of a host may be."""
    if not any(address):
        yield Fault(("address",), f"`address`: {net.format_address(address)} is not the address of a host")


def check_tos(tos: int) -> None:
    """Raise ValueError for what is no type of service: "ECN bits must be 0" (inet_rtm_valid_getroute and its like)."""
    if tos > 255 or tos & ECN_BITS:
        raise ValueError("must be a multiple of 4 from 0 to 252 (the lowest two bits are ECN's)")
