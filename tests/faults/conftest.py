"""One stage for each worker, and how far a run goes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.stage import Stage


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--positions", choices=["some", "many", "all"], default="some", help="which calls are made to fail"
    )
    parser.addoption("--fault", metavar="'PHASE: FAULT'", help="play this one only, as a failing test has named it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_named = bool(config.getoption("--fault"))
    if config.getoption("--positions") != "some":
        for item in items:
            item.add_marker(pytest.mark.timeout(7200), append=False)
    items[:] = [item for item in items if (item.name == "test_the_fault_that_was_named") == is_named]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library to preload, built."""
    built = tmp_path_factory.mktemp("library") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(built), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(scope="session")
def stage(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage on which the cases of a worker are played, one after the other."""
    stage = Stage(tmp_path_factory.mktemp("stage"), library)
    try:
        yield stage
    finally:
        stage.close()
