"""The log of a function: our records, cleaned, on Lambda's own handler."""

import logging

import pytest

from trunkline.aws import lambda_log


class Runtime(logging.Handler):
    """As Lambda's: it keeps what it would write."""

    def __init__(self):
        super().__init__()
        self.written = []
        self.setFormatter(logging.Formatter("[%(levelname)s] %(name)s %(message)s"))

    def emit(self, record):
        self.written.append(self.format(record))


@pytest.fixture
def runtime():
    """The log as Lambda sets it up, and everything as it was afterwards."""
    names = ("", "trunkline", "asyncio")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one.handlers[:], one.level, one.propagate) for one in loggers]
    handler = Runtime()
    loggers[0].handlers[:] = [handler]
    yield handler
    for one, (handlers, level, propagate) in zip(loggers, before, strict=True):
        one.handlers[:] = handlers
        one.setLevel(level)
        one.propagate = propagate


def test_a_record_goes_to_lambdas_handler_once_and_from_info_on(runtime):
    lambda_log.configure({})
    logging.getLogger("trunkline.aws").info("cold start: %s", "chat.py")
    logging.getLogger("trunkline.aws").debug("nothing")
    assert runtime.written == ["[INFO] trunkline.aws cold start: chat.py"]


@pytest.mark.parametrize(("level", "least"), [("DEBUG", 10), ("warn", 30), ("ERROR", 40), ("TRACE", 20), ("", 20)])
def test_the_level_is_the_functions(runtime, level, least):
    lambda_log.configure({"AWS_LAMBDA_LOG_LEVEL": level})
    assert logging.getLogger("trunkline").level == least


def test_a_traceback_stays_with_its_record_and_nothing_of_it_begins_a_line(runtime):
    lambda_log.configure({})
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("trunkline.handlers").exception("it failed")
    (written,) = runtime.written
    first, *below = written.split("\n")
    assert first == "[ERROR] trunkline.handlers it failed"
    assert all(line.startswith("    ") for line in below)
    assert below[0] == "    Traceback (most recent call last):"
    assert below[-2:] == ["    ValueError: a", "    b"]


def test_what_a_client_sent_is_cleaned(runtime):
    lambda_log.configure({})
    logging.getLogger("trunkline.handlers").error("said %s", "\x1b[2J token=abc\nnext")
    assert runtime.written == ["[ERROR] trunkline.handlers said \\x1b[2J token=[redacted]\\nnext"]


def test_what_asyncio_reports_is_cleaned_too(runtime):
    lambda_log.configure({})
    logging.getLogger("asyncio").error("Task exception: %s", "\x1b")
    logging.getLogger("asyncio").info("nothing")
    assert runtime.written == ["[ERROR] asyncio Task exception: \\x1b"]


def test_where_nobody_has_set_up_a_log_it_is_standard_error(runtime, capsys):
    logging.getLogger().handlers.clear()
    lambda_log.configure({})
    logging.getLogger("trunkline.aws").info("hello")
    assert capsys.readouterr().err.endswith(" INFO trunkline.aws: hello\n")
