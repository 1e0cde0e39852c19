"""``routed schema``: the JSON Schema of the file, for editors."""

from __future__ import annotations

import sys
from argparse import Namespace

from routed.cli.exits import Exit
from routed.intent.jsonschema import render_schema


def run(_options: Namespace) -> Exit:
    """Print the schema."""
    sys.stdout.write(render_schema())
    return Exit.DONE
