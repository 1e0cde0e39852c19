"""How soon the scheduler gives us our turn when something happens.

A process that ends at once may have done so before we run, when we wait behind it on its own processor. Who asks for
short slices is let in front of it, and gets no more time over all (kernel 6.12 and later; older ones ignore it).
Source: sched_setattr(2); Documentation/scheduler/sched-eevdf.rst.
"""

from __future__ import annotations

import ctypes
import os
import platform
from struct import Struct
from typing import Final

SLICE: Final = 100_000  # nanoseconds, the shortest that the kernel takes
_ATTRIBUTES: Final = Struct("=IIQiIQQQ")  # struct sched_attr, its first version
_CALLS: Final = {"x86_64": 314, "aarch64": 274, "riscv64": 274}  # sched_setattr; Python has no name for it


def ask_for_short_slices() -> bool:
    """False where that is not known, or not permitted; nothing else changes then."""
    call = _CALLS.get(platform.machine())
    if call is None:
        return False
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, niceness, 0, SLICE, 0, 0)
    return bool(ctypes.CDLL(None).syscall(call, 0, attributes, 0) == 0)
