"""Users by their name, where an error must not look like nobody. Here must never live what a user may do."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from typing import Final

LIST: Final = "/etc/passwd"


def find_user(name: str) -> pwd.struct_passwd | None:
    """None where there is none. Raises OSError where nobody could look, for example without a free descriptor.

    getpwnam(3) does not tell these apart: where the list cannot be opened, the next service of nsswitch.conf(5) says
    that it knows nobody of this name.
    """
    with suppress(KeyError):
        return pwd.getpwnam(name)
    with suppress(FileNotFoundError):
        os.close(os.open(LIST, os.O_RDONLY | os.O_CLOEXEC))
    return None
