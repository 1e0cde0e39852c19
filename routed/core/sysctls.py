"""Sysctls that services of IPVS take: a table of rows, over the entries and the addresses of the host.

Of each row one may say in the file that it is needed, or that it is not looked at. Here must never live: reading one
(``daemon.tuning``), or words (``audit.sysctls``).
Sources: ip-sysctl.rst and ipvs-sysctl.rst of Linux; what is lost without each was tried out on Linux 6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from routed.model.entries import Entry, HeldVipEntry, Listen, ServerSpec, ServiceEntry, VipEntry
from routed.model.facts import Facts
from routed.model.ipvs import DIRECT, MASQ, PERSISTENT, TUNNEL
from routed.model.net import FAMILIES, IPV4, IPV6, family_of, host_prefix, is_inside, is_loopback, network_of
from routed.model.sysctls import Sysctl, SysctlLack, SysctlNeed

_VS: Final = ("net", "ipv4", "vs")
_CONF: Final = ("net", "ipv4", "conf")
_FORWARDING: Final[Mapping[int, Sysctl]] = {
    IPV4: ("net", "ipv4", "ip_forward"),
    IPV6: ("net", "ipv6", "conf", "all", "forwarding"),
}


class SysctlView(NamedTuple):
    """What the rows look at."""

    services: Sequence[ServiceEntry]
    local: Mapping[bytes, VipEntry]  # by prefix: this host answers for these, and asks from its own address
    wide: Sequence[VipEntry]  # those of them that are more than one address
    held: frozenset[bytes]  # addresses that the files or the host have here
    networks: Mapping[bytes, str]  # of addresses of this host → the name of a link


class SysctlRow(NamedTuple):
    """When one is needed, and what it has to be."""

    find: Callable[[SysctlView], Iterator[tuple[str, tuple[Sysctl, ...]]]]  # entries, and the sysctls that count
    names: tuple[Sysctl, ...]  # where the file says that it is needed
    good: tuple[int, ...]


def find_needs(entries: Iterable[Entry], facts: Facts, said: Mapping[str, bool]) -> tuple[SysctlNeed, ...]:
    """What the services of these entries take, each once. ``said`` is what the file says of rows."""
    entries = tuple(entries)
    own = {fact.address for fact in facts.addresses.values()}
    local = {entry.prefix: entry for entry in entries if isinstance(entry, VipEntry) and entry.is_local}
    view = SysctlView(
        [entry for entry in entries if isinstance(entry, ServiceEntry)],
        local,
        [vip for vip in local.values() if vip.prefix != host_prefix(vip.prefix[:-1])],
        frozenset(own | {entry.address for entry in entries if isinstance(entry, HeldVipEntry)}),
        dict(_list_networks(facts)),
    )
    needs: dict[tuple[str, tuple[Sysctl, ...]], SysctlNeed] = {}
    for word, row in ROWS.items():
        if not said.get(word, True):
            continue
        found = list(row.find(view))
        if not found and said.get(word):
            found = [("", row.names)]
        for entry, names in found:
            needs.setdefault((word, names), SysctlNeed(word, names, row.good, entry))
    return tuple(needs.values())


def find_lacks(needs: Iterable[SysctlNeed], read: Callable[[Sysctl], int | None]) -> Iterator[SysctlLack]:
    """What stands otherwise; what cannot be read (None), such as one of a module that is not there yet, does not."""
    for need in needs:
        values = {name: value for name in need.names if (value := read(name)) is not None}
        highest = max(values.values(), default=0)
        is_on = need.good == (1,) and highest > 0  # the kernel asks whether it is 0
        if not values or is_on or highest in need.good:
            continue
        wanted = need.good[0]
        wrong = {name: value for name, value in values.items() if value > wanted} if not wanted else {}
        if not wrong:  # the highest counts, so the last one, which is the most special, is enough
            wrong = dict([list(values.items())[-1]])
        yield from (SysctlLack(need, name, value, wanted) for name, value in wrong.items())


def _find_checked(view: SysctlView) -> Iterator[tuple[str, tuple[Sysctl, ...]]]:
    names = ((*_VS, "expire_nodest_conn"),)
    return ((one.name, names) for one in view.services if any(server.requires for server in one.servers))


def _find_persistent(view: SysctlView) -> Iterator[tuple[str, tuple[Sysctl, ...]]]:
    names = ((*_VS, "expire_quiescent_template"),)
    for one in view.services:
        if one.flags & PERSISTENT and any(server.requires for server in one.servers):
            yield one.name, names


def _find_never(_view: SysctlView) -> Iterator[tuple[str, tuple[Sysctl, ...]]]:
    return iter(())


def _find_forwarding(view: SysctlView) -> Iterator[tuple[str, tuple[Sysctl, ...]]]:
    for one in view.services:
        if not any(_is_reached(view, listen) for listen in one.listens):
            continue
        for family in FAMILIES:
            if any(family_of(server.address) == family for server in _list_elsewhere(view, one, {MASQ})):
                yield one.name, (_FORWARDING[family],)


def _find_silent(view: SysctlView) -> Iterator[tuple[str, tuple[Sysctl, ...]]]:
    for vip in dict.fromkeys(_list_vips(view, *view.services)):
        for dev in _find_links(view, vip.prefix[:-1]):
            yield vip.name, tuple((*_CONF, one, "arp_ignore") for one in ("all", dev))


def _find_own_clients(word: str) -> Callable[[SysctlView], Iterator[tuple[str, tuple[Sysctl, ...]]]]:
    """Answers that bear an address of this host: of servers that answer clients themselves, and we are one."""

    def find(view: SysctlView) -> Iterator[tuple[str, tuple[Sysctl, ...]]]:
        for one in view.services:
            if any(_list_vips(view, one)):
                for server in _list_elsewhere(view, one, {DIRECT, TUNNEL}):
                    devs = list(_find_links(view, server.address)) or [""]
                    yield from ((one.name, tuple((*_CONF, at, word) for at in ("all", dev) if at)) for dev in devs)

    return find


def _list_elsewhere(view: SysctlView, service: ServiceEntry, forwards: set[int]) -> Iterator[ServerSpec]:
    for server in service.servers:
        if server.value.forward in forwards and server.address not in view.held and not is_loopback(server.address):
            yield server


def _list_vips(view: SysctlView, *services: ServiceEntry) -> Iterator[VipEntry]:
    """The VIPs of IPv4 that this host answers for, behind which these services stand."""
    found = (_find_vip(view, listen.address) for service in services for listen in service.listens)
    return (vip for vip in found if vip is not None and family_of(vip.prefix) == IPV4)


def _find_vip(view: SysctlView, address: bytes) -> VipEntry | None:
    if not address:
        return None
    return view.local.get(host_prefix(address)) or next(
        (one for one in view.wide if is_inside(address, one.prefix)), None
    )


def _is_reached(view: SysctlView, listen: Listen) -> bool:
    """May somebody else ask there? A VIP that is only routed serves this host alone."""
    return bool(listen.fwmark or listen.own) or listen.address in view.held or bool(_find_vip(view, listen.address))


def _list_networks(facts: Facts) -> Iterator[tuple[bytes, str]]:
    for fact in facts.addresses.values():
        if fact.prefixlen < len(fact.address) * 8 and fact.dev in facts.links:
            yield network_of(fact.address, fact.prefixlen), facts.links[fact.dev].name


def _find_links(view: SysctlView, address: bytes) -> Iterator[str]:
    """The names of the links within whose networks an address is."""
    return iter(dict.fromkeys(name for network, name in view.networks.items() if is_inside(address, network)))


ROWS: Final[Mapping[str, SysctlRow]] = {
    "expire_nodest_conn": SysctlRow(_find_checked, ((*_VS, "expire_nodest_conn"),), (1,)),
    "expire_quiescent_template": SysctlRow(_find_persistent, ((*_VS, "expire_quiescent_template"),), (1,)),
    "conntrack": SysctlRow(_find_never, ((*_VS, "conntrack"),), (1,)),
    "ip_forward": SysctlRow(_find_forwarding, (_FORWARDING[IPV4],), (1,)),
    "arp_ignore": SysctlRow(_find_silent, ((*_CONF, "all", "arp_ignore"),), (0,)),
    "accept_local": SysctlRow(_find_own_clients("accept_local"), ((*_CONF, "all", "accept_local"),), (1,)),
    "rp_filter": SysctlRow(_find_own_clients("rp_filter"), ((*_CONF, "all", "rp_filter"),), (2, 0)),
}
