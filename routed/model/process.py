"""A process as the audit names it. A value that was read once, at the moment of a change: the process may be gone."""

from __future__ import annotations

from typing import NamedTuple


class Process(NamedTuple):
    """Who asked the kernel for something. Every text is whatever that process chose to be called."""

    pid: int
    comm: str = ""
    cmdline: str = ""  # the arguments, with blanks between; empty for a process that was ending already
    unit: str = ""  # of systemd: a service, a scope; empty outside of any
    uid: int | None = None  # the real one; None where the process ended before it could be read
    loginuid: int | None = None  # who logged in first (pam_loginuid(8)); None where nobody did
    is_certain: bool = True  # False: nobody else could be found who may have asked
