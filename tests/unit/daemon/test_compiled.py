"""What the files meant is taken at a start only where they are the very files, and the very program, of then."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routed.cli.run import begin_to_read
from routed.daemon import compiled
from routed.daemon.child import COMPILED
from routed.daemon.compiled import DamagedError, find_compiled
from routed.daemon.handover import ReadFiles
from routed.daemon.reading import Reader, Reading, read_compiled
from routed.intent.load import load
from routed.model.handover import HandoverError

EXAMPLES = Path(__file__).parents[3] / "examples"
TEXT = """
version = 1
[[route]]
name = "lan"
to = "10.30.0.0/16"
dev = "v0"
[[route]]
name = "many"
prefixes_file = "list.txt"
dev = "v0"
"""
CHECKED = '[[check]]\nname = "it"\ntype = "{type}"\n{key} = "/bin/true"\n{more}'


@pytest.fixture(autouse=True)
def _heeds_no_sigio() -> Iterator[None]:
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, before)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    config = tmp_path / "routed.toml"
    config.write_text(TEXT)
    (tmp_path / "list.txt").write_text("192.0.2.0/24\n198.51.100.0/24\n")
    (tmp_path / "routed.toml.d").mkdir()
    (tmp_path / "routed.toml.d/10.toml").write_text('[[route]]\nname = "one"\nto = "10.1.0.0/16"\ndev = "v1"\n')
    return config


def keep(config: Path) -> Reading:
    """What a first start reads, with the means of a second one kept beside it."""
    with Reader() as reader:
        reader.ask_for_start(str(config), str(config.parent / COMPILED))
        return reader.take_answer()


def find(config: Path) -> Reading | None:
    found = find_compiled(str(config), config.parent / COMPILED)
    return read_compiled(found) if found else None


def test_a_second_start_knows_what_the_files_mean_and_starts_no_process(config: Path) -> None:
    first = keep(config)
    reader, complaint = begin_to_read(str(config), config.parent)
    assert reader._process is None
    assert complaint == ""
    assert reader.take_answer() == first
    assert first.intent == load(config).intent


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_of_each_example_it_is_known_just_as_it_is_read(example: Path, tmp_path: Path) -> None:
    with Reader() as reader:
        reader.ask_for_start(str(example), str(tmp_path / COMPILED))
        first = reader.take_answer()
    assert first.intent
    found = find_compiled(str(example), tmp_path / COMPILED)
    assert (found is None) is bool(first.intent.member_sources)
    assert found is None or read_compiled(found) == first


def test_the_reading_after_a_change_is_kept_as_well(config: Path) -> None:
    keep(config)
    before = load(config).intent
    config.write_text(TEXT.replace("10.30.", "10.31."))
    assert find(config) is None
    with Reader() as reader:
        reader.ask_for_files(ReadFiles(str(config), before.digest, compiled=str(config.parent / COMPILED)))
        after = reader.take_answer()
    assert find(config) == after


def _write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        _write("routed.toml", TEXT + "\n"),
        _write("list.txt", "192.0.2.0/25\n"),
        _write("routed.toml.d/10.toml", ""),
        _write("routed.toml.d/20.toml", ""),
        lambda folder: (folder / "routed.toml.d/10.toml").rename(folder / "routed.toml.d/11.toml"),
        lambda folder: (folder / "routed.toml.d/10.toml").unlink(),
        lambda folder: (folder / "list.txt").unlink(),
        lambda folder: (folder / "routed.toml").rename(folder / "other.toml"),
        lambda folder: (folder / "list.txt").unlink() or (folder / "list.txt").mkdir(),
    ],
)
def test_whatever_is_other_about_the_files_has_them_read(config: Path, change: Callable[[Path], object]) -> None:
    keep(config)
    change(config.parent)
    assert find(config) is None


def test_a_masked_drop_in_has_them_read(config: Path) -> None:
    keep(config)
    drop_in = config.parent / "routed.toml.d/10.toml"
    drop_in.unlink()
    drop_in.symlink_to("/dev/null")
    assert find(config) is None


def test_names_that_the_host_gives_elsewhere_have_them_read(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(config)
    names = config.parent / "rt_tables"
    names.write_text("100 isp\n")
    monkeypatch.setattr(compiled, "find_name_files", lambda _: [names])
    assert find(config) is None


def test_another_program_reads_them(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(config)
    assert find(config)
    monkeypatch.setattr(compiled, "__version__", "99")
    assert find(config) is None


def test_a_module_that_was_changed_makes_it_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("intent", "model", "daemon"):
        (tmp_path / folder).mkdir()
    for module in ("intent/load.py", "model/net.py", "daemon/handover.py"):
        (tmp_path / module).write_text("")
    monkeypatch.setattr(compiled, "_PACKAGE", tmp_path)
    told = {compiled.describe_program()}
    for module in ("intent/load.py", "model/net.py", "daemon/handover.py"):
        (tmp_path / module).write_text("# another")
        told.add(compiled.describe_program())
    assert len(told) == 4


def test_a_file_that_is_being_written_is_read_when_it_is_closed(config: Path) -> None:
    keep(config)
    with config.open("a"):
        assert find(config) is None
    assert find(config)


@pytest.mark.parametrize(
    "check",
    [
        CHECKED.format(type="exec", key="command", more='user = "nobody"\n').replace('"/bin/true"', '["/bin/true"]'),
        CHECKED.format(type="file", key="file", more=""),
        CHECKED.format(type="tls", key="ca", more='target = "10.30.0.1:443"\n'),
        '[[source]]\nname = "hosts"\ntype = "file"\npath = "/run/hosts.json"\n',
    ],
)
def test_what_the_files_alone_do_not_say_is_looked_at_each_time(config: Path, check: str) -> None:
    config.write_text(TEXT + check)
    assert keep(config).intent
    assert not (config.parent / COMPILED).exists()


def test_files_with_an_error_are_not_kept(config: Path) -> None:
    config.write_text(TEXT + "nonsense")
    assert keep(config).problems
    assert not (config.parent / COMPILED).exists()


def test_where_it_cannot_be_kept_the_files_are_read_all_the_same(config: Path) -> None:
    (config.parent / COMPILED).mkdir()
    (config.parent / COMPILED / "full").write_text("")
    assert keep(config).intent == load(config).intent
    assert [one.name for one in config.parent.iterdir() if ".new" in one.name] == []


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = tmp_path_factory.mktemp("kept") / "routed.toml"
    config.write_text('version = 1\n[[route]]\nname = "lan"\nto = "10.30.0.0/16"\ndev = "v0"\n')
    assert keep(config).intent
    return config


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_that_is_damaged_or_cut_anywhere_never_means_anything_else(kept: Path, data: st.DataObject) -> None:
    path = kept.parent / COMPILED
    whole, as_read = path.read_bytes(), find(kept)
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(st.sampled_from([b"", bytes([whole[at] ^ 1]) + whole[at + 1 :]]))
    path.write_bytes(damaged)
    try:
        found = find(kept)
        assert found is None or found == as_read
    except (DamagedError, HandoverError):
        pass
    finally:
        path.write_bytes(whole)


def test_one_that_is_damaged_is_said_and_the_files_are_read(config: Path) -> None:
    first = keep(config)
    path = config.parent / COMPILED
    path.write_bytes(path.read_bytes()[:-1])
    reader, complaint = begin_to_read(str(config), config.parent)
    with reader:
        assert complaint == f"{path} is damaged, so the files were read instead: its checksum does not match"
        assert reader.take_answer() == first
    assert find(config) == first


def test_only_root_may_look_into_it(config: Path) -> None:
    before = os.umask(0)
    try:
        keep(config)
    finally:
        os.umask(before)
    assert (config.parent / COMPILED).stat().st_mode & 0o777 == 0o600
