"""Text from outside, made fit to print.

Only this one step belongs here: the kernel, an operator and another process may put anything into a name.
"""

from __future__ import annotations

from typing import Final

# Control characters of C0, DEL and C1 (ECMA-48) and the two line ends of Unicode, which would forge lines or drive the
# terminal; and the marks that turn the direction of text (UAX 9), which would have a line read otherwise than it is.
_LINE_ENDS: Final = (0x2028, 0x2029)
_TURNS: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_ESCAPES: Final = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160))} | {
    number: f"\\u{number:04x}" for number in (*_LINE_ENDS, *_TURNS)
}


def make_printable(text: str) -> str:
    """The text on one line, with every control character written as an escape."""
    return text.translate(_ESCAPES)
