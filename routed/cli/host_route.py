"""``routed route add`` and ``del``: one drop-in for each host, put in force and verified.

The story: look at the files and the kernel, decide, write, have it enforced, judge. What a drop-in says stands in
``routed.intent.hostdropin``, how it gets to the disk in ``drop_in_file``.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from os.path import realpath
from pathlib import Path
from typing import Final, NamedTuple, cast

from routed.cli.client import ClientError, call
from routed.cli.drop_in_file import lock_folder, put_file, read_file
from routed.cli.exits import Exit
from routed.cli.problems import read_problems, show_problems
from routed.cli.terminal import complain, say_json
from routed.daemon.look import look_at_addresses, look_at_host_route, look_at_source
from routed.intent import hostdropin
from routed.intent.hostdropin import EditedError, HostRoute
from routed.intent.load import load, load_kept, read_sources
from routed.intent.problems import IntentError
from routed.model.documents import ApplyDocument, StatusDocument
from routed.model.entries import Intent, Source
from routed.model.facts import Facts
from routed.model.net import format_address
from routed.model.objects import Key, Kind, Standing
from routed.model.text import Vocabulary, format_object

NEW_MAIN_FILE: Final = b"version = 1\n"
OTHER_CHANGES: Final = "the files had other changes that were not in force yet; now they are"


class EndError(Exception):
    """The command ends here and has changed nothing. ``str`` is a sentence for a person."""

    def __init__(self, sentence: str, code: Exit) -> None:
        super().__init__(sentence)
        self.code = code


class Declared(NamedTuple):
    """The files as the command found them."""

    sources: tuple[Source, ...]
    others: Intent  # without the drop-in of this host
    before: HostRoute | None  # what that drop-in says


def run(options: Namespace) -> Exit:
    """Add or delete the route to ``options.host`` by ``options.gateway``, both packed."""
    options.config = str(Path(options.config).absolute())
    try:
        return CHANGES[options.change](options)
    except (EndError, ClientError) as error:
        complain(str(error))
        return error.code
    except IntentError as error:
        show_problems(error.problems, options)
        return Exit.REFUSED if isinstance(error, EditedError) else Exit.INVALID


def add(options: Namespace) -> Exit:
    """Write the drop-in, unless it says so already, and put it in force."""
    daemon = find_daemon(options)
    route = HostRoute(options.host, options.gateway, options.gateway in look_at_addresses())
    path = find_path(options)
    with lock_folder(path.parent), undoing(Path(options.config)), undoing(path):
        make_main_file(options, daemon)
        files = read_files(options)
        if is_declared_elsewhere(options, files):
            return Exit.DONE
        standing, facts = ([], Facts()) if files.before else look_at_host_route(options.host)
        if files.before != route:
            put_file(path, make_drop_in(route, path, files))
        result = enforce(options, daemon)
    if files.before and files.before.gateway != route.gateway:
        remark(options, f"{route} replaces {files.before}")
    code = judge(result, options)
    if code is not Exit.DONE or any(is_mine(waiting["origin"], options) for waiting in result["waiting"]):
        return code
    for other in find_strangers(standing, files.others, route.gateway, is_same=False):
        remark(options, f"{route} takes the place of: {name_standing(other, facts, files.others)}")
    return prove(route) if route.is_own else code


def delete(options: Namespace) -> Exit:
    """Remove the drop-in, and have the route removed."""
    daemon = find_daemon(options)
    path = find_path(options)
    with lock_folder(path.parent) if path.parent.exists() else nullcontext(), undoing(path):
        files = read_files(options) if Path(options.config).exists() else Declared((), Intent(), None)
        if files.before is None:
            require_leftover(options, files)
        elif files.before.gateway != options.gateway:
            raise no_such_process(options, f"; {path} says {files.before}")
        else:
            put_file(path, None)
        return judge(enforce(options, daemon), options)


CHANGES: Final = {"add": add, "del": delete}


def find_daemon(options: Namespace) -> StatusDocument | None:
    """The daemon's status, None where none runs. Raises EndError for one that keeps other files, and ClientError."""
    try:
        status = cast(StatusDocument, call(options.runtime_dir, "GetStatus", timeout=options.timeout))
    except ClientError as error:
        if error.code is Exit.UNAVAILABLE:
            return None
        raise
    config = Path(status["config"])
    if config.is_absolute() and realpath(config) != realpath(options.config):
        raise EndError(f"the daemon (pid {status['pid']}) keeps {config}: name it with --config", Exit.REFUSED)
    if "trial" in status:
        raise EndError("a change is on trial: routed confirm or routed rollback comes first", Exit.REFUSED)
    if status.get("deployment") == "rolled back":
        raise EndError("a rollback holds: routed apply puts the files in force, and comes first", Exit.REFUSED)
    return status


