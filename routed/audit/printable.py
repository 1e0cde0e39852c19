r"""Text from outside, made fit to print and to send.

Only this one step belongs here: the kernel, an operator and another process may put anything into a name. Bytes of it
that are no UTF-8 come as lone surrogates (PEP 383), which no terminal and no journal takes; they are shown as ``\xff``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

# Control characters of C0, DEL and C1 (ECMA-48) and the two line ends of Unicode, which would forge lines or drive the
# terminal; and the marks that turn the direction of text (UAX 9), which would have a line read otherwise than it is.
_C0: Final = range(32)
_C1: Final = range(127, 160)
_LINE_ENDS: Final = (0x2028, 0x2029)
_TURNS: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SURROGATES: Final = range(0xD800, 0xE000)


class _Escapes(dict[int, str]):
    """What stands for a character, by its number; all surrogates are in it without a row each."""

    def __init__(self, rows: Mapping[int, str], before: str) -> None:
        super().__init__(rows)
        self._before = before

    def __missing__(self, number: int) -> str:
        if number not in _SURROGATES:
            raise KeyError(number)  # the character stays as it is, str.translate
        is_byte = 0xDC80 <= number < 0xDD00
        return self._before + (f"\\x{number - 0xDC00:02x}" if is_byte else f"\\u{number:04x}")


_UNSEEN: Final = {number: f"\\u{number:04x}" for number in (*_LINE_ENDS, *_TURNS)}
_IN_A_LINE: Final = _Escapes({number: f"\\x{number:02x}" for number in (*_C0, *_C1)} | _UNSEEN, "")
_IN_LINES: Final = _Escapes(_IN_A_LINE | {ord(character): character for character in "\t\n"}, "")
# JSON and TOML have an escape for every character but surrogates; what is C0 is escaped by whoever writes them.
_IN_QUOTES: Final = _Escapes({number: f"\\u{number:04x}" for number in _C1} | _UNSEEN, "\\")


def make_printable(text: str) -> str:
    """The text on one line, with every control character written as an escape."""
    return text if text.isascii() and text.isprintable() else text.translate(_IN_A_LINE)


def make_lines_printable(text: str) -> str:
    """The same for text of several lines: line ends and tabs stay."""
    return text.translate(_IN_LINES)


def escape_in_quotes(text: str) -> str:
    """A text of JSON or TOML that says the same in printable characters: all others can only stand in its strings.

    What is no UTF-8 cannot be said there; a reader gets ``make_printable``'s escape for it.
    """
    return text if text.isascii() and "\x7f" not in text else text.translate(_IN_QUOTES)


def dump_json(document: Any, **layout: Any) -> str:
    """A document as JSON that can always be encoded, and printed; ``layout`` is for ``json.dumps``."""
    return escape_in_quotes(json.dumps(document, ensure_ascii=False, **layout))
