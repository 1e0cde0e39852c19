"""pydantic without plugins: imported before pydantic by who defines models.

A plugin of pydantic is code of any package on the host, and would run in a daemon of root. Looking for them reads the
metadata of every installed package: a tenth of what ``routed check`` takes. Here must never live anything else.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Final

_LOADER: Final = "pydantic.plugin._loader"  # the module that looks for them; importing it costs most


def forbid_plugins() -> None:
    """From now on pydantic has no plugins, and does not look for any."""
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # as documented; what follows only saves the time
    if _LOADER not in sys.modules:
        loader = ModuleType(_LOADER)
        loader.get_plugins = tuple  # type: ignore[attr-defined]
        sys.modules[_LOADER] = loader