def find_path(options: Namespace) -> Path:
    """Where the drop-in of this host stands."""
    return Path(f"{options.config}.d") / hostdropin.name_drop_in(options.host)


@contextmanager
def undoing(path: Path) -> Iterator[None]:
    """Put the file back when the command ends with nothing enforced."""
    before = read_file(path)
    try:
        yield
    except (EndError, IntentError, OSError):
        if read_file(path) != before:
            put_file(path, before)
        raise


def make_main_file(options: Namespace, daemon: StatusDocument | None) -> None:
    """Make the main file where there was never one. Raises EndError where one got lost, and OSError.

    An empty file in the place of a lost one would take away everything that the lost one had declared.
    """
    from routed.daemon.revisions import Revisions

    path = Path(options.config)
    if path.exists():
        return
    if daemon or Revisions(Path(options.state_dir, "revisions")).newest():
        what = "was in force and is missing now: put it back, or write `version = 1` into a new one"
        raise EndError(f"{path} {what}", Exit.REFUSED)
    put_file(path, NEW_MAIN_FILE)


def read_files(options: Namespace) -> Declared:
    """Read and check all files. Raises IntentError for what is wrong with any."""
    path = str(find_path(options))
    sources = read_sources(Path(options.config))
    others = load_kept(hostdropin.exchange_drop_in(sources, path, None)).intent
    own = next((source for source in sources if source.path == path), None)
    return Declared(sources, others, hostdropin.read_drop_in(own, options.host) if own else None)


def is_declared_elsewhere(options: Namespace, files: Declared) -> bool:
    """Does another file say the same already? Raises EndError where it says something else about this host."""
    declared = hostdropin.find_declared(files.others, options.host)
    if declared is None or files.before:
        return False
    where = f"{format_address(options.host)} is declared already, at {declared.origin} ({declared.name})"
    if hostdropin.gateway_of(declared) != options.gateway:
        raise EndError(f"{where}, in another way: change it there", Exit.REFUSED)
    remark(options, where)
    return True


def require_leftover(options: Namespace, files: Declared) -> None:
    """Nothing but a leftover of ours may be deleted without a drop-in. Raises EndError for everything else."""
    declared = hostdropin.find_declared(files.others, options.host)
    if declared:
        where = f"declared at {declared.origin} ({declared.name})"
        raise EndError(f"{format_address(options.host)} is {where}: take it out there", Exit.REFUSED)
    standing, facts = look_at_host_route(options.host)
    for other in find_strangers(standing, files.others, options.gateway, is_same=True):
        what = name_standing(other, facts, files.others)
        raise EndError(f"not made by routed: {what}; `ip route del` removes it", Exit.REFUSED)
    if not any(one.value.protocol in files.others.settings.numbers for one in standing):
        raise no_such_process(options)


def make_drop_in(route: HostRoute, path: Path, files: Declared) -> bytes:
    """The content of the drop-in, which goes with all other files. Raises EndError and IntentError."""
    content = hostdropin.write_drop_in(route)
    try:
        load_kept(hostdropin.exchange_drop_in(files.sources, str(path), content))
    except IntentError as error:
        if any(problem.file != str(path) for problem in error.problems):
            raise
        # The file does not exist yet, so its lines would tell nobody anything.
        reasons = "; ".join(dict.fromkeys(problem.message for problem in error.problems))
        raise EndError(f"{route}: {reasons}; nothing was changed", Exit.REFUSED) from None
    return content


