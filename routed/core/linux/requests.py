"""What comes of a request that somebody sends: one row a kind, each returning the errno."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from routed.core.linux.addresses import delete_address, insert_address
from routed.core.linux.link_requests import delete_link, insert_link
from routed.core.linux.neighbours import delete_neighbour, insert_neighbour
from routed.core.linux.nexthops import delete_nexthop, insert_nexthop
from routed.core.linux.routes import delete_route, insert_route
from routed.core.linux.rules import delete_rule, insert_rule
from routed.core.linux.state import LinuxState
from routed.model.change import Operation, Verb
from routed.model.objects import Key, Kind, Value

INSERTERS: Final[dict[Kind, Callable[[LinuxState, Verb, Key, Any, int], int]]] = {
    Kind.LINK: insert_link,
    Kind.ADDRESS: insert_address,
    Kind.NEIGHBOUR: insert_neighbour,
    Kind.PROXY: insert_neighbour,
    Kind.NEXTHOP: insert_nexthop,
    Kind.ROUTE: insert_route,
    Kind.RULE: insert_rule,
}
DELETERS: Final[dict[Kind, Callable[[LinuxState, Key, Any, int], int]]] = {
    Kind.LINK: delete_link,
    Kind.ADDRESS: delete_address,
    Kind.NEIGHBOUR: delete_neighbour,
    Kind.PROXY: delete_neighbour,
    Kind.NEXTHOP: delete_nexthop,
    Kind.ROUTE: delete_route,
    Kind.RULE: delete_rule,
}

# The requests that an operation comes to, each for what shall stand or for what stood before.
STEPS: Final = {
    Verb.ADD: ((Verb.ADD, False),),
    Verb.REPLACE: ((Verb.REPLACE, False),),
    Verb.PREPEND: ((Verb.PREPEND, False),),
    Verb.CHANGE: ((Verb.DELETE, True), (Verb.PREPEND, False)),
    Verb.DELETE: ((Verb.DELETE, False),),
    Verb.APPEND: ((Verb.APPEND, False),),
}


def request(state: LinuxState, verb: Verb, key: Key, value: Value, port: int) -> int:
    """One request; returns its errno. ``verb`` is none that comes to several."""
    if verb is Verb.DELETE:
        return DELETERS[key.kind](state, key, value, port)
    return INSERTERS[key.kind](state, verb, key, value, port)


def carry_out(state: LinuxState, operation: Operation, port: int) -> dict[Key, int]:
    """All requests of an operation; returns the errno of each member that was refused."""
    if operation.requests:
        return _arrange(state, operation, port)
    refused: dict[Key, int] = {}
    for verb, is_of_before in STEPS[operation.verb]:
        before = operation.value if operation.before is None else operation.before
        value = before if is_of_before else operation.value
        for member in operation.members:
            key = Key(operation.kind, operation.slot, member)
            if key not in refused and (error := request(state, verb, key, value, port)):
                refused[key] = error
    return refused


def _arrange(state: LinuxState, operation: Operation, port: int) -> dict[Key, int]:
    """One after another. From what one was refused for nothing is deleted any more, but what can be put is."""
    refused: dict[Key, int] = {}
    for part in operation.spread():
        members = [member for member in part.members if Key(part.kind, part.slot, member) not in refused]
        left = part._replace(members=members) if part.verb is Verb.DELETE else part
        refused = carry_out(state, left, port) | refused
    return refused
