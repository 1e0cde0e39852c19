"""Arguments: every command and option in one table, and the parser that is built from it.

Only words belong here. What a command does stands in its own module, which is not imported to parse.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import routed
from routed.audit.printable import make_printable
from routed.cli.exits import Exit
from routed.cli.values import (
    read_assumptions,
    read_count,
    read_duration,
    read_host,
    read_ip_protocol,
    read_kinds,
    read_list,
    read_moment,
    read_number,
    read_side,
    read_within,
)
from routed.model.suggest import suggest

DEFAULT_CONFIG: Final = "/etc/routed.toml"
CONFIG_VARIABLE: Final = "ROUTED_CONFIG"
GROUP_VARIABLE: Final = "ROUTED_GROUP"


class Argument(NamedTuple):
    """One option or positional argument."""

    names: tuple[str, ...]
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()
    metavar: str | None = None  # None: a switch, which takes no value
    is_required: bool = True  # of a positional
    action: str = "store_true"  # of a switch
    completes: str = ""  # "file", "directory", or kinds of ``offers`` with commas: what a shell offers
    convert: Callable[[str], Any] = str
    is_repeated: bool = False  # it gives a list each time, and all of them count

    @property
    def is_option(self) -> bool:
        """Does it begin with a dash?"""
        return self.names[0].startswith("-")

    @property
    def key(self) -> str:
        """The name of its value among the parsed options."""
        longest = max(self.names, key=len)
        return longest.lstrip("-").replace("-", "_")


class Command(NamedTuple):
    """One command."""

    help: str
    arguments: tuple[Argument, ...] = ()


COMMON: Final = (
    Argument(
        ("--config",),
        f"the main file (${CONFIG_VARIABLE}, otherwise {DEFAULT_CONFIG})",
        metavar="FILE",
        completes="file",
    ),
    Argument(
        ("--state-dir",), "where revisions are kept", "/var/lib/routed", metavar="DIRECTORY", completes="directory"
    ),
    Argument(
        ("--runtime-dir",), "where the control socket is", "/run/routed", metavar="DIRECTORY", completes="directory"
    ),
    Argument(("--json",), "print a JSON document", False),
    Argument(("-q", "--quiet"), "print errors only", False),
    Argument(("-v", "--verbose"), "print more: status lists every object", 0, action="count"),
    Argument(("--no-pager",), "print at once what is longer than the terminal", False),
    Argument(("--color",), "colour the output", "auto", ("auto", "always", "never"), "WHEN"),
)

_STRICT = Argument(("--strict",), "fail on what can never come true on this host, such as an unknown interface", False)
_FILE = Argument(("file",), "the main file, instead of --config", metavar="FILE", is_required=False, completes="file")
_ENTRY = Argument(
    ("entry",),
    "one entry, such as route/storage-lan",
    "",
    metavar="ENTRY",
    is_required=False,
    completes="entry,check",
)
_RECORDED = _ENTRY._replace(completes="entry,check,source")
_TIMEOUT = Argument(
    ("--timeout",), "how long to wait for the daemon, such as 30s", 90.0, metavar="DURATION", convert=read_duration
)
_CONFIRM = Argument(
    ("--confirm",),
    "undo it after so long, such as 5m, unless routed confirm was said",
    metavar="DURATION",
    convert=read_duration,
)
_SINCE = Argument(("--since",), "only what came later, such as 1h or 2026-11-24", metavar="TIME", convert=read_moment)
_LINES = Argument(("-n", "--lines"), "show the newest so many", metavar="COUNT", convert=read_count)
_DIRECTORY = Argument(
    ("--directory",), "read journal files from there", metavar="DIRECTORY", completes="directory"
)  # fmt: skip
_PACKET = (
    Argument(("--from",), "the source of the packet", metavar="IP", convert=read_host),
    Argument(
        ("--iif",), "the link that it comes in by; without one this host sends it", "", metavar="LINK", completes="link"
    ),
    Argument(("--oif",), "the link to which its socket is bound", "", metavar="LINK", completes="link"),
    Argument(("--mark",), "its mark", 0, metavar="MARK", convert=read_within("mark", 0xFFFFFFFF)),
    Argument(("--tos",), "its type of service", 0, metavar="TOS", convert=read_within("type of service", 255)),
    Argument(("--dscp",), "the same as DSCP", 0, metavar="DSCP", convert=read_within("DSCP", 63)),
    Argument(("--proto",), "its protocol, such as tcp", 0, metavar="PROTOCOL", convert=read_ip_protocol),
    Argument(("--sport",), "its source port", 0, metavar="PORT", convert=read_within("port", 65535)),
    Argument(("--dport",), "its destination port", 0, metavar="PORT", convert=read_within("port", 65535)),
    Argument(("--uid",), "the user who sends it", metavar="UID", convert=read_within("user", 0xFFFFFFFE)),
)  # by what rules tell one from another
_AFTER_CURSOR = Argument(("--after-cursor",), "only what came after this __CURSOR", metavar="CURSOR")

VERBS: Final[dict[str, Command]] = {
    "run": Command(
        "keep the kernel as the files say, in the foreground",
        (
            Argument(
                ("--log-format",), "where records go and how", "auto", ("auto", "journal", "text", "json"), "FORMAT"
            ),
            Argument(("--no-watch",), "do not watch the files", False),
            Argument(
                ("--follow-processes",), "hear of each program that starts, to name those that end at once", False
            ),
            Argument(
                ("--follow-netlink",), "hear of what others ask of IPVS, to repair it at once and to name them", False
            ),
            Argument(
                ("--group",), f"whose members may give orders, beside root (${GROUP_VARIABLE})", "", metavar="GROUP"
            ),
        ),
    ),
    "check": Command("read the files and say what is wrong with them", (_FILE, _STRICT)),
    "plan": Command(
        "show what would be done to the kernel, and change nothing",
        (
            _FILE,
            Argument(("--exit-code",), f"exit {Exit.DRIFT} when there is something to do", False),
            Argument(
                ("--if",),
                "what would happen then, such as link:eth1=down, check:NAME=up, file:PATH; may be given several times",
                (),
                metavar="ASSUMPTION",
                convert=read_assumptions,
                completes="assumption",
                is_repeated=True,
            ),
            Argument(
                ("--why",),
                "how packets to this address go now, and when all of it is done; may be given several times",
                (),
                metavar="ADDRESS",
                convert=read_list,
                is_repeated=True,
            ),
            *_PACKET,
            _STRICT,
        ),
    ),
    "apply": Command(
        "put the files in force now and wait for the verified result",
        (
            Argument(("--force",), "let the deletions that the guard holds", False),
            Argument(("--direct",), "do it once, without a daemon", False),
            _CONFIRM,
            Argument(("--comment",), "what the change is for; revisions shows it", "", metavar="TEXT"),
            _TIMEOUT,
        ),
    ),
    "confirm": Command("keep what is in force on trial"),
    "rollback": Command(
        "put a former revision in force, and leave the files on disk alone",
        (
            Argument(
                ("revision",),
                "its number; without one, the revision before",
                metavar="REVISION",
                is_required=False,
                convert=read_number,
                completes="revision",
            ),
            Argument(("--force",), "let the deletions that the guard holds", False),
            _CONFIRM,
            _TIMEOUT,
        ),
    ),
    "revisions": Command("list the revisions that are kept: when, who, what for, and which is in force"),
    "diff": Command(
        "show how two revisions differ, or one and the files on disk",
        (
            Argument(
                ("before",),
                "a revision, or the main file of others; without one, that in force",
                metavar="BEFORE",
                is_required=False,
                completes="revision",
                convert=read_side,
            ),
            Argument(
                ("after",),
                "likewise; without one, the files on disk",
                metavar="AFTER",
                is_required=False,
                completes="revision",
                convert=read_side,
            ),
            Argument(("--text",), "print a unified diff of the files", False),
        ),
    ),
    "status": Command(
        "show every entry, its state and why",
        (
            _ENTRY._replace(help="an entry, a pattern such as 'route/pods*', or an address that it is for"),
            Argument(("--failed",), "show nothing but what somebody has to look after", False),
            Argument(("--watch",), "go on, and show it anew whenever something changes", False),
        ),
    ),
    "members": Command(
        "show the members of each source, or of one, and how the source is",
        (
            Argument(
                ("source",),
                "one source, such as fleet",
                "",
                metavar="SOURCE",
                is_required=False,
                completes="source-name",
            ),
        ),
    ),
    "graph": Command(
        "draw rules, tables, routes and links, and how each stands",
        (
            _FILE,
            Argument(("--format",), "what the picture is written in", "svg", ("svg", "dot", "mermaid"), "FORMAT"),
        ),
    ),
    "doctor": Command(
        "show what on this host works against what the files want, and the line that cures each",
        (
            _FILE,
            Argument(
                ("--severity",),
                "show and count only what is at least as bad",
                "note",
                ("note", "warning", "error"),
                "SEVERITY",
            ),
        ),
    ),
    "metrics": Command(
        "print the state, and what was counted since the start, as Prometheus reads it",
        (
            Argument(
                ("--output",),
                "put it into this file, for the textfile collector of node_exporter",
                metavar="FILE",
                completes="file",
            ),
            Argument(("--format",), "its form", None, ("openmetrics", "text"), "FORMAT"),
        ),
    ),
    "monitor": Command("show what happens to an entry, or to everything, as it happens", (_RECORDED,)),
    "history": Command(
        "show what the journal remembers of an entry, or of everything",
        (
            _RECORDED,
            _SINCE,
            _LINES,
            _AFTER_CURSOR,
            _DIRECTORY,
            Argument(("-f", "--follow"), "go on, with what comes from now on", False),
        ),
    ),
    "blame": Command(
        "show who changed the objects of an entry, how often, and what became of it",
        (_RECORDED._replace(is_required=True), _SINCE, _LINES, _DIRECTORY),
    ),
    "why": Command(
        "show which way a packet goes and what decides that, or why an entry is in its state",
        (
            Argument(
                ("subject",), "an address, or an entry such as route/storage-lan", metavar="SUBJECT", completes="entry"
            ),
            *_PACKET,
        ),
    ),
    "pause": Command(
        "stop enforcing an entry, or everything, for a time",
        (
            _ENTRY,
            Argument(("--for",), "how long, such as 1h", 3600.0, metavar="DURATION", convert=read_duration),
            Argument(("--reason",), "why; status shows it", "", metavar="TEXT"),
        ),
    ),
    "override": Command(
        "say for a time that a check is up or down, whatever it finds",
        (
            Argument(("check",), "the check, such as check/wan1", metavar="CHECK", completes="check"),
            Argument(("verdict",), "what it counts as", None, ("up", "down"), "VERDICT"),
            Argument(("--for",), "how long, such as 1h", 3600.0, metavar="DURATION", convert=read_duration),
            Argument(("--reason",), "why; status shows it", "", metavar="TEXT"),
        ),
    ),
    "drain": Command(
        "give a server of a service no new connections for a time",
        (
            Argument(
                ("server",), "the server, such as service/api[10.0.0.11:6443]", metavar="SERVER", completes="server"
            ),
            Argument(("--for",), "how long, such as 1h", 3600.0, metavar="DURATION", convert=read_duration),
            Argument(("--reason",), "why; status shows it", "", metavar="TEXT"),
        ),
    ),
    "resume": Command("enforce again what was paused", (_ENTRY._replace(completes="entry,check,server"),)),
    "select": Command(
        "show which interface is meant, and why every other one is not",
        (
            Argument(
                ("expression",),
                "@name of an [[interface]], or a matcher such as cidr=10.0.0.0/8",
                metavar="EXPR",
                completes="interface",
            ),
        ),
    ),
    "route": Command(
        "say whether an address is the default-route address; add or delete a route to a host",
        (
            Argument(
                ("change",),
                "add, like ip route add IP via IP, but it stays; del, like ip route del IP via IP; else a question",
                None,
                ("add", "del"),
                "CHANGE",
                is_required=False,
            ),
            Argument(("--host",), "the address in question, or the destination", metavar="IP", convert=read_host),
            Argument(("--gateway",), "the gateway of add and del", metavar="IP", convert=read_host),
            _TIMEOUT,
        ),
    ),
    "import": Command(
        "print routes, rules and addresses as a file: the kernel's, or those of other programs' files",
        (
            Argument(
                ("--from",),
                "a file or folder of another program, or - for what ip route show and its like print; several times",
                (),
                metavar="PATH",
                completes="file",
                convert=lambda text: [text],
                is_repeated=True,
            ),
            Argument(
                ("--format",),
                "what these are, where neither their names nor their text say it",
                "",
                ("netplan", "networkd", "NetworkManager", "ifupdown", "keepalived", "ip"),
                "FORMAT",
            ),
            Argument(
                ("--protocol",),
                "of the kernel's also what carries this protocol number, which a program keeps; several times",
                (),
                metavar="NUMBER",
                convert=lambda text: [read_within("protocol: a number", 255)(text)],
                is_repeated=True,
            ),
        ),
    ),
    "schema": Command("print the JSON Schema of the file, for editors"),
    "completion": Command(
        "print the completion script of a shell",
        (
            Argument(("shell",), "the shell", choices=("bash", "zsh", "fish"), metavar="SHELL", is_required=False),
            Argument(
                ("--offer",),
                "print the names of these kinds that there are, as its script asks for them",
                metavar="KINDS",
                convert=read_kinds,
            ),
        ),
    ),
    "demo": Command("show what routed does, in a throw-away network namespace"),
}


_VERB: Final = "verb"
_HELP: Final = frozenset({"-h", "--help"})  # which lists all verbs


class _Parser(argparse.ArgumentParser):
    """Says usage errors with the exit code of sysexits.h, and has no arguments before it is asked for them."""

    def __init__(self, arguments: Sequence[Argument] = (), **more: Any) -> None:
        super().__init__(allow_abbrev=False, **more)
        self._arguments = arguments

    # argparse asks the parser of the one verb that is there; all the others together would take longer than the verb.
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        for argument in self._arguments:
            _add(self, argument)
        self._arguments = ()
        return super().parse_known_args(args, namespace)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """A word that is none of those that there are, such as a verb: say which was meant."""
        choices = VERBS if action.dest == _VERB else action.choices
        if choices is not None and value not in choices:
            close = suggest(str(value), map(str, choices))
            listed = f"one of {', '.join(map(str, choices))}"
            raise argparse.ArgumentError(action, f'"{value}" is unknown: {_ask(close) if close else listed}')

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            verb = VERBS[options.verb].arguments
            names = [name for argument in (*verb, *COMMON) if argument.is_option for name in argument.names]
            close = suggest(unknown[0].partition("=")[0], names) if unknown[0].startswith("--") else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}" + (f": {_ask(close)}" if close else ""))
        return options

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)  # a script reads stdout
        self.exit(Exit.USAGE, f"{self.prog}: {make_printable(message)}\n")


def _ask(word: str) -> str:
    return f"did you mean {word}?"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options that ``argv`` gives, with every default filled in. Raises SystemExit, as argparse does."""
    options = make_parser(argv).parse_args(argv)
    for argument in (*COMMON, *VERBS[options.verb].arguments):
        if not hasattr(options, argument.key) or getattr(options, argument.key) is None:
            setattr(options, argument.key, argument.default)
    options.config = (
        getattr(options, "file", None) or options.config or os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG
    )
    return options


