"""The way in: ``routed`` and ``python -m routed``. Hands the arguments to ``routed.cli`` and exits with its code.

Here must never live anything else: what a command does stands in its own module under ``routed.cli``.
"""

from __future__ import annotations

import gc
import signal
import sys


def main() -> None:
    """Run the command that ``sys.argv`` names and exit with its code."""
    # A daemon that is told to reload before it can must not end. Other commands unblock it once their verb is read.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from routed.cli import main as run  # noqa: PLC0415  # a name that fails to import must not break `import routed`

    gc.disable()  # a command is over before its garbage is worth a search; a daemon switches it on once it runs
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
