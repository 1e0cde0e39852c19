"""What it costs to read and decode every event, for each of them.

python -m tests.bench.decode_all EVENTS    end after so many, and print the CPU seconds for each
"""

from __future__ import annotations

import select
import sys
import time

from routed.kernel.kernel import Kernel
from routed.model.events import ObjectEvent


def main() -> None:
    """Read them all."""
    wanted, read = int(sys.argv[1]), 0
    with Kernel() as kernel:
        kernel.open_events()
        readable = select.poll()
        readable.register(kernel.events_fileno(), select.POLLIN)
        print("ready", flush=True)
        began = time.process_time()
        while read < wanted:
            readable.poll()
            read += sum(len(event.members) for event in kernel.read_events() if isinstance(event, ObjectEvent))
        print((time.process_time() - began) / read)


if __name__ == "__main__":
    main()
