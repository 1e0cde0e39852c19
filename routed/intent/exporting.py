"""What the exporters of all kinds share: what is around an object, and why the file does not say it."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

from routed.intent import words
from routed.model.facts import Facts
from routed.model.objects import Kind, Standing


class UnspeakableError(Exception):
    """The file has no word for this."""


class KeptByOthersError(Exception):
    """Something else on this host makes and keeps this."""


def _name_nothing(_kind: Kind, _extra: bytes) -> str:
    return "an attribute"


def check_name(name: str) -> str:
    """The name of an interface, or nothing. Raises UnspeakableError for one that the file would not take for a name."""
    if name.startswith("@") or words.WILDCARD.search(name):
        raise UnspeakableError(f'it bears the name of an interface, "{name}", which the file takes for something else')
    return name


class Surroundings(NamedTuple):
    """What has to be known of the host to write an object, and what is written within its table."""

    facts: Facts
    tables: Mapping[int, str]
    parts: Sequence[Standing] = ()
    ours: Container[int] = frozenset()  # protocol numbers of what is taken beside what people write
    name_extra: Callable[[Kind, bytes], str] = _name_nothing  # (kind, extra of it) → the attributes, as ``ip`` has them

    def name_link(self, index: int) -> str:
        """How the file names the interface of this ifindex. Raises UnspeakableError."""
        if index not in self.facts.links:
            raise UnspeakableError(f"its interface {index} is not known")
        return check_name(self.facts.links[index].name)
