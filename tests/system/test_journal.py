"""A real journald, in a mount namespace of its own, gets what routed writes, with systemd's library and without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

JOURNALD = Path("/lib/systemd/systemd-journald")

# /run is journald's own there, and goes with the namespace.
STAGE = """\
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
%s 2>/dev/null & journald=$!
for i in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
"$@"
status=$?
journalctl -D /run/log/journal --sync 2>/dev/null
for i in $(seq 100); do
    found=$(journalctl -D /run/log/journal -q --all -o json SYSLOG_IDENTIFIER=routed 2>/dev/null)
    [ -n "$found" ] && break
    sleep 0.1
done
kill $journald
printf '%%s\\n' "$found"
exit $status
"""

WRITE = """\
import sys
if sys.argv[1] == "by the socket":
    sys.modules["systemd.journal"] = None
from routed.audit.journal_sink import sendv, write_to_journal
from routed.audit.records import Record
assert sendv.__module__ == {"by the socket": "routed.audit.systemd_sockets"}.get(sys.argv[1], "systemd._journal")
write_to_journal(Record(
    "route/lan restored", 5, {"MESSAGE_ID": "0" * 32, "ROUTED_REASON": "a\\nb=c", "ROUTED_ACTOR_CMDLINE": "x" * 600_000}
))
"""


@pytest.mark.skipif(not JOURNALD.exists(), reason="systemd-journald is not installed")
@pytest.mark.parametrize("way", ["by systemd's library", "by the socket"])
def test_journald_has_every_field_of_a_record_however_large(way: str) -> None:
    command = ["unshare", "--mount", "sh", "-c", STAGE % JOURNALD, "sh", sys.executable, "-c", WRITE, way]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (entry,) = (json.loads(line) for line in done.stdout.splitlines())
    assert entry["MESSAGE"] == "route/lan restored"
    assert (entry["PRIORITY"], entry["MESSAGE_ID"], entry["CODE_FILE"]) == ("5", "0" * 32, "routed")
    assert entry["ROUTED_REASON"] == "a\nb=c"
    assert entry["ROUTED_ACTOR_CMDLINE"] == "x" * 600_000
    assert entry["_TRANSPORT"] == "journal"
