"""Prints the bill of materials of a release: what the Debian package brings with it, as CycloneDX 1.6.

    .venv/bin/python contrib/make_sbom.py > routed.cdx.json

The libraries are those that routed asks for, and that these ask for, in the versions of constraints.txt; what they are
licensed under is read from what is installed. The same commit gives the same text: its moment is SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).parents[1]
NAME: Final = "routed"
EXTRAS: Final = ("systemd",)  # that the package has
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_DNS, NAME)


def make_bill(epoch: int) -> dict[str, Any]:
    """The whole document. Raises ValueError where a library is not pinned, or another version of it is installed."""
    asked = collect([NAME])
    pinned = read_pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    for name in asked.keys() - {NAME}:
        if distribution(name).version != pinned.get(name):
            raise ValueError(f"{name} {distribution(name).version} is installed, and pinned is {pinned.get(name)}")
    described = {name: _describe(distribution(name)) for name in asked}
    references = {name: one["bom-ref"] for name, one in described.items()}
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": described[NAME] | {"type": "application"},
        },
        "components": [described[name] for name in sorted(asked.keys() - {NAME})],
        "dependencies": [
            {"ref": references[name], "dependsOn": sorted(references[one] for one in ones)}
            for name, ones in sorted(asked.items())
        ],
    }
    return bill | {"serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, json.dumps(bill, sort_keys=True))}"}


def collect(names: Iterable[str]) -> dict[str, list[str]]:
    """Each library by its name as pip compares it, and what it asks for."""
    asked: dict[str, list[str]] = {}
    left = list(names)
    while left:
        if (name := left.pop()) not in asked:
            asked[name] = sorted(_list_needs(name))
            left += asked[name]
    return asked


def read_pins(text: str) -> dict[str, str]:
    """The versions of constraints.txt."""
    return {normalize(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)}


def normalize(name: str) -> str:
    """A distribution's name, however it is written (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _list_needs(name: str) -> Iterator[str]:
    extras = EXTRAS if name == NAME else ()
    for line in distribution(name).requires or ():
        need = Requirement(line)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield normalize(need.name)


def _describe(found: Distribution) -> dict[str, Any]:
    name = normalize(found.metadata["Name"])
    reference = f"pkg:pypi/{name}@{found.version}"
    component = {"type": "library", "bom-ref": reference, "name": name, "version": found.version, "purl": reference}
    return component | {"licenses": [_find_license(found)]}


def _find_license(found: Distribution) -> dict[str, Any]:
    """As an expression of SPDX where the library says one, else by its own words."""
    said = {field: found.metadata.get_all(field) or [] for field in ("License-Expression", "Classifier", "License")}
    if said["License-Expression"]:
        return {"expression": said["License-Expression"][0]}
    licenses = [one.rpartition(" :: ")[2] for one in said["Classifier"] if one.startswith("License :: ")]
    return {"license": {"name": " or ".join(licenses or said["License"]) or "unknown"}}


if __name__ == "__main__":
    json.dump(make_bill(int(os.environ.get("SOURCE_DATE_EPOCH", "0"))), sys.stdout, indent=2)
    sys.stdout.write("\n")
