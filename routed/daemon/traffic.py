"""Traffic: what IPVS counts of the services that status shows, asked when somebody looks.

Here must never live: a state of an entry. What is counted says nothing of whether it is as written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final

from routed.daemon.host import Host
from routed.daemon.status import vocabulary_of
from routed.model.documents import EntryDocument
from routed.model.ipvs import ServerMember, ServerSlot, ServiceSlot, Traffic
from routed.model.objects import Key, Kind
from routed.model.text import format_key

MOST: Final = 64  # services that are asked about for one look; more would take the loop for too long

Count = Callable[[ServerSlot], tuple[Traffic, Mapping[ServerMember, Traffic]]]  # raises OSError


def add_traffic(documents: Iterable[EntryDocument], host: Host, count: Count) -> None:
    """Put what is counted beside the services and servers of these documents. What cannot be asked has nothing."""
    slots = host.wanted.desired.wants.get(Kind.SERVER)
    if not slots:
        return
    vocabulary = vocabulary_of(host)
    found: dict[tuple[str, str], Traffic] = {}
    for slot in islice((slot for slot in slots if isinstance(slot, ServerSlot)), MOST):
        with suppress(OSError):
            found.update(((key.kind, format_key(key, vocabulary)), one) for key, one in _list_counted(slot, count))
    for document in documents:
        for thing in document["objects"]:
            if (traffic := found.get((thing["kind"], thing["object"]))) is not None:
                thing["traffic"] = traffic._asdict()


def _list_counted(slot: ServerSlot, count: Count) -> Iterator[tuple[Key, Traffic]]:
    service, servers = count(slot)
    yield Key(Kind.SERVICE, ServiceSlot(slot.family), slot.service), service
    for member, traffic in servers.items():
        yield Key(Kind.SERVER, slot, member), traffic
