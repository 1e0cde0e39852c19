"""A module under a profile of its processor time that begins with a signal, SIGRTMIN, and ends with the process.

python -m tests.bench.profiled FILE -m MODULE [WORDS]
"""

from __future__ import annotations

import cProfile
import runpy
import signal
import sys
import time


def main() -> None:
    """Run it."""
    file, _, module, *words = sys.argv[1:]
    profile = cProfile.Profile(time.thread_time)  # that of others on a busy machine is none of ours
    signal.signal(signal.SIGRTMIN, lambda *_: profile.enable())
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        profile.disable()
        profile.dump_stats(file)


if __name__ == "__main__":
    main()
