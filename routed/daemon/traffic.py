"""Traffic: what IPVS counts of the services that status shows, asked when somebody looks.

Here must never live: a state of an entry. What is counted says nothing of whether it is as written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Final

from routed.core.drain import Count
from routed.daemon.host import Host
from routed.daemon.status import vocabulary_of
from routed.model.documents import EntryDocument, ObjectDocument
from routed.model.ipvs import ServerSlot, ServiceSlot, Traffic
from routed.model.objects import Key, Kind
from routed.model.text import format_key

# What is asked about for one look, so that it does not hold the loop: a service is a question, a server an answer.
MOST_SERVICES: Final = 64
MOST_SERVERS: Final = 1024


def add_traffic(
    documents: Sequence[EntryDocument], leftovers: Sequence[ObjectDocument], host: Host, count: Count
) -> None:
    """Put what is counted beside the services and servers of these. What cannot be asked has nothing."""
    chosen = _choose(host, (document["entry"] for document in documents if document["objects"]))
    slots = dict.fromkeys([*(key.slot for key in host.ledger.drains if isinstance(key.slot, ServerSlot)), *chosen])
    if not slots:
        return
    vocabulary = vocabulary_of(host)
    found: dict[tuple[str, str], Traffic] = {}
    for slot in slots:
        with suppress(OSError):
            found.update(((key.kind, format_key(key, vocabulary)), one) for key, one in _list_counted(slot, count))
    for thing in chain(leftovers, *(document["objects"] for document in documents)):
        if (traffic := found.get((thing["kind"], thing["object"]))) is not None:
            thing["traffic"] = traffic._asdict()


def _choose(host: Host, entries: Iterable[str]) -> list[ServerSlot]:
    """The first services of these entries, but for those that have more servers than can still be asked about."""
    numbers: defaultdict[ServerSlot, int] = defaultdict(int)
    resolutions = host.wanted.desired.resolutions
    for one in (one for entry in entries if entry in resolutions for one in resolutions[entry].sets):
        if isinstance(one.slot, ServerSlot):
            numbers[one.slot] += len(one.members)
    chosen, left = [], MOST_SERVERS
    for slot, number in islice(numbers.items(), MOST_SERVICES):
        if number <= left:
            chosen.append(slot)
            left -= number
    return chosen


def _list_counted(slot: ServerSlot, count: Count) -> Iterator[tuple[Key, Traffic]]:
    service, servers = count(slot)
    yield Key(Kind.SERVICE, ServiceSlot(slot.family), slot.service), service
    for member, traffic in servers.items():
        yield Key(Kind.SERVER, slot, member), traffic
