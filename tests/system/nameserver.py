"""A real DNS server, dnsmasq, in the network namespace of the calling thread."""

from __future__ import annotations

import signal
import socket
import subprocess
from contextlib import suppress
from typing import Final

from tests.kernel.netns import wait_until

ZONE: Final = "example.internal"
# Whoever validates with this alone finds nothing that is signed, and answers SERVFAIL. It is the key of the root zone.
_TRUST: Final = "--trust-anchor=.,20326,8,2,E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"
_VALIDATES: Final = ("--dnssec", "--dnssec-check-unsigned", _TRUST)


class NameServer:
    """Serves example.internal on port 53 of 127.0.0.1, or of another address."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._address = address
        self._upstream: NameServer | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def serve(self, *options: str) -> None:
        """Know these of the zone, options of dnsmasq, and nothing else of it."""
        self._start(f"--local=/{ZONE}/", *options)

    def refuse(self) -> None:
        """Answer REFUSED to everything."""
        self._start()

    def err(self) -> None:
        """Answer SERVFAIL to everything."""
        upstream = NameServer("127.0.0.2")
        upstream.serve(host(2))
        self._start(*_VALIDATES, "--server=127.0.0.2")
        self._upstream = upstream

    def _start(self, *options: str) -> None:
        self.stop()
        where = [f"--listen-address={self._address}", "--bind-interfaces"]
        bare = ["--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--pid-file=", "--user=root", "--log-facility=-"]
        command = ["/usr/sbin/dnsmasq", "--keep-in-foreground", *where, *bare, *options]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self._is_there)

    def _is_there(self) -> bool:
        with socket.socket() as one, suppress(ConnectionRefusedError):
            one.connect((self._address, 53))
            return True
        return False

    def hang(self) -> None:
        """Answer nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """Be gone."""
        if self._upstream is not None:
            self._upstream.stop()
            self._upstream = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def host(number: int) -> str:
    """``c2.example.internal`` at 10.9.0.2."""
    return f"--host-record=c{number}.{ZONE},10.9.0.{number}"


def target(number: int, priority: int = 0, port: int = 8080) -> str:
    """A target of _cache._tcp."""
    return f"--srv-host=_cache._tcp.{ZONE},c{number}.{ZONE},{port},{priority},5"
