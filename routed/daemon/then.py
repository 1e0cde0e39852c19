"""What would decide about packets in another case, as a document: for who explains how they would go then.

As with ``wants``, who asks has the kernel's own before it. So it is told as a change of that, without loss. Here must
never live: which route decides (``core.lookup``).
"""

from __future__ import annotations

from typing import Any, Final

from routed.core.linux.fib import find_fib_change
from routed.daemon.host import Host
from routed.daemon.supposing import Supposed
from routed.daemon.wants import OBJECT_TYPES, describe_wants
from routed.model.fib import FibAddress, FibChange, FibLinkChange, FibRoute, FibRule, RoutesChange
from routed.model.handover import HandoverError, ValueCodec, make_codec
from routed.model.why_documents import ThenDocument

_TYPES: Final = (FibAddress, FibChange, RoutesChange, FibLinkChange, FibRoute, FibRule)


def describe_then(supposed: Supposed, after: Host) -> ThenDocument:
    """What is otherwise for packets to the addresses that were asked for, and from them."""
    asked = supposed.assumptions.asked
    packed: dict[str, Any] = _make_codec().encode(find_fib_change(supposed.present, supposed.settled, asked))
    return ThenDocument(fib=packed, wants=[describe_wants(after, address, lambda _: "", "") for address in asked])


def read_change(document: ThenDocument) -> FibChange:
    """The change of one of these. Raises HandoverError."""
    change = _make_codec().decode(document["fib"])
    if not isinstance(change, FibChange):
        raise HandoverError("this is no change of what decides about packets")
    return change


def _make_codec() -> ValueCodec:
    return make_codec((*_TYPES, *OBJECT_TYPES))
