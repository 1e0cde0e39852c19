"""The client of the control socket: one call, one answer, within a time.

A Varlink client with the standard library alone: messages are JSON objects that end in a NUL byte
(https://varlink.org/Method-Call). It speaks to our own daemon only; every misbehaviour becomes one sentence and an exit
code. So does a daemon of another version, where it does not know what it is asked or does not tell what is needed:
only then it is asked for its version.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

from routed import __version__
from routed.audit.printable import dump_json, make_printable
from routed.cli.exits import CommandError, Exit

INTERFACE: Final = "io.routed"
GET_INFO: Final = "org.varlink.service.GetInfo"  # https://varlink.org/Service
PATIENCE: Final = 2.0  # seconds for a daemon to tell its version
LONGEST_REPLY: Final = 64 * 1024 * 1024  # bytes; a status lists exceptions only and stays far below
LONGEST_WAIT: Final = 86400.0  # seconds; a struct timeval has its limits
MOMENT: Final = 0.001  # seconds; a struct timeval of zero means for ever
TIMEVAL: Final = struct.Struct("@ll")  # struct timeval: seconds, microseconds
CHUNK: Final = 65536
HUNG_UP: Final = "the daemon closed the connection without an answer; perhaps this user has too many of them open"

# What the daemon may answer instead of a document, by the last word of the error's name.
EXIT_OF_ERROR: Final[dict[str, Exit]] = {
    "PermissionDenied": Exit.NOT_PERMITTED,
    "NotPermitted": Exit.NOT_PERMITTED,
    "Refused": Exit.REFUSED,
    "InvalidConfiguration": Exit.INVALID,
    "NotAssumable": Exit.USAGE,
    "InvalidParameter": Exit.USAGE,
}
# Errors whose parameters are no sentence by themselves.
SENTENCE_OF_ERROR: Final[dict[str, str]] = {
    "UnknownEntry": "there is no entry {entry} in force",
    "InvalidConfiguration": "the files are invalid: routed check says where and why",
    "InvalidParameter": "the daemon does not take this for {parameter}",
    "MethodNotFound": "the daemon does not know {method}",
    "FellBehind": "this reader was too slow, and was left behind: routed history has what it did not get",
}


# Errors that a daemon of our own version does not answer with.
MISFITS: Final = frozenset({"MethodNotFound", "InterfaceNotFound", "InvalidParameter", "MethodNotImplemented"})


class ClientError(CommandError):
    """The daemon did not do what it was asked."""


class ReplyObject(dict[str, Any]):
    """An object of an answer. Raises ClientError for a key that it does not have, and that we cannot do without."""

    __slots__ = ("runtime_dir",)

    def __init__(self, items: dict[str, Any], runtime_dir: str) -> None:
        super().__init__(items)
        self.runtime_dir = runtime_dir

    def __missing__(self, key: str) -> Any:
        sentence = f"the daemon's answer does not tell {make_printable(key)}"
        raise ClientError(sentence + _describe_versions(self.runtime_dir), Exit.FAILED)


def call(
    runtime_dir: str, method: str, parameters: dict[str, Any] | None = None, timeout: float = 5.0
) -> dict[str, Any]:
    """The ``document`` that a method of io.routed answers with; ``timeout`` in seconds for the whole call.

    Raises ClientError.
    """
    for document in _converse(runtime_dir, method, parameters or {}, timeout, more=False):
        return document
    raise ClientError("the daemon gave no answer", Exit.FAILED)


def call_telling(
    runtime_dir: str,
    method: str,
    parameters: dict[str, Any],
    timeout: float,
    tell: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """The same of a method that tells before how far it is, where it takes long. Raises ClientError."""
    request = {"method": f"{INTERFACE}.{method}", "parameters": parameters, "more": True}
    for reply in _exchange(f"{runtime_dir}/{INTERFACE}", request, timeout, runtime_dir):
        if not reply.get("continues"):
            return _document_of(reply, method, runtime_dir)
        parameters = reply.get("parameters") or {}
        if isinstance(progress := parameters.get("progress"), dict):
            tell(progress)
    raise ClientError("the daemon gave no answer", Exit.FAILED)


def watch(
    runtime_dir: str, method: str = "Watch", parameters: dict[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """The documents that a method goes on to answer with, for as long as the daemon runs. Raises ClientError."""
    return _converse(runtime_dir, method, parameters or {}, None, more=True)


def _converse(
    runtime_dir: str, method: str, parameters: dict[str, Any], timeout: float | None, *, more: bool
) -> Iterator[dict[str, Any]]:
    path = f"{runtime_dir}/{INTERFACE}"
    request: dict[str, Any] = {"method": f"{INTERFACE}.{method}", "parameters": parameters} | (
        {"more": True} if more else {}
    )
    for reply in _exchange(path, request, timeout, runtime_dir):
        yield _document_of(reply, method, runtime_dir)


def _exchange(path: str, request: dict[str, Any], timeout: float | None, runtime_dir: str) -> Iterator[dict[str, Any]]:
    """The replies to one request, until the last of them. Raises ClientError."""
    deadline = None if timeout is None else time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            _connect(connection, path, deadline)
            connection.sendall(dump_json(request).encode() + b"\0")
            for message in _read_messages(connection, deadline):
                reply = _decode(message, runtime_dir)
                yield reply
                if not reply.get("continues"):
                    return
            raise ClientError(HUNG_UP, Exit.FAILED)
        except TimeoutError:
            raise ClientError(f"the daemon did not answer within {timeout:g} s", Exit.TIMED_OUT) from None
        except PermissionError:
            raise ClientError(f"{path}: you are not permitted to speak to the daemon", Exit.NOT_PERMITTED) from None
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise ClientError(f"the daemon is not running (nobody listens at {path})", Exit.UNAVAILABLE) from None
        except (BrokenPipeError, ConnectionResetError):
            raise ClientError(HUNG_UP, Exit.FAILED) from None
        except OSError as error:
            raise ClientError(f"{path}: {error.strerror or error}", Exit.FAILED) from None


def _connect(connection: socket.socket, path: str, deadline: float | None) -> None:
    """Wait for a place in the backlog as well, which other clients may have filled.

    A socket with a timeout of Python's does not block, and so would fail at once with EAGAIN (connect(2)). The kernel's
    own timeout has it wait. Raises OSError.
    """
    if deadline is not None:
        seconds, fraction = divmod(min(max(deadline - time.monotonic(), MOMENT), LONGEST_WAIT), 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, TIMEVAL.pack(int(seconds), int(fraction * 1e6)))
    try:
        connection.connect(path)
    except BlockingIOError:
        raise TimeoutError from None
    _limit(connection, deadline)


def _limit(connection: socket.socket, deadline: float | None) -> None:
    """Let the next call on the socket take no longer than what is left. Raises TimeoutError when nothing is."""
    if deadline is None:
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(min(left, LONGEST_WAIT))


def _read_messages(connection: socket.socket, deadline: float | None) -> Iterator[bytes]:
    parts: list[bytes] = []
    size = 0
    while True:
        _limit(connection, deadline)
        received = connection.recv(CHUNK)
        if not received:
            return
        *ended, rest = received.split(b"\0")
        for end in ended:
            yield b"".join([*parts, end])
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > LONGEST_REPLY:
            raise ClientError(f"the daemon's answer is longer than {LONGEST_REPLY >> 20} MiB", Exit.FAILED)


def _decode(message: bytes, runtime_dir: str) -> dict[str, Any]:
    try:
        reply = json.loads(message, object_hook=lambda items: ReplyObject(items, runtime_dir))
    except (ValueError, RecursionError):
        reply = None
    if not isinstance(reply, dict):
        raise ClientError("the daemon's answer is not a Varlink message", Exit.FAILED)
    return reply


def _document_of(reply: dict[str, Any], method: str, runtime_dir: str) -> dict[str, Any]:
    parameters = reply.get("parameters") or {}
    error = reply.get("error")
    if error is not None:
        kind = str(error).rpartition(".")[2]
        versions = _describe_versions(runtime_dir) if kind in MISFITS else ""
        raise ClientError(_say(kind, parameters) + versions, EXIT_OF_ERROR.get(kind, Exit.FAILED))
    document = parameters.get("document", {}) if isinstance(parameters, dict) else None
    if not isinstance(document, dict):
        raise ClientError(f"the daemon's answer to {method} holds no document", Exit.FAILED)
    return document


def _say(kind: str, parameters: Any) -> str:
    """The daemon's own sentence, or one about the kind of error."""
    given = parameters if isinstance(parameters, dict) else {}
    said = next((given[name] for name in ("reason", "message") if isinstance(given.get(name), str) and given[name]), "")
    if not said and kind in SENTENCE_OF_ERROR:
        said = SENTENCE_OF_ERROR[kind].format_map(defaultdict(lambda: "?", given))
    return make_printable(said or f"the daemon answered {kind}")


def _describe_versions(runtime_dir: str) -> str:
    """The end of a sentence on what does not fit: that the daemon is of another version, if it is."""
    request = {"method": GET_INFO, "parameters": {}}
    try:
        reply = next(_exchange(f"{runtime_dir}/{INTERFACE}", request, PATIENCE, runtime_dir), {})
    except ClientError:
        return ""
    told = reply.get("parameters")
    version = told.get("version") if isinstance(told, dict) else None
    if not isinstance(version, str) or version == __version__:
        return ""
    return f": it is routed {make_printable(version)}, and this command is of {__version__}; restart the daemon"
