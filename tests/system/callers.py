"""Other users at the control socket. Needs root, to become somebody else.

A client by hand becomes somebody else itself, since not everybody may execute the interpreter that runs the tests.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NOBODY = 65534
SOMEBODY = 65533

BECOME = """
import os, socket, sys
uid, *groups = map(int, sys.argv[2].split(","))
os.setgroups(groups)
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
"""
# Says each line of its input, and prints each reply.
CLIENT = f"""{BECOME}
with socket.socket(socket.AF_UNIX) as client:
    client.settimeout(30)
    client.connect(sys.argv[1])
    for message in sys.stdin:
        client.sendall(message.encode() + b"\\0")
        reply = b""
        while not reply.endswith(b"\\0"):
            part = client.recv(65536)
            if not part:
                sys.exit("hung up on")
            reply += part
        print(reply[:-1].decode(), flush=True)
"""
# Connects so many times, says one thing on each connection, and stays until its input ends.
CROWD = f"""{BECOME}
clients = [socket.socket(socket.AF_UNIX) for _ in range(int(sys.argv[3]))]
for client in clients:
    client.connect(sys.argv[1])
    try:
        client.sendall(sys.argv[4].encode() + bytes(1 if sys.argv[4] else 0))
    except OSError:
        pass  # hung up on
print("in", flush=True)
sys.stdin.read()
"""


def call_as(path: Path, uid: int, groups: list[int], *methods: str, **flags: bool) -> list[dict[str, Any]]:
    """The replies to these methods, called one after the other by this user."""
    messages = [json.dumps({"method": method, "parameters": {}, **flags}) for method in methods]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(path), ",".join(map(str, (uid, *groups)))],
        input="\n".join(messages).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def crowding(path: Path, uid: int, count: int, message: str = "") -> Iterator[None]:
    """So many connections of this user as long as the block lasts; ``message`` is said on each."""
    command = [sys.executable, "-c", CROWD, str(path), str(uid), str(count), message]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
        assert crowd.stdout
        assert crowd.stdout.readline() == b"in\n"
        yield
        crowd.communicate()


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, as they may not the folders of pytest."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
