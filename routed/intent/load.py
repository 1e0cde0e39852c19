"""Load: the files of the operator → an Intent, or everything that is wrong with them.

The story of this floor. What is wrong never hides what else is wrong: a file that is no TOML is one problem, and all
the others are still read. Reading from the disk stands in ``gather``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from routed.intent import schema
from routed.intent.complaints import validate
from routed.intent.convert import SERVICE, Draft, FaultsError, OtherFiles, convert, derive_links
from routed.intent.crosscheck import Clash, find_clashes, name_entries
from routed.intent.digest import digest_of
from routed.intent.disk import Read, read_for_command
from routed.intent.documents import Document
from routed.intent.gather import LIST_KEYS, Gathered, gather, parse_documents, prefix_path
from routed.intent.names import Names, read_names
from routed.intent.own_prefixes import note_own_sources
from routed.intent.own_protocols import OWN_PROTOCOLS
from routed.intent.prefixes import PrefixFile, parse_prefixes
from routed.intent.problems import Fault, IntentError, KeyPath, Problem, attempt
from routed.intent.schema_values import Table
from routed.intent.selectors import convert_selector
from routed.intent.top_level import find_top_level_faults
from routed.model.checks import Check
from routed.model.entries import (
    LISTS,
    WRITTEN,
    Entry,
    Fill,
    Intent,
    IpvsSettings,
    ProbeWays,
    Selector,
    Settings,
    Source,
    TimeoutsEntry,
)
from routed.model.names import TABLES
from routed.model.net import is_loopback

if TYPE_CHECKING:  # only files with services, checks or members pay for them
    from routed.intent.servers import ServersFile
    from routed.intent.ways import Ways
    from routed.model.members import MemberSource

NOT_PUBLIC: Final = (
    "`metrics`: others reach this address, and would read there how this host routes",
    "write 127.0.0.1 or ::1, or beside it: metrics_public = true",
)

_T = TypeVar("_T")


class Loaded(NamedTuple):
    """What the files say, and what is worth a word though it is no error."""

    intent: Intent
    notices: tuple[Problem, ...]


class WrittenTable(NamedTuple):
    """One table of one file, as the schema has read it."""

    kind: str
    document: Document
    path: KeyPath
    spec: Any
    fills: tuple[Fill, ...] = ()  # what the members of a source fill
    each: Any = None  # who they are: the keys for_each and where


def load(path: Path, *, root: Path = Path("/")) -> Loaded:
    """Read and check the main file ``path`` and all that belongs to it.

    ``root`` stands before the paths of the system (name files, the vendor's drop-ins). Raises IntentError with every
    problem of every file, and nothing else.
    """
    return load_gathered(gather_files(path, root=root))


def gather_files(path: Path, *, root: Path = Path("/"), read: Read = read_for_command) -> Gathered:
    """The files themselves, and which of them cannot be read. Raises IntentError for a defect of ours only."""
    return _attempt_all(partial(gather, path, root, read), str(path))


def load_gathered(gathered: Gathered, note: Callable[[str], None] = lambda _: None) -> Loaded:
    """The intent of these files. ``note`` is told of each file before the work on it. Raises IntentError."""
    failed = gathered.unread + gathered.invalid
    unread = gathered.unread_prefixes
    return _assemble(_Assembly(gathered.sources, gathered.documents, failed, unread, note, is_of_now=True))


def load_kept(sources: tuple[Source, ...]) -> Loaded:
    """The same from bytes in memory, such as a stored revision; reads no file. Raises IntentError."""
    documents, problems = parse_documents(sources)
    return _assemble(_Assembly(sources, documents, problems))


def load_sources(sources: tuple[Source, ...]) -> Intent:
    """``load_kept`` without its notices."""
    return load_kept(sources).intent


def read_sources(path: Path, *, root: Path = Path("/")) -> tuple[Source, ...]:
    """All files that make up the configuration, verbatim. Raises IntentError for what cannot be read.

    Roles: ``main``, ``drop-in``, ``prefixes``, and ``names`` for the host's /etc/iproute2, without which a stored
    revision could not be understood alone.
    """
    gathered = gather_files(path, root=root)
    if unread := gathered.unread + gathered.unread_prefixes:
        raise IntentError(unread)
    return gathered.sources


def _assemble(assembly: _Assembly) -> Loaded:
    return _attempt_all(assembly.assemble, assembly.sources[0].path if assembly.sources else "")


def _attempt_all(work: Callable[[], _T], file: str) -> _T:
    """What ``work`` returns; a defect that belongs to no one table is one of the main file. Raises IntentError."""
    sentences: list[str] = []
    result = attempt(work, sentences.append)
    if sentences or result is None:
        raise IntentError(tuple(Problem(file, 0, 0, sentence) for sentence in sentences))
    return result


class _Assembly:
    """One run from documents to an Intent; it exists to collect problems along the way."""

    def __init__(
        self,
        sources: tuple[Source, ...],
        documents: Sequence[Document],
        failed: tuple[Problem, ...],
        unread_prefixes: tuple[Problem, ...] = (),
        note: Callable[[str], None] = lambda _: None,
        *,
        is_of_now: bool = False,
    ) -> None:
        """``is_of_now``: not of a revision, so what the files name may be looked at."""
        self.note = note
        self.is_of_now = is_of_now
        self.sources = sources
        self.documents = documents
        self.problems = [*failed, *unread_prefixes]
        self.notices: list[Problem] = []
        self.is_every_file_read = not failed
        self.is_every_table_read = not failed
        self.is_every_interface_read = not failed
        self.is_every_check_read = not failed
        self.is_every_source_read = not failed
        self.are_numbers_read = not failed
        self.are_lists_told = bool(unread_prefixes)
        self.lists = {(source.role, source.path): source for source in sources if source.role in LISTS}
        self.prefix_files: dict[str, PrefixFile] = {}
        self.servers_files: dict[str, ServersFile] = {}

    def assemble(self) -> Loaded:
        """The story. Raises IntentError."""
        tables = [table for document in self.documents for table in self._read_tables(document)]
        chosen = self._choose(tables)
        names = self._names([table for table in chosen if table.kind == "table"])
        settings = self._settings([table for table in tables if table.kind in schema.SETTINGS_TABLES], names)
        selectors = self._selectors([table for table in chosen if table.kind == "interface"])
        known = frozenset(selector.name for selector in selectors) if self.is_every_interface_read else None
        checks = self._checks([table for table in chosen if table.kind == "check"], known)
        asked = {check.name: check for check in checks} if self.is_every_check_read else None
        sources = self._member_sources([table for table in chosen if table.kind == "source"])
        placed = [table for table in chosen if table.kind not in {*schema.NO_ENTRIES, *schema.SETTINGS_TABLES}]
        drafts = [
            (table, draft)
            for table in placed
            if (
                draft := self._attempt(
                    table.document,
                    table.path,
                    partial(self._convert, table, self._others(table, names, known, asked, settings), sources),
                )
            )
        ]
        entries = note_own_sources(name_entries(draft for _, draft in drafts))
        checks, entries = self._server_checks(checks, entries)
        entries, unmet = self._required_services(entries)
        entries, unfit = self._nexthops(entries, [table for table, _ in drafts])
        ways = self._ways(checks, entries, settings)
        self._crosscheck([table for table, _ in drafts], entries, ways, [*unmet, *unfit])
        if self.problems:
            raise IntentError(self._in_order(self.problems))
        table_names = {number: name for name, number in names.tables.items()}
        if ways is not None:
            checks, entries = ways.checks, (*ways.made, *ways.written)
        timeouts = self._timeouts([table for table in tables if table.kind == "ipvs"])
        entries = (*derive_links(entries), *entries, *timeouts)
        digest, told = digest_of(self.sources), tuple(sources.values())
        written = digest_of(source for source in self.sources if source.role in WRITTEN)
        intent = Intent(settings, entries, self.sources, table_names, digest, selectors, checks, told, written)
        return Loaded(intent, self._in_order(self.notices))

    def _read_tables(self, document: Document) -> Iterable[WrittenTable]:
        """Every table of one file that its schema accepts."""
        self.note(document.source.path)
        data = document.data
        if document.source.role == "main" and "version" not in data:
            message = "the file has no `version`" if data else "the file is empty"
            self.problems.append(document.problem((), message, "begin it with: version = 1"))
        tables: list[tuple[str, KeyPath, type[Table], object]] = []
        for word, value in data.items():
            if word in schema.ENTRY_TABLES and isinstance(value, list):
                model = schema.ENTRY_TABLES[word]
                tables += ((word, (word, index), model, table) for index, table in enumerate(value))
            elif word in schema.SETTINGS_TABLES:
                tables.append((word, (word,), schema.SETTINGS_TABLES[word], value))
            else:
                self.problems += (document.problem_of((), fault) for fault in find_top_level_faults(word, document))
        for kind, path, model, content in tables:
            table = self._attempt(document, path, partial(self._read_table, document, kind, path, model, content))
            if table is not None:
                yield table
            else:
                self.is_every_table_read &= kind != "table"
                self.is_every_interface_read &= kind != "interface"
                self.is_every_check_read &= kind != "check"
                self.is_every_source_read &= kind != "source"
                self.are_numbers_read &= kind != "daemon"

    def _read_table(
        self, document: Document, kind: str, path: KeyPath, model: type[Table], content: object
    ) -> WrittenTable | None:
        if not isinstance(content, dict):
            self.problems.append(document.problem(path, f"`{kind}` must be a table"))
            return None
        fills: tuple[Fill, ...] = ()
        each: Any = None
        if "for_each" in content or (kind == "service" and isinstance(content.get("servers"), dict)):
            from routed.intent.for_each import take_out  # noqa: PLC0415  only files with members pay for it

            try:
                content, fills, each = take_out(kind, content)
            except FaultsError as error:
                self.problems += (document.problem_of(path, fault) for fault in error.faults)
                return None
        spec = validate(model, content)
        if not isinstance(spec, tuple):
            return WrittenTable(kind, document, path, spec, fills, each)
        self.problems += (document.problem_of(path, fault) for fault in spec)
        return None

    def _attempt(self, document: Document, path: KeyPath, work: Callable[[], _T | None]) -> _T | None:
        """A defect in the work on one table is a problem of that table; the others are still read."""
        return attempt(work, lambda sentence: self.problems.append(document.problem(path, sentence)))

    def _choose(self, tables: Iterable[WrittenTable]) -> list[WrittenTable]:
        """The tables that count: of one kind and name the last file's, and none that is disabled."""
        chosen: dict[object, WrittenTable] = {}
        for table in tables:
            name = table.spec.name if table.kind not in schema.SETTINGS_TABLES else None
            key = (table.kind, name) if name else (*table.path, table.document.source.path)
            earlier = chosen.get(key)
            if earlier and earlier.document is table.document:
                place = earlier.document.origin(earlier.path)
                message = f'the name "{name}" stands here already, at line {place.line}'
                self.problems.append(table.document.problem((*table.path, "name"), message))
            chosen[key] = table
        return [one for one in chosen.values() if one.kind in schema.SETTINGS_TABLES or not one.spec.disabled]

    def _names(self, tables: Iterable[WrittenTable]) -> Names:
        """The names of the host and of ``[[table]]``."""
        host = read_names(self.sources)
        declared: dict[str, int] = {}
        for table in tables:
            name, number = table.spec.name, table.spec.id
            missing = table.spec.list_missing()
            self.problems += (table.document.problem(table.path, f"`{key}` is missing") for key in missing)
            if missing:
                self.is_every_table_read = False
                continue
            if name in TABLES.values() or number in TABLES:
                message = "the names and numbers of main, local and default are the kernel's"
                self.problems.append(table.document.problem(table.path, message))
            elif host.tables.get(name, number) != number:
                message = f'the host\'s rt_tables calls {host.tables[name]} "{name}"; here it is {number}'
                self.notices.append(table.document.problem(table.path, message))
            declared[name] = number
        return Names({**host.tables, **declared}, host.protocols, host.services, self.is_every_table_read)

    def _settings(self, tables: Iterable[WrittenTable], names: Names) -> Settings:
        """``[daemon]`` and ``[ipvs]`` of all files, a later file's keys before an earlier one's."""
        given: dict[str, Any] = {}
        ipvs: dict[str, Any] = {}
        serving: WrittenTable | None = None  # that has the address of metrics
        for table in tables:
            if table.kind == "ipvs":
                ipvs |= _ipvs_settings(table.spec)
                continue
            for key in table.spec.model_fields_set:
                given[key] = getattr(table.spec, key)
                serving = table if key == "metrics" else serving
                if key == "probe":
                    given[key] = ProbeWays(**given[key].model_dump())
                if key in OWN_PROTOCOLS:
                    try:
                        given[key] = OWN_PROTOCOLS[key](names, given[key])
                    except ValueError as error:
                        message, *hint = error.args
                        self.problems.append(table.document.problem((*table.path, key), f"`{key}`: {message}", *hint))
                        self.are_numbers_read = False
                        del given[key]
        settings = Settings(**given, ipvs=IpvsSettings(**ipvs))
        if serving and settings.metrics and not (settings.metrics_public or is_loopback(settings.metrics[0])):
            self.problems.append(serving.document.problem((*serving.path, "metrics"), *NOT_PUBLIC))
        return settings

    def _timeouts(self, tables: Sequence[WrittenTable]) -> Iterable[Entry]:
        """``[ipvs] timeouts`` of the last file that has it, as an entry."""
        for table in [one for one in tables if one.spec.timeouts is not None][-1:]:
            given = table.spec.timeouts.model_dump(exclude_none=True)
            if given:
                origin = table.document.origin((*table.path, "timeouts"))
                yield TimeoutsEntry(name="ipvs/timeouts", origin=origin, timeouts=tuple(given.items()))

    def _selectors(self, tables: Iterable[WrittenTable]) -> tuple[Selector, ...]:
        """Every ``[[interface]]``."""
        selectors = []
        for table in tables:
            found = convert_selector(table.spec, table.document.origin(table.path))
            if isinstance(found, Selector):
                selectors.append(found)
            else:
                self.problems += (table.document.problem_of(table.path, fault) for fault in found)
                self.is_every_interface_read = False
        return tuple(selectors)

    def _checks(self, tables: Sequence[WrittenTable], interfaces: frozenset[str] | None) -> tuple[Check, ...]:
        """Every ``[[check]]``."""
        if not tables:
            return ()
        # only files with checks pay for it
        from routed.intent.check_table import convert_check, find_lack, find_untrusted  # noqa: PLC0415

        checks = []
        for table in tables:
            found = convert_check(table.spec, table.document.origin(table.path), interfaces)
            if isinstance(found, tuple):
                self.problems += (table.document.problem_of(table.path, fault) for fault in found)
                self.is_every_check_read = False
            else:
                checks.append(found)
                self.is_every_check_read &= self._look_at(found, find_untrusted, find_lack, table)
        return tuple(checks)

    def _server_checks(
        self, checks: tuple[Check, ...], entries: tuple[Entry, ...]
    ) -> tuple[tuple[Check, ...], tuple[Entry, ...]]:
        """With the checks of servers."""
        if not any(entry.templates for entry in entries):
            return checks, entries
        from routed.model.servers import complete_services, list_own_checks  # noqa: PLC0415

        entries = complete_services(entries)
        return (*checks, *list_own_checks(entries)), entries

    def _required_services(self, entries: tuple[Entry, ...]) -> tuple[tuple[Entry, ...], list[Clash]]:
        """With what the services that are required come to."""
        if not any(one.check.startswith(SERVICE) for entry in entries for one in entry.conditions):
            return entries, []
        from routed.intent.required_services import require_services  # noqa: PLC0415

        return require_services(entries)

    def _nexthops(
        self, entries: tuple[Entry, ...], tables: Iterable[WrittenTable]
    ) -> tuple[tuple[Entry, ...], list[Clash]]:
        """With what the next hops that are named come to."""
        if not any(table.kind == "nexthop" or getattr(table.spec, "nhid", None) for table in tables):
            return entries, []
        from routed.intent.nexthop_table import join_nexthops  # noqa: PLC0415

        return join_nexthops(entries)

    def _look_at(
        self,
        found: _T,
        find_untrusted: Callable[[_T], Fault | None],
        find_lack: Callable[[_T], tuple[str, str] | None],
        table: WrittenTable,
    ) -> bool:
        """May it be asked? Others than root must not say what it finds; what it will want is only worth a word."""
        if not self.is_of_now:
            return True
        if fault := find_untrusted(found):
            self.problems.append(table.document.problem_of(table.path, fault))
            return False
        if lack := find_lack(found):
            key, words = lack
            self.notices.append(table.document.problem((*table.path, key), words))
        return True

    def _ways(self, checks: tuple[Check, ...], entries: tuple[Entry, ...], settings: Settings) -> Ways | None:
        """How the questions of the checks go; None where there is none."""
        if not checks and not any(entry.templates for entry in entries):
            return None
        from routed.intent.ways import derive_ways  # noqa: PLC0415

        used = {name for entry in entries for name in entry.asked}
        used |= {name for entry in entries for name in entry.templates}
        for check in (one for one in checks if one.name not in used):
            template = f"{check.entry} has no `target`, so it is a template for services: it is not asked itself"
            message = template if check.is_template else f"no entry requires {check.entry}, so it is not asked"
            self.notices.append(Problem(check.origin.file, check.origin.line, 1, message))
        return derive_ways(checks, entries, settings.probe)

    def _member_sources(self, tables: Sequence[WrittenTable]) -> dict[str, MemberSource]:
        """Every ``[[source]]``, by its name."""
        if not tables:
            return {}
        from routed.intent.member_sources import convert_source, find_lack, find_untrusted  # noqa: PLC0415

        sources: dict[str, MemberSource] = {}
        for table in tables:
            try:
                found = convert_source(table.spec, table.document.origin(table.path))
            except FaultsError as error:
                self.problems += (table.document.problem_of(table.path, fault) for fault in error.faults)
                self.is_every_source_read = False
            else:
                sources[found.name] = found
                self.is_every_source_read &= self._look_at(found, find_untrusted, find_lack, table)
        return sources

    def _convert(self, table: WrittenTable, others: OtherFiles, sources: Mapping[str, MemberSource]) -> Draft | None:
        try:
            draft = convert(table.kind, table.spec, table.document.origin(table.path), others)
            if not table.fills:
                return draft
            from routed.intent.for_each import make_each  # noqa: PLC0415

            return make_each(draft, table, sources if self.is_every_source_read else None)
        except FaultsError as error:
            self.problems += (table.document.problem_of(table.path, fault) for fault in error.faults)
        return None

    def _others(
        self,
        table: WrittenTable,
        names: Names,
        interfaces: frozenset[str] | None,
        checks: dict[str, Check] | None,
        settings: Settings,
    ) -> OtherFiles:
        read_prefixes, read_servers = partial(self._prefix_file, table), partial(self._servers_file, table)
        ours = settings.numbers if self.are_numbers_read else None
        has_members = bool(table.fills)
        return OtherFiles(names, read_prefixes, interfaces, checks, read_servers, has_members=has_members, ours=ours)

    def _prefix_file(self, table: WrittenTable, word: str) -> PrefixFile | None:
        source = self._find_list(table, word)
        if source is not None and source.path not in self.prefix_files:
            self.note(source.path)
            file = self.prefix_files[source.path] = parse_prefixes(source)
            self._tell_list(source.path, "prefixes", file.problems, file.duplicates)
            if not file.prefixes and not file.problems:
                self.notices.append(Problem(source.path, 0, 0, "the file has no prefix"))
        return self.prefix_files[source.path] if source else None

    def _servers_file(self, table: WrittenTable, word: str) -> ServersFile | None:
        from routed.intent.servers import parse_servers  # noqa: PLC0415  only files with services pay for it

        source = self._find_list(table, word)
        if source is not None and source.path not in self.servers_files:
            self.note(source.path)
            file = self.servers_files[source.path] = parse_servers(source)
            self._tell_list(source.path, "servers", file.problems, file.duplicates)
        return self.servers_files[source.path] if source else None

    def _find_list(self, table: WrittenTable, word: str) -> Source | None:
        key, role = LIST_KEYS[table.kind]
        path = prefix_path(table.document.source.path, word)
        found = self.lists.get((role, path))
        if found is None and not self.are_lists_told:
            self.problems.append(table.document.problem((*table.path, key), f"`{key}`: {path} is not among the files"))
        return found

    def _tell_list(self, path: str, what: str, problems: Iterable[Problem], duplicates: int) -> None:
        self.problems += problems
        if duplicates:
            self.notices.append(Problem(path, 0, 0, f"{duplicates} duplicate {what} count once"))

    def _crosscheck(
        self, tables: Iterable[WrittenTable], entries: tuple[Entry, ...], ways: Ways | None, unmet: Iterable[Clash]
    ) -> None:
        # A file that could not be read may replace any entry, so nothing certain can be said about pairs of them.
        if not self.is_every_file_read:
            return
        is_whole = not self.problems
        places = {entry.name: table for table, entry in zip(tables, entries, strict=True)}
        clashes = chain(unmet, find_clashes(entries), ways.find_clashes() if ways else ())
        for clash in clashes:
            if is_whole or not clash.is_absence:
                table = places[clash.entry.name]
                told = self.notices if clash.is_notice else self.problems
                told.append(table.document.problem(table.path + clash.key, clash.message))

    def _in_order(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        order = {source.path: index for index, source in enumerate(self.sources)}
        return tuple(sorted(dict.fromkeys(problems), key=lambda one: (order.get(one.file, -1), one.line, one.column)))


def _ipvs_settings(spec: schema.IpvsTable) -> dict[str, Any]:
    given = spec.model_dump(exclude_none=True, exclude={"timeouts"})
    return given | ({"sysctl": tuple(sorted(given["sysctl"].items()))} if "sysctl" in given else {})
