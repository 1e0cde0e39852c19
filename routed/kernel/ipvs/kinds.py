"""The kinds of IPVS: how each is asked for, and what is refused of it. One row a kind.

Here must never live: a socket, a claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from errno import ENOENT, ESRCH
from typing import Any, Final, NamedTuple

from routed.kernel.ipvs import codec
from routed.kernel.ipvs.refusals import explain_server, explain_service
from routed.model.change import Verb
from routed.model.objects import Kind, Value

GONE: Final = frozenset({ENOENT, ESRCH})  # of a removal these mean "done"


class KindRow(NamedTuple):
    """What is needed to change objects of one kind."""

    new: int  # commands
    set: int
    encode: Callable[[int, Any, Any, Any], bytes]  # (command, slot, member, value)
    encode_removal: Callable[[Any, Any], bytes]  # (slot, member)
    explain: Callable[[int, Any, Any, Any], str]  # (errno, slot, member, value)
    form: Callable[[Any, Any], Value]  # (slot, value) → what of it is sent


class Step(NamedTuple):
    """One message for each member of an operation."""

    is_removal: bool = False
    is_new: bool = False


ROWS: Final[Mapping[Kind, KindRow]] = {
    Kind.SERVICE: KindRow(
        codec.NEW_SERVICE,
        codec.SET_SERVICE,
        codec.encode_service,
        lambda slot, member: codec.encode_service_key(codec.DEL_SERVICE, slot, member),
        explain_service,
        lambda slot, value: codec.normalise_service(slot.family, value)._replace(protocol=0, is_shared=False),
    ),
    Kind.SERVER: KindRow(
        codec.NEW_DEST,
        codec.SET_DEST,
        codec.encode_server,
        codec.encode_server_removal,
        explain_server,
        lambda _slot, value: codec.normalise_server(value)._replace(protocol=0),
    ),
}
# Under a key stands one object: nothing is put in front of another.
STEPS: Final[Mapping[Verb, tuple[Step, ...]]] = {
    Verb.ADD: (Step(is_new=True),),
    Verb.REPLACE: (Step(),),
    Verb.CHANGE: (Step(is_removal=True), Step(is_new=True)),
    Verb.DELETE: (Step(is_removal=True),),
}


def encode(kind: Kind, step: Step, slot: Any, member: Any, value: Value) -> bytes:
    """The message of one step for one member."""
    row = ROWS[kind]
    if step.is_removal:
        return row.encode_removal(slot, member)
    return row.encode(row.new if step.is_new else row.set, slot, member, value)
