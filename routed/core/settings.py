"""Files of settings as systemd and NetworkManager have them: sections in brackets, keys with values.

Here must never live: which files there are (``daemon.host_files``), or what a key means (``core.doctor``).
Source: systemd.syntax(7), NetworkManager.conf(5).
"""

from __future__ import annotations

from collections.abc import Iterator

from routed.model.diagnosis import Setting


def read_settings(text: str, file: str) -> Iterator[Setting]:
    """Each setting in its order. A line that ends with a backslash goes on in the next one."""
    section, begun, start = "", "", 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not begun and (not stripped or stripped[0] in "#;"):
            continue
        start = start or number
        if stripped.endswith("\\"):
            begun += stripped[:-1]
            continue
        whole, begun, at, start = begun + stripped, "", start, 0
        if whole.startswith("[") and whole.endswith("]"):
            section = whole[1:-1]
            continue
        key, equals, value = whole.partition("=")
        if equals:
            yield Setting(file, at, section, key.strip(), value.strip())
