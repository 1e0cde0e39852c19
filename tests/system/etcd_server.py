"""An etcd with hosts in it, for a document: python -m tests.system.etcd_server fleet|flannel."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.kernel.netns import wait_until
from tests.members import etcds

ADDRESS: Final = "192.0.2.1"
KEYS: Final[dict[str, dict[str, object]]] = {
    "fleet": {
        f"/routed/fleet/node{number}": {
            "name": f"node{number}",
            "addresses": [f"192.0.2.{number}"],
            "prefixes": [f"10.5.{number}.0/24"],
        }
        for number in (11, 12)
    },
    "flannel": {
        f"/coreos.com/network/subnets/10.5.{number}.0-24": {"PublicIP": f"192.0.2.{number}", "BackendType": "host-gw"}
        for number in (10, 11, 12)
    },
}


def main() -> None:
    """Serve at 192.0.2.1:2379."""
    urls = f"http://127.0.0.1:2379,http://{ADDRESS}:2379"
    options = (f"--listen-client-urls={urls}", f"--advertise-client-urls=http://{ADDRESS}:2379")
    program = next(iter(etcds.PROGRAMS.values()))
    with (
        TemporaryDirectory() as folder,
        etcds.running(program, Path(folder), 1, None, *options, awaits=False) as cluster,
    ):
        cluster.servers[0].port = 2379
        wait_until(cluster.answers, 20)
        for key, value in KEYS[sys.argv[1]].items():
            cluster.put(key, json.dumps(value))
        sys.stdin.read()


if __name__ == "__main__":
    main()
