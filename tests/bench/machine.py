"""On what machine, and with which versions."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from tests.bench.contenders import BENCH
from tests.bench.programs import PROJECT

_PACKAGES = ("bird2", "keepalived", "frr")


def describe_machine() -> dict[str, Any]:
    """What a reader needs to judge the figures; figures of two machines cannot be compared, ratios can."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    memory = Path("/proc/meminfo").read_text(encoding="ascii").split()[1]
    return {
        "cpu": next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory) / (1 << 20)),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "routed": _run("git", "-C", str(PROJECT), "rev-parse", "--short=10", "HEAD"),
        "versions": {"iproute2": _run("ip", "-V").partition("iproute2-")[2].partition(",")[0], **_read_versions()},
        "load_before": Path("/proc/loadavg").read_text(encoding="ascii").split()[0],
    }


def _read_versions() -> dict[str, str]:
    found = {}
    for path in sorted((BENCH / "debs").glob("*.deb")):
        name, version = path.name.split("_")[:2]
        if name in _PACKAGES:
            found[name] = version.replace("%3a", ":").rpartition(":")[2]
    for path in sorted((BENCH / "venv").glob("lib/python*/site-packages/*.dist-info")):
        name, _, version = path.name.removesuffix(".dist-info").partition("-")
        if name in {"ifstate", "pyroute2"}:
            found[name] = version
    return found


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
