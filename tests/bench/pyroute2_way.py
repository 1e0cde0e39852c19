"""How a script keeps routes with pyroute2 as its documents show: a call a route, and a loop over the events.

pyroute2_way.py PREFIXES [GATEWAY]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute  # type: ignore[attr-defined]  # the stubs hold what routed uses
from pyroute2.netlink.rtnl import RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE


def main() -> None:
    """Add what is in the file, then add what goes."""
    prefixes = Path(sys.argv[1]).read_text(encoding="ascii").split()
    with IPRoute() as requests, IPRoute() as events:
        events.bind(groups=RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE)
        how: dict[str, Any] = {"type": "blackhole"}
        if len(sys.argv) > 2:
            how = {"gateway": sys.argv[2], "oif": requests.link_lookup(ifname="v0")[0]}
        for prefix in prefixes:
            requests.route("add", dst=prefix, **how)
        wanted = set(prefixes)
        while True:
            for message in events.get():
                prefix = f"{message.get('dst')}/{message['dst_len']}" if "dst_len" in message else ""
                if message["event"] == "RTM_DELROUTE" and prefix in wanted:
                    requests.route("add", dst=prefix, **how)


if __name__ == "__main__":
    main()
