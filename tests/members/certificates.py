"""A test CA, and certificates of it for servers and clients of etcd."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Final

from routed.model.etcd import Tls

# Python 3.13 asks a CA to say what its key is for, and a certificate whose key signed it.
CA_MAY: Final = "-addext keyUsage=critical,keyCertSign,cRLSign"
NEW_KEY: Final = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


class Authority:
    """The CA."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._run(f"req -x509 {NEW_KEY} -keyout ca.key -out ca.pem -days 3650 -subj /CN=ca {CA_MAY}")

    @property
    def ca(self) -> str:
        return str(self._folder / "ca.pem")

    def issue(
        self, name: str, *, subject: str = "/O=none", purposes: str = "serverAuth,clientAuth", host: str = "127.0.0.1"
    ) -> Tls:
        """A certificate with its key, each of root alone."""
        self._run(f"req {NEW_KEY} -keyout {name}.key -out {name}.csr -subj {subject}")
        extensions = f"subjectAltName=IP:{host}\nextendedKeyUsage={purposes}\nauthorityKeyIdentifier=keyid\n"
        (self._folder / "ext").write_text(extensions)
        self._run(f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 30 -extfile ext -out {name}.pem")
        (self._folder / f"{name}.key").chmod(0o600)
        return Tls(self.ca, str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key"))

    def _run(self, command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=self._folder, check=True, capture_output=True)


def options_of(tls: Tls, *, asks_clients: bool = True) -> tuple[str, ...]:
    """The words of etcd for a server with this certificate."""
    ours = (f"--cert-file={tls.cert}", f"--key-file={tls.key}", f"--trusted-ca-file={tls.ca}")
    return (*ours, "--client-cert-auth") if asks_clients else ours


def context_of(tls: Tls) -> ssl.SSLContext:
    """What a client with this certificate needs."""
    context = ssl.create_default_context(cafile=tls.ca)
    context.load_cert_chain(tls.cert, tls.key)
    return context
