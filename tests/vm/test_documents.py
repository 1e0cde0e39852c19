"""What a document shows of a host with systemd is what happens on one.

Blocks that begin with ```console vm are played here, as those that begin with ```console are in tests/system.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.system.console import ROOT, mask, split_session
from tests.vm.host import SLOW, Host

SESSION = re.compile(r"^```console vm\n(.*?)^```$", re.MULTILINE | re.DOTALL)
READS = re.compile(r"ip route|journalctl|systemctl status|routed (blame|history)")  # may be given twice
PATIENCE = 30.0  # seconds until what they show is as expected
VOLATILE = re.compile(r"\b[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?|\bpid \d+")
# A translation has the very sessions of its original.
EVERY = [path for path in sorted(ROOT.glob("docs/**/*.md")) if not path.name.endswith(".zh.md")]
DOCUMENTS = [path for path in EVERY if SESSION.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_a_document_gives_the_output_that_it_shows(host: Host, document: Path, tmp_path: Path) -> None:
    shown = document.read_text(encoding="utf-8")
    host.do("journalctl --rotate; journalctl --vacuum-time=1s")
    played = SESSION.sub(lambda session: f"```console vm\n{play(session[1], host)}```", shown)
    (tmp_path / document.name).write_text(played, encoding="utf-8")  # to be copied, where the document is to change
    assert without_volatile(played) == without_volatile(shown), f"as it was played: {tmp_path / document.name}"


def play(session: str, host: Host) -> str:
    """The session with the outputs that its commands give now."""
    return "".join(shown + give(command, expected, host) for shown, command, expected in split_session(session))


def give(command: str, expected: str, host: Host) -> str:
    """The output of a command; where it takes a moment, the first that is as expected."""
    end = time.monotonic() + PATIENCE
    while True:
        output = re.sub(" +$", "", host.run(f"exec 2>&1\n{command}", within=SLOW).out, flags=re.MULTILINE)
        is_right = without_volatile(output) == without_volatile(expected)
        if is_right or not READS.match(command) or time.monotonic() > end:
            return output


def without_volatile(text: str) -> str:
    """The text without what is never the same twice."""
    return mask(VOLATILE.sub("<volatile>", text))
