"""Who asks for something at the control socket, by name.

Only /etc/passwd is looked at: another source of names may be a server, which is not reached in the very hour in which
somebody repairs the routes to it, and whoever waits for it keeps the repairs waiting. Here must never live: what
somebody may ask for (``control``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from routed.daemon.clients import Peer

PASSWD: Final = Path("/etc/passwd")
_NOBODY: Final = 0xFFFFFFFF  # a loginuid that was never set, proc(5)


def name_asker(peer: Peer) -> str:
    """``alice``, or ``root, logged in as alice``. Numbers where the host itself has no names."""
    name = name_user(peer.uid)
    try:
        login = int(Path(f"/proc/{peer.pid}/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return name
    return name if login in {_NOBODY, peer.uid} else f"{name}, logged in as {name_user(login)}"


def name_user(uid: int, passwd: Path = PASSWD) -> str:
    """The name in /etc/passwd (passwd(5)), else ``uid 1000``."""
    try:
        lines = passwd.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.split(":")[0] for line in lines if line.split(":")[2:3] == [str(uid)])
    return next(names, "") or f"uid {uid}"