def make_parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of the verbs that ``argv`` may mean: each takes half a millisecond. All of them where it names none.

    Common options may stand on either side of the verb.
    """
    named = VERBS.keys() & set(argv) if _HELP.isdisjoint(argv) else set()
    parser = _Parser(COMMON, prog="routed", description=routed.__doc__)
    parser.add_argument("--version", action="version", version=f"routed {routed.__version__}")
    verbs = parser.add_subparsers(dest=_VERB, metavar="VERB", required=True)
    for name, verb in VERBS.items():
        if named and name not in named:
            continue
        description = verb.help.capitalize() + "."
        verbs.add_parser(name, help=verb.help, description=description, arguments=(*verb.arguments, *COMMON))
    return parser


def _add(parser: argparse.ArgumentParser, argument: Argument) -> None:
    # Defaults are filled in last: a default of the inner parser would wipe out what stood before the verb.
    given: dict[str, Any] = {"help": argument.help, "default": argparse.SUPPRESS}
    if argument.is_option:
        given["dest"] = argument.key
        given |= (
            {"action": argument.action}
            if argument.metavar is None
            else {"metavar": argument.metavar, "type": argument.convert}
        )
        given |= {"action": "extend"} if argument.is_repeated else {}
    else:
        # A default that is a string would have to be one of the choices.
        given |= {"metavar": argument.metavar, "type": argument.convert} | (
            {} if argument.is_required else {"nargs": "?", "default": None}
        )
    if argument.choices:
        given["choices"] = argument.choices
    parser.add_argument(*argument.names, **given)
