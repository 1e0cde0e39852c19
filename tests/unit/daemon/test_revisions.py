from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routed.daemon.record import find_moment
from routed.daemon.revisions import KEPT, VERSION, Provenance, Revision, Revisions, decode_displaced, encode_displaced
from routed.daemon.storage import StateError
from routed.kernel.codec.attributes import attribute
from routed.model.entries import Source
from routed.model.ipvs import TCP, ServerMember, ServerSlot, ServerValue, ServiceMember
from routed.model.lifetime import ENDLESS, Passing
from routed.model.net import parse_prefix
from routed.model.objects import (
    AddressMember,
    AddressSlot,
    AddressValue,
    Hop,
    Key,
    Kind,
    RouteSlot,
    RouteValue,
    RuleMember,
    RuleSlot,
    RuleValue,
    Value,
)

STATE = Path(__file__).parents[2] / "state"  # as former versions wrote it, by the commit
MAIN = Source("/etc/routed.toml", b"version = 1\n", "main")
PREFIXES = Source("/etc/drop.txt", bytes(range(256)), "prefixes")
ROUTE = Key(Kind.ROUTE, RouteSlot(2, 254, 0), b"\x0a\x00\x00\x00\x08")
FOREIGN = RouteValue(1, 3, hops=(Hop(7, b"\xc0\x00\x02\x01"),), metrics=((2, 1400), (16, "bbr")))


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def revisions(tmp_path: Path, told: list[str]) -> Revisions:
    return Revisions(tmp_path / "revisions", told.append)


def numbers(tmp_path: Path) -> list[int]:
    return sorted(int(path.name) for path in (tmp_path / "revisions").iterdir() if path.name.isdigit())


def test_where_nothing_was_saved_there_is_nothing(revisions: Revisions, told: list[str]) -> None:
    assert revisions.newest() is None
    assert revisions.load_displaced() == {}
    assert told == []


def test_what_is_saved_is_read_back_byte_for_byte(revisions: Revisions) -> None:
    assert revisions.save((MAIN, PREFIXES), "d1") == 1
    assert revisions.newest() == Revision(1, (MAIN, PREFIXES), "d1")


def test_the_same_digest_is_the_same_revision(revisions: Revisions, tmp_path: Path) -> None:
    assert [revisions.save((MAIN,), digest) for digest in ("a", "a", "b", "b", "a")] == [1, 1, 2, 2, 3]
    assert numbers(tmp_path) == [1, 2, 3]


def test_the_last_twenty_are_kept(revisions: Revisions, tmp_path: Path) -> None:
    for number in range(KEPT + 5):
        revisions.save((MAIN,), str(number))
    assert numbers(tmp_path) == list(range(6, KEPT + 6))
    assert [path.name for path in (tmp_path / "revisions").iterdir() if not path.name.isdigit()] == []


def test_what_was_displaced_is_carried_over_to_the_next_revision(revisions: Revisions, tmp_path: Path) -> None:
    revisions.save((MAIN,), "a")
    revisions.save_displaced({ROUTE: FOREIGN})
    revisions.save((MAIN,), "b")
    assert revisions.load_displaced() == {ROUTE: FOREIGN}
    revisions.save_displaced({})
    assert revisions.load_displaced() == {}
    assert (tmp_path / "revisions" / "1" / "displaced.json").read_bytes() == encode_displaced({ROUTE: FOREIGN})


def cut_manifest(folder: Path) -> None:
    os.truncate(folder / "manifest.json", 10)


def lose_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def lose_source(folder: Path) -> None:
    (folder / "0").unlink()


def flip_a_bit(folder: Path) -> None:
    (folder / "0").write_bytes(b"Version = 1\n")


def write_an_older_version(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"version": 0}')


def write_nonsense(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"version": 1, "digest": "x", "sources": [1]}')


