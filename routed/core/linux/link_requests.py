"""Links that can be created, marked and deleted, as net/core/rtnetlink.c does it; and IPIP links.

Source of what is told of the latter: net/ipv4/ipip.c and net/ipv4/ip_tunnel.c.
"""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENODEV, EOPNOTSUPP
from typing import Any, Final

from routed.core.linux.links import add_link, remove_link, set_down, set_up
from routed.core.linux.state import LinuxState
from routed.model.change import Verb
from routed.model.objects import Ipip, Key, LinkMember, LinkValue

FALLBACK: Final = Ipip(b"", 1480)


def insert_link(state: LinuxState, verb: Verb, key: Key, value: LinkValue, _port: int) -> int:
    """RTM_NEWLINK: create and mark, or change in place."""
    assert isinstance(key.member, LinkMember)
    standing = state.find_link(key.member.name)
    if standing is None:
        return ENODEV if verb is Verb.REPLACE else _create(state, key.member.name, value)
    if verb is not Verb.REPLACE:
        return EEXIST
    if value.protocol and value.data is not None:  # what a stranger's link has is not asked for
        if standing.kind != value.kind:
            return EOPNOTSUPP
        if error := _change_in_place(state, standing.ifindex, value.data):
            return error
    if value.protocol:
        state.marks[standing.ifindex] = value.protocol
    if standing.is_up == value.is_up:
        state.put_link(standing)
    else:
        (set_up if value.is_up else set_down)(state, standing.ifindex)
    return 0


def delete_link(state: LinuxState, key: Key, _value: LinkValue, _port: int) -> int:
    """RTM_DELLINK by name. The fallback device stays, and the kernel says that it has gone (ip_tunnel_dellink)."""
    assert isinstance(key.member, LinkMember)
    standing = state.find_link(key.member.name)
    if standing is None:
        return ENODEV
    if state.tunnels.get(standing.ifindex) != FALLBACK:
        remove_link(state, standing.ifindex)
    return 0


def make_tunnel(state: LinuxState, name: str, data: Ipip, *, is_up: bool = True) -> int:
    """``ip link add name … type ipip``; returns its ifindex."""
    ifindex = max(state.links, default=0) + 1
    state.tunnels[ifindex] = data
    return add_link(state, name, kind="ipip", is_up=is_up)


def change_tunnel(state: LinuxState, ifindex: int, **changes: Any) -> int:
    """``ip tunnel change``; returns its errno. Nobody hears of it while the link is down (netdev_state_change)."""
    error = _change_in_place(state, ifindex, state.tunnels[ifindex]._replace(**changes))
    if not error and state.links[ifindex].is_up:
        state.put_link(state.links[ifindex])
    return error


def _create(state: LinuxState, name: str, value: LinkValue) -> int:
    if value.kind in state.missing_drivers:
        return EOPNOTSUPP
    if value.data is None:
        ifindex = add_link(state, name, kind=value.kind, is_up=value.is_up)
    elif (value.data.local, value.data.remote) in ((one.local, one.remote) for one in state.tunnels.values()):
        return EEXIST
    else:
        ifindex = make_tunnel(state, name, value.data, is_up=value.is_up)
    state.marks[ifindex] = value.protocol
    state.put_link(state.links[ifindex])
    return 0


def _change_in_place(state: LinuxState, ifindex: int, data: Ipip) -> int:
    """Whether it has a far end it keeps, and what the packets carry is never asked again."""
    standing = state.tunnels[ifindex]
    ends = [(one.local, one.remote) for other, one in state.tunnels.items() if other != ifindex]
    if (data.local, data.remote) in ends:
        return EEXIST
    if standing == FALLBACK or bool(standing.remote) is not bool(data.remote):
        return EINVAL
    state.tunnels[ifindex] = data._replace(carries=standing.carries, is_external=standing.is_external)
    return 0
