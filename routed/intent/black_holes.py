"""Black holes: services behind a VIP that is routed only, with a server on this very host.

IPVS keeps the route by which the packet came to it where the server is local, and that of a routed VIP leads to the
wire: such a packet is lost, of IPv4 and IPv6, with every way of forwarding (ip_vs_xmit.c; tried on Linux 6.1). Here
belongs what the files alone tell: an ``@interface`` in them may be any address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from routed.intent.crosscheck import Clash
from routed.model import net
from routed.model.entries import AddressEntry, Entry, ServiceEntry, VipEntry


def find_black_holes(entries: Sequence[Entry]) -> Iterator[Clash]:
    """One contradiction for each service that would lose packets."""
    vips = [entry for entry in entries if isinstance(entry, VipEntry)]
    routed = [vip for vip in vips if not vip.is_local]
    if not routed:
        return
    own: dict[bytes, Entry] = {vip.node: vip for vip in vips if vip.node}
    own |= {vip.prefix[:-1]: vip for vip in vips if vip.is_local}
    own |= {entry.address: entry for entry in entries if isinstance(entry, AddressEntry)}
    hosts = {vip.prefix: vip for vip in routed}
    wide = [vip for vip in routed if vip.prefix != net.host_prefix(vip.prefix[:-1])]

    def find(place: bytes) -> VipEntry | None:
        alone = hosts.get(net.host_prefix(place))
        return alone or next((vip for vip in wide if net.is_inside(place, vip.prefix)), None)

    for service in (entry for entry in entries if isinstance(entry, ServiceEntry)):
        places = [listen.address for listen in service.listens if listen.address]
        vip = next((vip for place in places if (vip := find(place))), None)
        servers = service.servers if service.sorry is None else (*service.servers, service.sorry)
        here = next((one.address for one in servers if one.address in own or net.is_loopback(one.address)), None)
        if vip is not None and here is not None:
            holder = own.get(here)
            told = f", by {holder.name} at {holder.origin}" if holder else ""
            yield Clash(
                service,
                (),
                f"the server {net.format_address(here)} is this very host{told}, and what {vip.name} at {vip.origin}"
                " routes to it is lost: write `local = true` there",
            )
