"""Debian's promtool, which judges what Prometheus would read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLACES = (Path(sys.prefix, "prometheus/usr/bin/promtool"), Path("/usr/bin/promtool"))


def judge(*words: str, text: str = "") -> str:
    """What it says about a text or a file: nothing where all is well. Skips the test where it is not here."""
    program = next((place for place in PLACES if place.exists()), None)
    if program is None:
        pytest.skip("promtool is not here: contrib/bootstrap unpacks it")
    done = subprocess.run([program, *words], input=text, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr) if done.returncode else done.stderr