def prove(route: HostRoute) -> Exit:
    """Does the kernel pick the host's own address as the source now? That is what the route is for."""
    source = look_at_source(route.host)
    if source == route.gateway:
        return Exit.DONE
    way = f"leave from {format_address(source)}" if source else "find no way"
    complain(f"{route} is in place, but packets to it {way}: `routed status` says what wins")
    return Exit.FAILED


def find_strangers(standing: list[Standing], intent: Intent, gateway: bytes, *, is_same: bool) -> list[Standing]:
    """The routes that are not ours and go by this gateway, or do not."""
    ours = intent.settings.numbers
    return [
        one
        for one in standing
        if one.value.protocol not in ours and any(hop.gateway == gateway for hop in one.value.hops) is is_same
    ]


def no_such_process(options: Namespace, more: str = "") -> EndError:
    """The kernel's own words for a route that is not there (ESRCH), as ``ip`` and ``sealos route`` have them."""
    return EndError(f"{HostRoute(options.host, options.gateway)}: no such process{more}", Exit.FAILED)


def enforce(options: Namespace, daemon: StatusDocument | None) -> ApplyDocument:
    """Put the files in force, by the daemon or here. Raises EndError, and ClientError where it may be in force yet."""
    if daemon is None:
        return enforce_here(options)
    if daemon["files"]["state"] != "in force":
        remark(options, OTHER_CHANGES)
    try:
        result = cast(ApplyDocument, call(options.runtime_dir, "Reload", {"force": False}, options.timeout))
    except ClientError as error:
        if error.code in {Exit.NOT_PERMITTED, Exit.REFUSED, Exit.UNAVAILABLE}:
            raise EndError(str(error), error.code) from None
        raise
    if result["problems"]:
        raise IntentError(tuple(read_problems(result["problems"])))
    if "trial" in result:
        from routed.cli.trial import KEEPS, describe  # few hosts are changed so

        remark(options, f"{describe(result['revision'], result['trial'])}: {KEEPS}")
    return result


def enforce_here(options: Namespace) -> ApplyDocument:
    """The same without a daemon. Raises EndError and IntentError."""
    from routed.daemon import direct, lock, storage

    try:
        intent = load(Path(options.config)).intent
        result = direct.apply_once(intent, Path(options.state_dir), Path(options.runtime_dir))
    except lock.AlreadyRunningError as error:
        raise EndError(str(error), Exit.REFUSED) from None
    except storage.StateError as error:
        raise EndError(str(error), Exit.FAILED) from None
    remark(options, "no daemon is running: the kernel was changed directly, and nothing keeps it so")
    return result


def judge(result: ApplyDocument, options: Namespace) -> Exit:
    """Say what the result means for this host alone. Returns the exit code."""
    if options.json:
        say_json(result)
    failures = [one for one in result["failures"] if is_mine(one["origin"], options)]
    # What no entry wants any more has no origin; the guard holds all such deletions or none.
    refusals = [
        one for one in result["refusals"] if is_mine(one["origin"], options) or (one["by_guard"] and not one["entry"])
    ]
    for failure in failures:
        complain(f"{failure['object']}: {failure['reason']}")
    for refusal in refusals:
        complain(f"left alone: {refusal['object']}: {refusal['reason']}")
    for waiting in result["waiting"]:
        if is_mine(waiting["origin"], options):
            remark(options, f"waiting: {waiting['reason']}")
    if failures:
        return Exit.FAILED
    return Exit.REFUSED if refusals else Exit.DONE


def is_mine(origin: str, options: Namespace) -> bool:
    """Does this place (``file:line``) lie in the drop-in of the host? Of each name of a file only one counts."""
    return origin.rpartition(":")[0].rpartition("/")[2] == hostdropin.name_drop_in(options.host)


def name_standing(standing: Standing, facts: Facts, intent: Intent) -> str:
    """A route as ``ip route`` prints it."""
    vocabulary = Vocabulary.of(facts, intent.table_names, intent.settings.protocol)
    return format_object(Key(Kind.ROUTE, standing.slot, standing.member), standing.value, vocabulary)


def remark(options: Namespace, sentence: str) -> None:
    """A message that is no error."""
    if not options.quiet:
        complain(sentence)
