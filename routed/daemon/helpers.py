"""The helpers that run the commands of checks: which one answers for a user, started here where that is permitted.

The shipped unit may not change users, and there systemd has a helper behind ``<runtime-dir>/exec``. A daemon that may
change users starts its own, one a user, at the first need. Either way a command never has the daemon's rights. Here
must never live what a command is asked, or what its end means: that is ``probes.command``.
"""

from __future__ import annotations

import pwd
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path as File
from typing import Final

from routed.model.checks import Check
from routed.model.reasons import Finding, Probed
from routed.probes.sockets import Path

SOCKET: Final = "exec"  # of the unit, in the runtime folder; the daemon's own are "exec.USER"
USERS: Final = ("routed-exec", "nobody")  # of a check that names none: the first that there is
NOT_PERMITTED: Final = 77  # the exit code of a helper that kept a right
NEEDED: Final = 1 << 6 | 1 << 7  # CAP_SETGID and CAP_SETUID, linux/capability.h
# As this process finds its modules, so does that one. It has read all of them before it becomes somebody else.
_CODE: Final = (
    "import sys; count = int(sys.argv.pop(1)); sys.path[:] = sys.argv[1 : 1 + count];"
    " from routed.probes.helper import main; sys.exit(main(sys.argv[1 + count :]))"
)


class Helpers:
    """The helpers of one daemon. ``close`` ends those that it started."""

    def __init__(self, folder: File) -> None:
        self._folder = folder
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._may_start = may_change_users()

    def find_path(self, check: Check) -> Path | Probed:
        """Whom a command is given to; or why nobody can be had for it."""
        if not self._may_start:
            return Path(helper=str(self._folder / SOCKET))
        user = check.user or next(filter(_is_user, USERS), USERS[-1])
        if not _is_user(user):
            return Probed(check.type, Finding.NO_USER, user)
        path = self._folder / f"{SOCKET}.{user}"
        process = self._started.get(user)
        if process is not None and process.poll() == NOT_PERMITTED:
            return Probed(check.type, Finding.NOT_HARMLESS, user)
        if process is None or process.poll() is not None:
            try:
                self._start(user, path)
            except OSError as error:
                return Probed(check.type, Finding.LOCAL, error.strerror or str(error))
        return Path(helper=str(path))

    def close(self) -> None:
        """End them. What they ran ends with the connections of whoever asked for it."""
        for user, process in self._started.items():
            process.kill()
            process.wait()
            with suppress(OSError):
                (self._folder / f"{SOCKET}.{user}").unlink()
        self._started.clear()

    def _start(self, user: str, path: File) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            path.unlink(missing_ok=True)
            listening.bind(str(path))
            path.chmod(0o600)  # before it listens nobody can connect
            listening.listen(64)
            flags = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
            command = [sys.executable, *flags, "-c", _CODE, str(len(sys.path)), *sys.path, "--user", user]
            self._started[user] = subprocess.Popen(  # noqa: S603  nothing of it comes from outside
                command, stdin=listening.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}
            )


def may_change_users() -> bool:
    """Has this process the capabilities for it? CapEff of proc_pid_status(5)."""
    for line in File("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16) & NEEDED == NEEDED
    return False


def _is_user(name: str) -> bool:
    try:
        return pwd.getpwnam(name).pw_uid != 0
    except KeyError:
        return False
