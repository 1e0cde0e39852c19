"""What a key of the file may hold: a type for each sort of value, and what the keys of all tables share.

A type is what its validator makes of the TOML value, beside the pattern that editors show. What one table alone knows
stands with that table; the parsing of a single value in ``words``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic_core.core_schema import CoreSchema, no_info_plain_validator_function

from routed.intent import words
from routed.model.attributes import FEATURES, METRICS
from routed.model.names import ALTNAME_LENGTH, INTERFACE_NAME_LENGTH


def show_text(pattern: str = "", **more: Any) -> WithJsonSchema:
    """What editors are shown of a text."""
    return WithJsonSchema({"type": "string", **({"pattern": pattern} if pattern else {}), **more})


def show_one_or_more(item: dict[str, Any], **more: Any) -> WithJsonSchema:
    """What editors are shown of one item, or an array of such."""
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item, **more}]})


def show_text_or_number(maximum: int, minimum: int = 0, pattern: str = "") -> WithJsonSchema:
    """What editors are shown of a name or its number."""
    text = {"type": "string"} | ({"pattern": pattern} if pattern else {})
    return WithJsonSchema({"anyOf": [text, {"type": "integer", "minimum": minimum, "maximum": maximum}]})


MASKABLE = "(0[xX][0-9A-Fa-f]+|[0-9]+)"  # a number, or its mask
_ADDRESS = "^[0-9A-Fa-f:.]+$"
_PREFIX = "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"
_WITH_LENGTH = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"

# What the file holds, as the model holds it: the type is what the validator makes of the TOML value.
Name = Annotated[str, PlainValidator(words.entry_name), show_text("^[A-Za-z0-9._-]+$")]
Address = Annotated[bytes, PlainValidator(words.address), show_text(_ADDRESS)]
Prefix = Annotated[bytes, PlainValidator(words.prefix), show_text(_PREFIX)]
Destination = Annotated[bytes, PlainValidator(words.destination), show_text(f"^default$|{_PREFIX}")]
RuleSelector = Annotated[bytes, PlainValidator(words.selector), show_text(f"^all$|{_PREFIX}")]
SourceSelector = Annotated[
    bytes | str, PlainValidator(words.source_selector), show_text(f"^all$|^@[A-Za-z0-9._-]+$|{_PREFIX}")
]
SourceAddress = Annotated[
    bytes | str, PlainValidator(words.source_address), show_text(f"^@[A-Za-z0-9._-]+$|{_ADDRESS}")
]
AddressWithLength = Annotated[tuple[bytes, int], PlainValidator(words.address_with_length), show_text(_WITH_LENGTH)]
VipAddress = Annotated[tuple[bytes, int], PlainValidator(words.vip_address), show_text(_PREFIX)]
Broadcast = Annotated[bytes | str, PlainValidator(words.broadcast), show_text(rf"^[+-]$|{_ADDRESS}")]
_REFERENCE = "^@[A-Za-z0-9._-]+$"
# A link by its name, or @name of an [[interface]]
Interface = Annotated[str, PlainValidator(words.link), show_text(rf"{_REFERENCE}|^[^@/:\s][^/:\s]{{0,126}}$")]
KnownInterface = Annotated[
    str, PlainValidator(words.known_interface), show_text(r"^[^@/:\s][^/:\s]*$", maxLength=ALTNAME_LENGTH)
]
LinkName = Annotated[
    str, PlainValidator(words.interface), show_text(r"^[^@/:\s][^/:\s]*$", maxLength=INTERFACE_NAME_LENGTH)
]
Label = Annotated[str, PlainValidator(words.label), show_text(minLength=1, maxLength=INTERFACE_NAME_LENGTH)]
Congctl = Annotated[str, PlainValidator(words.congctl), show_text("^[A-Za-z0-9._-]+$", maxLength=words.CONGCTL_LENGTH)]
Duration = Annotated[float, PlainValidator(words.duration), show_text(r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$")]
PollInterval = Annotated[float, PlainValidator(words.poll_interval), show_text(r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$")]
Timeout = Annotated[int, PlainValidator(words.timeout), show_text(r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$")]
Percentage = Annotated[float, PlainValidator(words.percentage), show_text("^(100|[0-9]{1,2})%$")]
FightLimit = Annotated[
    int | None, PlainValidator(words.fight_limit), show_text_or_number(1_000_000, minimum=1, pattern="^off$")
]
NameOrNumber = Annotated[str | int, PlainValidator(words.name_or_number), show_text_or_number(words.UINT32)]
ScopeNumber = Annotated[int, PlainValidator(words.scope), show_text_or_number(254, pattern="^(global|site|link|host)$")]
Mark = Annotated[
    tuple[int, int],
    PlainValidator(words.fwmark),
    show_text_or_number(words.UINT32, pattern=f"^{MASKABLE}(/{MASKABLE})?$"),
]
IpProtocol = Annotated[int, PlainValidator(words.ip_protocol), show_text_or_number(255, minimum=1)]
Ports = Annotated[
    tuple[int, int, int],
    PlainValidator(words.ports),
    show_text_or_number(
        words.MAXIMUM_PORT,
        minimum=1,
        pattern="^[0-9]+(-[0-9]+)?$|^(0[xX][0-9A-Fa-f]+|[0-9]+)/(0[xX][0-9A-Fa-f]+|[0-9]+)$",
    ),
]
Uids = Annotated[
    tuple[int, int], PlainValidator(words.uids), show_text_or_number(words.MAXIMUM_UID, pattern="^[0-9]+(-[0-9]+)?$")
]
PreferredLifetime = Annotated[bool, PlainValidator(words.is_deprecated), WithJsonSchema({"enum": [0, "forever"]})]
Number = Annotated[int, Field(ge=0, le=words.UINT32)]
Positive = Annotated[int, Field(ge=1, le=words.UINT32)]
Family = Literal["ipv4", "ipv6", "both"]
Lockable: TypeAlias = Literal[tuple(METRICS)]  # type: ignore[valid-type]
Feature: TypeAlias = Literal[tuple(FEATURES)]  # type: ignore[valid-type]
Requires = Annotated[
    tuple[tuple[str, bool], ...],
    PlainValidator(words.requirements),
    show_one_or_more({"type": "string", "pattern": "^!?@(service/)?[A-Za-z0-9._-]+$"}, minItems=1),
]
AddressAndPort = Annotated[
    tuple[bytes, int],
    PlainValidator(words.address_and_port),
    show_text(r"^([0-9A-Fa-f:.]+|[0-9.]+:[0-9]+|\[[0-9A-Fa-f:.]+\]:[0-9]+)$"),
]

MetricsAddress = Annotated[
    tuple[bytes, int] | None,
    PlainValidator(words.metrics_address),
    show_text(r"^(off|[0-9.]+:[0-9]+|\[[0-9A-Fa-f:.]+\]:[0-9]+)$"),
]


class Table(BaseModel):
    """Any table of the file."""

    # Built when first used: a file without rules does not pay for theirs.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)

    # Of the keys of each row one has to be there. An entry that is taken away (``disabled``) needs none.
    NEEDS: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def list_missing(self) -> list[str]:
        """The keys that nothing can stand for, and that are not there."""
        return [row[0] for row in self.NEEDS if len(row) == 1 and getattr(self, row[0]) in (None, [])]


class EntryTable(Table):
    """The keys that every entry has."""

    name: Name | None = Field(None, description="The entry's name; left out, it is called after its key.")
    enforce: Literal["repair", "observe", "once"] = Field(
        "repair", description="What to do about drift: put it back, only report it, or install once and leave alone."
    )
    on_conflict: Literal["replace", "refuse"] | None = Field(
        None, description="What to do when something foreign stands in the entry's place."
    )
    requires: Requires | None = Field(
        None,
        description='A [[check]] that has to be up, "@name", or down, "!@name"; several in an array. Else withheld.',
    )
    disabled: bool = Field(default=False, description="Take the entry of this name away.")


class TableLater:
    """In an annotation: a table that few files have, of a module that is imported where a file has one."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def load(self) -> type[Table]:
        """The table."""
        table: type[Table] = getattr(import_module(self._module), self._name)
        return table

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        return no_info_plain_validator_function(lambda value: self.load().model_validate(value))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        table = self.load()
        table.model_rebuild()  # built when first used, as all are
        return handler(table.__pydantic_core_schema__)
