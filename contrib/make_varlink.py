"""Writes the tables of docs/reference/varlink.md, made of the interface that the daemon serves.

    python contrib/make_varlink.py      # with routed importable, as in .venv

What the interface says by itself belongs here: names, types, who may call, and the sentences and comments that stand
beside them in the source. What a person has to be told besides stands in the head of the page, which is kept.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final, is_typeddict

from routed.daemon import control
from routed.daemon.control import READING, RoutedInterface

PAGE: Final = Path(__file__).parents[1] / "docs/reference/varlink.md"
MARK: Final = "<!-- From here on contrib/make_varlink.py writes. -->\n"

_STATEMENT: Final = re.compile(r"^(method|error|type) (\w+) ?(\(.*)$", re.MULTILINE)
_FIELD: Final = re.compile(r"(\w+): ([^,)]+)")
_RIGHTS: Final = {True: "For everybody.", False: "For root, the daemon's own user, and the group of the unit."}


def make_tables() -> str:
    """Methods, errors and types of the interface, as Markdown."""
    statements = _STATEMENT.findall(RoutedInterface.render_interface_description())
    of_sort = {sort: [(name, rest) for word, name, rest in statements if word == sort] for sort in _RENDERERS}
    parts = [f"## {sort.title()}s\n\n" + "\n".join(_RENDERERS[sort](*one) for one in of_sort[sort]) for sort in of_sort]
    return "\n".join(parts)


def make_page(page: str) -> str:
    """The page with its tables written anew."""
    return page.partition(MARK)[0] + MARK + "\n" + make_tables()


def _render_method(name: str, signature: str) -> str:
    text = inspect.getdoc(getattr(RoutedInterface, name)) or ""
    return f"### {name}\n\n`{name}{signature}`\n\n{_make_markdown(text)}\n\n{_RIGHTS[name in READING]}\n"


def _render_error(name: str, parameters: str) -> str:
    text = inspect.getdoc(getattr(control, name)) or ""
    fields = ", ".join(f"`{field}: {kind}`" for field, kind in _FIELD.findall(parameters)) or "nothing"
    return f"### {name}\n\n{_make_markdown(text)} It carries {fields}.\n"


def _render_type(name: str, fields: str) -> str:
    document = _find_document(name)
    comments = dict(_list_comments(document))
    rows = "".join(
        f"| `{field}` | `{kind}` | {_make_markdown(comments.get(field, ''))} |\n"
        for field, kind in _FIELD.findall(fields)
    )
    text = _make_markdown(inspect.getdoc(document) or "")
    return f"### {name}\n\n{text}\n\n| field | type | meaning |\n|---|---|---|\n{rows}"


_RENDERERS: Final = {"method": _render_method, "error": _render_error, "type": _render_type}


def _find_document(name: str) -> type:
    modules = [module for path, module in sys.modules.items() if path.startswith("routed.model")]
    document: type = next(vars(module)[name] for module in modules if is_typeddict(vars(module).get(name)))
    return document


def _list_comments(document: type) -> Iterator[tuple[str, str]]:
    """The fields that have a comment on one of their lines, with it."""
    source = inspect.getsource(document)
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    for field in body.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            lines = range(field.lineno, (field.end_lineno or field.lineno) + 1)
            yield field.target.id, " ".join(comments[line] for line in lines if line in comments)


def _make_markdown(text: str) -> str:
    """A docstring as one paragraph, or as several."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.replace("``", "`").split("\n\n"))
    return "\n\n".join(paragraph.replace("|", r"\|") for paragraph in paragraphs)


if __name__ == "__main__":
    PAGE.write_text(make_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
