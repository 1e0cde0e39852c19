"""``[[service]]`` as the model has it.

Here stand the rules between its keys, and what the kernel would take without meaning it: it stores one-packet for TCP,
a port 0 without persistence and flags of schedulers that have none, and none of them works (research of Linux 6.1,
ip_vs_ctl.c). Which servers are up is no concern of this floor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil
from typing import Any, Final

from routed.intent.check_table import TYPES, convert_check, find_fast
from routed.intent.checks import MULTICAST
from routed.intent.convert import Draft, FaultsError, OtherFiles, require
from routed.intent.problems import Fault, KeyPath
from routed.intent.schema_check import CheckTable
from routed.intent.schema_service import Agent, Server, ServiceTable
from routed.intent.selectors import find_unknown_checks
from routed.intent.servers import ListedServer
from routed.intent.words import one_of
from routed.model import ipvs, net
from routed.model.checks import Check, CheckType, Target
from routed.model.entries import LOCAL, Listen, OnConflict, OnFail, Origin, ServerSpec, ServiceEntry, WhenAllDown
from routed.model.ipvs import ServerValue
from routed.model.net import FAMILY_NAME, family_of
from routed.model.servers import find_target

_FORWARDS: Final = {word: number for number, word in ipvs.FORWARDS.items()}
_TUNNELS: Final = {word: number for number, word in ipvs.TUNNELS.items()}
_BROADCAST: Final = b"\xff" * 4
_FAMILIES: Final = {"ipv4": (net.IPV4,), "ipv6": (net.IPV6,), "both": net.FAMILIES}


def convert_service(head: dict[str, Any], spec: ServiceTable, others: OtherFiles) -> Draft:
    """One ``[[service]]``. Raises FaultsError with everything that is wrong with it."""
    if spec.servers_file is not None:
        return _convert_listed(head, spec, others)
    listens = _list_listens(spec)
    faults = [
        *_check_listens(spec, listens, others),
        *_check_keys(spec, listens),
        *_check_stand_in(spec, others),
        *_check_agent(spec.agent),
    ]
    faults += _check_servers(spec, listens)
    for index, server in enumerate(spec.servers or ()):
        faults += find_unknown_checks(("servers", index, "requires"), server.requires or (), others.checks)
    checked = list(_find_checks(spec, listens, head["origin"], others, faults))
    if faults:
        raise FaultsError(*faults)
    head["on_conflict"] = head["on_conflict"] or OnConflict.REFUSE  # services of others are not touched
    entry = ServiceEntry(
        **head,
        listens=listens,
        scheduler=spec.scheduler,
        servers=tuple(
            ServerSpec(*server.address, _value_of(spec, server), require(server.requires or (), others), check)
            for server, check in zip(spec.servers or (), checked, strict=True)
            if server.address is not None and not server.disabled
        ),
        flags=sum({ipvs.FLAG_WORDS[word] for word in spec.flags}) | (ipvs.PERSISTENT if spec.persistence else 0),
        timeout=int(spec.persistence or 0),
        prefixlen=spec.persistence_prefix,
        engine=spec.persistence_engine or "",
        is_shared=spec.others == "keep",
        on_fail=OnFail(spec.on_fail),
        remove_after=spec.remove_after,
        when_all_down=WhenAllDown(spec.when_all_down),
        min_healthy=_count_needed(spec),
        sorry=_make_sorry(spec),
        drain=spec.drain,
        slow_start=spec.slow_start,
        agent=_make_agent(spec.agent, head["origin"]),
    )
    return Draft(entry, tuple(map(_label_of, listens)))


def _convert_listed(head: dict[str, Any], spec: ServiceTable, others: OtherFiles) -> Draft:
    """The same with the servers of a file; what is wrong with one of them is told with its line."""
    if spec.servers is not None:
        raise FaultsError(Fault(("servers_file",), "`servers` and `servers_file` exclude each other"))
    file = others.read_servers(spec.servers_file or "")
    if file is None or file.problems:
        raise FaultsError  # which is told elsewhere
    servers = [Server.model_construct(address=one[1:3], weight=one.weight) for one in file.servers]
    try:
        return convert_service(head, spec.model_copy(update={"servers": servers, "servers_file": None}), others)
    except FaultsError as error:
        raise FaultsError(*(_place_in(fault, file.servers) for fault in error.faults)) from None


def _place_in(fault: Fault, servers: Sequence[ListedServer]) -> Fault:
    if fault.path[:1] != ("servers",):
        return fault
    line = servers[int(fault.path[1])].line
    return fault._replace(path=("servers_file",), message=f"`servers_file`: line {line}: {fault.message}")


def _count_needed(spec: ServiceTable) -> int:
    count = sum(not server.disabled for server in spec.servers or ())
    return spec.min_healthy if isinstance(spec.min_healthy, int) else max(1, ceil(spec.min_healthy * count))


def _make_sorry(spec: ServiceTable) -> ServerSpec | None:
    if spec.sorry is None:
        return None
    return ServerSpec(*spec.sorry, _value_of(spec))


def _check_stand_in(spec: ServiceTable, others: OtherFiles) -> Iterator[Fault]:
    count = sum(not server.disabled for server in spec.servers or ())
    is_known = bool(spec.servers) and not others.has_members
    if isinstance(spec.min_healthy, int) and is_known and spec.min_healthy > count:
        yield Fault(("min_healthy",), f"`min_healthy` is {spec.min_healthy}, and there are {count} servers")
    if spec.sorry is not None and spec.when_all_down != "keep":
        yield Fault(("sorry",), "`sorry` and `when_all_down` exclude each other: it stands in for all")


def _check_agent(spec: Agent | None) -> Iterator[Fault]:
    if spec is None:
        return
    if spec.port is None:
        yield Fault(("agent",), "`agent` needs `port`: where each server says what share it takes")
    if not spec.step:
        yield Fault(("agent", "step"), '`step` must be from "1%" to "100%"')
    if spec.timeout is not None and spec.timeout > spec.every:
        yield Fault(("agent", "timeout"), "`timeout` must not be longer than `every`")


def _make_agent(spec: Agent | None, origin: Origin) -> tuple[Check, int] | None:
    """How every server is asked; the first good answer counts after bad ones."""
    if spec is None:
        return None
    check = Check(
        name="",
        origin=origin,
        type=CheckType.AGENT,
        targets=(),
        every=spec.every,
        timeout=spec.timeout or min(2.0, spec.every / 2),
        rise=1,
        fast=find_fast(spec.every),
        step=round(spec.step * 100),
    )
    return check, spec.port or 0


def _find_checks(
    spec: ServiceTable, listens: tuple[Listen, ...], origin: Origin, others: OtherFiles, faults: list[Fault]
) -> Iterator[tuple[Check, Target] | None]:
    """For each server the template of its check, and who is asked."""
    whole = _find_template(("check",), spec.check, origin, others, faults) if spec.check else None
    for index, server in enumerate(spec.servers or ()):
        place = ("servers", index, "check") if server.check else ("check",)
        template = _find_template(place, server.check, origin, others, faults) if server.check else whole
        if template is None or server.address is None:
            yield None
            continue
        has_port = TYPES[template.type].port != 0
        target = find_target(server.address, [listen.port for listen in listens], has_port=has_port)
        if target is None:
            faults.append(Fault(("servers", index), "this server has no port, so its check has none", "write it"))
        elif any(one and family_of(one) != family_of(target.address) for one in (template.src, template.via)):
            faults.append(Fault(place, "`check`: its `src` or `via` is of another family than the server"))
        yield target and (template, target)


def _find_template(
    place: KeyPath, spec: CheckTable, origin: Origin, others: OtherFiles, faults: list[Fault]
) -> Check | None:
    """A ``[[check]]`` without a target, or the table that stands here."""
    if spec.name is None or spec.type is not None:
        found = convert_check(spec.model_copy(update={"name": "_"}), origin, others.interfaces)
        if isinstance(found, tuple):
            faults += (fault._replace(path=(*place, *fault.path)) for fault in found)
            return None
        if spec.name is not None:
            faults.append(Fault((*place, "name"), "`name`: a check of a service has none", "leave it out"))
        found = replace(found, name="")
    elif others.checks is None:
        return None  # not all of them could be read, which is told elsewhere
    elif spec.name not in others.checks:
        hint = f"there is {one_of(sorted(others.checks))}" if others.checks else "the files have no [[check]]"
        faults.append(Fault(place, f'`check`: no [[check]] is named "{spec.name}"', hint))
        return None
    else:
        found = others.checks[spec.name]
    if not found.is_template:
        hint = "leave its `target` out, or write `requires`"
        faults.append(Fault(place, "`check` has a target of its own, which is not the server", hint))
        return None
    return found


def _list_listens(spec: ServiceTable) -> tuple[Listen, ...]:
    if spec.fwmark is not None:
        return tuple(Listen(fwmark=spec.fwmark, family=family) for family in _FAMILIES[spec.family or "ipv4"])
    return tuple(Listen(*listen) for listen in spec.listen or ())


def _label_of(listen: Listen) -> str:
    if listen.fwmark:
        return f"fwmark-{listen.fwmark}"
    place = listen.own.removeprefix("@") or net.format_address(listen.address)
    more = "" if listen.ipproto == ipvs.TCP else f"-{ipvs.IPPROTOS[listen.ipproto]}"
    return f"{place}-{listen.port}{more}"


def _check_listens(spec: ServiceTable, listens: tuple[Listen, ...], others: OtherFiles) -> Iterator[Fault]:
    if (spec.listen is None) is (spec.fwmark is None):
        yield Fault((), "a service needs `listen` or `fwmark`, and one of them only")
    elif not listens:
        yield Fault(("listen",), "`listen` is empty")
    if spec.family is not None and spec.fwmark is None:
        yield Fault(("family",), "`family` goes with `fwmark`: an address tells its own")
    if len(set(listens)) < len(listens):
        yield Fault(("listen",), "`listen` names one twice")
    for listen in listens:
        name = listen.own.removeprefix("@")
        if listen.own not in {"", LOCAL} and others.interfaces is not None and name not in others.interfaces:
            yield Fault(("listen",), f"`listen`: there is no [[interface]] named {name}")
        if listen.own and not listen.port:
            yield Fault(("listen",), f'`listen` has no port: write "{listen.own}:443"')
        elif not (listen.fwmark or listen.port or spec.persistence):
            hint = 'write "192.0.2.1:443"; every port at once goes with `persistence` only'
            yield Fault(("listen",), "`listen` has no port", hint)
        if listen.address and not _is_of_host(listen.address):
            hint = 'write "@local:443" for all that this host has' if not any(listen.address) else ""
            yield Fault(
                ("listen",), f"`listen`: {net.format_address(listen.address)} is not the address of a host", hint
            )


def _check_keys(spec: ServiceTable, listens: tuple[Listen, ...]) -> Iterator[Fault]:
    if spec.persistence is not None and not (1 <= spec.persistence <= ipvs.LONGEST and spec.persistence.is_integer()):
        yield Fault(("persistence",), "`persistence` must be from 1s to 31d: the kernel counts whole seconds")
    for key in ("persistence_prefix", "persistence_engine"):
        if getattr(spec, key) is not None and spec.persistence is None:
            yield Fault((key,), f"`{key}` goes with `persistence`")
    families = {_family_of(listen) for listen in listens} - {0}
    if any(listen.own for listen in listens):  # of the addresses of this host those of the families of its servers
        families |= {family_of(server.address[0]) for server in spec.servers or () if server.address}
    if spec.persistence_prefix is not None and spec.persistence_prefix > 32 and net.IPV4 in families:
        yield Fault(("persistence_prefix",), "`persistence_prefix` of an IPv4 service must be 32 or less")
    if {"fallback", "port"} & set(spec.flags) and spec.scheduler not in ipvs.HASHING:
        yield Fault(
            ("flags",),
            f"`flags`: a scheduler {spec.scheduler} has none",
            f"they go with {one_of(sorted(ipvs.HASHING))}",
        )
    is_of_others = any(listen.ipproto != ipvs.UDP for listen in listens if not listen.fwmark)
    if "one-packet" in spec.flags and (
        is_of_others or ("masq" in _list_forwards(spec) and not spec.persistence_engine)
    ):
        hint = 'the kernel means it for UDP, and for forward = "direct" or "tunnel": answers are not translated back'
        yield Fault(("flags",), "`flags`: one-packet does not go with this", hint)
    if spec.persistence_engine and is_of_others:
        yield Fault(("persistence_engine",), "`persistence_engine`: sip is of UDP")
    yield from _check_tunnel(spec)


def _list_forwards(spec: ServiceTable) -> set[str]:
    """How packets come to its servers, and to the one that stands in for them."""
    written = {server.forward or spec.forward for server in spec.servers or () if not server.disabled}
    return written | ({spec.forward} if spec.sorry is not None or not written else set())


def _check_tunnel(spec: ServiceTable) -> Iterator[Fault]:
    tunnel = spec.tunnel
    if tunnel is None:
        return
    if "tunnel" not in _list_forwards(spec):
        yield Fault(("tunnel",), "`tunnel`: no packet goes through one", 'it goes with forward = "tunnel"')
    if tunnel.type == "gue" and tunnel.port is None:
        yield Fault(("tunnel",), "`tunnel`: gue needs `port`")
    if tunnel.type != "gue" and (tunnel.port is not None or tunnel.remote_checksum):
        yield Fault(("tunnel",), f"`tunnel`: {tunnel.type} has neither `port` nor `remote_checksum`")
    if tunnel.type == "ipip" and tunnel.checksum:
        yield Fault(("tunnel",), "`tunnel`: ipip has no `checksum`")


def _check_servers(spec: ServiceTable, listens: tuple[Listen, ...]) -> Iterator[Fault]:
    if spec.servers is None:
        yield Fault((), "`servers` is missing")
        return
    seen: set[tuple[bytes, int, Listen]] = set()
    for index, server in enumerate(spec.servers):
        place = ("servers", index)
        if server.address is None:
            yield Fault(place, "a server needs `address`")
            continue
        keys = _list_keys(server.address, listens)
        if keys & seen:
            yield Fault(place, "`servers` names one twice", "without a port it is that of the service")
        seen |= keys
        yield from _check_server(place, server.address, server.forward or spec.forward, listens)
        if (server.min_connections or 0) > (server.max_connections or 0):
            yield Fault(place, "`min_connections` must not be more than `max_connections`")
    if spec.sorry is not None:
        yield from _check_server(("sorry",), spec.sorry, spec.forward, listens)
        if _list_keys(spec.sorry, listens) & seen:
            hint = 'leave it out: with when_all_down = "keep" all servers stay'
            yield Fault(("sorry",), "`sorry` is one of the servers, for which it stands in", hint)


def _list_keys(server: tuple[bytes, int], listens: tuple[Listen, ...]) -> set[tuple[bytes, int, Listen]]:
    """What the kernel knows a server by, in each service."""
    address, port = server
    return {(address, port or listen.port, listen) for listen in listens}


def _check_server(
    place: KeyPath, server: tuple[bytes, int], forward: str, listens: tuple[Listen, ...]
) -> Iterator[Fault]:
    address, port = server
    if not _is_of_host(address):  # "Invalid argument" (ip_vs_new_dest)
        yield Fault(place, f"{net.format_address(address)} is not the address of a host")
    if {family for listen in listens if (family := _family_of(listen))} - {family_of(address)} and forward != "tunnel":
        hint = 'only forward = "tunnel" leads to another family'
        yield Fault(place, f"this server is {FAMILY_NAME[family_of(address)]}, and the service is not", hint)
    if forward != "masq" and port and any(listen.port not in {0, port} for listen in listens):
        hint = f"packets come to a server as they are with {forward}: leave its port out"
        yield Fault(place, "the port of this server is not that of the service", hint)


def _is_of_host(address: bytes) -> bool:
    return any(address) and address != _BROADCAST and not net.is_inside(address, MULTICAST[family_of(address)])


def _family_of(listen: Listen) -> int:
    """0 where only the host tells."""
    return listen.family or (family_of(listen.address) if listen.address else 0)


def _value_of(spec: ServiceTable, server: Server | None = None) -> ServerValue:
    """Of a server that is written as its address alone there is nothing to say."""
    forward = _FORWARDS[(server and server.forward) or spec.forward]
    value = ServerValue(protocol=0, forward=forward)
    if server is not None:
        value = value._replace(
            weight=server.weight, upper=server.max_connections or 0, lower=server.min_connections or 0
        )
    tunnel = spec.tunnel
    if forward != ipvs.TUNNEL or tunnel is None:
        return value
    flags = (ipvs.CHECKSUM if tunnel.checksum else 0) | (ipvs.REMOTE_CHECKSUM if tunnel.remote_checksum else 0)
    return value._replace(tunnel=_TUNNELS[tunnel.type], tunnel_port=tunnel.port or 0, tunnel_flags=flags)
