"""``routed members``: who is a member of each source now, and how its source is."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, cast

from routed.audit.figures import format_count
from routed.cli.ages import format_age
from routed.cli.client import ClientError, call
from routed.cli.exits import Exit
from routed.cli.terminal import GREEN, RED, YELLOW, complain, make_table, paint, say, say_json, wants_color
from routed.model.documents import MemberDocument, MemberSourceDocument, MemberSourcesDocument

COLORS: Final = {"live": GREEN, "loading": YELLOW, "cached": YELLOW, "stale": RED, "held": RED}


def run(options: Namespace) -> Exit:
    """Ask the daemon and print its answer; as JSON that is the member document of one source."""
    try:
        answer = cast(MemberSourcesDocument, call(options.runtime_dir, "GetMembers"))
    except ClientError as error:
        complain(str(error))
        return error.code
    asked = options.source.removeprefix("@").removeprefix("source/")
    found = [one for one in answer["sources"] if not asked or one["source"] == asked]
    names = ", ".join(one["source"] for one in answer["sources"]) or "none"
    if asked and not found:
        complain(f"there is no source {asked} that an entry uses; there is {names}")
        return Exit.FAILED
    if options.json:
        if len(found) != 1:
            complain(f"name the source whose members are wanted: there is {names}")
            return Exit.USAGE
        say_json(make_document(found[0]))
    elif not options.quiet:
        for line in render(found, datetime.now(UTC), is_colored=wants_color(options, sys.stdout)):
            say(line)
    return Exit.REFUSED if any(one["held"] for one in found) else Exit.DONE


def make_document(one: MemberSourceDocument) -> dict[str, object]:
    """The member document: the same that a file or a program gives."""
    return {
        "schema": "routed.members/1",
        "source": one["source"],
        "revision": one["revision"],
        "complete": one["state"] != "loading",
        "members": one["members"],
    }


def render(sources: list[MemberSourceDocument], now: datetime, *, is_colored: bool) -> Iterator[str]:
    """Each source, and a table of its members."""
    for number, one in enumerate(sources):
        if number:
            yield ""
        state = "held" if one["held"] else one["state"]
        why = f": {one['reason']}" if one["reason"] else ""
        count = format_count(len(one["members"]), "member")
        age = format_age(one.get("held_since", one["since"]), now)
        head = f"source/{one['source']}  {state} for {age}, {count}{why}"
        yield paint(head, COLORS.get(state, ""), is_colored=is_colored)
        rows = [_make_row(member, one) for member in one["members"]]
        yield from make_table(("MEMBER", "ADDRESSES", "PREFIXES", "STATE"), rows) if rows else ()
        if one.get("unregistered"):
            yield paint(f"this host is no member: {one['unregistered']}", RED, is_colored=is_colored)
        for broken in one["broken"]:
            yield paint(f"{broken['name']}: {broken['why']}", RED, is_colored=is_colored)


def _make_row(member: MemberDocument, one: MemberSourceDocument) -> tuple[str, ...]:
    words = ["self"] if member["name"] in one["own"] else []
    words += [] if member["ready"] else ["not ready"]
    words += ["terminating"] if member["terminating"] else []
    words += ["held: its source does not tell of it"] if member["name"] in one["held"] else []
    words += ["going"] if member["name"] in one["going"] else []
    return member["name"], " ".join(member["addresses"]), " ".join(member["prefixes"]), ", ".join(words)
