"""``routed route``: the words of ``sealos route``. Is this the default-route address? Add, delete a route to a host.

Without ``add`` and ``del`` it answers a question, here, with the kernel alone. The two others stand in ``host_route``.
"""

from __future__ import annotations

from argparse import Namespace

from routed.audit.reasons import describe_reason
from routed.cli.exits import Exit
from routed.cli.terminal import complain, say, say_json
from routed.core.choose_host import NoHostAddressError, choose_host_address
from routed.daemon.look import look_at_default_routes
from routed.model.net import family_of, format_address
from routed.model.reasons import DefaultAddress


def run(options: Namespace) -> Exit:
    """Answer, or have ``host_route`` change the route."""
    problem = find_misuse(options)
    if problem:
        complain(f"{problem}; see routed route --help")
        return Exit.USAGE
    if options.change is None:
        return answer(options)
    from routed.cli import host_route

    return host_route.run(options)


def find_misuse(options: Namespace) -> str:
    """What is wrong with this choice of options, as a clause; "" where nothing is."""
    if options.host is None:
        return "--host is missing"
    if options.change is None and options.gateway is not None:
        return "--gateway needs add or del in front"
    if options.change is not None and options.gateway is None:
        return f"{options.change} needs --gateway"
    return ""


def answer(options: Namespace) -> Exit:
    """Print ``ok`` when ``options.host`` (packed) is what ChooseHostInterface picks, else ``failed``.

    Where that finds no address at all the answer is ``failed`` too, and the reason goes to stderr.
    """
    routes, facts = look_at_default_routes()
    try:
        chosen, reason = choose_host_address(routes, facts, family_of(options.host)), ""
    except NoHostAddressError as error:
        chosen, reason = b"", describe_reason(error.reason)
    is_chosen = chosen == options.host
    if options.json:
        say_json(
            {
                "schema": "routed.route/1",
                "host": format_address(options.host),
                "is_default": is_chosen,
                "default": format_address(chosen) if chosen else "",
                "reason": reason,
            }
        )
    else:
        say("ok" if is_chosen else "failed")
    if reason and not options.quiet:
        complain(reason)
    elif options.verbose and not is_chosen:
        complain(describe_reason(DefaultAddress(chosen)))
    return Exit.DONE if is_chosen else Exit.FAILED
