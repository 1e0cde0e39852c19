"""etcd's JSON gateway on one HTTP connection, without sockets: calls become bytes, and bytes become answers.

Source: Documentation/dev-guide/api_grpc_gateway.md and rpc.swagger.json of etcd 3.4 and 3.5; what both answer to errors
was tried. 64-bit numbers are text there, keys and values are base64. An error is ``{"error", "message", "code"}``, and
in a stream ``{"error": {"grpc_code", "http_code", "message"}}``; the codes are gRPC's.

Here must never live: which call follows which.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import h11

from routed.model.reasons import Snag

MOST: Final = 64 << 20  # bytes of an answer, or of one line of a stream
MOST_OF_ERROR: Final = 4096
LONGEST_DETAIL: Final = 200

# What etcd says, or a part of it, where its code does not tell one case from another. The first counts.
WORDS: Final[tuple[tuple[str, Snag], ...]] = (
    ("CommonName of client", Snag.COMMON_NAME),
    ("user name is empty", Snag.NO_USER),
    ("invalid user ID or password", Snag.WRONG_PASSWORD),
    ("invalid auth token", Snag.NO_TOKEN),
    ("revision of auth store is old", Snag.NO_TOKEN),
    ("no leader", Snag.NO_LEADER),
    ("request timed out", Snag.NO_LEADER),
    ("leader changed", Snag.NO_LEADER),
    ("permission denied", Snag.FORBIDDEN),
    ("connection closed", Snag.GATEWAY),
    ("transport is closing", Snag.GATEWAY),
    ("connection error", Snag.GATEWAY),
)
CODES: Final = {4: Snag.NO_LEADER, 7: Snag.FORBIDDEN, 16: Snag.NO_TOKEN}  # DEADLINE_EXCEEDED, PERMISSION_DENIED, …
NOT_FOUND: Final = 5
PRECONDITION: Final = 9  # among others: there are no users
NO_USERS: Final = "authentication is not enabled"


class RefusedError(Exception):
    """The far end says no, or nothing that makes sense."""

    def __init__(self, snag: Snag, detail: str = "", code: int = 0) -> None:
        super().__init__(snag, detail, code)
        self.snag = snag
        self.detail = detail[:LONGEST_DETAIL]
        self.code = code


class Call(NamedTuple):
    """What is asked."""

    path: str
    body: Mapping[str, Any]
    is_stream: bool = False


class Said(NamedTuple):
    """What is said to it. A stream has many, the last of which is the end."""

    body: Mapping[str, Any]
    is_end: bool = False


class Wire:
    """HTTP on one connection, one call after another."""

    def __init__(self, host: str) -> None:
        """``host``: with its port, as the header has it."""
        self._host = host
        self._http = h11.Connection(h11.CLIENT)
        self._is_stream = False
        self._has_heard = False
        self._status = 0
        self._seen = bytearray()
        self._looked = 0  # bytes of those in which no line ends

    def ask(self, call: Call, token: str = "") -> bytes:
        """A call as bytes. Raises RefusedError where the far end has closed the connection."""
        if self._http.our_state is h11.DONE:
            if self._http.their_state is not h11.DONE:
                raise RefusedError(Snag.CLOSED)
            self._http.start_next_cycle()
        self._is_stream, self._status = call.is_stream, 0
        self._forget()
        body = json.dumps(call.body).encode()
        headers = [("Host", self._host), ("User-Agent", "routed"), ("Content-Length", str(len(body)))]
        headers.append(("Grpc-Metadata-hasleader", "true"))  # a member without its quorum says so, and is not silent
        if token:
            headers.append(("Authorization", token))
        try:
            events = (h11.Request(method="POST", target=f"/v3{call.path}", headers=headers), h11.Data(body))
            return b"".join(self._http.send(event) or b"" for event in (*events, h11.EndOfMessage()))
        except h11.LocalProtocolError:  # of a token
            raise RefusedError(Snag.STRANGE) from None

    def receive(self, data: bytes) -> list[Said]:
        """What these bytes complete; none are the end of the connection. Raises RefusedError."""
        answers: list[Said] = []
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return answers
                self._take(event, answers)
        except h11.RemoteProtocolError as error:
            raise RefusedError(Snag.STRANGE, str(error)) if data else self._end() from None

    def _take(self, event: Any, answers: list[Said]) -> None:
        match event:
            case h11.Response():
                self._status, self._has_heard = event.status_code, True
            case h11.Data():
                self._seen += event.data
                if len(self._seen) > (MOST if self._status == 200 else MOST_OF_ERROR):
                    raise RefusedError(Snag.TOO_LARGE) if self._status == 200 else self._fail()
                if self._is_stream and self._status == 200:
                    self._split(answers)
            case h11.EndOfMessage():
                answers.append(self._finish())
            case h11.ConnectionClosed():
                raise self._end()
            case _:
                pass

    def _split(self, answers: list[Said]) -> None:
        begin = 0
        while (end := self._seen.find(b"\n", max(begin, self._looked))) >= 0:
            if line := self._seen[begin:end].strip():
                answers.append(Said(_read_line(line)))
            begin = end + 1
        del self._seen[:begin]
        self._looked = len(self._seen)
        if len(self._seen) > MOST:
            raise RefusedError(Snag.TOO_LARGE)

    def _finish(self) -> Said:
        if self._status != 200:
            raise self._fail()
        if self._is_stream:
            return Said(_read_line(self._seen) if self._seen.strip() else {}, is_end=True)
        body = _load(self._seen)
        self._forget()
        return Said(body, is_end=True)

    def _end(self) -> RefusedError:
        return RefusedError(Snag.CLOSED if self._has_heard else Snag.MUTE)

    def _forget(self) -> None:
        self._seen, self._looked = bytearray(), 0

    def _fail(self) -> RefusedError:
        try:
            return tell_error(_load(self._seen), self._status)
        except RefusedError:  # some errors are plain text
            refused = tell_words(self._seen.decode(errors="replace"))
            return refused if refused.snag is not Snag.REFUSED else RefusedError(Snag.STRANGE, f"status {self._status}")


def tell_error(body: Mapping[str, Any], status: int = 0) -> RefusedError:
    """What an error of etcd means."""
    code = next((body[key] for key in ("code", "grpc_code") if isinstance(body.get(key), int)), 0)
    words = next((body[key] for key in ("message", "error") if isinstance(body.get(key), str)), "")
    return tell_words(words or f"status {status}", code)


def tell_words(words: str, code: int = 0) -> RefusedError:
    """What its words mean."""
    snag = next((snag for part, snag in WORDS if part in words), CODES.get(code, Snag.REFUSED))
    return RefusedError(snag, clean(words), code)


def clean(words: str) -> str:
    """A stranger's words for a person: printable, and not endless."""
    return "".join(one if one.isprintable() else " " for one in words[:LONGEST_DETAIL])


