"""``ssl``, loaded when somebody speaks TLS, and what its errors say.

The daemon loads asyncio without it (``daemon.lean``), since most files want no TLS. Here must never live: what is
believed of the far end.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import ssl


class TlsFault(NamedTuple):
    """Why a connection is not encrypted, in the words of OpenSSL."""

    is_about_certificate: bool
    words: str


def make_client_context(*, verifies: bool = True) -> ssl.SSLContext:
    """Settings for one who connects. Who ``verifies`` names and certificates believes nobody yet."""
    import ssl  # noqa: PLC0415

    _tell_asyncio(ssl)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def find_fault(error: OSError) -> TlsFault | None:
    """What this error says of TLS; None where it is another one. Every error of ssl is an OSError."""
    ssl: Any = sys.modules.get("ssl")
    if ssl is None or not isinstance(error, ssl.SSLError):
        return None
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFault(is_about_certificate=True, words=str(error.verify_message))
    return TlsFault(is_about_certificate=False, words=(error.reason or str(error)).lower().replace("_", " "))


def _tell_asyncio(ssl: Any) -> None:
    """Three of its modules have `ssl = None` where it could not be imported, and ask that before they use it."""
    from asyncio import base_events, selector_events, sslproto  # noqa: PLC0415

    for module in (base_events, selector_events, sslproto):
        vars(module)["ssl"] = ssl
    vars(sslproto)["SSLAgainErrors"] = (ssl.SSLWantReadError, ssl.SSLSyscallError)
