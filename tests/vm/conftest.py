"""Fixtures of the tests that need a whole Debian: one machine that most share, cleared before each, and others at need."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.vm import image, machine, payload
from tests.vm.host import INSTALL, SLOW, Host
from tests.vm.machine import Machine


@pytest.fixture(scope="session")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AbstractContextManager[Machine]]:
    """Boots a fresh machine that has the package, not installed, and this checkout under /opt."""
    package = Path(os.environ["ROUTED_PACKAGE"])  # make test-vm says where it is
    files = image.prepare(package)
    folder = tmp_path_factory.mktemp("vm")
    packed = payload.pack(folder / "payload.tar", package, files)

    def boot() -> AbstractContextManager[Machine]:
        return machine.running(files, packed, folder / f"console-{len(list(folder.iterdir()))}")

    return boot


@pytest.fixture(scope="session")
def machine_of_all(boot: Callable[[], AbstractContextManager[Machine]]) -> Iterator[Machine]:
    """The one that tests share."""
    with boot() as booted:
        booted.do(payload.UNPACK)
        yield booted


@pytest.fixture(scope="session")
def installed(machine_of_all: Machine) -> Host:
    """With the package installed."""
    machine_of_all.do(INSTALL, within=SLOW)
    return Host(machine_of_all)


@pytest.fixture
def host(installed: Host) -> Host:
    """A host with the package, two addresses and an empty file; routed does not run yet."""
    installed.clear()
    return installed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say with every failure what the machine printed and what its journal holds."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Host):
                journal = value.run("journalctl --no-pager --lines=60")
                report.sections += [("journal", journal.out), ("console", value.machine.tail())]
    return report
