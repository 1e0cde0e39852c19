"""The schema of ``[[nexthop]]``. Rules between its keys stand in ``nexthop_table``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field

from routed.intent import words
from routed.intent.schema_values import Address, EntryTable, Interface, Table, Timeout
from routed.intent.schema_words import add_words
from routed.model.attributes import NEXTHOP_WORDS

NexthopId = Annotated[int, Field(ge=1, le=words.UINT32)]


class GroupLeg(Table):
    """One next hop of a group."""

    weight: Annotated[int, Field(ge=1, le=0xFFFF)] = Field(
        1, description="The share of this next hop; above 255 since Linux 6.12."
    )
    id: NexthopId | None = Field(None, description="Its number. Required.")


if TYPE_CHECKING:
    NexthopWords: TypeAlias = EntryTable
else:
    NexthopWords = add_words(EntryTable, NEXTHOP_WORDS)


class NexthopTable(NexthopWords):
    """``[[nexthop]]``: a next hop that routes name by its number, or a group of such."""

    id: NexthopId | None = Field(None, description="The number by which routes and groups name it. Required.")
    via: Address | None = Field(None, description="The gateway. IPv4 routes may use an IPv6 gateway.")
    dev: Interface | None = Field(None, description="The interface; left out, it is the gateway's link.")
    onlink: bool = Field(default=False, description="Take the gateway for a neighbour although no address says so.")
    blackhole: bool = Field(default=False, description="Drop the packets.")
    family: Literal["ipv4", "ipv6"] | None = Field(
        None, description="Without `via`: which routes may use it; those of IPv4 may use both. ipv4."
    )
    group: list[GroupLeg] | None = Field(None, description="Several next hops that share the traffic by weight.")
    type: Literal["mpath", "resilient"] = Field(
        "mpath", description="Of a group: resilient keeps a flow where it is while others come and go."
    )
    buckets: Annotated[int, Field(ge=1, le=0xFFFF)] | None = Field(
        None, description="Of a resilient group: in how many parts its flows are sorted. 128."
    )
    idle_timer: Timeout | None = Field(
        None, description='Of a resilient group: a part without packets for so long may move. "2m".'
    )
    unbalanced_timer: Timeout | None = Field(
        None, description="Of a resilient group: after so long out of balance parts have to move; left out, never."
    )
