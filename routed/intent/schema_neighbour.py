"""The schema of ``[[neighbour]]``. Rules between its keys stand in ``neighbour_table``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PlainValidator

from routed.intent import words
from routed.intent.schema_values import Address, EntryTable, Interface, show_text

LinkAddress = Annotated[bytes, PlainValidator(words.link_address), show_text("^([0-9A-Fa-f]{1,2}:)+[0-9A-Fa-f]{1,2}$")]


class NeighbourTable(EntryTable):
    """``[[neighbour]]``: a neighbour whose link address is known for good, or for whom this host answers."""

    to: Address | None = Field(None, description="The neighbour's address. Required.")
    dev: Interface | None = Field(None, description="The interface. Required.")
    lladdr: LinkAddress | None = Field(None, description='Its link address: "02:00:00:00:00:05". Not of a proxy.')
    router: bool = Field(default=False, description="It is a router; IPv6 only.")
    proxy: bool = Field(default=False, description="This host answers on the interface in its place.")
