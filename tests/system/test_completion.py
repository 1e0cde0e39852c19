"""What a shell completes of names that only the host knows, at a real prompt."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.netns import wait_until
from tests.system.daemon import PATIENCE, PROJECT, Daemon

FILE = """
[[source]]
name = "fleet"
type = "file"
path = "{folder}/members.json"
prefixes_within = ["10.5.0.0/16"]
addresses_within = ["10.0.0.0/24"]
[[route]]
name = "pods"
for_each = "@fleet"
to = "{{prefixes}}"
via = "{{address}}"
[[route]]
name = "lan"
to = "10.9.0.0/16"
type = "blackhole"
[[interface]]
name = "internal"
match = [{{ name = "v0" }}]
[[check]]
name = "wan1"
type = "file"
file = "/run/routed-completion/wan1"
[[route]]
name = "wan"
to = "10.10.0.0/16"
type = "blackhole"
requires = "@wan1"
when_all_down = "withdraw"
"""
MEMBERS = {
    "schema": "routed.members/1",
    "members": [
        {"name": f"node{number}", "addresses": [f"10.0.0.{number}"], "prefixes": [f"10.5.{number}.0/24"]}
        for number in (11, 22)
    ],
}


@pytest.fixture
def fleet(daemon: Daemon) -> Daemon:
    """A daemon with members, whose files are written."""
    (daemon.folder / "members.json").write_text(json.dumps(MEMBERS))
    daemon.write(FILE.format(folder=daemon.folder))
    return daemon


class Prompt:
    """bash, with what it would have run instead of running it."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def complete(self, typed: str) -> list[str]:
        """The words of the command after Tab was pressed behind what was typed, and Enter."""
        os.write(self._terminal, f"{typed}\t\n".encode())
        return self._read_until("RAN<", ">RAN").split("|")[:-1]

    def _read_until(self, start: str, end: str) -> str:
        said = ""
        while end not in said:
            assert select.select([self._terminal], [], [], PATIENCE)[0], f"nothing but: {said!r}"
            said += os.read(self._terminal, 4096).decode()
        return said.partition(start)[2].partition(end)[0]


@contextmanager
def prompting(daemon: Daemon) -> Iterator[Prompt]:
    options = f"--config={daemon.config} --runtime-dir={daemon.folder}/run --state-dir={daemon.state}"
    script = daemon.folder / "bashrc"
    python = f"cd {PROJECT} && {shlex.quote(sys.executable)} -m routed {options}"
    completion = subprocess.run(
        [sys.executable, "-m", "routed", "completion", "bash"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    script.write_text(
        f"{completion}\nPS1=''\nbind 'set bell-style none'\n"
        f'routed() {{ if [ "$1" = completion ]; then ({python} "$@"); else printf "RAN""<"; printf "%s|" "$@"; '
        f'printf ">RAN\\n"; fi; }}\n'
    )
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(daemon.folder)
        os.execvp("bash", ["bash", "--noprofile", "--rcfile", str(script), "-i"])  # noqa: S606
    try:
        yield Prompt(terminal)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


KNOWN_TO_THE_DAEMON = {
    "routed status route/l": ["status", "route/lan"],
    "routed status route/pods[node2": ["status", "route/pods[node22]"],
    r"routed pause route/pods\[node1": ["pause", "route/pods[node11]"],
    "routed status che": ["status", "check/wan1"],
    "routed override c": ["override", "check/wan1"],
    "routed members f": ["members", "fleet"],
    "routed history sou": ["history", "source/fleet"],
    "routed rollback ": ["rollback", "1"],
    "routed select @i": ["select", "@internal"],
    "routed select name=v1": ["select", "name=v1"],
    "routed plan --if check:wan1=d": ["plan", "--if", "check:wan1=down"],
    "routed plan --if=check:wan1=u": ["plan", "--if=check:wan1=up"],
    "routed plan --if link:v1=d": ["plan", "--if", "link:v1=down"],
    "routed plan --if member:node11": ["plan", "--if", "member:node11=gone"],
    "routed why 10.0.0.9 --oif v1": ["why", "10.0.0.9", "--oif", "v1"],
    "routed plan --why 10.0.0.9 --from 10.1.0.9 --iif l": [
        "plan",
        "--why",
        "10.0.0.9",
        "--from",
        "10.1.0.9",
        "--iif",
        "lo",
    ],
}
KNOWN_TO_THE_FILES = {
    "routed status route/l": ["status", "route/lan"],
    "routed override c": ["override", "check/wan1"],
    "routed members f": ["members", "fleet"],
    "routed status route/nothing": ["status", "route/nothing"],
}


def test_bash_completes_the_names_that_the_daemon_knows(fleet: Daemon) -> None:
    fleet.start()
    wait_until(lambda: len(fleet.status()["entries"]) == 5, PATIENCE)
    with prompting(fleet) as prompt:
        assert {typed: prompt.complete(typed) for typed in KNOWN_TO_THE_DAEMON} == KNOWN_TO_THE_DAEMON


def test_without_a_daemon_the_names_are_those_of_the_files(fleet: Daemon) -> None:
    with prompting(fleet) as prompt:
        assert {typed: prompt.complete(typed) for typed in KNOWN_TO_THE_FILES} == KNOWN_TO_THE_FILES


def test_what_cannot_be_found_out_is_no_name_and_no_word(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    try:
        daemon.config.write_text("nonsense")
        kinds = "entry,check,server,source,source-name,revision"
        assert daemon.ask("completion", "--offer", kinds) == (0, "", "")
        links = [f"link:lo={word}" for word in ("down", "up", "no-carrier", "gone")]
        found = daemon.ask("completion", "--offer", "assumption").out.splitlines()
        assert [one for one in found if ":lo=" in one or not one.startswith("link:")] == links
        assert daemon.ask("completion", "--offer", "nonsense").code == 64
        assert daemon.ask("completion").code == 64
    finally:
        daemon.close()
