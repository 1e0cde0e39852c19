"""The checks and agents of servers: one for each server and template, however many services have it.

They are checks like any other, and nobody writes them: a server requires its own, whether it is written or a member of
a source makes it. So they are found as soon as the servers are known, and again when these are others. Here must never
live: how a check is asked, or what becomes of a server that is down (``core.services``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import ceil
from typing import Any, Final

from routed.model.checks import Check, Target
from routed.model.entries import Entry, Requirement, ServerSpec, ServiceEntry
from routed.model.net import format_endpoint

SERVICE: Final = "service/"  # before the name of one, where an entry requires it
AGENT: Final = "agent:"  # before the names of agents: no name that is written has a colon


def complete_services(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """These entries, of which the services have their servers so."""
    return tuple(put_servers(one, one.servers) if isinstance(one, ServiceEntry) else one for one in entries)


def put_servers(service: ServiceEntry, servers: Iterable[ServerSpec]) -> ServiceEntry:
    """The service with these servers, each of which requires its own check besides."""
    known = tuple(_complete(service, server) for server in servers)
    share = service.each.share if service.each else None
    needed = service.min_healthy if share is None else max(1, ceil(share * len(known)))
    return replace(service, servers=known, min_healthy=needed)


def _complete(service: ServiceEntry, server: ServerSpec) -> ServerSpec:
    """Who has no weight takes no share of it."""
    if server.check is not None:
        template, _ = server.check
        own = Requirement(_name_check(service, server), dev=template.dev, src=template.src, via=template.via)
        server = server._replace(requires=(*server.requires, own))
    if service.agent is None or not server.value.weight:
        return server
    target = Target(server.address, service.agent[1])
    return server._replace(agent=f"{AGENT}{service.name.removeprefix(SERVICE)}[{format_endpoint(*target)}]")


def _name_check(service: ServiceEntry, server: ServerSpec) -> str:
    assert server.check is not None
    template, target = server.check
    return f"{name_template(service, template)}[{format_endpoint(*target)}]"


def name_template(service: ServiceEntry, template: Check) -> str:
    """What the checks of servers are called after."""
    return template.name or service.name.removeprefix(SERVICE)


def list_own_checks(entries: Iterable[Entry]) -> tuple[Check, ...]:
    """Those of all servers of these entries, each once."""
    made: dict[str, Check] = {}
    for entry in entries:
        if isinstance(entry, ServiceEntry):
            for server in entry.servers:
                made |= {one.name: one for one in _list_own(entry, server) if one.name not in made}
    return tuple(made.values())


def _list_own(service: ServiceEntry, server: ServerSpec) -> Iterator[Check]:
    if server.check is not None:
        template, target = server.check
        yield replace(template, name=_name_check(service, server), targets=(target,), need=1)
    if server.agent and service.agent:
        template, port = service.agent
        yield replace(template, name=server.agent, targets=(Target(server.address, port),))


def list_templates(entries: Iterable[Entry]) -> Iterator[Check]:
    """The checks of servers that members will make, each called so that no other is."""
    for entry in entries:
        if isinstance(entry, ServiceEntry) and entry.each and entry.each.body.check:
            template, _ = entry.each.body.check
            yield replace(template, name=f"{name_template(entry, template)}[each]")


def put_mark(entry: Entry, find_mark: Callable[[Check], int]) -> Entry:
    """The entry, where the checks of servers that members will make are asked by this mark."""
    if not (isinstance(entry, ServiceEntry) and entry.each and entry.each.body.check):
        return entry
    template, target = entry.each.body.check
    body = entry.each.body._replace(check=(replace(template, mark=find_mark(template)), target))
    return replace(entry, each=entry.each._replace(body=body))


def fill_required(entry: Entry, services: Mapping[str, ServiceEntry]) -> Entry:
    """Whoever requires a service requires enough of its servers."""

    def fill(requires: Iterable[Requirement]) -> tuple[Requirement, ...]:
        return tuple(_fill_one(one, services) for one in requires)

    changes: dict[str, Any] = {"requires": fill(entry.requires)}
    for part in ("hops", "servers"):
        if hasattr(entry, part):
            changes[part] = tuple(one._replace(requires=fill(one.requires)) for one in getattr(entry, part))
    if entry.when_down:
        alternatives = tuple(map(fill, entry.when_down.alternatives))
        changes["when_down"] = entry.when_down._replace(alternatives=alternatives)
    return replace(entry, **changes)


def requires_service(entry: Entry) -> bool:
    """Does it, a part of it, or what stands in for it require one?"""
    others = entry.when_down.alternatives if entry.when_down else ()
    return any(one.check.startswith(SERVICE) for one in (*entry.conditions, *chain.from_iterable(others)))


def _fill_one(requirement: Requirement, services: Mapping[str, ServiceEntry]) -> Requirement:
    service = services.get(requirement.check)
    if service is None:
        return requirement
    servers = tuple((*service.requires, *_list_required(one)) for one in find_able(service))
    need = max(1, min(service.min_healthy, len(servers)))
    return requirement._replace(servers=servers, need=need, is_empty=not servers and service.each is not None)


def _list_required(server: ServerSpec) -> Iterator[Requirement]:
    """What has to be met that it takes connections."""
    yield from server.requires
    if server.agent:
        yield Requirement(server.agent)


def find_able(service: ServiceEntry) -> Iterator[ServerSpec]:
    """The servers that take connections while they are up: not those of weight 0."""
    return (server for server in service.servers if server.value.weight)


def find_target(server: tuple[bytes, int], ports: Sequence[int], *, has_port: bool) -> Target | None:
    """Who is asked about a server; None where nothing says at which port."""
    address, port = server
    if not has_port:
        return Target(address)
    services = set(ports)
    chosen = port or (services.pop() if len(services) == 1 else 0)
    return Target(address, chosen) if chosen else None
