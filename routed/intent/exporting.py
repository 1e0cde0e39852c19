"""What the exporters of all kinds share: what is around an object, and why the file does not say it."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

from routed.model.facts import Facts
from routed.model.objects import Kind, Standing


class UnspeakableError(Exception):
    """The file has no word for this."""


class KeptByOthersError(Exception):
    """Something else on this host makes and keeps this."""


def _name_nothing(_kind: Kind, _extra: bytes) -> str:
    return "an attribute"


class Surroundings(NamedTuple):
    """What has to be known of the host to write an object, and what is written within its table."""

    facts: Facts
    tables: Mapping[int, str]
    parts: Sequence[Standing] = ()
    ours: Container[int] = frozenset()  # protocol numbers of what is taken beside what people write
    name_extra: Callable[[Kind, bytes], str] = _name_nothing  # (kind, extra of it) → the attributes, as ``ip`` has them
