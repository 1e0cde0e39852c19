"""Who asks for something at the control socket, by name.

Here must never live: what somebody may ask for (``control``).
"""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Final

from routed.daemon.clients import Peer

_NOBODY: Final = 0xFFFFFFFF  # a loginuid that was never set, proc(5)


def name_asker(peer: Peer) -> str:
    """``alice``, or ``root, logged in as alice``. Numbers where there are no names."""
    name = _name_user(peer.uid)
    try:
        login = int(Path(f"/proc/{peer.pid}/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return name
    return name if login in {_NOBODY, peer.uid} else f"{name}, logged in as {_name_user(login)}"


def _name_user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
