"""The manual pages: made of docs/reference, complete, and clean for man."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.package.conftest import PROJECT

PAGES = {"routed.8": "man8", "routed.toml.5": "man5", "routed-messages.7": "man7"}
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MANWIDTH": "80", "MANROFFOPT": "-ww"}


def load_make_man() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_man", PROJECT / "contrib/make_man.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_man = load_make_man()


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest, files: Path) -> Path:
    """Each page of the package."""
    name: str = request.param
    return files / "usr/share/man" / PAGES[name] / f"{name}.gz"


def show(page: Path) -> subprocess.CompletedProcess[str]:
    command = ["man", "--warnings", "--local-file", str(page)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)


def test_man_shows_a_page_without_a_warning(page: Path) -> None:
    done = show(page)
    assert done.stderr == ""
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"):
        assert f"\n{section}\n" in done.stdout


def test_whatis_finds_a_page(page: Path) -> None:
    done = subprocess.run(["lexgrog", str(page)], capture_output=True, text=True, check=True)
    name = page.name.rsplit(".", 2)[0]
    assert f'"{name} - {make_man.PAGES[page.name.removesuffix(".gz")].purpose}"' in done.stdout


def test_every_section_of_the_reference_is_in_its_page(page: Path) -> None:
    source = PROJECT / "docs/reference" / make_man.PAGES[page.name.removesuffix(".gz")].source
    shown = show(page).stdout
    titles = [line.lstrip("# ") for line in source.read_text().splitlines() if line.startswith("## ")]
    assert titles
    assert [title for title in titles if title not in shown] == []


def test_a_table_becomes_a_list_and_what_stands_beside_the_term_stays_there() -> None:
    head = "| key | type | default | meaning |\n|---|---|---|---|\n"
    table = head + "| `a` | number | 3 | How many. |\n| `b` | text | | Why. |\n"
    assert make_man.convert(table) == "\n`a` (number; default 3)\n: How many.\n\n`b` (text)\n: Why.\n\n"


def test_code_stays_as_it_is_and_links_become_their_text() -> None:
    assert make_man.convert("```\n## [x](y)\n| a |\n```\n") == "```\n## [x](y)\n| a |\n```\n"
    assert make_man.convert("see [the file](routed.toml.md#x)") == "see **routed.toml**(5)"
    assert make_man.convert("see [others](../how-to/others.md)") == "see others"
