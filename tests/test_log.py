"""Logging: one line a record on standard error, and only after it was asked for."""

import logging
import re

import pytest

from trunkline import log


@pytest.fixture
def logger():
    """The root of ours; as it was afterwards."""
    root = logging.getLogger("trunkline")
    before = root.handlers[:], root.level, root.propagate
    yield root
    root.handlers[:], root.propagate = before[0], before[2]
    root.setLevel(before[1])


def test_nothing_is_configured_by_importing(logger):
    assert (logger.handlers, logger.level, logger.propagate) == ([], logging.NOTSET, True)


def test_records_go_to_standard_error_with_time_level_and_name(logger, capsys):
    log.configure()
    logging.getLogger("trunkline.gateway").info("%s is up", "it")
    logging.getLogger("trunkline.gateway").debug("not this")
    logging.getLogger("other").warning("nor this")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO trunkline.gateway: it is up\n", err)


def test_configuring_twice_does_not_write_twice(logger, capsys):
    log.configure()
    log.configure(logging.DEBUG)
    logging.getLogger("trunkline.x").debug("once")
    assert capsys.readouterr().err.count("once") == 1


def test_the_roots_handlers_are_left_alone(logger, caplog):
    before = logging.getLogger().handlers[:]
    log.configure()
    logging.getLogger("trunkline.x").error("ours")
    assert logging.getLogger().handlers == before
    assert "ours" not in caplog.text
