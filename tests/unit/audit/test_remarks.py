"""What is logged is a record like all others."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from routed.audit.catalogue import ERR, NOTICE, WARNING
from routed.audit.records import Record
from routed.audit.remarks import Remarks

REPORTED = "a defect in routed: ValueError: invalid literal for int() with base 10: 'seven'"


@pytest.fixture
def told() -> list[Record]:
    return []


@pytest.fixture
def logger(told: list[Record]) -> Iterator[logging.Logger]:
    yield from a_logger(Remarks(told.append))


def a_logger(handler: logging.Handler) -> Iterator[logging.Logger]:
    logger = logging.getLogger("routed.of-a-test")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger
    logger.removeHandler(handler)


def test_a_warning_is_a_record_with_its_priority(logger: logging.Logger, told: list[Record]) -> None:
    logger.warning("cannot watch %s for changes\nat all", "/etc")
    (record,) = told
    assert record.priority == WARNING
    assert "\n" not in record.message
    assert record.message.startswith("cannot watch /etc for changes")
    assert record.fields["ROUTED_EVENT"] == "remark"


def test_what_is_less_than_a_warning_is_a_notice(logger: logging.Logger, told: list[Record]) -> None:
    logger.info("so it is")
    assert told[0].priority == NOTICE


def test_a_defect_is_an_error_that_names_what_was_raised_and_keeps_the_traceback(
    logger: logging.Logger, told: list[Record]
) -> None:
    try:
        int("seven")
    except ValueError:
        logger.exception("a defect in routed")
    assert (told[0].priority, told[0].message) == (ERR, REPORTED)
    assert "Traceback" in told[0].fields["ROUTED_REASON"]
    assert "test_remarks" in told[0].fields["ROUTED_REASON"]


def test_whoever_logs_goes_on_where_nothing_can_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_record: Record) -> None:
        raise OSError("no")

    for logger in a_logger(Remarks(refuse)):
        logger.warning("so it is")
    assert "no" in capsys.readouterr().err
