"""The words that have a row in ``model.attributes``, as ``ip`` writes them: a function for each form of a row.

A new row is read here by its form. Sources: ip-route(8), ip-rule(8); parse_one_metric and get_time_rtt of iproute2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from routed.intent.importing.encap_words import read_encap
from routed.intent.importing.rest import Rest, UnsaidError, Words, number
from routed.model import attributes
from routed.model.attributes import FEATURES, METRIC_WORDS, Metric, MetricForm, Word, WordForm

_TIME: Final = re.compile(r"([0-9.]+)(|ms|msecs?|s|secs?)")
_OFF: Final = frozenset({"0", "off", "false"})
_ALIASES: Final = {"realm": "realms", "congestion": "congctl"}  # of one realm alone; in JSON


def read_metric(given: str, rest: Rest, route: Words, *, is_shown: bool) -> bool:
    """Read what follows a metric into the route. False: this word is none. Raises UnsaidError."""
    row = _METRICS.get(_ALIASES.get(given, given))
    if row is None:
        return False
    is_locked = rest.skips("lock")
    if row.is_locked and is_shown and not is_locked:
        raise UnsaidError(f"its {row.name} is not locked, so that it does nothing")
    if is_locked and not row.is_locked:
        route.setdefault("lock", []).append(row.name)
    route[row.name] = _METRIC_READERS[row.form](row, rest)
    return True


def read_word(rows: Iterable[Word], given: str, rest: Rest, table: Words) -> bool:
    """Read what follows a word of these rows into the table. False: this word is none of theirs. Raises UnsaidError."""
    row = next((one for one in rows if one.name == _ALIASES.get(given, given)), None)
    if row is None:
        return False
    table[row.name] = _WORD_READERS[row.form](row, rest)
    return True


def _read_time(row: Metric, rest: Rest) -> str:
    """Without a unit it is the kernel's own number."""
    text = rest.take(row.name)
    found = _TIME.fullmatch(text)
    try:
        amount = float(found[1]) if found else -1.0
    except ValueError:
        amount = -1.0
    if found is None or amount < 0:
        raise UnsaidError(f"its {row.name} is no time: {text}")
    scale = 1 if not found[2] else row.scale * (1 if found[2].startswith("m") else 1000)
    shown: str = row.form.show(row, round(amount * scale))
    return shown


def _read_features(row: Metric, rest: Rest) -> list[str]:
    found = [rest.take(row.name)]
    while rest.peek() in FEATURES:
        found.append(rest.take(row.name))
    return found


def _read_number(row: Metric | Word, rest: Rest) -> int | str:
    """Hexadecimal stays so, and a mask stays behind its number."""
    text = rest.take(row.name)
    return number(text) if text.isdecimal() else text


def _read_flag(row: Metric, rest: Rest) -> bool:
    return rest.take(row.name) not in _OFF


def _read_text(row: Metric | Word, rest: Rest) -> str:
    return rest.take(row.name)


_METRICS: Final = {row.name: row for row in METRIC_WORDS}
_METRIC_READERS: Final[Mapping[MetricForm, Callable[[Metric, Rest], Any]]] = {
    attributes.NUMBER: _read_number,
    attributes.FLAG: _read_flag,
    attributes.NAME: _read_text,
    attributes.TIME: _read_time,
    attributes.LIST: _read_features,
}
_WORD_READERS: Final[Mapping[WordForm, Callable[[Word, Rest], Any]]] = {
    attributes.MASKED: _read_number,
    attributes.REALMS: _read_number,
    attributes.CHOICE: _read_text,
    attributes.ENCAPSULATION: lambda _row, rest: read_encap(rest),
}


def spread_metrics(metrics: Mapping[str, Any]) -> list[str]:
    """The words of ``metrics`` of JSON: times are milliseconds, and features stand among the metrics."""
    words: list[str] = []
    for key, amount in metrics.items():
        name = _ALIASES.get(key, key)
        row = _METRICS.get(name)
        if key in FEATURES:
            words += ["features", key] if "features" not in words else []
            at = words.index("features")
            words[at + 1 : at + 2] = dict.fromkeys([words[at + 1], key])
        elif row is not None and row.form is attributes.TIME:
            words += [name, *(["lock"] if row.is_locked else []), f"{amount}ms"]
        else:
            words += [name, str(amount)]
    return words
