"""Services of IPVS: this project beside keepalived, in one run, in the virtual machine.

    ROUTED_PACKAGE=dist/routed_….deb python -m tests.bench.ipvs [--sizes 10,1000] [--idle 120] [--times 5]

The machine is emulated, so that seconds of processors are not those of yours: compare the contenders. The figures go to
`.bench/ipvs.jsonl`, a table to stdout. keepalived comes from `.bench/peers` (contrib/bootstrap-bench).
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.vm import image, machine, payload
from tests.vm.host import INSTALL

BENCH: Final = Path(__file__).parents[2] / ".bench"
PEERS: Final = BENCH / "peers"
FIGURES: Final = BENCH / "ipvs.jsonl"
LONGEST: Final = 4 * 3600.0  # seconds
INSIDE: Final = "cd /opt/checkout && PYTHONPATH=/opt/checkout python3 -m tests.bench.ipvs_inside"
OF_THE_SYSTEM: Final = re.compile(r"(ld-linux|libc\.so|libm\.so|linux-vdso|libpthread|libdl|libresolv)")

Figure = dict[str, Any]


def pack_keepalived() -> bytes:
    """keepalived with all of its libraries, as a tar: the machine has none of them."""
    program = PEERS / "usr/sbin/keepalived"
    folders = [str(one) for usr in ("usr/lib", "lib") for one in PEERS.glob(f"{usr}/*-linux-gnu")]
    surroundings = os.environ | {"LD_LIBRARY_PATH": ":".join(folders)}
    told = subprocess.run(["ldd", program], env=surroundings, capture_output=True, text=True, check=True).stdout
    libraries = {name: path for name, path in re.findall(r"(\S+) => (/\S+)", told) if not OF_THE_SYSTEM.match(name)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", dereference=True) as tar:
        for name, path in {"keepalived": program, **libraries}.items():
            tar.add(path, name)
    return packed.getvalue()


def measure(words: list[str]) -> list[Figure]:
    """Boot a machine, and have everybody measured in it."""
    package = Path(os.environ["ROUTED_PACKAGE"])
    files = image.prepare(package)
    with TemporaryDirectory() as folder:
        packed = payload.pack(Path(folder, "payload.tar"), package, files)
        with machine.running(files, packed, Path(folder, "console")) as booted:
            booted.do(f"{payload.UNPACK} && {INSTALL} && systemctl stop routed", within=600)
            if (PEERS / "usr/sbin/keepalived").exists():
                given = base64.b64encode(pack_keepalived()).decode()
                booted.do("mkdir -p /opt/peers && base64 -d | tar -xz -C /opt/peers", given=given, within=600)
            done = booted.run(f"{INSIDE} {' '.join(words)}", within=LONGEST)
            said = [json.loads(line) for line in done.out.splitlines()]
            if done.code:
                sys.stderr.write(f"{done.err}\n{booted.run('tail -n 30 /run/bench/log').out}")
            return said


def write_table(figures: Iterable[Figure]) -> str:
    """The medians, a row for each thing that was measured."""
    found: dict[tuple[str, Any], dict[str, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    reasons = []
    for one in figures:
        if "why" in one:
            reasons.append(f"{one['contender']}: {one['row']}: {one['why']}")
        else:
            found[one["row"], one.get("services", 10)][one["contender"]].append(one["value"])
    titles = list(dict.fromkeys(title for row in found.values() for title in row))
    lines = [["", "services", *titles]]
    for (row, services), told in found.items():
        lines.append([row, str(services), *(_write(told.get(title, [])) for title in titles)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*table, *reasons]) + "\n"


def _write(values: list[float | None]) -> str:
    if not values:
        return "-"
    here = [value for value in values if value is not None]
    return f"{median(here):.3f}" if len(here) == len(values) else "never"


if __name__ == "__main__":
    measured = measure(sys.argv[1:])
    BENCH.mkdir(exist_ok=True)
    FIGURES.write_text("".join(json.dumps(one) + "\n" for one in measured), encoding="utf-8")
    sys.stdout.write(write_table(measured))
