"""Giving memory back after something large.

A pass over a hundred thousand routes leaves holes in the heap that the C library keeps for itself; a daemon that then
idles for weeks should not.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from typing import Final

LARGE: Final = 10_000  # objects; a pass that changed more leaves something worth giving back


def settle_down() -> None:
    """After the start: what is alive now stays alive, so the garbage collector need not look at it again.

    It has not looked before either: a start leaves it a few hundred objects, and a search takes longer than a pass.
    """
    gc.freeze()
    gc.enable()
    give_back()


def give_back() -> None:
    """Return free pages to the kernel: malloc_trim(3), which only glibc has."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
