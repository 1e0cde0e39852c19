"""The manifest and the recipe of the image have what the unit has, and what they name is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

PROJECT = Path(__file__).parents[2]
MANIFEST: dict[str, Any] = yaml.safe_load((PROJECT / "contrib/container/daemonset.yaml").read_text(encoding="utf-8"))
POD = MANIFEST["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]
HOW_TO = (PROJECT / "docs/how-to/run-in-a-container.md").read_text(encoding="utf-8")


def test_a_pod_has_the_rights_of_the_unit_and_no_other() -> None:
    unit = (PROJECT / "contrib/systemd/routed.service").read_text(encoding="utf-8")
    capabilities = re.findall(r"^CapabilityBoundingSet=(.+)$", unit, flags=re.MULTILINE)[0].split()
    rights = CONTAINER["securityContext"]
    assert [f"CAP_{name}" for name in rights["capabilities"]["add"]] == capabilities
    assert rights["capabilities"]["drop"] == ["ALL"]
    assert rights["readOnlyRootFilesystem"]
    assert not rights["allowPrivilegeEscalation"]
    assert POD["hostNetwork"]
    assert POD["hostPID"]


def test_each_mount_has_its_volume_and_the_how_to_has_each_mount() -> None:
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == {volume["name"] for volume in POD["volumes"]}
    mounts = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]} - {"/tmp"}  # noqa: S108
    assert [path for path in mounts if f"`{path}`" not in HOW_TO] == []


def test_what_the_recipe_copies_is_there() -> None:
    recipe = (PROJECT / "contrib/container/Containerfile").read_text(encoding="utf-8")
    copied = [
        word for line in re.findall(r"^COPY (?!--)(.+) \S+$", recipe, flags=re.MULTILINE) for word in line.split()
    ]
    assert len(copied) > 5
    assert [path for path in copied if not (PROJECT / path).exists()] == []
