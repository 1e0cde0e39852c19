"""What the errors of the kernel mean: "not yet", since something that an object stands on is missing, or "look again".

Source: measured on Linux 6.18, and net/ipv4/fib_semantics.c, net/ipv6/route.c. All others are failures. Which mean
"not yet" stands with each kind.
"""

from __future__ import annotations

import errno
from typing import Final

from routed.core.kinds import KINDS
from routed.core.references import is_reference
from routed.model.attributes import ENCAP, split
from routed.model.entries import AddressEntry, Entry, RouteEntry
from routed.model.objects import Kind
from routed.model.reasons import NoLink, NotChosen, Reason

# Something stands under the key that we did not know of, or what stood there has changed since: look again.
LOOK_AGAIN: Final = frozenset({errno.EEXIST, errno.ESRCH, errno.ENOENT})


# The kernel, or this host, is short of something: the same request may be taken a moment later.
PASSING: Final = frozenset(
    {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EPERM}
)


def is_waiting(kind: Kind, number: int) -> bool:
    """Does this errno mean that the object has to wait, rather than that it is impossible?"""
    return number in KINDS[kind].not_yet


def find_gone(entry: Entry | None, number: int) -> Reason | None:
    """What this errno means for an entry that names its link: that one has gone, and the news of it is on its way."""
    if number != errno.ENODEV:
        return None
    hops = entry.every_hop if isinstance(entry, RouteEntry) else ()
    if any(ENCAP.number in split(hop.extra) for hop in hops):
        return None  # it may be the VRF of an encapsulation, and the kernel's words tell more
    words = {hop.dev for hop in hops}
    words |= {entry.dev} if isinstance(entry, AddressEntry) else set()
    if len(words) != 1:
        return None
    (word,) = words
    return NotChosen(word[1:]) if is_reference(word) else NoLink(word) if word else None
