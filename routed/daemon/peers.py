"""Who is logged in by SSH: the addresses that a route must not cut off.

Here stands the reading of sshd's ports and of the kernel's table of TCP sessions, and nothing else. What follows from a
peer is decided in ``core.guard``. $SSH_CONNECTION is of no use to a daemon: it belongs to the session's own processes.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from glob import iglob
from pathlib import Path
from typing import Final, NamedTuple

_ESTABLISHED: Final = "01"  # TCP_ESTABLISHED, include/net/tcp_states.h
_MAPPED: Final = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, RFC 4291 section 2.5.5.2
_DEFAULT_PORTS: Final = frozenset({22})
_MOST_NESTED: Final = 16  # SERVCONF_MAX_DEPTH in OpenSSH's servconf.c
_LINE = re.compile(r"\s*(port|listenaddress|include)(?:\s*=\s*|\s+)(.*)", re.IGNORECASE)
_ADDRESS_WITH_PORT = re.compile(r'"?(?:\[[^]]*\]|[^:\s]*):([0-9]+)"?(?:\s.*)?')


class SshSessions(NamedTuple):
    """The packed addresses of both ends of established TCP sessions to the ports of sshd."""

    peers: frozenset[bytes] = frozenset()
    addresses: frozenset[bytes] = frozenset()  # of this host


def find_ssh_sessions(
    config: Path = Path("/etc/ssh/sshd_config"), tables: Path = Path("/proc/thread-self/net")
) -> SshSessions:
    """Those of this network namespace. Never raises: what cannot be read counts as empty.

    Blind to sshd behind a socket unit with a port of its own. The kernel walks through all places of its table of
    sessions, used or not, for each family: some milliseconds.
    """
    ports = find_ssh_ports(config)
    each = [one for table in ("tcp", "tcp6") for one in _read_sessions(tables / table) if one.port in ports]
    return SshSessions(frozenset(one.remote for one in each), frozenset(one.local for one in each))


class _Session(NamedTuple):
    port: int  # of this host
    local: bytes
    remote: bytes


def find_ssh_ports(config: Path) -> frozenset[int]:
    """The ports that ``Port`` and ``ListenAddress`` lines of sshd_config(5) and the files it includes name; else 22."""
    return frozenset(_read_ports(config, config.parent, 0)) or _DEFAULT_PORTS


def _read_ports(config: Path, folder: Path, depth: int) -> Iterator[int]:
    for line in _read_lines(config):
        match = _LINE.match(line)
        if not match:
            continue
        word, rest = match[1].lower(), match[2].strip()
        if word == "include" and depth < _MOST_NESTED:
            for pattern in rest.replace('"', "").split():
                for included in sorted(iglob(os.fspath(folder / pattern))):  # noqa: PTH207  an absolute pattern too
                    yield from _read_ports(Path(included), folder, depth + 1)
        elif word == "port" and (digits := re.match(r'"?([0-9]{1,5})\b', rest)):
            yield int(digits[1])
        elif word == "listenaddress" and (address := _ADDRESS_WITH_PORT.fullmatch(rest)):
            yield int(address[1])


def _read_sessions(table: Path) -> Iterator[_Session]:
    """Each established session (proc_pid_net(5))."""
    for line in _read_lines(table)[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == _ESTABLISHED:  # sl, local, remote, state
            with suppress(ValueError):
                local, _, port = fields[1].rpartition(":")
                remote = _pack(fields[2].partition(":")[0])
                yield _Session(int(port, 16), _unwrap(_pack(local)), _unwrap(remote))


def _pack(text: str) -> bytes:
    """The kernel prints an address as 32-bit words, each a number in the byte order of the machine."""
    words = [text[place : place + 8] for place in range(0, len(text), 8)]
    return b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)


def _unwrap(address: bytes) -> bytes:
    return address.removeprefix(_MAPPED)


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
