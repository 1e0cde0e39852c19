from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from routed.audit.printable import make_printable
from routed.cli import VERB_MODULES, main
from routed.cli.arguments import VERBS, parse
from routed.cli.exits import MEANINGS, Exit

VALID = 'version = 1\n[[route]]\nname = "a"\nto = "10.30.0.0/16"\ntype = "blackhole"\n'
HEAVY = {"pydantic", "pyroute2", "asyncio", "systemd", "tomllib", "watchdog", "asyncvarlink", "logging"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "routed.toml"
    path.write_text(VALID, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("check", "--fly"),
        ("pause", "--for", "5"),
        ("completion", "tcsh"),
        ("check", "a", "b"),
        ("--col",),
    ],
)
def test_wrong_usage_exits_64_and_says_so_on_stderr(routed: Any, arguments: tuple[str, ...]) -> None:
    ended = routed(*arguments)
    assert ended.returncode == Exit.USAGE
    assert "usage: routed" in ended.stdout + ended.stderr


@pytest.mark.parametrize("verb", ["status", "apply", "pause", "resume"])
def test_without_a_daemon_what_needs_one_exits_69(routed: Any, verb: str) -> None:
    ended = routed(verb)
    assert (ended.returncode, ended.stdout) == (Exit.UNAVAILABLE, "")
    assert ended.stderr.startswith("routed: the daemon is not running (nobody listens at ")


def test_check_of_a_valid_file_counts_its_entries(routed: Any, config: Path) -> None:
    ended = routed("check", str(config))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{config} is valid: 1 route\n", "")


def test_whoever_has_closed_stdout_gets_the_exit_code_all_the_same(config: Path) -> None:
    command = f'"{sys.executable}" -m routed check "{config}" >&-'
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_check_of_a_bad_file_shows_every_problem_with_a_caret_and_exits_78(routed: Any, config: Path) -> None:
    config.write_text(VALID + 'lookup = "x"\nmetrik = 5\n', encoding="utf-8")
    ended = routed("check", str(config))
    assert (ended.returncode, ended.stdout) == (Exit.INVALID, "")
    lines = ended.stderr.splitlines()
    assert lines[0].startswith(f"{config}:6:1: unknown key `lookup`")
    assert lines[1:3] == ['    lookup = "x"', "    ^"]
    assert f"{config}:7:1:" in ended.stderr


def test_check_as_json_holds_the_problems(routed: Any, config: Path) -> None:
    config.write_text(VALID + "metrik = 5\n", encoding="utf-8")
    ended = routed("check", "--json", str(config))
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["schema"], document["valid"]) == (Exit.INVALID, "routed.check/1", False)
    assert (document["problems"][0]["line"], document["problems"][0]["source_line"]) == (6, "metrik = 5")


def test_a_missing_file_is_invalid_configuration(routed: Any, tmp_path: Path) -> None:
    ended = routed("check", str(tmp_path / "none.toml"))
    assert ended.returncode == Exit.INVALID
    assert "none.toml" in ended.stderr


def test_the_file_is_the_argument_then_the_option_then_the_environment_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ROUTED_CONFIG", raising=False)
    assert parse(["check"]).config == "/etc/routed.toml"
    monkeypatch.setenv("ROUTED_CONFIG", "/env")
    assert parse(["check"]).config == "/env"
    assert parse(["--config", "/option", "check"]).config == "/option"
    assert parse(["check", "--config", "/option", "/argument"]).config == "/argument"


def test_common_options_stand_on_either_side_of_the_verb() -> None:
    for before, after in ((["--json", "--color", "never"], []), ([], ["--json", "--color", "never"])):
        options = parse([*before, "status", *after])
        assert (options.json, options.color, options.quiet) == (True, "never", False)


def test_durations_are_seconds() -> None:
    assert vars(parse(["pause"]))["for"] == 3600.0
    assert vars(parse(["pause", "--for", "90s"]))["for"] == 90.0
    assert parse(["apply", "--timeout", "500ms"]).timeout == 0.5


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_a_module_of_its_own(verb: str) -> None:
    assert find_spec(f"routed.cli.{VERB_MODULES.get(verb, verb)}") is not None


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Exit)


def imported_by(*arguments: str) -> set[str]:
    script = (
        "import sys; from routed.cli import main; code = main(sys.argv[1:]);"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in ended.stderr.split()}


