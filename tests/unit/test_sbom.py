"""The bill of materials names what the package brings, in the versions that it brings."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from contrib import make_sbom
from contrib.make_sbom import ROOT, make_bill, normalize, read_pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_everything_that_routed_asks_for_is_in_it_with_its_version_and_licence() -> None:
    bill = make_bill(0)
    pins = read_pins((ROOT / "constraints.txt").read_text())
    versions = {one["name"]: one["version"] for one in bill["components"]}
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["systemd"]]
    assert {normalize(Requirement(line).name) for line in asked} <= versions.keys()
    assert {name: pins[name] for name in versions} == versions
    assert "pydantic-core" in versions  # what those ask for
    assert "pytest" not in versions  # a tool
    assert all(one["licenses"] for one in bill["components"])


def test_the_same_commit_gives_the_same_bill() -> None:
    assert make_bill(1_764_000_000) == make_bill(1_764_000_000)
    assert make_bill(1_764_000_000)["serialNumber"] != make_bill(0)["serialNumber"]


def test_every_reference_leads_to_a_component() -> None:
    bill = make_bill(0)
    known = {one["bom-ref"] for one in (*bill["components"], bill["metadata"]["component"])}
    assert {row["ref"] for row in bill["dependencies"]} == known
    assert {one for row in bill["dependencies"] for one in row["dependsOn"]} <= known


def test_the_tool_stands_where_the_makefile_calls_it() -> None:
    assert Path(make_sbom.__file__).name in (ROOT / "Makefile").read_text()
