"""The checks of servers: one for each server and template, however many services have it.

They are checks like any other, and nobody writes them: a server requires its own. Here must never live: how a check is
asked, or what becomes of a server that is down (``core.services``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

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


def find_target(server: tuple[bytes, int], ports: Iterable[int], *, has_port: bool) -> Target | None:
    """Who is asked about a server; None where nothing says at which port."""
    address, port = server
    if not has_port:
        return Target(address)
    services = set(ports)
    chosen = port or (services.pop() if len(services) == 1 else 0)
    return Target(address, chosen) if chosen else None
