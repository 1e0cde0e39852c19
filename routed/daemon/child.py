"""The start of the process that reads the files.

It is apart from what speaks to it, so that it can be started before that is imported: both go on side by side then.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

COMPILED: Final = "compiled"  # the file below the folder of the state that keeps what the files mean
# As this process finds its modules, so does that one: by the same folders, and by nothing of the environment.
_CODE = "import sys; sys.path[:] = sys.argv[1:]; from routed.daemon.reader import main; main()"


def start_reader() -> subprocess.Popen[bytes]:
    """Start it; it waits for requests on its stdin. Raises OSError."""
    flags = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
    return subprocess.Popen(  # noqa: S603  nothing of it comes from outside
        [sys.executable, *flags, "-c", _CODE, *sys.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )


def read_work(pid: int) -> float:
    """Seconds of a processor that a process has used; 0 where that is not known (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123  pathlib is not here yet
            words = file.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
