"""Services that entries require: that there is such a one, and that something says whether it is up.

What is required of their servers stands in ``model.servers``, since members may make these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from routed.intent.crosscheck import Clash
from routed.model.entries import Entry, ServerSpec, ServiceEntry
from routed.model.servers import SERVICE, fill_required, find_able, requires_service


def require_services(entries: Sequence[Entry]) -> tuple[tuple[Entry, ...], list[Clash]]:
    """The entries with what the services come to that they require. Returns what contradicts that as well."""
    services = {entry.name: entry for entry in entries if isinstance(entry, ServiceEntry)}
    asking = [entry for entry in entries if requires_service(entry)]
    known = {name: service for name, service in services.items() if not service.follows}
    filled = {entry.name: fill_required(entry, known) for entry in asking}
    clashes = [clash for entry in asking for clash in _find_unknown(entry, services)]
    return tuple(filled.get(entry.name, entry) for entry in entries), clashes


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
        elif not (able := _list_able(service)):
            yield Clash(entry, ("requires",), f"`requires`: {name} has no servers that take connections")
        elif not all(server.requires or server.check for server in able):
            yield Clash(entry, ("requires",), f"`requires`: {name} has servers without a check, which are always up")


def _list_able(service: ServiceEntry) -> list[ServerSpec]:
    """Its servers that take connections, or one as members make them."""
    return [service.each.body] if service.each else list(find_able(service))
