from __future__ import annotations

from pathlib import Path

from routed.cli.exits import Exit

UNIT = Path(__file__).parents[3] / "contrib" / "systemd" / "routed.service"


def test_the_unit_does_not_try_again_what_would_end_the_same_way() -> None:
    (line,) = [line for line in UNIT.read_text().splitlines() if line.startswith("RestartPreventExitStatus=")]
    codes = {Exit(int(code)) for code in line.partition("=")[2].split()}
    assert codes == {Exit.REFUSED, Exit.USAGE, Exit.NOT_PERMITTED, Exit.INVALID}
