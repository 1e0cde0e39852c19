"""What the documents show is what happens, and what they point to is there."""

import re
from pathlib import Path

import pytest

from routed.cli.demo.breakages import BREAKAGES
from tests.system import console

ROOT = Path(__file__).parents[2]
EVERY = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
TRANSLATED = [path for path in EVERY if path.name.endswith(".zh.md")]


@pytest.mark.parametrize("document", console.find_documents())
def test_every_command_of_a_document_gives_the_output_that_it_shows(document: str) -> None:
    assert console.mask(console.play(document)) == console.mask(console.read(document))


@pytest.mark.parametrize("document", EVERY, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("document", TRANSLATED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_translation_has_the_commands_of_its_original_and_each_leads_to_the_other(document: Path) -> None:
    original = document.with_name(document.name.replace(".zh.md", ".md"))
    translated, text = (path.read_text(encoding="utf-8") for path in (document, original))
    assert console.find_commands(translated) == console.find_commands(text)
    assert find_blocks(translated) == find_blocks(text) != []
    assert f"]({original.name})" in translated
    assert f"]({document.name})" in text


@pytest.mark.parametrize("document", TRANSLATED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_translation_has_all_parts_of_its_original_in_their_order(document: Path) -> None:
    original = document.with_name(document.name.replace(".zh.md", ".md"))
    translated, text = (path.read_text(encoding="utf-8") for path in (document, original))
    assert outline(translated) == outline(text)


def find_blocks(text: str) -> list[str]:
    """What stands in fences, without comments behind it; a picture has words of its own."""
    blocks = re.findall(r"^```.*?^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r" +# .*$", "", block, flags=re.MULTILINE) for block in blocks if not block.startswith("```mermaid")]


def outline(text: str) -> list[str]:
    """Headings by their level, what stands in fences and pictures, rows of tables, points of lists."""
    return re.findall(r"^(#+(?= )|```\w+|!(?=\[)|\|(?= )|\*(?= )|[0-9]\.(?= )|\*\*(?=\S))", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("listing", "pages"),
    [
        ("docs/README.md", "docs/[!R]*/*.md"),
        ("docs/explanation/decisions/README.md", "docs/explanation/decisions/0*.md"),
        ("examples/README.md", "examples/*.toml"),
        ("contrib/site.yml", "docs/[!R]*/*.md"),
    ],
)
def test_a_list_has_every_page(listing: str, pages: str) -> None:
    text = (ROOT / listing).read_text(encoding="utf-8")
    assert [page.name for page in ROOT.glob(pages) if page.name not in text] == []


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_the_readme_shows_the_table_that_the_demo_prints(readme: str) -> None:
    shown = re.findall(r"^(.+?)  +[0-9.]+ ms  +[0-9]+ +yes$", console.read(readme), re.MULTILINE)
    assert shown == [breakage.title for breakage in BREAKAGES]
