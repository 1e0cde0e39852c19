"""Flows: what connection tracking sends on to servers of UDP that were removed, and its end.

A client of UDP never learns that a server is gone: while it sends, its packets go where the first of them went. They
are looked for once in a pass, after all removals were answered. Who is killed in between leaves them, and nobody looks
again: what is gone is not known for ours any more.

Here must never live: how a flow is known or ended (``kernel.conntrack``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from errno import EINVAL, EIO, EOPNOTSUPP, EPERM, EPROTONOSUPPORT
from functools import partial
from typing import TYPE_CHECKING, Final

from routed.daemon.errand import Errand
from routed.model.change import Outcome, Verb
from routed.model.ipvs import UDP, ServerMember, ServerSlot
from routed.model.objects import Member

if TYPE_CHECKING:  # imported when it is needed
    from routed.kernel.conntrack import EndedFlows, GoneServer

_LOGGER = logging.getLogger(__name__)
# This kernel has no netlink of connection tracking, or we may not ask it: an unknown subsystem is EINVAL there.
_NOT_THERE: Final = frozenset({EINVAL, EOPNOTSUPP, EPERM, EPROTONOSUPPORT})
_SENTENCE: Final = (
    "not every flow of UDP to a server that is gone could be ended: {}. Its client reaches nobody while it goes on"
    " sending; conntrack -D -p udp --reply-src ADDRESS ends the flows to one server"
)


def _end_kernels(servers: Iterable[GoneServer]) -> EndedFlows:
    from routed.kernel.conntrack import end_flows  # noqa: PLC0415

    return end_flows(servers)


class Flows:
    """Ends flows, and says once why it cannot."""

    def __init__(
        self,
        end: Callable[[Iterable[GoneServer]], EndedFlows] = _end_kernels,
        complain: Callable[[str], None] = _LOGGER.warning,
    ) -> None:
        """``complain`` is told, in a sentence, what went wrong; not again before it is something else."""
        self._end = end
        self._complain = complain
        self._told = 0  # the errno that was told last

    def follow(self, outcomes: Sequence[Outcome]) -> Generator[Errand[EndedFlows], None, list[Outcome]]:
        """The outcomes with what ended of the flows to removed servers; where there are none, nothing is asked."""
        removed = [_list_removed(outcome) for outcome in outcomes]
        servers = [server for some in removed for server in some]
        if not servers:
            return list(outcomes)
        errand = Errand(partial(self._end, servers))
        yield errand
        ended = errand.result()
        self._note(ended.error)
        return [_with_flows(*both, ended.counts) for both in zip(outcomes, removed, strict=True)]

    def _note(self, error: OSError | None) -> None:
        number = (error.errno or EIO) if error else 0
        if error and number in _NOT_THERE:
            _LOGGER.debug("flows to servers that are gone are left alone: %s", error)
        elif error and number != self._told:
            self._complain(_SENTENCE.format(error.strerror or error))
            self._told = number


def _list_removed(outcome: Outcome) -> list[GoneServer]:
    """The servers of UDP that were removed by this."""
    operation, slot = outcome.operation, outcome.operation.slot
    if operation.verb is not Verb.DELETE or not isinstance(slot, ServerSlot) or slot.service.ipproto != UDP:
        return []
    return [(slot, member) for member in outcome.done if isinstance(member, ServerMember)]


def _with_flows(outcome: Outcome, removed: Iterable[GoneServer], counts: Mapping[GoneServer, int]) -> Outcome:
    found: dict[Member, int] = {server[1]: counts[server] for server in removed if server in counts}
    return replace(outcome, flows=found) if found else outcome
