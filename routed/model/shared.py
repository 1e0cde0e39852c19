"""Shared: a mapping that is never changed, and whose successor shares with it all but what is other.

For what is large and changes a little at a time: a change costs the root of its size. Finding what one and its
predecessor differ in costs what differs; of two others, the root of their size. There is no order in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import compress
from operator import is_not
from typing import Final, Generic, NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")

FEW: Final = 16  # in one shard, on the average


class Differing(NamedTuple, Generic[K, V]):
    """What a key has in one of two, and in the other; None where it has nothing."""

    key: K
    before: V | None
    after: V | None


class Shared(Mapping[K, V]):
    """Keys with values, none of which is None."""

    __slots__ = ("_count", "_former", "_opened", "_shards")

    def __init__(self, given: Mapping[K, V] | None = None) -> None:
        """With what is given."""
        count = len(given) if given else 0
        shards: list[dict[K, V]] = [{} for _ in range(_find_size(count))]
        mask = len(shards) - 1
        for key, value in given.items() if given else ():
            shards[hash(key) & mask][key] = value
        self._shards = tuple(shards)
        self._count = count
        self._former: object = None  # the shards of the one before, which keep none before them …
        self._opened: Iterable[int] = ()  # … and the places in which these are others

    @classmethod
    def of(cls, given: Mapping[K, V]) -> Shared[K, V]:
        """The same as one of these; itself where it is one."""
        return given if isinstance(given, Shared) else cls(given)

    def put(self, changes: Mapping[K, V], gone: Iterable[K] = ()) -> Shared[K, V]:
        """The same with these in place of what they have here, and without those that are gone."""
        shards, mask, count = list(self._shards), len(self._shards) - 1, self._count
        copied: set[int] = set()

        def open_shard(key: K) -> dict[K, V]:
            place = hash(key) & mask
            if place not in copied:
                copied.add(place)
                shards[place] = dict(shards[place])
            return shards[place]

        for key in gone:
            if key in self:
                count -= open_shard(key).pop(key, None) is not None
        for key, value in changes.items():
            shard = open_shard(key)
            count += key not in shard
            shard[key] = value
        if not copied:
            return self
        if _find_size(count) > len(shards):
            return Shared({key: value for shard in shards for key, value in shard.items()})
        made = object.__new__(type(self))
        made._shards, made._count = tuple(shards), count
        made._former, made._opened = self._shards, copied
        return made

    def find_differing(self, before: Mapping[K, V]) -> Iterator[Differing[K, V]]:
        """What is not the same value as before. What is shared is not looked at."""
        former, shards = Shared.of(before), self._shards
        theirs = former._shards  # noqa: SLF001  of its own kind
        pairs: Iterable[tuple[Mapping[K, V], Mapping[K, V]]]
        if theirs is shards:
            return
        if theirs is self._former:
            pairs = [(theirs[place], shards[place]) for place in self._opened]
        elif len(theirs) == len(shards):
            pairs = compress(zip(theirs, shards, strict=True), map(is_not, theirs, shards))
        else:
            pairs = [(dict(former.items()), dict(self.items()))]
        for old, new in pairs:
            for key, value in new.items():
                if (was := old.get(key)) is not value:
                    yield Differing(key, was, value)
            yield from (Differing(key, was, None) for key, was in old.items() if key not in new)

    def __getitem__(self, key: K) -> V:
        return self._shards[hash(key) & (len(self._shards) - 1)][key]

    def get(self, key: K, default: D | None = None) -> V | D | None:  # type: ignore[override]
        """What the key has here."""
        return self._shards[hash(key) & (len(self._shards) - 1)].get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._shards[hash(key) & (len(self._shards) - 1)]

    def __iter__(self) -> Iterator[K]:
        for shard in self._shards:
            yield from shard

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Shared) and len(other._shards) == len(self._shards):
            return self._shards == other._shards  # of what is the same one nothing is compared
        return isinstance(other, Mapping) and dict(self.items()) == dict(other.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Shared({dict(self.items())!r})"


class SharedSet(AbstractSet[K]):
    """A set of that kind."""

    __slots__ = ("_keys",)

    def __init__(self, given: Iterable[K] = ()) -> None:
        """Of these."""
        self._keys = Shared(dict.fromkeys(given, True))

    @classmethod
    def of(cls, given: AbstractSet[K]) -> SharedSet[K]:
        """The same as one of these; itself where it is one."""
        return given if isinstance(given, SharedSet) else cls(given)

    def add(self, more: Iterable[K]) -> SharedSet[K]:
        """The same with these besides."""
        made = object.__new__(type(self))
        made._keys = self._keys.put(dict.fromkeys(more, True))
        return made

    def find_new(self, before: AbstractSet[K]) -> frozenset[K] | None:
        """Those that are not in the other; None where that one has some that are not here."""
        differing = list(self._keys.find_differing(SharedSet.of(before)._keys))  # noqa: SLF001
        return None if any(one.after is None for one in differing) else frozenset(one.key for one in differing)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[K]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"SharedSet({set(self._keys)!r})"


def _find_size(count: int) -> int:
    """How many shards hold so many: a power of two."""
    return 1 << max(0, (count // FEW - 1).bit_length()) if count >= 2 * FEW else 1
