"""systemd's sockets, spoken without its library: sd_notify(3), and the native protocol of the journal.

For hosts without systemd-python, which pip has to compile. ``notify`` and ``sendv`` are called as its functions of
these names. Here must never live: what is said and when, and the reading of a journal: that is a format, no protocol.

Source: sd_notify(3); JOURNAL_NATIVE_PROTOCOL in systemd's documents.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import closing
from errno import EAFNOSUPPORT, EMSGSIZE, ENOBUFS
from typing import Final

JOURNAL: Final = "/run/systemd/journal/socket"

_TOO_LARGE: Final = frozenset({EMSGSIZE, ENOBUFS})  # for a datagram
# journald reads a file in place, and so takes none that somebody could still change.
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def notify(status: str) -> bool:
    """Tell the service manager; False where none waits for it (no ``NOTIFY_SOCKET``). Raises OSError."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    if path[0] not in "/@":
        raise OSError(EAFNOSUPPORT, "NOTIFY_SOCKET is no path and no abstract name", path)
    with closing(_connect("\0" + path[1:] if path[0] == "@" else path)) as manager:
        manager.send(status.encode())
    return True


def sendv(*fields: str) -> None:
    """Send one entry to the journal, each field as ``NAME=value``.

    Raises OSError, also where there is no journal, and UnicodeError for text that cannot be encoded.
    """
    entry = b"".join(map(_frame, fields))
    with closing(_connect(JOURNAL)) as journal:
        try:
            journal.send(entry)
        except OSError as error:
            if error.errno not in _TOO_LARGE:
                raise
            _send_as_file(journal, entry)


def _connect(path: str) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        end.connect(path)
    except BaseException:
        end.close()
        raise
    return end


def _frame(field: str) -> bytes:
    """A line break in a value would begin another field: such a value goes with its length in front."""
    name, _, value = field.encode().partition(b"=")
    if b"\n" not in value:
        return name + b"=" + value + b"\n"
    return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def _send_as_file(journal: socket.socket, entry: bytes) -> None:
    with open(os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb") as file:  # noqa: PTH123  it has no path
        file.write(entry)
        file.flush()
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        socket.send_fds(journal, [b""], [file.fileno()])
