"""An etcd made of a dictionary, which speaks as the gateway of a real one does: bytes in, bytes out."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import h11

PREFIX = "/fleet/"


class FakeEtcd:
    """What one cluster knows, and all that it ever knew."""

    def __init__(self) -> None:
        self.cluster, self.term, self.revision, self.compacted = 7, 50, 1, 0
        self.keys: dict[str, tuple[int, str]] = {}  # by name: when it was put, and its value
        self.history: dict[int, list[dict[str, Any]]] = {}  # the events of each revision
        self.states: list[dict[str, str]] = [{}]  # in the order in which they were true

    def change(self, changes: Mapping[str, str | None]) -> None:
        """One transaction: each key gets a value, or goes."""
        changes = {name: value for name, value in changes.items() if value is not None or name in self.keys}
        if not changes:
            return
        self.revision += 1
        self.history[self.revision] = [self._apply(name, value) for name, value in changes.items()]
        self.states.append(self.values)

    def compact(self) -> None:
        self.compacted = self.revision

    def replace(self, cluster: int) -> None:
        """Another cluster without anything in it, or this one from an old backup."""
        self.term -= cluster == self.cluster
        self.cluster, self.revision = cluster, max(1, self.revision - 3)
        self.compacted = 0
        self.keys, self.history = {}, {}
        self.states.append({})

    @property
    def values(self) -> dict[str, str]:
        return {name: value for name, (_, value) in self.keys.items()}

    @property
    def header(self) -> dict[str, str]:
        return {"cluster_id": str(self.cluster), "raft_term": str(self.term), "revision": str(self.revision)}

    def _apply(self, name: str, value: str | None) -> dict[str, Any]:
        kv = {"key": base(PREFIX + name), "mod_revision": str(self.revision)}
        if value is None:
            del self.keys[name]
            return {"type": "DELETE", "kv": kv}
        self.keys[name] = (self.revision, value)
        return {"kv": {**kv, "value": base(value)}}


class Conversation:
    """One connection to it."""

    def __init__(self, etcd: FakeEtcd) -> None:
        self._etcd = etcd
        self._http = h11.Connection(h11.SERVER)
        self._path, self._body = "", b""
        self._watched = 0  # the next revision to be told; 0: nothing is watched
        self.out = bytearray()

    def receive(self, data: bytes) -> None:
        self._http.receive_data(data)
        while True:
            match event := self._http.next_event():
                case h11.NEED_DATA | h11.PAUSED:
                    return
                case h11.Request():
                    self._path, self._body = event.target.decode(), b""
                case h11.Data():
                    self._body += event.data
                case h11.EndOfMessage():
                    self._answer(json.loads(self._body))
                case _:
                    pass

    def pump(self) -> None:
        """Tell what has happened since."""
        etcd = self._etcd
        if not self._watched:
            return
        if self._watched <= etcd.compacted:
            header = {key: value for key, value in etcd.header.items() if key != "revision"}
            self._say({"header": header, "canceled": True, "compact_revision": str(etcd.compacted)})
            self._watched = 0
            return
        late = [event for revision, told in sorted(etcd.history.items()) if revision >= self._watched for event in told]
        if late:
            self._say({"header": etcd.header, "events": late})
        self._watched = max(self._watched, etcd.revision + 1)

    def _answer(self, asked: dict[str, Any]) -> None:
        match self._path:
            case "/v3/kv/range":
                least = int(asked.get("min_mod_revision", "0"))
                kvs = [
                    {"key": base(PREFIX + name), "mod_revision": str(revision), "value": base(value)}
                    for name, (revision, value) in sorted(self._etcd.keys.items())
                    if revision >= least
                ]
                count = {"count": str(len(self._etcd.keys))} if self._etcd.keys else {}
                self._say_whole({"header": self._etcd.header, **({"kvs": kvs} if kvs else {}), **count})
            case "/v3/watch":
                self._watched = int(asked["create_request"]["start_revision"])
                headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]
                self.out += self._http.send(h11.Response(status_code=200, headers=headers)) or b""
                self._say({"header": self._etcd.header, "created": True})
                self.pump()
            case _:
                raise AssertionError(self._path)

    def _say_whole(self, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
        for event in (h11.Response(status_code=200, headers=headers), h11.Data(text), h11.EndOfMessage()):
            self.out += self._http.send(event) or b""
        self._http.start_next_cycle()

    def _say(self, result: dict[str, Any]) -> None:
        self.out += self._http.send(h11.Data(json.dumps({"result": result}).encode() + b"\n")) or b""


def base(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
