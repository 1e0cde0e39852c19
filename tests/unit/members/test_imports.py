"""What no source needs costs nothing."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"asyncio", "h11", "ssl"}


def test_a_configuration_of_etcd_is_read_without_what_speaks_to_it() -> None:
    code = "import sys, routed.model.etcd, routed.members.document; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())
