"""Rules by the numbers of their attributes, as pyroute2 reads the kernel's bytes: ``ip`` knows no new ones."""

from __future__ import annotations

from socket import AF_NETLINK, SOCK_RAW, socket
from struct import pack, unpack_from
from typing import Any

from pyroute2.netlink.rtnl.fibmsg import fibmsg  # type: ignore[import-untyped]

GET_RULE, DUMP, DONE = 34, 0x301, 3
NEW = ((25, "FRA_DSCP", "uint8"), (26, "FRA_FLOWLABEL", "be32"), (27, "FRA_FLOWLABEL_MASK", "be32"),
       (28, "FRA_SPORT_MASK", "uint16"), (29, "FRA_DPORT_MASK", "uint16"), (30, "FRA_DSCP_MASK", "uint8"))  # fmt: skip


class RuleMessage(fibmsg):  # type: ignore[misc]
    """The message with the attributes that came since."""

    nla_map = (*fibmsg.nla_map, *NEW)
    _nlmsg_base__compiled_nla = False  # else it has the map of fibmsg, where that was used before


def read_rules(family: int, protocol: int = 114) -> list[dict[str, Any]]:
    """Every rule of a protocol: its attributes by name, and the fields of its head."""
    with socket(AF_NETLINK, SOCK_RAW, 0) as opened:
        opened.bind((0, 0))
        opened.send(pack("=IHHIIBBBBBBBBI", 28, GET_RULE, DUMP, 1, 0, family, 0, 0, 0, 0, 0, 0, 0, 0))
        found: list[dict[str, Any]] = []
        while True:
            data = opened.recv(1 << 20)
            at = 0
            while at < len(data):
                length, type_ = unpack_from("=IH", data, at)
                if type_ == DONE:
                    return [rule for rule in found if rule["FRA_PROTOCOL"] == protocol]
                message = RuleMessage(data[at : at + length])
                message.decode()
                found.append(dict(message["attrs"]) | {"tos": message["tos"], "action": message["action"]})
                at += (length + 3) & ~3
