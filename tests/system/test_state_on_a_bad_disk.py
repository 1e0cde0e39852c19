"""The state on a disk that is full or read-only. Needs root, to mount one in a namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")

PROGRAM = """
import os, sys
from pathlib import Path
from routed.daemon.revisions import Revisions
from routed.daemon.storage import StateError
from routed.model.entries import Source
from routed.model.objects import Key, Kind, RouteSlot, RouteValue

def refuse(act):
    try:
        act()
    except StateError as error:
        print(error)
    else:
        sys.exit("it was not refused")

folder = Path(sys.argv[1])
revisions = Revisions(folder / "revisions")
small = Source("/etc/routed.toml", b"version = 1", "main")
large = Source("/etc/drop.txt", b"x" * 1_000_000, "prefixes")
displaced = {Key(Kind.ROUTE, RouteSlot(2, 254, 0), bytes(5)): RouteValue(1, 3)}
many = {Key(Kind.ROUTE, RouteSlot(2, n, 0), bytes(5)): RouteValue(1, 3) for n in range(10_000)}
assert revisions.save((small,), "a") == 1
revisions.save_displaced(displaced)
if sys.argv[2] == "read-only":
    assert os.system(f"mount -o remount,ro {folder}") == 0
refuse(lambda: revisions.save((small, large), "b"))
refuse(lambda: revisions.save_displaced(many))
assert revisions.newest().digest == "a"
assert revisions.load_displaced() == displaced
if sys.argv[2] == "full":
    assert revisions.save((small,), "c") == 2, "what was half written takes no room"
"""


@pytest.mark.parametrize(
    ("kind", "words"), [("full", "No space left on device"), ("read-only", "Read-only file system")]
)
def test_what_cannot_be_written_is_told_in_a_sentence_and_loses_nothing(tmp_path: Path, kind: str, words: str) -> None:
    script = f'mount -t tmpfs -o size=128k none {tmp_path} && exec "$0" "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, "-c", PROGRAM, str(tmp_path), kind],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first == f"cannot save a revision under {tmp_path}/revisions: {words}"
    assert second == f"cannot keep the displaced objects in {tmp_path}/revisions/1: {words}"
