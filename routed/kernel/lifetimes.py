"""What is left of objects that go by themselves: the seconds that no value has, read when they are asked for.

Here must never live: what becomes of them.
"""

from __future__ import annotations

from collections.abc import Collection

from routed.kernel.codec import CODECS, Decoder, MalformedMessage, messages
from routed.kernel.dump import finish, read_all_that_was_there
from routed.kernel.requests import RequestSocket
from routed.model.lifetime import Lifetime
from routed.model.objects import Member, Scope, Slot


def read_lifetimes(
    requests: RequestSocket, scope: Scope, slot: Slot, members: Collection[Member]
) -> dict[Member, Lifetime]:
    """What is left of these, of those that have an end. Raises OSError."""
    codec, decoder, found = CODECS[scope.kind], Decoder(), dict[Member, Lifetime]()
    if codec.lifetimes is None:
        return found
    for datagram in finish(read_all_that_was_there(requests, codec.get, codec.dump_body(scope))):
        for _, _, start, end in messages(datagram):
            try:
                left = codec.lifetimes.read(datagram, start, end)
            except MalformedMessage:  # it is no object at all, for whoever reads it
                continue
            if left is not None:
                there = decoder.decode(scope.kind, datagram[start:end], scope.family)
                found |= {one.member: left for one in there if one.slot == slot and one.member in members}
    return found
