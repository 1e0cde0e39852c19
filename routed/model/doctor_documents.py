"""The JSON document of ``routed doctor``. A key that is here stays; new ones may come."""

from __future__ import annotations

from typing import TypedDict


class FindingDocument(TypedDict):
    """One thing that works against what the files want, or that could not be looked at."""

    finding: str  # its name: a value of ``model.diagnosis.Ailment``
    severity: str  # note, warning, error, unseen
    entry: str  # that suffers; empty where it is all of them
    what: str
    where: str  # by what it is seen: a file with its line, a sysctl, an object as ``ip`` has it
    why: str  # it matters
    cure: str  # a line for a shell; empty where this host has none


class DoctorDocument(TypedDict):
    """What ``routed doctor --json`` prints."""

    schema: str  # routed.doctor/1
    config: str
    examined: int  # how many examinations there were
    findings: list[FindingDocument]  # the worst first
    counts: dict[str, int]  # by severity
