"""The helpers that run the commands of checks and sources: which one answers for a user, started where that may be.

The shipped unit may not change users, and there systemd has a helper behind ``<runtime-dir>/exec``. A daemon that may
change users starts its own, one a user, at the first need. Either way a command never has the daemon's rights. Here
must never live what a command is asked, or what its end means: that is ``probes.command``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path as File
from tempfile import TemporaryDirectory
from typing import Final

from routed.model.checks import CheckType
from routed.model.reasons import Finding, Probed
from routed.probes.sockets import Path
from routed.probes.users import find_user

SOCKET: Final = "exec"  # of the unit, in the runtime folder; the daemon's own are "exec.USER"
USER: Final = "routed-exec"  # of a command that names none; never nobody, as whom others run too
NEEDED: Final = 1 << 6 | 1 << 7  # CAP_SETGID and CAP_SETUID, linux/capability.h
# As this process finds its modules, so does that one. It has read all of them before it becomes somebody else.
_CODE: Final = (
    "import sys; count = int(sys.argv.pop(1)); sys.path[:] = sys.argv[1 : 1 + count];"
    " from routed.probes.helper import main; sys.exit(main(sys.argv[1 + count :]))"
)


class Lease:
    """The helpers that somebody needs, until ``close``."""

    def __init__(self, helpers: Helpers) -> None:
        self._helpers = helpers
        self.users: set[str] = set()

    def find_path(self, user: str) -> Path | Probed:
        """As ``Helpers.find_path``. Raises OSError."""
        self.users.add(user or USER)
        return self._helpers.find_path(user)

    def close(self) -> None:
        """Nobody needs them any more; whom somebody else needs goes on."""
        self._helpers.give_back(self)


class Helpers:
    """The helpers of one daemon. ``close`` ends those that it started."""

    def __init__(self, folder: File) -> None:
        """Raises OSError."""
        self._folder = folder
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._leases: set[Lease] = set()
        self._may_start = may_change_users()

    def lease(self) -> Lease:
        """What somebody asks who does not need them for ever."""
        lease = Lease(self)
        self._leases.add(lease)
        return lease

    def give_back(self, lease: Lease) -> None:
        """End those that nobody needs any more."""
        self._leases.discard(lease)
        for user in lease.users.difference(*(one.users for one in self._leases)):
            self._end(user)

    def find_path(self, user: str) -> Path | Probed:
        """Whom a command of this user is given to; or why nobody can be had for it. Raises OSError."""
        if not self._may_start:
            return Path(helper=str(self._folder / SOCKET))
        user = user or USER
        path, process = self._folder / f"{SOCKET}.{user}", self._started.get(user)
        if process is None or process.poll() is not None:  # each start finds again what it may
            about = find_user(user)
            if about is None or about.pw_uid == 0:
                return Probed(CheckType.EXEC, Finding.NO_USER, user)
            self._start(user, path)
        return Path(helper=str(path))

    def close(self) -> None:
        """End them. What they ran ends with the connections of whoever asked for it."""
        for user in list(self._started):
            self._end(user)

    def _end(self, user: str) -> None:
        if process := self._started.pop(user, None):
            process.kill()
            process.wait()
            with suppress(OSError):
                (self._folder / f"{SOCKET}.{user}").unlink()

    def _start(self, user: str, path: File) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            path.unlink(missing_ok=True)
            listening.bind(str(path))
            path.chmod(0o600)  # before it listens nobody can connect
            listening.listen(64)
            flags = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
            options = ["--user", user, "--parent", str(os.getpid())]
            command = [sys.executable, *flags, "-c", _CODE, str(len(sys.path)), *sys.path, *options]
            self._started[user] = subprocess.Popen(  # noqa: S603  nothing of it comes from outside
                command, stdin=listening.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}
            )


class BriefLease(Lease):
    """Helpers for who is no daemon, and has no folder for their sockets."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._folder = TemporaryDirectory(prefix="routed-")
        super().__init__(Helpers(File(self._folder.name)))

    def close(self) -> None:
        """Nobody needs them any more."""
        super().close()
        self._folder.cleanup()


def may_change_users() -> bool:
    """Has this process the capabilities for it? CapEff of proc_pid_status(5)."""
    for line in File("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16) & NEEDED == NEEDED
    return False