def put_a_file_in_its_place(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.touch()


DAMAGES = [
    cut_manifest, lose_manifest, lose_source, flip_a_bit, write_an_older_version, write_nonsense,
    put_a_file_in_its_place,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_revision_is_skipped_and_named(
    revisions: Revisions, told: list[str], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    revisions.save((MAIN,), "a")
    revisions.save((PREFIXES,), "b")
    damage(tmp_path / "revisions" / "2")
    assert revisions.newest() == Revision(1, (MAIN,), "a")
    assert "skipped the damaged revision" in told[0]
    assert str(tmp_path / "revisions" / "2") in told[0]
    assert revisions.save((PREFIXES,), "b") == 3


def fail_to_read(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Each file of this name cannot be read for now."""
    read_bytes = Path.read_bytes

    def read(path: Path) -> bytes:
        if path.match(name):
            raise OSError(number, os.strerror(number))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ENOMEM])
def test_a_revision_that_cannot_be_read_for_a_moment_is_not_mistaken_for_an_older_one_of_the_same_files(
    revisions: Revisions, told: list[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    for digest in ("a", "b", "a"):
        revisions.save((MAIN,), digest)
    with monkeypatch.context() as moment:
        fail_to_read(moment, "3/manifest.json", number)
        assert revisions.save((MAIN,), "a") == 4
        assert revisions.read(3) is None
        assert next(revisions.rank()).number == 4
    assert told == [f"skipped the revision {revisions._folder}/3, which cannot be read: {os.strerror(number)}"]
    revision = revisions.read(3)
    assert revision
    assert revision.digest == "a"


def test_a_revision_is_not_saved_beside_others_that_cannot_be_seen(
    revisions: Revisions, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(KEPT + 1):
        revisions.save((MAIN,), str(number))

    def refuse(_: Path) -> Iterator[Path]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as moment:
        moment.setattr(Path, "iterdir", refuse)
        with pytest.raises(StateError, match="Too many open files"):
            revisions.save((MAIN,), "new")
        with pytest.raises(StateError, match="Too many open files"):
            revisions.load_displaced()
        assert revisions.newest() is None
    assert "no revision can be read" in told[0]
    assert not revisions.has(1)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_displaced_objects_that_cannot_be_read_for_a_moment_are_not_none_and_are_not_replaced(
    revisions: Revisions, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    revisions.save((MAIN,), "a")
    revisions.save_displaced({ROUTE: FOREIGN})
    with monkeypatch.context() as moment:
        fail_to_read(moment, "displaced.json", number)
        with pytest.raises(StateError, match="cannot be read"):
            revisions.load_displaced()
        with pytest.raises(StateError, match="left alone"):
            revisions.save_displaced({})
        with pytest.raises(StateError, match=os.strerror(number)):
            revisions.save((MAIN,), "b")
    assert revisions.load_displaced() == {ROUTE: FOREIGN}


# What a revision proved to be.


def test_a_revision_is_verified_when_it_was_marked_so(revisions: Revisions) -> None:
    revisions.save((MAIN, PREFIXES), "a")
    assert revisions.read(1) == Revision(1, (MAIN, PREFIXES), "a", is_verified=False, is_confirmed=True)
    revisions.mark_verified(1)
    revisions.mark_verified(1)
    assert revisions.read(1) == Revision(1, (MAIN, PREFIXES), "a", is_verified=True, is_confirmed=True)


def test_a_trial_is_not_confirmed_until_it_was_marked_so(revisions: Revisions) -> None:
    revisions.save((MAIN,), "a", is_trial=True)
    assert revisions.read(1) == Revision(1, (MAIN,), "a", is_verified=False, is_confirmed=False)
    revisions.mark_confirmed(1)
    assert revisions.read(1) == Revision(1, (MAIN,), "a", is_verified=False, is_confirmed=True)


def test_files_that_were_tried_and_are_kept_without_a_trial_later_are_confirmed(revisions: Revisions) -> None:
    revisions.save((MAIN,), "a", is_trial=True)
    assert revisions.save((MAIN,), "a") == 1
    found = revisions.read(1)
    assert found
    assert found.is_confirmed


def test_a_revision_that_is_gone_cannot_be_marked(revisions: Revisions) -> None:
    with pytest.raises(StateError, match=r"cannot mark revision .*/7 verified: No such file"):
        revisions.mark_verified(7)


def test_a_kill_between_any_two_steps_of_marking_leaves_a_whole_revision(revisions: Revisions, told: list[str]) -> None:
    revisions.save((MAIN,), "a")
    assert count_kills(lambda: revisions.mark_verified(1), lambda: None) > 5
    assert revisions.read(1) == Revision(1, (MAIN,), "a", is_verified=True)
    assert told == []


def test_the_best_revision_is_confirmed_then_verified_then_new(revisions: Revisions) -> None:
    for digest in ("verified", "newer", "trial", "newest"):
        revisions.save((MAIN,), digest, is_trial=digest == "trial")
    revisions.mark_verified(1)
    revisions.mark_verified(3)
    assert [one.digest for one in revisions.rank()] == ["verified", "newest", "newer", "trial"]
    assert [one.digest for one in revisions.rank(frozenset({"verified"}))] == ["newest", "newer", "trial", "verified"]


def test_the_newest_verified_revision_and_the_spared_ones_outlive_twenty_others(
    revisions: Revisions, tmp_path: Path
) -> None:
    for digest in ("old", "verified", "spared"):
        revisions.save((MAIN,), digest)
    revisions.mark_verified(1)
    revisions.mark_verified(2)
    for number in range(KEPT + 5):
        revisions.save((MAIN,), str(number), spared=[3])
    assert numbers(tmp_path) == [2, 3, *range(9, KEPT + 9)]


# State that another routed wrote.


@pytest.mark.parametrize("version", ["773af71", "0715642"])
def test_revisions_of_an_older_routed_are_read(tmp_path: Path, told: list[str], version: str) -> None:
    shutil.copytree(STATE / version, tmp_path, dirs_exist_ok=True)
    revisions = Revisions(tmp_path / "revisions", told.append)
    newest = revisions.newest()
    assert newest
    assert (newest.number, newest.digest, newest.is_verified, newest.is_confirmed) == (2, "second", False, True)
    assert [source.role for source in newest.sources] == ["main", "prefixes"]
    displaced = revisions.load_displaced()
    assert {key.kind: value.protocol for key, value in displaced.items()} == {Kind.ROUTE: 4, Kind.RULE: 120}
    revisions.mark_verified(2)
    assert revisions.save(newest.sources, "second") == 2
    assert revisions.save(newest.sources, "third") == 3
    assert revisions.load_displaced() == displaced
    assert told == []


def write_newer(path: Path) -> bytes:
    path.write_text(json.dumps({"version": VERSION + 1, "in": "another way"}))
    return path.read_bytes()


def test_a_revision_of_a_newer_routed_is_skipped_and_named_and_never_removed(
    revisions: Revisions, told: list[str], tmp_path: Path
) -> None:
    revisions.save((MAIN,), "a")
    revisions.save((MAIN,), "b")
    manifest = tmp_path / "revisions/2/manifest.json"
    newer = write_newer(manifest)
    assert revisions.newest() == Revision(1, (MAIN,), "a")
    assert told == [f"skipped the revision {manifest.parent}, which is left alone: a newer routed wrote it"]
    with pytest.raises(StateError, match="a newer routed wrote it"):
        revisions.mark_verified(2)
    for number in range(KEPT + 5):
        revisions.save((MAIN,), str(number))
    assert manifest.read_bytes() == newer
    assert numbers(tmp_path)[:2] == [2, 8]


def test_displaced_objects_in_a_newer_format_are_not_none_and_are_not_replaced(
    revisions: Revisions, tmp_path: Path
) -> None:
    revisions.save((MAIN,), "a")
    newer = write_newer(tmp_path / "revisions/1/displaced.json")
    for act in (revisions.load_displaced, lambda: revisions.save_displaced({})):
        with pytest.raises(StateError, match="left alone: a newer routed wrote it"):
            act()
    assert revisions.save((MAIN,), "b") == 2
    assert (tmp_path / "revisions/2/displaced.json").read_bytes() == newer


def test_a_route_that_a_former_version_displaced_by_mistake_is_left_out_and_named(
    revisions: Revisions, told: list[str], tmp_path: Path
) -> None:
    source = parse_prefix("2001:db8:a::/48")
    beside = RouteValue(1, 42, hops=(Hop(7),), extra=attribute(2, source))  # RTA_SRC, as it stood in the content
    six = Key(Kind.ROUTE, RouteSlot(10, 254, 1024), parse_prefix("2001:db8::/32"))
    revisions.save((MAIN,), "a")
    revisions.save_displaced({six: beside, ROUTE: FOREIGN})
    file = tmp_path / "revisions" / "1" / "displaced.json"
    file.write_text(file.read_text().replace(', "source": {"hex": ""}', ""))  # nor did a slot have this field
    assert revisions.load_displaced() == {ROUTE: FOREIGN}
    (said,) = told
    assert "2001:db8::/32 from 2001:db8:a::/48 dev if7 proto babel metric 1024" in said


def test_a_displaced_route_keeps_its_source(revisions: Revisions) -> None:
    slot = RouteSlot(10, 254, 1024, source=parse_prefix("2001:db8:a::/48"))
    displaced = {Key(Kind.ROUTE, slot, parse_prefix("2001:db8::/32")): RouteValue(1, 42, hops=(Hop(7),))}
    revisions.save((MAIN,), "a")
    revisions.save_displaced(displaced)
    assert revisions.load_displaced() == displaced


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 1, "objects": [1]}', b"\xff"])
def test_displaced_objects_that_cannot_be_read_are_none_and_named(
    revisions: Revisions, told: list[str], tmp_path: Path, text: bytes
) -> None:
    revisions.save((MAIN,), "a")
    (tmp_path / "revisions" / "1" / "displaced.json").write_bytes(text)
    assert revisions.load_displaced() == {}
    assert "displaced.json is damaged" in told[0]


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    revisions = Revisions(tmp_path / "file" / "revisions")
    with pytest.raises(StateError, match=r"cannot save a revision under .*: Not a directory"):
        revisions.save((MAIN,), "a")


def test_displaced_objects_need_a_revision_to_stand_in(revisions: Revisions) -> None:
    with pytest.raises(StateError, match="there is no revision"):
        revisions.save_displaced({})


# A process that is killed. The child dies for good, by SIGKILL, just before its n-th call into the operating system;
# n counts up until the child gets through.


def die_before_call(number: int, act: Callable[[], object]) -> bool:
    """Carry out ``act`` in a child. True if it was killed before its ``number``-th system call, False if it ended."""
    child = os.fork()
    if child == 0:
        count = 0

        def count_calls(_frame: FrameType, event: str, function: Any) -> None:
            nonlocal count
            if event == "c_call" and is_system_call(function):
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(count_calls)
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def is_system_call(function: Any) -> bool:
    # Since Python 3.12 posix also takes paths apart, which is no step: with every path a step more, it would never end.
    if function.__name__ == "fspath" or function.__name__.startswith("_path_"):
        return False
    return getattr(function, "__module__", None) in {"posix", "io", "_io"} or type(
        getattr(function, "__self__", None)
    ).__name__ in {"BufferedWriter", "FileIO"}


def count_kills(act: Callable[[], object], check: Callable[[], None]) -> int:
    for number in range(1, 1000):
        if not die_before_call(number, act):
            return number - 1
        check()
    raise AssertionError("it never ends")


def test_a_kill_between_any_two_steps_of_saving_leaves_the_revision_before_or_the_one_after(
    revisions: Revisions, told: list[str]
) -> None:
    revisions.save((MAIN,), "d0")
    revisions.save_displaced({ROUTE: FOREIGN})
    seen = set()
    turn = 0

    def save() -> None:
        revisions.save((MAIN, PREFIXES), f"d{turn + 1}")

    def check() -> None:
        nonlocal turn
        last = revisions.newest()
        assert last
        assert last.digest in {f"d{turn}", f"d{turn + 1}"}
        assert revisions.load_displaced() == {ROUTE: FOREIGN}
        seen.add(last.digest == f"d{turn + 1}")
        if last.digest == f"d{turn + 1}":
            turn += 1

    kills = count_kills(save, check)
    assert kills > 10
    assert seen == {True, False}
    assert told == []


def test_a_kill_while_old_revisions_are_removed_leaves_no_damaged_one(revisions: Revisions, told: list[str]) -> None:
    turn = KEPT
    for number in range(KEPT):
        revisions.save((MAIN,), f"d{number}")

    def save() -> None:
        revisions.save((MAIN,), f"d{turn}")

    def check() -> None:
        nonlocal turn
        whole = [revisions._read(number) for number in revisions._numbers()]
        turn += whole[-1].digest == f"d{turn}"

    count_kills(save, check)
    revisions.save((MAIN,), "the end")
    assert told == []


def test_a_kill_between_any_two_steps_of_displacing_leaves_the_old_or_the_new(
    revisions: Revisions, told: list[str]
) -> None:
    revisions.save((MAIN,), "a")
    other = {ROUTE: FOREIGN._replace(protocol=186)}
    seen = []

    def check() -> None:
        seen.append(revisions.load_displaced())
        revisions.save_displaced({ROUTE: FOREIGN})

    revisions.save_displaced({ROUTE: FOREIGN})
    assert count_kills(lambda: revisions.save_displaced(other), check) > 5
    assert all(displaced in ({ROUTE: FOREIGN}, other) for displaced in seen)
    assert {ROUTE: FOREIGN} in seen
    assert other in seen
    assert told == []


def test_everything_is_flushed_before_its_name_is_given_and_the_name_afterwards(revisions: Revisions) -> None:
    calls = []

    def record(_frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function in {os.fsync, os.rename}:
            calls.append(function)

    sys.setprofile(record)
    try:
        revisions.save((MAIN, PREFIXES), "a")
    finally:
        sys.setprofile(None)
    two_sources_manifest_and_folder = [os.fsync] * 4
    assert calls == [*two_sources_manifest_and_folder, os.rename, os.fsync]


# The codec of displaced objects.

numbers_of = st.integers(0, 2**32 - 1)
words = st.text(max_size=16)
addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
prefixes = st.binary(min_size=5, max_size=5) | st.binary(min_size=17, max_size=17)
extras = st.binary(max_size=20)
families = st.sampled_from([2, 10])
ranges = st.tuples(numbers_of, numbers_of)
hops = st.builds(Hop, numbers_of, addresses | st.just(b""), numbers_of, st.booleans(), extras)
objects = st.one_of(
    st.tuples(
        st.builds(
            Key,
            st.just(Kind.ADDRESS),
            st.builds(AddressSlot, families),
            st.builds(AddressMember, numbers_of, addresses, numbers_of),
        ),
        st.builds(
            AddressValue,
            numbers_of,
            numbers_of,
            numbers_of,
            st.booleans(),
            st.booleans(),
            extras,
            extras,
            words,
            numbers_of,
        ),
    ),
    st.tuples(
        st.builds(
            Key,
            st.just(Kind.ROUTE),
            st.builds(RouteSlot, families, numbers_of, numbers_of, numbers_of, prefixes),
            prefixes,
        ),
        st.builds(
            RouteValue,
            numbers_of,
            numbers_of,
            numbers_of,
            st.lists(hops, max_size=3).map(tuple),
            extras,
            st.lists(st.tuples(numbers_of, numbers_of | words), max_size=3).map(tuple),
            numbers_of,
            extras,
        ),
    ),
    st.tuples(
        st.builds(
            Key,
            st.just(Kind.RULE),
            st.builds(RuleSlot, families),
            st.builds(
                RuleMember,
                numbers_of,
                source=extras,
                iif=words,
                inverted=st.booleans(),
                sport=ranges,
                uidrange=st.none() | ranges,
                suppress_prefixlength=st.integers(-1, 128),
                extra=extras,
            ),
        ),
        st.builds(RuleValue, numbers_of, extras),
    ),
)


@given(st.dictionaries(objects.map(lambda pair: pair[0]), st.none()), st.data())
def test_displaced_objects_survive_the_disk_without_loss(keys: dict[Key, None], data: st.DataObject) -> None:
    values = objects.map(lambda pair: pair[1])
    displaced: dict[Key, Value] = {key: data.draw(values) for key in keys}
    decoded = decode_displaced(encode_displaced(displaced))
    assert repr(decoded) == repr(displaced)  # types as well as values
    assert decoded == displaced


def test_a_field_that_a_later_routed_adds_does_not_make_an_old_file_unreadable() -> None:
    old = encode_displaced({ROUTE: FOREIGN}).replace(b', "extra": {"hex": ""}', b"")
    assert b"extra" not in old
    assert decode_displaced(old) == {ROUTE: FOREIGN}


def test_a_list_of_the_revisions_reads_no_source_and_tells_how_each_came_about(
    revisions: Revisions, tmp_path: Path, told: list[str]
) -> None:
    revisions.save((MAIN,), "one")
    revisions.save((MAIN, PREFIXES), "two", is_trial=True, origin=Provenance(1e9, "alice", "change 4711"))
    for source in (tmp_path / "revisions").glob("*/[0-9]*"):
        source.unlink()
    second, first = revisions.list_all()
    assert (second.number, second.files, second.is_confirmed, second.origin) == (
        2,
        2,
        False,
        Provenance(1e9, "alice", "change 4711"),
    )
    assert (first.number, first.files, first.is_confirmed, first.origin) == (1, 1, True, Provenance())
    assert told == []


def test_what_is_no_revision_is_left_out_of_the_list_in_silence_since_anybody_may_ask(
    revisions: Revisions, tmp_path: Path, told: list[str]
) -> None:
    revisions.save((MAIN,), "one")
    revisions.save((MAIN,), "two")
    (tmp_path / "revisions/1/manifest.json").write_text("{")
    assert [one.number for one in revisions.list_all()] == [2]
    assert told == []


def test_a_server_that_was_taken_from_somebody_is_given_back_in_this_boot_only(revisions: Revisions) -> None:
    service = ServiceMember(TCP, bytes((10, 0, 0, 1)), 80)
    here, there = (Key(Kind.SERVER, ServerSlot(2, service), ServerMember(bytes((10, 0, 1, n)), 80)) for n in (1, 2))
    now = find_moment()
    kept = Passing(ServerValue(0), *ENDLESS, *now)
    revisions.save((MAIN,), "a")
    revisions.save_displaced({here: kept, there: kept._replace(boot="another")})
    assert revisions.load_displaced() == {here: kept}
