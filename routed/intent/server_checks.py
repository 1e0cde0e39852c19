"""The checks of servers: one for each server and template, however many services have it.

They are checks like any other, and nobody writes them: a server requires its own. Here must never live: how a check is
asked, or what becomes of a server that is down (``core.services``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from routed.intent.convert import SERVICE
from routed.intent.crosscheck import Clash
from routed.model.checks import Check, Target
from routed.model.entries import Entry, Requirement, ServerSpec, ServiceEntry
from routed.model.net import format_endpoint


def derive_server_checks(
    checks: Iterable[Check], entries: Iterable[Entry]
) -> tuple[tuple[Check, ...], tuple[Entry, ...]]:
    """Each server with a template requires its check besides."""
    made: dict[str, Check] = {}
    result: list[Entry] = []
    for entry in entries:
        if isinstance(entry, ServiceEntry):
            result.append(replace(entry, servers=tuple(_require_own(entry, server, made) for server in entry.servers)))
        else:
            result.append(entry)
    return (*checks, *made.values()), tuple(result)


def _require_own(service: ServiceEntry, server: ServerSpec, made: dict[str, Check]) -> ServerSpec:
    if server.check is None:
        return server
    template, target = server.check
    base = template.name or service.name.removeprefix("service/")
    name = f"{base}[{format_endpoint(*target)}]"
    made.setdefault(name, replace(template, name=name, targets=(target,), need=1))
    own = Requirement(name, dev=template.dev, src=template.src, via=template.via)
    return server._replace(requires=(*server.requires, own))


def require_services(entries: Sequence[Entry]) -> tuple[tuple[Entry, ...], list[Clash]]:
    """Whoever requires a service requires enough of its servers. Returns what contradicts that as well."""
    services = {entry.name: entry for entry in entries if isinstance(entry, ServiceEntry)}
    clashes: list[Clash] = []
    result: list[Entry] = []
    for entry in entries:
        if any(requirement.check.startswith(SERVICE) for requirement in entry.conditions):
            clashes += _find_unknown(entry, services)
            result.append(_fill(entry, services))
        else:
            result.append(entry)
    return tuple(result), clashes


def _find_unknown(entry: Entry, services: Mapping[str, ServiceEntry]) -> Iterator[Clash]:
    for name in dict.fromkeys(one.check for one in entry.conditions if one.check.startswith(SERVICE)):
        service = services.get(name)
        if service is None:
            message = f"`requires`: no [[service]] is named {name.removeprefix(SERVICE)}"
            yield Clash(entry, ("requires",), message, is_absence=True)
        elif service is entry:
            yield Clash(entry, ("requires",), "`requires`: a service cannot require itself")
        elif any(one.check.startswith(SERVICE) for one in service.conditions):
            yield Clash(entry, ("requires",), f"`requires`: {name} requires a service itself: require that one")
        elif not all(server.requires for server in service.servers) or not service.servers:
            yield Clash(entry, ("requires",), f"`requires`: {name} has servers without a check, which are always up")


def _fill(entry: Entry, services: Mapping[str, ServiceEntry]) -> Entry:
    def fill(requires: Iterable[Requirement]) -> tuple[Requirement, ...]:
        return tuple(_fill_one(one, services) for one in requires)

    changes: dict[str, Any] = {"requires": fill(entry.requires)}
    for part in ("hops", "servers"):
        if hasattr(entry, part):
            changes[part] = tuple(one._replace(requires=fill(one.requires)) for one in getattr(entry, part))
    return replace(entry, **changes)


def _fill_one(requirement: Requirement, services: Mapping[str, ServiceEntry]) -> Requirement:
    service = services.get(requirement.check)
    if service is None:
        return requirement
    return requirement._replace(servers=tuple(one.requires for one in service.servers), need=service.min_healthy)


def find_target(server: tuple[bytes, int], ports: Iterable[int], *, has_port: bool) -> Target | None:
    """Who is asked about a server; None where nothing says at which port."""
    address, port = server
    if not has_port:
        return Target(address)
    services = set(ports)
    chosen = port or (services.pop() if len(services) == 1 else 0)
    return Target(address, chosen) if chosen else None
