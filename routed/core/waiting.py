"""What the errors of the kernel mean: "not yet", since something that an object stands on is missing, or "look again".

Source: measured on Linux 6.18, and net/ipv4/fib_semantics.c, net/ipv6/route.c. All others are failures. Which mean
"not yet" stands with each kind.
"""

from __future__ import annotations

import errno
from typing import Final

from routed.core.kinds import KINDS
from routed.model.objects import Kind

# Something stands under the key that we did not know of, or what stood there has changed since: look again.
LOOK_AGAIN: Final = frozenset({errno.EEXIST, errno.ESRCH, errno.ENOENT})


# The kernel, or this host, is short of something: the same request may be taken a moment later.
PASSING: Final = frozenset(
    {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EPERM}
)


def is_waiting(kind: Kind, number: int) -> bool:
    """Does this errno mean that the object has to wait, rather than that it is impossible?"""
    return number in KINDS[kind].not_yet
