"""Text from outside, made fit to print.

Only this one step belongs here: the kernel, an operator and another process may put anything into a name.
"""

from __future__ import annotations

from typing import Final

# Control characters of C0, DEL and C1 (ECMA-48), and the two line ends of Unicode: they would forge lines or drive the
# terminal.
_ESCAPES: Final = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def make_printable(text: str) -> str:
    """The text on one line, with every control character written as an escape."""
    return text.translate(_ESCAPES)
