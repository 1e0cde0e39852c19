"""The document of metrics: what Prometheus is told, before it is text.

It is what the control socket answers with. Names and types are those of OpenMetrics
(https://prometheus.io/docs/specs/om/open_metrics_spec/); how they are written stands in ``audit.exposition``.
"""

from __future__ import annotations

from typing import TypedDict


class SampleDocument(TypedDict):
    """One number. No label comes from a process: they are words of ours, and names of the files."""

    name: str  # of the family, with what the type adds: _total, _bucket
    labels: dict[str, str]
    value: float


class FamilyDocument(TypedDict):
    """One metric and its samples."""

    name: str
    type: str  # counter, gauge, histogram, info
    help: str
    samples: list[SampleDocument]


class MetricsDocument(TypedDict):
    """What ``routed metrics --json`` prints."""

    schema: str  # routed.metrics/1
    families: list[FamilyDocument]
