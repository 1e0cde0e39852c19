"""Importing one module of a package without all the others.

``import pyroute2.netlink`` runs the package's own ``__init__``, which imports everything it has: 160 modules, 13 MB
and a tenth of a second, for the few constants that are used here. With a hollow package in its place for a moment, only
the module itself and what it imports is loaded: 0.5 MB and 5 ms. See docs/explanation/decisions.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType


def import_lean(package: str, name: str) -> ModuleType:
    """Import the module ``name`` of ``package`` without running ``package/__init__``. Raises ImportError.

    Fit for constants only: whoever imports the package later gets it whole and anew, with other classes of the
    same names.
    """
    if package in sys.modules:
        return importlib.import_module(name)
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ImportError(f"{package} is not installed", name=package)
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(name)
    finally:
        for loaded in [loaded for loaded in sys.modules if f"{loaded}.".startswith(f"{package}.")]:
            del sys.modules[loaded]
