"""A sick host: files of its own under /etc and /run, programs that only say that they ran, and the doctor.

Each command runs in a mount namespace of its own over the same folders, so that a cure writes where it would write.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from routed.cli import main
from tests.system.daemon import PROJECT, Answer

FOLDERS = ("etc", "run", "var/log")
STUBS = ("systemctl", "networkctl", "nmcli", "journalctl", "timedatectl")
Finding = dict[str, Any]


class Clinic:
    """The host, by the folders that stand in place of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.state = folder / "state"
        self.config = folder / "routed.toml"
        self.programs = folder / "bin"
        self.called = folder / "called"
        self._run = folder / "daemon"
        self._has_files = False
        for name in FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for name in ("passwd", "group", "ld.so.cache", "iproute2", "alternatives"):
            source = Path("/etc") / name
            if source.is_dir():
                shutil.copytree(source, self.root / "etc" / name, symlinks=True)
            elif source.exists():
                shutil.copy(source, self.root / "etc" / name)
        self.programs.mkdir()
        for name in STUBS:
            self.write_program(name, f'echo "{name} $*" >>{self.called}')
        routed = f'exec {sys.executable} -m routed {" ".join(self._options())} "$@"'
        self.write_program("routed", f"cd {PROJECT} && {routed}")

    def _options(self) -> list[str]:
        return [f"--config={self.config}", f"--state-dir={self.state}", f"--runtime-dir={self._run}"]

    def write_program(self, name: str, body: str) -> None:
        """A program that comes before all others of its name."""
        file = self.programs / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)

    def write(self, toml: str) -> None:
        """The main file."""
        self.config.write_text(f"version = 1\n{toml}")

    def put(self, path: str, text: str = "") -> None:
        """A file of the host."""
        self._has_files = True
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def shell(self, script: str) -> Answer:
        """Run a script on this host."""
        mounts = " && ".join(f"mount --bind {self.root}/{name} /{name}" for name in FOLDERS)
        environment = os.environ | {"PATH": f"{self.programs}:{os.environ['PATH']}"}
        command = ["unshare", "--mount", "sh", "-c", f"{mounts} && {script}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=PROJECT)
        return Answer(done.returncode, done.stdout, done.stderr)

    def ask(self, *words: str) -> Answer:
        """Ask the doctor."""
        return self.shell(" ".join(["routed", "doctor", *words]))

    def findings(self, name: str = "") -> list[Finding]:
        """What is found, or what of one name."""
        if name and not self._has_files:  # a process for it would only take longer
            with redirect_stdout(StringIO()) as printed:
                main([*self._options(), "--json", "doctor"])
            out = printed.getvalue()
        else:
            answer = self.ask("--json")
            assert answer.out, answer.err
            out = answer.out
        found: list[Finding] = json.loads(out)["findings"]
        return [one for one in found if name in {"", one["finding"]}]

    def cure(self, name: str) -> Finding:
        """Have the one of that name found, paste its cure into a shell, and see that it is found no more."""
        found = self.findings(name)
        assert len(found) == 1, self.ask().out
        done = self.shell(found[0]["cure"])
        assert done.code == 0, f"{found[0]['cure']}\n{done.err}"
        assert self.findings(name) == [], self.ask().out
        return found[0]


@contextmanager
def program(folder: Path, name: str) -> Iterator[int]:
    """A process of that name, which does nothing; its pid."""
    file = folder / name
    shutil.copy("/bin/sleep", file)
    with subprocess.Popen([file, "1000"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()
