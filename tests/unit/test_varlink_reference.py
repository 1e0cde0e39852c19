"""The page of the control socket is made of the interface that the daemon serves."""

from __future__ import annotations

import re
from pathlib import Path

from contrib import make_varlink
from routed.daemon.control import RoutedInterface

PAGE = Path(make_varlink.PAGE).read_text(encoding="utf-8")


def test_the_page_is_what_the_interface_says() -> None:
    assert make_varlink.make_page(PAGE) == PAGE, "run contrib/make_varlink.py"


def test_the_page_has_every_method_error_and_type_and_no_other() -> None:
    description = RoutedInterface.render_interface_description()
    known = set(re.findall(r"^(?:method|error|type) (\w+)", description, re.MULTILINE))
    assert set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == known