def _read_line(line: bytes | bytearray) -> Mapping[str, Any]:
    body = _load(line)
    if isinstance(error := body.get("error"), dict):
        raise tell_error(error)
    result = body.get("result")
    if not isinstance(result, dict):
        raise RefusedError(Snag.STRANGE)
    return result


def _load(text: bytes | bytearray) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise RefusedError(Snag.STRANGE) from None
    if not isinstance(found, dict):
        raise RefusedError(Snag.STRANGE)
    return found


# --- the fields of answers ----------------------------------------------------------------------------------------


def read_number(table: Mapping[str, Any], key: str) -> int:
    """A 64-bit number; what is not there is 0. Raises RefusedError."""
    value = table.get(key, 0)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return value
    raise RefusedError(Snag.STRANGE, f"{key} is no number")


def read_table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A message inside another; what is not there is empty. Raises RefusedError."""
    value = table.get(key, {})
    if isinstance(value, dict):
        return value
    raise RefusedError(Snag.STRANGE, f"{key} is no table")


def read_tables(table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Messages inside another. Raises RefusedError."""
    value = table.get(key, [])
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return value
    raise RefusedError(Snag.STRANGE, f"{key} is no list of tables")


def read_bytes(table: Mapping[str, Any], key: str) -> bytes:
    """A key or a value. Raises RefusedError."""
    value = table.get(key, "")
    try:
        if isinstance(value, str):
            return b64decode(value, validate=True)
    except ValueError:
        pass
    raise RefusedError(Snag.STRANGE, f"{key} is no base64")


def write_bytes(value: bytes) -> str:
    """A key or a value, as a call has it."""
    return b64encode(value).decode()


def end_of(prefix: bytes) -> bytes:
    """The first key that is after all those with this prefix: what etcd calls range_end."""
    cut = prefix.rstrip(b"\xff")
    return cut[:-1] + bytes((cut[-1] + 1,)) if cut else b"\0"
