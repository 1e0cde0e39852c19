"""Prospects: what may become of an entry that waits, by its reason.

Two rows of reasons, and no decision: most of what is waited for comes by itself. Here must never live what is said of
it, or what is done.
"""

from __future__ import annotations

from typing import Final

from routed.model.reasons import (
    Ambiguous,
    Lack,
    LinkTaken,
    NoInterface,
    NoLink,
    OffNetwork,
    Reason,
    TooOld,
    Unusable,
    split_reasons,
)

# It cannot be as the files have it, and only the operator can change that: an error, and nothing to wait for.
ERRORS: Final[frozenset[type[Reason]]] = frozenset({LinkTaken, TooOld})
# What the files name, and this host has not: it may come, and perhaps it is only misspelt.
ABSENT: Final[frozenset[type[Reason]]] = frozenset({NoLink, NoInterface, Ambiguous, OffNetwork})


def is_error(reason: Reason | None) -> bool:
    """Is there something in it that is no reason to wait?"""
    return reason is not None and any(type(one) in ERRORS for one in split_reasons(reason))


def is_absent(reason: Reason | None) -> bool:
    """Is there something in it that this host does not have at all?"""
    return reason is not None and any(_is_absent(one) for one in split_reasons(reason))


def _is_absent(reason: Reason) -> bool:
    return type(reason) in ABSENT or (isinstance(reason, Unusable) and reason.lack is Lack.ABSENT)
