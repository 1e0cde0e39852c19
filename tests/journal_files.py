"""Real journal files, without a running journald: systemd-journal-remote writes them from the export format.

See JOURNAL_EXPORT_FORMATS in systemd's documents, and systemd-journal-remote(8).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

WRITER: Final = "/lib/systemd/systemd-journal-remote"
BOOT: Final = "f" * 32


def write_journal(folder: Path, entries: Iterable[Mapping[str, str]], name: str = "system") -> None:
    """A journal of these entries, or one file more of it; each has its fields, and ``at``, in seconds since 1970."""
    blocks = []
    for entry in entries:
        moment = int(float(entry["at"]) * 1_000_000)
        head = f"__REALTIME_TIMESTAMP={moment}\n__MONOTONIC_TIMESTAMP={moment}\n_BOOT_ID={BOOT}\n"
        fields = {name: value for name, value in entry.items() if name != "at"}
        assert not any("\n" in value for value in fields.values()), "this needs the binary form"
        blocks.append(head + "".join(f"{name}={value}\n" for name, value in fields.items()) + "\n")
    folder.mkdir(exist_ok=True)
    command = [WRITER, f"--output={folder}/{name}.journal", "-"]
    subprocess.run(command, input="".join(blocks).encode(), check=True, capture_output=True)
