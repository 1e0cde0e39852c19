"""The picture as SVG, which Graphviz' program ``dot`` draws from the text of ``dot``."""

from __future__ import annotations

import subprocess
from typing import Final

from routed.audit.printable import make_printable
from routed.cli.exits import CommandError, Exit
from routed.cli.graph.dot import write_dot
from routed.model.graph_document import GraphDocument

PROGRAM: Final = "dot"
LONGEST: Final = 300.0  # seconds; some thousand nodes take some seconds
CURE: Final = (
    "Graphviz' program dot draws the SVG, and is not installed: apt-get install graphviz,"
    " or have the text with --format dot or --format mermaid"
)


def draw_svg(document: GraphDocument) -> str:
    """The whole text. Raises CommandError."""
    try:
        done = subprocess.run(  # noqa: S603  our own words
            [PROGRAM, "-Tsvg"], input=write_dot(document).encode(), capture_output=True, check=False, timeout=LONGEST
        )
    except (FileNotFoundError, NotADirectoryError):
        raise CommandError(CURE, Exit.FAILED) from None
    except subprocess.TimeoutExpired:
        raise CommandError(
            f"dot did not draw {len(document['nodes'])} nodes within {LONGEST:g} s: have the text with --format dot",
            Exit.FAILED,
        ) from None
    if done.returncode:
        said = make_printable(done.stderr.decode(errors="replace").strip())
        raise CommandError(f"dot ended with {done.returncode}: {said}", Exit.FAILED)
    return done.stdout.decode()
