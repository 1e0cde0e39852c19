"""The errors of the kernel that mean "not yet": something that an object stands on is missing.

Source: measured on Linux 6.18, and net/ipv4/fib_semantics.c, net/ipv6/route.c. All others are failures.
"""

from __future__ import annotations

import errno
from typing import Final

from routed.model.objects import Kind

NOT_YET: Final[dict[Kind, frozenset[int]]] = {
    Kind.LINK: frozenset(),
    Kind.ADDRESS: frozenset({errno.ENODEV}),
    Kind.ROUTE: frozenset({errno.ENODEV, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH}),
    Kind.RULE: frozenset(),
}

# Something stands under the key that we did not know of, or what stood there has changed since: look again.
LOOK_AGAIN: Final = frozenset({errno.EEXIST, errno.ESRCH, errno.ENOENT})


def is_waiting(kind: Kind, number: int) -> bool:
    """Does this errno mean that the object has to wait, rather than that it is impossible?"""
    return number in NOT_YET[kind]
