"""Plays the sessions that documents show: their commands are run, and what comes back stands in their output's place.

A block of a document that begins with ```console is a session: a line with "# " in front is a command, lines with "> "
in front go on with it, everything else is output. All sessions of one document are one: they share a shell of root in a
network namespace, with folders of its own in place of /etc, /run and /var/lib.

    python -m tests.system.console README.md     # write the outputs anew
"""

import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README*.md", "docs/tutorial/*.md", "docs/how-to/*.md")

_SESSION = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^# .*\n(?:> .*\n|>\n)*", re.MULTILINE)
# Commands that may be given twice.
_READS = re.compile(r"(ip (route|rule|address)( show.*)?$)|tail |routed (status|plan)", re.MULTILINE)
# All that a session starts ends with its shell.
_ALONE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
_LONGEST = 20.0  # seconds for one command
_END = "--- end of output ---"

# What is never the same twice, and what stands for it.
_VOLATILE = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00", "<time>"),
    # Whoever ends before he is looked at is not named: a race that no document can decide.
    (r'\b(by|was) (port id \d+(, whose process is not known)?|"(\\.|[^"\\])*" \([^)]*\))', r"\1 <somebody>"),
    (r"(?m)^\[1\]\+ .*\n", ""),  # the bash of Debian 13 tells of the end of a job elsewhere
    (r"\d+(\.\d+)? (ms|µs)", "<ms>"),
    (r", \d+ in a row", ""),
    (r"\d+ more: the kernel made it", "<n> more: the kernel made it"),  # link-local addresses come when they come
    (r"\d+(\.\d+)? % loss", "<loss>"),
    (r"\b\d+ (s|min)\b", "<age>"),
    (r" +", " "),  # columns are as wide as what is in them
)

# The host that a document speaks of, before its first command.
_ETH0 = "ip link set lo up; ip link add eth0 type veth peer name far; ip link set far up; ip link set eth0 up;"
_HOST = _ETH0 + "ip address add 192.0.2.10/24 dev eth0"
# The host of the documents of `sealos route`.
_TWO_CARDS = (
    "ip link set lo up; ip netns add far; for card in ens32 ens33; do ip link add $card type veth peer netns far;"
    "ip link set $card up; done; for far in veth0 veth1; do ip -n far link set $far up; done;"
    "ip address add 192.168.253.129/24 dev ens32; ip address add 192.168.160.243/23 dev ens33;"
    "ip route add default via 192.168.253.1 dev ens32"
)
# The host with two lines: the far addresses are behind each of them.
_TWO_LINES = (
    "ip link set lo up; for line in 1:A:192.0.2 2:B:203.0.113; do IFS=: read n ns net <<< $line; ip netns add $ns;"
    "ip link add eth$n type veth peer eth0 netns $ns; ip link set eth$n up;"
    "ip -n $ns link set eth0 up; ip -n $ns link set lo up;"
    "ip address add $net.10/24 dev eth$n; ip -n $ns address add $net.1/24 dev eth0;"
    "ip -n $ns address add 9.9.9.9 dev lo; ip -n $ns address add 1.1.1.1 dev lo; done"
)
# A node with two cards, and the masters behind the one without the default route.
_NODE = (
    "ip link set lo up; ip netns add far; ip netns add lan;"
    "ip -n lan link add br0 type bridge; ip -n lan link set br0 up;"
    "ip link add ens33 type veth peer far0 netns far; ip -n far link set far0 up; ip link set ens33 up;"
    "ip link add ens32 type veth peer port0 netns lan; ip -n lan link set port0 master br0 up; ip link set ens32 up;"
    "ip address add 192.168.160.246/23 dev ens33; ip address add 192.168.253.131/24 dev ens32;"
    "ip route add default via 192.168.160.1 dev ens33;"
    "for line in m1:129 m2:128; do IFS=: read ns last <<< $line; ip netns add $ns;"
    "ip -n lan link add $ns type veth peer eth0 netns $ns; ip -n lan link set $ns master br0 up;"
    "ip -n $ns link set lo up; ip -n $ns link set eth0 up; ip -n $ns address add 192.168.253.$last/24 dev eth0; done;"
    f"ip netns exec m1 {shlex.quote(sys.executable)} -m tests.system.apiserver 192.168.253.129 &"
    f"ip netns exec m2 {shlex.quote(sys.executable)} -m tests.system.apiserver 192.168.253.128 &"
)
# A host whose other end has an etcd.
_ETCD = (
    "ip link set lo up; ip netns add etcd; ip link add eth0 type veth peer eth0 netns etcd; ip link set eth0 up;"
    "ip address add 192.0.2.10/24 dev eth0; ip -n etcd link set lo up; ip -n etcd link set eth0 up;"
    "ip -n etcd address add 192.0.2.1/24 dev eth0;"
    f"ip netns exec etcd {shlex.quote(sys.executable)} -m tests.system.etcd_server %s"
    " < <(sleep 1000) > /dev/null 2>&1 &"
)
HOSTS = {
    "docs/how-to/a-fleet-that-registers-itself.md": _ETCD % "fleet",
    "docs/how-to/follow-flannel.md": _ETCD % "flannel",
    "docs/how-to/apiserver-vip.md": _NODE,
    "docs/how-to/follow-what-works.md": _TWO_LINES,
    "docs/tutorial/first-route.md": "",
    "docs/how-to/from-sealos-route.md": _TWO_CARDS,
}


def find_documents() -> list[str]:
    """The documents that have sessions, as paths from the root. A translation has the very sessions of its original."""
    every = [path for pattern in DOCUMENTS for path in sorted(ROOT.glob(pattern)) if not path.name.endswith(".zh.md")]
    return [str(path.relative_to(ROOT)) for path in every if _SESSION.search(path.read_text(encoding="utf-8"))]


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def find_commands(text: str) -> list[str]:
    """The commands of a document's sessions."""
    return [command for session in _SESSION.findall(text) for command in _COMMAND.findall(session)]


def mask(text: str) -> str:
    """The text without what is never the same twice."""
    for pattern, mark in _VOLATILE:
        text = re.sub(pattern, mark, text)
    return text


def play(document: str, patience: float = 5.0) -> str:
    """The document with the outputs that its commands give now; the daemon gets ``patience`` seconds for each."""
    with _shell(HOSTS.get(document, _HOST)) as shell:
        return _SESSION.sub(
            lambda session: f"```console\n{_play_session(session[1], shell, patience)}```", read(document)
        )


def split_session(session: str) -> Iterator[tuple[str, str, str]]:
    """Each command as it is shown, as a shell takes it, and the output that stands below it."""
    starts = [match.span() for match in _COMMAND.finditer(session)]
    ends = [start for start, _ in starts[1:]] + [len(session)]
    for (start, end), until in zip(starts, ends, strict=True):
        shown = session[start:end]
        yield shown, re.sub(r"^[#>] ?", "", shown, flags=re.MULTILINE), session[end:until]


def _play_session(session: str, shell: subprocess.Popen[str], patience: float) -> str:
    return "".join(
        shown + _give(command, expected, shell, patience) for shown, command, expected in split_session(session)
    )


def _give(command: str, expected: str, shell: subprocess.Popen[str], patience: float) -> str:
    """The output of a command; where the daemon needs a moment, the first that is as expected."""
    if command == "unshare --net\n":  # that is where the shell is already
        return ""
    end = time.monotonic() + patience
    while True:
        output = _run(command, shell)
        if mask(output) == mask(expected) or not _READS.match(command) or time.monotonic() > end:
            return output


def _run(command: str, shell: subprocess.Popen[str]) -> str:
    assert shell.stdin
    assert shell.stdout
    shell.stdin.write(f"{command}_status=$?; echo '{_END}'; (exit $_status)\n")
    shell.stdin.flush()
    lines = []
    alarm = threading.Timer(_LONGEST, shell.kill)
    alarm.start()
    while (line := shell.stdout.readline()) != _END + "\n":
        assert line, f"the shell ended with: {command}"
        lines.append(line.rstrip() + "\n")  # ip writes blanks at the end
    alarm.cancel()
    return "".join(lines)


@contextmanager
def _shell(host: str) -> Iterator[subprocess.Popen[str]]:
    with TemporaryDirectory(prefix="routed-document-") as folder:
        for name in ("etc", "run", "lib", "bin", "home"):
            (Path(folder) / name).mkdir()
        program = Path(folder, "bin", "routed")
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m routed "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        setup = (
            "set -m; cp -r /etc/. etc 2> /dev/null; mount --bind etc /etc\n"
            "mount --bind run /run; mount --bind lib /var/lib\n"
            "cd home\n"
            f"{host}\n"
        )
        surroundings = {
            "PATH": f"{folder}/bin:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYTHONPATH": str(ROOT),
            "HOME": folder,
        }
        with subprocess.Popen(
            [*_ALONE, "bash", "--norc"],
            cwd=folder, env=surroundings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        ) as shell:  # fmt: skip
            assert shell.stdin
            shell.stdin.write(setup)
            yield shell
            shell.kill()


if __name__ == "__main__":
    for written in sys.argv[1:]:
        (ROOT / written).write_text(play(written, patience=0.5), encoding="utf-8")
