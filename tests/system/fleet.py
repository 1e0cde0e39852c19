"""A member document that a test writes, as a program of the host would: a new file, and renamed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.system import host

SOURCE = """
[[source]]
name = "fleet"
type = "file"
path = "fleet.json"
prefixes_within = ["10.244.0.0/16", "fd44::/16"]
addresses_within = ["10.0.0.0/24", "10.9.0.0/24", "fd00::/64"]
{options}
"""
PODS = """
[[route]]
name = "pods"
for_each = "@fleet"
to = "{prefixes}"
via = "{address}"
"""


def node(number: int, **other: Any) -> dict[str, Any]:
    """The member of this number: 10.0.0.100+number with 10.244.number.0/24."""
    told = {"name": f"node{number}", "addresses": [f"10.0.0.{100 + number}"], "prefixes": [f"10.244.{number}.0/24"]}
    return told | other


def source(options: str = "") -> str:
    """``[[source]]`` with these keys beside, and the route for each of its members."""
    return SOURCE.replace("{options}", options) + PODS


class Fleet:
    """The document of the source."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "fleet.json"

    def tell(self, *members: dict[str, Any], **other: Any) -> None:
        """These are the members."""
        self.tell_text(json.dumps({"schema": "routed.members/1", "members": list(members)} | other))

    def tell_text(self, text: str) -> None:
        """This stands in the document."""
        new = self.path.with_name(".fleet.json.new")
        new.write_text(text)
        new.replace(self.path)


def pods() -> dict[str, str]:
    """The routes of members in the kernel, and their gateways: as `ip` shows them."""
    return {one["dst"]: one.get("gateway", "") for one in host.routes() if one["dst"].startswith(("10.244.", "fd44:"))}
