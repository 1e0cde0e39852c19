"""Actors: who made a change, in words and in journal fields."""

from __future__ import annotations

from typing import Final, NamedTuple

from routed.audit.printable import make_printable
from routed.model.process import Process


class Actor(NamedTuple):
    """Who made a change, in words and in journal fields."""

    words: str
    fields: dict[str, str]


def name_actor(port: int | None, process: Process | None) -> Actor:
    """Who is behind a port id. Nobody in words and no fields where it was no process.

    Everything that a process tells of itself is of its own choice: it is quoted, and nothing in it can end the quote.
    """
    if not port and not process:
        return Actor("", {})
    of_port = {"ROUTED_ACTOR_PORT": str(port)} if port else {}
    if process is None:
        return Actor(f"port id {port}, {_HANDED_OVER if port == 1 else _UNKNOWN}", of_port)
    login = "" if process.loginuid in {None, process.uid} else f"login uid {process.loginuid}"
    uid = "" if process.uid is None else f"uid {process.uid}"
    about = ", ".join(part for part in (f"pid {process.pid}", uid, login, make_printable(process.unit)) if part)
    name = _quote(process.cmdline or f"[{process.comm}]")  # as ps(1) writes it where the arguments are gone
    fields = {
        "ROUTED_ACTOR_PID": str(process.pid),
        "ROUTED_ACTOR_COMM": make_printable(process.comm),
        "ROUTED_ACTOR_CMDLINE": make_printable(process.cmdline),
        "ROUTED_ACTOR_UNIT": make_printable(process.unit),
        "ROUTED_ACTOR_UID": "" if process.uid is None else str(process.uid),
        "ROUTED_ACTOR_LOGINUID": "" if process.loginuid is None else str(process.loginuid),
    }
    likely = "" if process.is_certain else "probably "
    return Actor(f"{likely}{name} ({about})", of_port | {field: value for field, value in fields.items() if value})


_UNKNOWN: Final = "whose process is not known"
# The first process opens no route socket of its own that lasts, but binds one for networkd (systemd-networkd.socket).
_HANDED_OVER: Final = "probably the socket that systemd opened for systemd-networkd"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{make_printable(escaped)}"'
