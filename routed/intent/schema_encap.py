"""The schema of ``encap``, of routes, their hops and next hops. Rules between its keys stand in ``encap_table``."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field, PlainValidator

from routed.intent import words
from routed.intent.schema_values import Address, NameOrNumber, Table, show_text_or_number
from routed.model.encap import ACTIONS, ENCAPS, MAXIMUM_LABEL, MAXIMUM_LABELS, MAXIMUM_SEGMENTS, MODES

EncapType: TypeAlias = Literal[tuple(ENCAPS)]  # type: ignore[valid-type]
SegmentMode: TypeAlias = Literal[tuple(MODES)]  # type: ignore[valid-type]
ActionName: TypeAlias = Literal[tuple(ACTIONS)]  # type: ignore[valid-type]


def read_labels(value: object) -> tuple[int, ...]:
    """``100/200``: a stack of MPLS labels, the outermost first."""
    texts = [str(value)] if words.is_integer(value) else words.text_of(value, "100/200").split("/")
    if len(texts) > MAXIMUM_LABELS:
        raise ValueError(f"{len(texts)} labels: there are {MAXIMUM_LABELS} at most")
    return tuple(words.number(text, MAXIMUM_LABEL, "a label") for text in texts)


LabelStack = Annotated[
    tuple[int, ...],
    PlainValidator(read_labels),
    show_text_or_number(MAXIMUM_LABEL, pattern="^[0-9]+(/[0-9]+)*$"),
]
OneByte = Annotated[int, Field(ge=0, le=255)]
HopCount = Annotated[int, Field(ge=1, le=255)]


class EncapTable(Table):
    """``encap``: what is put around the packets."""

    model_config = ConfigDict(json_schema_extra={"required": ["type"]})

    type: EncapType | None = Field(None, description="What is put around them. Required.")
    labels: LabelStack | None = Field(None, description='mpls: the label, or several, the outermost first: "100/200".')
    ttl: HopCount | None = Field(None, description="mpls, ip: the TTL; left out, that of the packet, or of the tunnel.")
    id: Annotated[int, Field(ge=0, le=0x7FFFFFFFFFFFFFFF)] | None = Field(
        None, description="ip, ip6: the key of the tunnel, such as a VNI. 0."
    )
    dst: Address | None = Field(None, description="ip, ip6: the far end of the tunnel.")
    src: Address | None = Field(None, description="ip, ip6: the near end; left out, the kernel chooses.")
    tos: OneByte | None = Field(None, description="ip: type of service of the outer header. 0.")
    hoplimit: HopCount | None = Field(None, description="ip6: the hop limit; left out, that of the tunnel.")
    tc: OneByte | None = Field(None, description="ip6: traffic class of the outer header. 0.")
    key: bool = Field(default=False, description="ip, ip6: the outer header carries the key.")
    csum: bool = Field(default=False, description="ip, ip6: the outer header carries a checksum.")
    seq: bool = Field(default=False, description="ip, ip6: the outer header carries sequence numbers.")
    mode: SegmentMode | None = Field(None, description="seg6: how the segments are put on. encap.")
    segs: Annotated[list[Address], Field(min_length=1, max_length=MAXIMUM_SEGMENTS)] | None = Field(
        None, description="seg6: the segments, the next one first."
    )
    action: ActionName | None = Field(None, description="seg6local: what is done to packets for this segment.")
    nh4: Address | None = Field(None, description="seg6local: the IPv4 next hop, of End.DX4.")
    nh6: Address | None = Field(None, description="seg6local: the IPv6 next hop, of End.X and End.DX6.")
    table: NameOrNumber | None = Field(None, description="seg6local: the table of End.T and End.DT6.")
    vrftable: NameOrNumber | None = Field(
        None, description="seg6local: the table of a VRF, of End.DT4, End.DT6 and End.DT46."
    )
