"""Fixtures of the tests that need a whole Debian: one machine that most share, cleared before each, others at need."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.vm import image, machine, payload
from tests.vm.host import INSTALL, SLOW, Host
from tests.vm.machine import Machine, MachineError

UNTESTED: Final = "NOTHING WAS TESTED ON A BOOTED DEBIAN"
TEST: Final = 600.0  # seconds, the installation before the first one included. Only a failing test takes them


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give an emulated processor its time; each command in the machine has a limit of its own."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TEST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Nobody shall take for a success what was not tried."""
    skipped = terminalreporter.stats.get("skipped", [])
    if said := {str(report.longrepr) for report in skipped if UNTESTED in str(report.longrepr)}:
        terminalreporter.section(UNTESTED, sep="!", red=True, bold=True)
        terminalreporter.write_line("\n".join(sorted(said)))


@pytest.fixture(scope="session")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AbstractContextManager[Machine]]:
    """Boots a fresh machine that has the package, not installed, and this checkout under /opt."""
    package = Path(os.environ["ROUTED_PACKAGE"])  # make test-vm says where it is
    try:
        files = image.prepare(package)
    except image.NotHereError as error:
        pytest.skip(f"{UNTESTED}: {error}")
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


class Installation(NamedTuple):
    """What the installation of the package did."""

    host: Host
    heard: list[str]  # of changes of routes, rules and addresses
    is_enabled: str
    is_active: str


@pytest.fixture(scope="session")
def installation(machine_of_all: Machine) -> Installation:
    """The package installed, and watched meanwhile."""
    host = Host(machine_of_all)
    with host.watching() as heard:
        host.do(INSTALL, within=SLOW)
    enabled, active = (host.run(f"systemctl {asked} routed").out.strip() for asked in ("is-enabled", "is-active"))
    return Installation(host, heard, enabled, active)


@pytest.fixture
def host(installation: Installation) -> Host:
    """A host with the package, two addresses and an empty file; routed does not run yet."""
    installation.host.clear()
    return installation.host


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say with every failure what the machine printed and what its journal holds."""
    report = yield
    for value in getattr(item, "funcargs", {}).values() if report.failed else ():
        if isinstance(value, Host):
            report.sections.append(("console", value.machine.tail()))
            with suppress(MachineError, OSError):  # it may be the machine that failed
                report.sections.append(("journal", value.do("journalctl --no-pager --lines=80")))
    return report
