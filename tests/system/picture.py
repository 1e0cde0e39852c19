"""Draws the picture of docs/images: an example on the host that its comments speak of, whose second line is down.

unshare --net --mount python -m tests.system.picture     # draw it anew
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.kernel import netns
from tests.system.daemon import PROJECT, Daemon

EXAMPLE = PROJECT / "examples/policy-routing.toml"
PICTURE = PROJECT / "docs/images/graph.svg"


def draw(folder: Path) -> str:
    """The picture, by a daemon in a network namespace of its own."""
    with netns.private_network():
        netns.veth("eth0", "192.0.2.10/24")
        netns.veth("eth1", "203.0.113.10/24")
        netns.ip("link set eth1 down")
        daemon = Daemon(folder)
        try:
            daemon.config.write_text(EXAMPLE.read_text())
            daemon.start()
            answer = daemon.ask("graph")
            assert answer.code == 0, answer.err
            return answer.out
        finally:
            daemon.close()


if __name__ == "__main__":
    with TemporaryDirectory(prefix="routed-picture-") as name:
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_text(draw(Path(name)), encoding="utf-8")
