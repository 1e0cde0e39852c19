"""Checks that run a command, and files that others may write: what the file may say, and what is looked at on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from routed.intent.load import Loaded, load, load_kept
from routed.intent.problems import IntentError, Problem
from tests.probes.programs import a_folder, a_program
from tests.unit.intent.intent_help import complaint, problems, read

ROUTE = '[[route]]\nto = "10.1.0.0/16"\ndev = "v0"\nrequires = "@it"\nwhen_all_down = "withdraw"\n'
SECRET = "hunter2"  # noqa: S105  it is looked for where it must not be


def a_check(keys: str) -> str:
    return f'[[check]]\nname = "it"\ntype = "exec"\n{keys}\n{ROUTE}'


def test_a_command_is_a_path_and_its_arguments() -> None:
    (check,) = read(a_check(f'command = ["/usr/lib/x", "-p", "{SECRET}"]\nuser = "nagios"\ntimeout = "1s"')).checks
    assert check.command == ("/usr/lib/x", "-p", SECRET)
    assert (check.user, check.timeout, check.subject) == ("nagios", 1.0, "/usr/lib/x")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("", "`command` is missing"),
        ('command = "/usr/lib/x -H 1"', "`command`: must be an array of texts"),
        ("command = []", "`command`: must be an array of texts"),
        ('command = ["/usr/lib/x", 1]', "`command`: must be an array of texts"),
        ('command = ["x"]', "`command`: must begin with the path of a program"),
        (f'command = ["/usr/lib/x", "{"y" * 9000}"]', "`command`: must have no NUL, and no more than 8192 characters"),
        ('command = ["/home/me/x"]', "whoever runs it does not see this folder"),
        ('command = ["/tmp/x"]', "whoever runs it does not see this folder"),
        ('command = ["/usr/lib/x"]\nuser = "root"', "no command runs as root"),
        ('command = ["/usr/lib/x"]\nuser = "a b"', "is not the name of a user"),
        ('command = ["/usr/lib/x"]\ntarget = "192.0.2.1"', "a check of type exec has none"),
        ('command = ["/usr/lib/x"]\nvia = "192.0.2.1"', "a check of type exec has none"),
    ],
)
def test_what_a_command_must_not_be(keys: str, said: str) -> None:
    assert said in complaint(a_check(keys))


def test_a_complaint_about_a_command_repeats_no_argument() -> None:
    for keys in (f'command = ["x", "{SECRET}"]', f'command = ["/home/x", "{SECRET}"]', f'command = "{SECRET}"'):
        (problem,) = problems(a_check(keys))
        assert problem.line > 1
        assert SECRET not in str(problem)


def load_file(folder: Path, text: str) -> Loaded:
    file = folder / "routed.toml"
    file.write_text(f"version = 1\n{text}")
    return load(file)


def find_problem(folder: Path, text: str) -> Problem:
    with pytest.raises(IntentError) as raised:
        load_file(folder, text)
    (problem,) = raised.value.problems
    return problem


@pytest.mark.parametrize("key", ["command", "file"])
def test_what_others_may_write_is_an_error_when_the_files_are_read_and_none_of_a_kept_revision(key: str) -> None:
    with a_folder() as folder:
        program = a_program(folder, "exit 0")
        word = f'command = ["{program}"]' if key == "command" else f'file = "{program}"'
        text = a_check(word).replace('"exec"', '"exec"' if key == "command" else '"file"')
        loaded = load_file(folder, text)
        assert loaded.notices == ()
        program.chmod(0o775)
        problem = find_problem(folder, text)
        assert problem.message == f"`{key}`: somebody else than root may write {program}"
        assert problem.hint == f"chown -h root {program}; chmod go-w {program}"
        assert load_kept(loaded.intent.sources).intent.checks == loaded.intent.checks
        program.chmod(0o755)
        (folder / "more").mkdir()
        folder.chmod(0o777)
        problem = find_problem(folder, text)
        assert f"may write {folder}" in problem.message


def test_a_command_that_is_not_there_yet_is_worth_a_word() -> None:
    with a_folder() as folder:
        loaded = load_file(folder, a_check(f'command = ["{folder}/check"]'))
        (notice,) = loaded.notices
        assert notice.message == f"{folder}/check does not exist, so check/it cannot be made"


def test_a_file_of_issuers_that_is_not_there_yet_or_not_for_the_unit_is_worth_a_word(tmp_path: Path) -> None:
    with a_folder() as folder:
        for ca, words in (
            (folder / "ca.pem", f"{folder}/ca.pem does not exist, so check/it cannot be made"),
            (tmp_path, f"routed.service does not see {tmp_path} (PrivateTmp=, ProtectHome=): check/it fails there"),
        ):
            text = a_check(f'target = "192.0.2.1:443"\nca = "{ca}"\nhost = "a.example"').replace('"exec"', '"https"')
            (notice,) = load_file(folder, text).notices
            assert notice.message == words
