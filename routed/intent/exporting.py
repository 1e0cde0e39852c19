"""What the exporters of all kinds share: what is around an object, and that the file has no word for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from routed.model.facts import Facts
from routed.model.objects import Standing


class UnspeakableError(Exception):
    """The file has no word for this."""


class Surroundings(NamedTuple):
    """What has to be known of the host to write an object, and what is written within its table."""

    facts: Facts
    tables: Mapping[int, str]
    parts: Sequence[Standing] = ()
