"""One connection to etcd on which we are somebody: it logs in where that is needed, and once more when forgotten.

No sockets. Here must never live: what is asked, and what the answers mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from routed.members.gateway import NO_USERS, Call, RefusedError, Said, Wire
from routed.model.reasons import Snag


@dataclass(slots=True)
class Login:
    """Who we are. The token counts for all members of a cluster."""

    user: str = ""
    password: str = ""
    token: str = ""
    is_needed: bool = True  # else etcd has no users


class Heard(NamedTuple):
    """What came in, and what has to go out for it."""

    answers: list[Said]
    send: bytes = b""


class Session:
    """Calls on one connection, one after another."""

    def __init__(self, host: str, login: Login) -> None:
        self._wire = Wire(host)
        self._login = login
        self._call: Call | None = None
        self._is_logging_in = False
        self._logged_in = 0  # times on this connection

    def call(self, call: Call) -> bytes:
        """The bytes that ask it. Raises RefusedError."""
        self._call = call
        if self._login.user and self._login.is_needed and not self._login.token:
            return self._log_in()
        return self._wire.ask(call, self._login.token)

    def receive(self, data: bytes) -> Heard:
        """What these bytes complete. Raises RefusedError."""
        try:
            answers = self._wire.receive(data)
        except RefusedError as refused:
            return Heard([], self._answer(refused))
        if not self._is_logging_in or not answers:
            return Heard(answers)
        token = answers[0].body.get("token")
        if not isinstance(token, str) or not token:
            raise RefusedError(Snag.STRANGE)
        self._login.token = token
        return Heard([], self._go_on())

    def explain(self, refused: RefusedError) -> RefusedError:
        """The same with who was refused."""
        user, snag = self._login.user, refused.snag
        if snag is Snag.FORBIDDEN and not user:  # what 3.4 says to a certificate without a common name
            return RefusedError(Snag.NO_USER)
        return RefusedError(snag, user) if snag in {Snag.FORBIDDEN, Snag.WRONG_PASSWORD} else refused

    def _answer(self, refused: RefusedError) -> bytes:
        """What to do about a refusal, if anything; else it is raised again."""
        user, snag = self._login.user, refused.snag
        if self._is_logging_in and NO_USERS in refused.detail:
            self._login.is_needed = False
            return self._go_on()
        if snag is not Snag.NO_TOKEN or not user or self._is_logging_in:
            raise self.explain(refused)
        self._login.token, self._login.is_needed = "", True
        if self._logged_in:
            raise refused
        return self._log_in()

    def _log_in(self) -> bytes:
        self._is_logging_in = True
        self._logged_in += 1
        body = {"name": self._login.user, "password": self._login.password}
        return self._wire.ask(Call("/auth/authenticate", body))

    def _go_on(self) -> bytes:
        self._is_logging_in = False
        assert self._call, "who logs in wants to ask something"
        return self._wire.ask(self._call, self._login.token)
