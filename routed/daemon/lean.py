"""What the daemon does without until a file wants it: OpenSSL.

``hashlib`` and ``asyncio`` load it for themselves, 5 MB of 37 that most daemons never use. Both do without where it is
missing: hashlib has SHA-2 of its own, and asyncio no TLS, which ``routed.tls`` gives back. Here must never live
anything that changes what is computed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Final

_OWN_SHA2: Final = ("_sha2", "_sha256")  # since Python 3.12, and before; Fedora builds it with neither


def import_without_openssl() -> None:
    """Import both, once, before anybody else does."""
    if any(find_spec(name) for name in _OWN_SHA2):
        with _missing("_hashlib"):
            import_module("hashlib")
    with _missing("ssl"):
        import_module("asyncio")


@contextmanager
def _missing(name: str) -> Iterator[None]:
    """No such module for a moment; None in its place says so (the import system, "The module cache")."""
    if name in sys.modules:
        yield
        return
    vars(sys)["modules"][name] = None
    try:
        yield
    finally:
        del sys.modules[name]
