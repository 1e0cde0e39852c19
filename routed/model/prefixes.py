"""Very many prefixes at the price of a few: 5 bytes for one of IPv4 and 17 for one of IPv6, and no object for each.

A prefix file may hold a million of them, and the daemon holds them for weeks. So they are packed into one string of
bytes, which costs the garbage collector nothing, is compared with what the kernel dumps in one go, and is unpacked a
piece at a time by whoever needs the members. Here must never live: what is wanted under a prefix, or what stands there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from operator import lt
from struct import Struct
from typing import Final, overload

from routed.model.net import ADDRESS_LENGTH, IPV4

BLOCK: Final = 4096  # prefixes that are unpacked at a time
FENCE: Final = 64  # one prefix out of so many is an object, so that a search costs few steps in Python
SPARSE: Final = 8  # members in between for each that is asked for: then each is searched by itself
_COMPLEMENT: Final = bytes(range(255, -1, -1))


class Packed(Sequence[bytes]):
    """Packed prefixes of one family, one after another, in any order."""

    __slots__ = ("packed", "width")

    def __init__(self, packed: bytes, width: int) -> None:
        self.packed: Final = packed
        self.width: Final = width  # bytes of one: 5 or 17

    def __len__(self) -> int:
        return len(self.packed) // self.width

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> Packed: ...
    def __getitem__(self, at: int | slice) -> bytes | Packed:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step != 1:
                raise ValueError("packed prefixes are cut, never picked")
            return Packed(self.packed[start * self.width : stop * self.width], self.width)
        found = self.packed[at * self.width : (at + 1) * self.width] if at >= 0 else self[len(self) + at]
        if not found:
            raise IndexError(at)
        return found

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self), BLOCK):
            yield from unpack(self.packed[start * self.width : (start + BLOCK) * self.width], self.width)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packed) and (self.width, self.packed) == (other.width, other.packed)

    def __hash__(self) -> int:
        return hash(self.packed)

    def __repr__(self) -> str:
        return f"<{len(self)} prefixes of {self.width} bytes>"

    def __contains__(self, prefix: object) -> bool:
        return self._find(prefix) is not None

    def without(self, prefix: object) -> Packed:
        """The same without this one."""
        at = self._find(prefix)
        if at is None:
            return self
        return Packed(self.packed[: at * self.width] + self.packed[(at + 1) * self.width :], self.width)

    def _find(self, prefix: object) -> int | None:
        if not isinstance(prefix, bytes) or len(prefix) != self.width:
            return None
        at = self.packed.find(prefix)
        while at >= 0 and at % self.width:  # the end of one prefix and the beginning of the next
            at = self.packed.find(prefix, at + 1)
        return at // self.width if at >= 0 else None


class PrefixSet(AbstractSet[bytes]):
    """A set of prefixes of one family, in the order in which the kernel dumps routes.

    That is by address, and at one address for IPv4 the longest first (fib_insert_alias in net/ipv4/fib_trie.c), for
    IPv6 the shortest (fib6_walk_continue in net/ipv6/ip6_fib.c). IPv4 lengths are kept as their complement, so that the
    order is that of the bytes. Whether one prefix is in it takes about 1 µs; for many use ``window``, ``&`` and ``-``.
    """

    __slots__ = ("_fences", "_ordered", "width")

    def __init__(self, ordered: bytes, width: int) -> None:
        """``ordered`` is what ``to_order`` made of them, sorted, each once."""
        self._ordered: Final = ordered
        self._fences: Final = [ordered[at : at + width] for at in range(0, len(ordered), FENCE * width)]
        self.width: Final = width

    @classmethod
    def of(cls, prefixes: Iterable[bytes]) -> PrefixSet:
        """From packed prefixes, all of one family."""
        if isinstance(prefixes, Packed) and prefixes:
            turned = Packed(turn_lengths(prefixes.packed, prefixes.width), prefixes.width)
            if all(map(lt, turned, islice(turned, 1, None))):  # as a rule: then nothing has to be sorted
                return cls(turned.packed, turned.width)
        ordered = sorted(map(to_order, set(prefixes)))
        return cls(b"".join(ordered), len(ordered[0]) if ordered else _TURNED)

    @property
    def ordered(self) -> bytes:
        """What it was made from."""
        return self._ordered

    def __len__(self) -> int:
        return len(self._ordered) // self.width

    def __contains__(self, prefix: object) -> bool:
        return isinstance(prefix, bytes) and len(prefix) == self.width and self.find(prefix) is not None

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self), BLOCK):
            yield from self.take(start, start + BLOCK)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PrefixSet):
            return self._ordered == other._ordered
        return super().__eq__(other)

    def __hash__(self) -> int:
        return self._hash()

    def __repr__(self) -> str:
        return f"<set of {len(self)} prefixes of {self.width} bytes>"

    def __and__(self, other: AbstractSet[object]) -> frozenset[bytes]:
        """What is in both. Of two sets of prefixes it costs some 0.1 µs for each member of this one."""
        if not isinstance(other, PrefixSet):
            return frozenset(prefix for prefix in other if prefix in self)  # type: ignore[misc]
        return frozenset(prefix for here, there in self._beside(other) for prefix in there.intersection(here))

    __rand__ = __and__

    def __sub__(self, other: AbstractSet[object]) -> Packed:  # type: ignore[override]
        """What is in this one only, in its order."""
        if isinstance(other, PrefixSet):
            kept = [
                b"".join(p for p in here if p not in there) if there else b"".join(here)
                for here, there in self._beside(other)
            ]
        else:
            kept = [b"".join(prefix for prefix in self if prefix not in other)]
        return Packed(b"".join(kept), self.width)

    def including(self, prefixes: Collection[object]) -> PrefixSet:
        """This set and a few more, at the price of a copy."""
        new = sorted(to_order(p) for p in prefixes if isinstance(p, bytes) and p not in self)
        places = [self._bisect(one) for one in new]
        return self._splice(places, places, new)

    def without(self, prefixes: Collection[object]) -> PrefixSet:
        """This set less a few, at the price of a copy."""
        places = sorted(at for p in set(prefixes) if isinstance(p, bytes) and (at := self.find(p)) is not None)
        return self._splice(places, [at + 1 for at in places], [b""] * len(places))

    def _splice(self, stops: list[int], starts: list[int], between: list[bytes]) -> PrefixSet:
        """What stands up to each stop, what comes between, and on from the start that goes with it."""
        width, ordered = self.width, self._ordered
        pieces = [ordered[a * width : b * width] for a, b in zip([0, *starts], [*stops, len(self)], strict=True)]
        return PrefixSet(b"".join(p for pair in zip(pieces, [*between, b""], strict=True) for p in pair), width)

    def _beside(self, other: PrefixSet) -> Iterator[tuple[tuple[bytes, ...], frozenset[bytes]]]:
        """Block by block: members of this one, and those of the other between the first and the last of them."""
        for start in range(0, len(self), BLOCK):
            here = self.take(start, start + BLOCK)
            yield here, frozenset(other.take(*other.window(here[0], here[-1])) if self.width == other.width else ())

    # --- by place -------------------------------------------------------------------------------------------------

    def find(self, prefix: bytes) -> int | None:
        """The place of a member, None when it is none."""
        width = self.width
        sought = to_order(prefix) if width == _TURNED else prefix
        start = (bisect_right(self._fences, sought) - 1) * FENCE * width
        stop = start + FENCE * width
        at = self._ordered.find(sought, max(start, 0), stop) if start >= 0 else -1
        while at >= 0 and at % width:  # the end of one prefix and the beginning of the next
            at = self._ordered.find(sought, at + 1, stop)
        return at // width if at >= 0 else None

    def locate(self, prefixes: Collection[bytes]) -> dict[bytes, int]:
        """Those of these prefixes that are members, with their places."""
        if not prefixes:
            return {}
        start, stop = self.window(min(prefixes), max(prefixes))
        if stop - start > SPARSE * len(prefixes):
            return {prefix: at for prefix in prefixes if (at := self.find(prefix)) is not None}
        near = dict(zip(self.take(start, stop), range(start, stop), strict=True))
        return {prefix: near[prefix] for prefix in prefixes if prefix in near}

    def window(self, first: bytes, last: bytes) -> tuple[int, int]:
        """The places between which all members lie from the address of ``first`` to that of ``last``."""
        start, stop = first[:-1] + b"\0", last[:-1] + b"\xff\xff"  # behind any length
        return self._bisect(start), self._bisect(stop)

    def take(self, start: int, stop: int) -> tuple[bytes, ...]:
        """The members at these places."""
        return unpack(self.pack(start, stop), self.width)

    def pack(self, start: int = 0, stop: int | None = None) -> bytes:
        """The same, packed one after another."""
        cut = self._ordered[start * self.width : None if stop is None else stop * self.width]
        return turn_lengths(cut, self.width)

    def _bisect(self, sought: bytes) -> int:
        """The place of the first member that is not before ``sought``, which is a prefix in the form of the order."""
        ordered, width = self._ordered, self.width
        fence = bisect_right(self._fences, sought) * FENCE
        low, high = max(0, fence - FENCE), min(fence, len(self))
        while low < high:
            middle = (low + high) >> 1
            if ordered[middle * width : middle * width + width] < sought:
                low = middle + 1
            else:
                high = middle
        return low


def to_order(prefix: bytes) -> bytes:
    """One prefix in the form whose bytes sort as the kernel dumps; and back."""
    return prefix if len(prefix) != _TURNED else prefix[:-1] + _COMPLEMENT[prefix[-1] : prefix[-1] + 1]


def turn_lengths(packed: bytes, width: int) -> bytes:
    """The same for many, one after another."""
    if width != _TURNED:
        return packed
    turned = bytearray(packed)
    turned[width - 1 :: width] = packed[width - 1 :: width].translate(_COMPLEMENT)
    return bytes(turned)


_TURNED: Final = ADDRESS_LENGTH[IPV4] + 1  # the width of those that stand with the longest first


def unpack(packed: bytes, width: int) -> tuple[bytes, ...]:
    """The prefixes that stand one after another."""
    return Struct(f"{width}s" * (len(packed) // width)).unpack(packed)
