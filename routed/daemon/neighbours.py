"""Asks the neighbours of several links at once who has an address, as RFC 5227 does before it takes one.

Here must never live: the form of a question (``probes.neighbour``), or what an answer means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from routed.model.objects import AddressMember
from routed.probes.neighbour import find_neighbour
from routed.probes.sockets import NoSocketError, Path


def ask_all(
    asked: Sequence[tuple[AddressMember, str]], wait: float, own: Collection[bytes] = frozenset()
) -> dict[AddressMember, str]:
    """The MAC that answers for each, of those for which one does within so many seconds, and is none of our ``own``.

    Of two links in one network Linux answers by either. The question has no source, so nobody learns an address from
    it. Raises PermissionError and OSError.
    """
    return asyncio.run(_ask_all(asked, wait, own))


async def _ask_all(
    asked: Sequence[tuple[AddressMember, str]], wait: float, own: Collection[bytes]
) -> dict[AddressMember, str]:
    answers = await asyncio.gather(*(_ask(member, link, wait, own) for member, link in asked))
    return {member: mac.hex(":") for (member, _), mac in zip(asked, answers, strict=True) if mac}


async def _ask(member: AddressMember, link: str, wait: float, own: Collection[bytes]) -> bytes:
    try:
        return await asyncio.wait_for(find_neighbour(member.address, Path(link, member.dev), besides=own), wait)
    except TimeoutError:
        return b""
    except NoSocketError as error:
        raise PermissionError(str(error)) from None
