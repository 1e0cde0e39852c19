"""``[daemon] metrics``: an address and a port, of this host alone unless the file says otherwise."""

from __future__ import annotations

import pytest

from tests.unit.intent.intent_help import problems, read

PUBLIC = "others reach this address, and would read there how this host routes"


@pytest.mark.parametrize("address", ["10.0.0.1:9914", "0.0.0.0:9914", "[::]:9914", "[fd00::1]:9914"])
def test_an_address_that_others_reach_is_an_error_of_its_line_unless_the_file_says_so(address: str) -> None:
    table = f'[daemon]\nresync = "60s"\nmetrics = "{address}"\n'
    [problem] = problems(table)
    assert (problem.line, problem.message) == (4, f"`metrics`: {PUBLIC}")
    assert "metrics_public = true" in problem.hint
    assert read(f"{table}metrics_public = true\n").settings.metrics is not None


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("127.0.0.1:9914", (b"\x7f\0\0\1", 9914)),
        ("127.1.2.3:80", (b"\x7f\1\2\3", 80)),
        ("[::1]:9914", (bytes(15) + b"\1", 9914)),
        ("off", None),
    ],
)
def test_an_address_of_this_host_alone_needs_no_word_more(address: str, found: object) -> None:
    assert read(f'[daemon]\nmetrics = "{address}"\n').settings.metrics == found


@pytest.mark.parametrize("wrong", ["127.0.0.1", "localhost:9914", ":9914", "127.0.0.1:0", "127.0.0.1:70000", ""])
def test_anything_else_is_no_address(wrong: str) -> None:
    [problem] = problems(f'[daemon]\nmetrics = "{wrong}"\n')
    assert problem.message.startswith("`metrics`: ")
