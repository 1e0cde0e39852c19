"""Fixtures of the tests of the Debian package: the package itself, its files, and small Debians that have it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel import netns
from tests.package import machine, small
from tests.package.machine import Machine
from tests.system.monitor import Monitor

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def package() -> Path:
    """The package, as `make deb` left it."""
    return PROJECT / (PROJECT / "build/.deb-ready").read_text(encoding="utf-8").strip()


@pytest.fixture(scope="session")
def files(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with its files, and what is for dpkg in DEBIAN."""
    folder = tmp_path_factory.mktemp("package") / "files"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def bare(package: Path) -> Path:
    """The files of a small Debian in which the package can be installed. Nobody changes them."""
    return small.prepare(package)


@pytest.fixture(scope="session")
def installed(bare: Path, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the package installed, and with /root/routed.deb to install it again."""
    root = tmp_path_factory.mktemp("installed") / "root"
    subprocess.run(["cp", "--archive", "--reflink=auto", str(bare), str(root)], check=True)
    shutil.copy(package, root / "root/routed.deb")
    subprocess.run(
        ["chroot", str(root), "dpkg", "--install", "/root/routed.deb"], check=True, stdout=subprocess.DEVNULL
    )
    return root


@pytest.fixture
def network() -> Iterator[None]:
    """A network with one veth pair: v0 with 10.0.0.1/24."""
    with netns.private_network():
        netns.veth("v0", "10.0.0.1/24")
        yield


@pytest.fixture
def monitor(network: None) -> Iterator[Monitor]:
    """Hears every change of addresses, routes and rules."""
    monitor = Monitor()
    yield monitor
    monitor.close()


@pytest.fixture
def debian(network: None, bare: Path, package: Path, tmp_path: Path) -> Iterator[Machine]:
    """A booted Debian without the package, which lies in /root/routed.deb."""
    with machine.booted(bare, tmp_path / "console") as booted:
        shutil.copy(package, booted.path("/root/routed.deb"))
        yield booted


@pytest.fixture
def host(network: None, installed: Path, tmp_path: Path) -> Iterator[Machine]:
    """A booted Debian with the package installed, and nothing more done."""
    with machine.booted(installed, tmp_path / "console") as booted:
        yield booted
