"""Exposition: metrics as the text that Prometheus reads, written by its own library.

The only module that imports ``prometheus_client``, and itself imported only where metrics are asked for as text. What
is measured stands in the document (``model.metrics``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from routed.model.metrics import FamilyDocument, MetricsDocument

OPENMETRICS: Final = "application/openmetrics-text"  # what a scraper accepts; everything else is the older text
DEBIAN: Final = Path("/usr/lib/python3/dist-packages")  # of python3-prometheus-client, which our path leaves out
MISSING: Final = (
    "the library prometheus-client is not here: apt install python3-prometheus-client, or pip install 'routed[metrics]'"
)


def load_library() -> bool:
    """Import it. False where it is not installed.

    The package of Debian runs without the libraries of its host: this one alone is taken from them.
    """
    try:
        import prometheus_client  # noqa: PLC0415  only who asks for text pays for it
    except ModuleNotFoundError:
        if str(DEBIAN) in sys.path or not (DEBIAN / "prometheus_client").is_dir():
            return False
        sys.path.append(str(DEBIAN))
        try:
            import prometheus_client  # noqa: F401, PLC0415
        except ModuleNotFoundError:
            return False
        finally:
            sys.path.remove(str(DEBIAN))
    return True


def write(document: MetricsDocument, accept: str) -> tuple[bytes, str]:
    """The text and its type, as OpenMetrics where ``accept``, a header of HTTP, has that; else the older form.

    Only after ``load_library`` said that it is there.
    """
    from prometheus_client import CollectorRegistry  # noqa: PLC0415  likewise
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415
    from prometheus_client.metrics_core import Metric  # noqa: PLC0415
    from prometheus_client.registry import Collector  # noqa: PLC0415

    class Exposed(Collector):
        """The document as a library sees it."""

        def collect(self) -> Iterator[Metric]:
            return map(make, document["families"])

    def make(family: FamilyDocument) -> Metric:
        metric = Metric(family["name"], family["help"], family["type"])
        for sample in family["samples"]:
            metric.add_sample(sample["name"], sample["labels"], sample["value"])
        return metric

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Exposed())
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
