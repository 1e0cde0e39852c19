"""Debian's Prometheus, which reads a running daemon and judges the dashboard and the alerts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.kernel.netns import wait_until

PLACES: Final = (Path(sys.prefix, "prometheus/usr/bin/prometheus"),)
ADDRESS: Final = "127.0.0.1:9990"
CONFIG: Final = """
global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 500ms}
rule_files: [rules.yml]
scrape_configs:
  - job_name: routed
    static_configs: [{targets: ["127.0.0.1:9914"]}]
"""
PATIENCE: Final = 60.0  # seconds; only a failing test takes them


class Prometheus:
    """The one that runs at ``ADDRESS``."""

    def _ask(self, path: str, **words: str) -> Any:
        with urlopen(f"http://{ADDRESS}/api/v1/{path}?{urlencode(words)}", timeout=PATIENCE) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression comes to now."""
        found: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
        return found

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {one["labels"]["alertname"] for one in self._ask("alerts")["alerts"] if one["state"] == "firing"}

    def wait_for(self, alert: str) -> None:
        """Wait until this alert fires."""
        wait_until(lambda: alert in self.firing(), within=PATIENCE)

    def is_ready(self) -> bool:
        """Has it read the daemon?"""
        try:
            return bool(self.query('up{job="routed"} == 1'))
        except OSError:
            return False


@contextmanager
def running(folder: Path, rules: str) -> Iterator[Prometheus]:
    """One that has read the daemon, with these rules, whose alerts wait for nothing. Skips where there is none."""
    program = next((str(place) for place in PLACES if place.exists()), None) or shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not here: contrib/bootstrap unpacks it")
    (folder / "prometheus.yml").write_text(CONFIG)
    (folder / "rules.yml").write_text(re.sub(r"\bfor: \w+", "for: 0s", rules))
    options = (
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={ADDRESS}",
    )
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([program, *options], stderr=log)
        try:
            prometheus = Prometheus()
            wait_until(prometheus.is_ready, within=PATIENCE)
            yield prometheus
        finally:
            process.terminate()
            process.wait()
