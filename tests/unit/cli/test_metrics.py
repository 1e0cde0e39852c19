"""``routed metrics --output``: what it may put its file in place of."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from routed.cli.metrics import replace


@pytest.mark.parametrize("what", ["fifo", "device", "descriptor"])
def test_what_is_no_file_is_left_alone(tmp_path: Path, what: str) -> None:
    path, beside = tmp_path / "out", tmp_path / "beside"
    with beside.open("w") as file:
        if what == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/null" if what == "device" else f"/proc/self/fd/{file.fileno()}")
        before = path.lstat()
        with pytest.raises(OSError, match="no file that could be replaced"):
            replace(path, b"1")
        assert stat.S_IFMT(path.lstat().st_mode) == stat.S_IFMT(before.st_mode)
    assert {one.name for one in tmp_path.iterdir()} == {"out", "beside"}
