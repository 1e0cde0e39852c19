"""Schema of words: the keys of a table that the rows of ``model.attributes`` make.

A key is what its row says of it, in the form that editors are shown. Here must never live a key that has no row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, PlainValidator, create_model

from routed.intent import words
from routed.intent.schema_values import MASKABLE, Congctl, Feature, Table, TableLater, show_text, show_text_or_number
from routed.model import attributes
from routed.model.attributes import Metric, MetricForm, Word, WordForm


def _number(row: Metric) -> tuple[Any, Any]:
    return Annotated[int, Field(ge=1, le=row.maximum)] | None, Field(None, description=row.meaning)


def _flag(row: Metric) -> tuple[Any, Any]:
    return bool, Field(default=False, description=row.meaning)


def _name(row: Metric) -> tuple[Any, Any]:
    return Congctl | None, Field(None, description=row.meaning)


def _time(row: Metric) -> tuple[Any, Any]:
    parse = PlainValidator(words.time_of_metric(row.scale))
    shown = show_text(r"^[0-9]+(\.[0-9]+)?(ms|s|m)$")
    return Annotated[float, parse, shown] | None, Field(None, description=row.meaning)


def _list(row: Metric) -> tuple[Any, Any]:
    return list[Feature] | None, Field(None, description=row.meaning)


def _masked(row: Word) -> tuple[Any, Any]:
    parse = PlainValidator(words.masked_number(row.maximum, row.name, is_named=row is attributes.DSCP))
    # a name has none of the form of a number, so that a name file may have any
    shown = show_text_or_number(
        row.maximum, pattern=f"^{MASKABLE}(/{MASKABLE})?$" if row is not attributes.DSCP else ""
    )
    return Annotated[tuple[int | str, int], parse, shown] | None, Field(None, description=row.meaning)


def _realms(row: Word) -> tuple[Any, Any]:
    parse, shown = PlainValidator(words.realms), show_text_or_number(0xFFFF, pattern=r"^[0-9]+(/[0-9]+)?$")
    return Annotated[tuple[int, int], parse, shown] | None, Field(None, description=row.meaning)


def _encap(row: Word) -> tuple[Any, Any]:
    table = Annotated[Any, TableLater("routed.intent.schema_encap", "EncapTable"), AfterValidator(_list_said)]
    return table | None, Field(None, description=row.meaning)


def _list_said(table: Table) -> dict[str, Any]:
    return {word: value for word, value in table if value is not None and value is not False}


def _choice(row: Word) -> tuple[Any, Any]:
    return Literal[tuple(row.choices)] | None, Field(None, description=row.meaning)


_METRICS: Final[Mapping[MetricForm, Any]] = {
    attributes.NUMBER: _number,
    attributes.FLAG: _flag,
    attributes.NAME: _name,
    attributes.TIME: _time,
    attributes.LIST: _list,
}
_WORDS: Final[Mapping[WordForm, Any]] = {
    attributes.MASKED: _masked,
    attributes.REALMS: _realms,
    attributes.CHOICE: _choice,
    attributes.ENCAPSULATION: _encap,
}


def add_words(base: type[Table], rows: Iterable[Metric | Word]) -> Any:
    """A table with the keys of another one, and a key for each row."""
    fields = {row.name: (_METRICS[row.form] if isinstance(row, Metric) else _WORDS[row.form])(row) for row in rows}
    return create_model(f"{base.__name__}Words", __base__=base, **fields)