def test_status_imports_nothing_heavy(serve: Any, replying: Any, tmp_path: Path) -> None:
    serve(replying(json.loads((Path(__file__).parent / "status.json").read_text(encoding="utf-8"))))
    assert imported_by("--runtime-dir", str(tmp_path), "status") & HEAVY == set()


def test_check_knows_neither_netlink_nor_the_loop(config: Path) -> None:
    assert imported_by("check", str(config)) & {"pyroute2", "asyncio", "systemd", "watchdog", "asyncvarlink"} == set()


def test_check_looks_for_no_plugins_of_pydantic_among_the_packages_of_the_host(config: Path) -> None:
    script = "import sys; from routed.cli import main; main(sys.argv[1:]); print('importlib.metadata' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script, "check", str(config)], capture_output=True, check=True)
    assert ended.stdout.splitlines()[-1] == b"False"


def test_a_reader_that_has_gone_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m routed schema | true; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("routed st", ["status"]),
        ("routed --json pl", ["plan"]),
        ("routed apply --f", ["--force"]),
        ("routed --color a", ["auto", "always"]),
        ("routed completion z", ["zsh"]),
        ("routed run --log-format j", ["journal", "json"]),
    ],
)
def test_bash_completes(routed: Any, tmp_path: Path, line: str, offered: list[str]) -> None:
    script = routed("completion", "bash").stdout
    words = line.split()
    typed = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}"
    (tmp_path / "try").write_text(f"{script}\n{typed}; _routed; echo ${{COMPREPLY[@]}}", encoding="utf-8")
    ended = subprocess.run(["bash", str(tmp_path / "try")], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_is_offered_every_verb_and_option(routed: Any, shell: str) -> None:
    script = routed("completion", shell).stdout
    for name, verb in VERBS.items():
        assert name in script
        for argument in verb.arguments:
            for option in argument.names if argument.is_option else ():
                assert (f"-l {option[2:]}" if shell == "fish" else option) in script


ODD = [b"\x1b[31m", b"\xff\xfe", "\u202ea\u2028".encode(), b"a\nb"]
PLACES = [
    *([verb, b"?"] for verb in VERBS),
    *(["--config", b"?", verb] for verb in ("check", "plan", "select", "apply")),
    *(["--runtime-dir", b"?", verb] for verb in ("status", "apply", "pause", "resume")),
    ["history", "--directory", b"?"], ["history", "--since", b"?"], ["history", "-n", b"?"],
    ["history", "--directory", ".", b"?"], ["blame", "--directory", ".", b"?"], ["history", "--after-cursor", b"?"],
    ["pause", b"?", "--for", b"?"], ["pause", "--reason", b"?"], ["apply", "--timeout", b"?"],
    ["route", "--host", b"?"], ["route", "add", "--host", "192.0.2.1", "--gateway", b"?"], [b"?"], [b"--?"],
    ["--color", b"?", "status"], ["--state-dir", b"?", "apply", "--direct"], ["run", "--log-format", b"?"],
    ["--json", "select", b"?"],
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: " ".join(map(str, place)))
def test_whatever_stands_in_an_argument_is_printed_as_text_and_ends_no_command(
    place: list[str | bytes], odd: bytes, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    words = [os.fsdecode(word.replace(b"?", odd) if isinstance(word, bytes) else word) for word in place]
    main([*(f"--{name}={tmp_path}/none" for name in ("config", "state-dir", "runtime-dir")), *words])
    sys.stdout.flush()
    sys.stderr.flush()
    out, err = capfdbinary.readouterr()
    for line in (out + err).decode().split("\n"):
        assert make_printable(line.replace("\t", "")) == line.replace("\t", "")


def test_a_command_that_waits_for_the_daemon_is_ended_by_a_hangup(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "io.routed"))
        silent.listen()
        heeding = ["env", "--default-signal=HUP"]  # whoever starts the tests may ignore it, as nohup does
        command = [*heeding, sys.executable, "-m", "routed", f"--runtime-dir={tmp_path}", "status"]
        with subprocess.Popen(command) as asking:
            connection, _ = silent.accept()
            with connection:
                asking.send_signal(signal.SIGHUP)
                asking.wait()
        assert asking.returncode == -signal.SIGHUP
