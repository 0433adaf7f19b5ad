"""Log lines: no text raises, hides a line of its own in one of ours, keeps its secret, or takes long."""

import json
import logging
import time

from trunkline import log

_LONG = 20_000
_SECONDS = 0.1  # ten times what is promised: the fuzzer's own work counts too
_CLEANER, _TEXT, _JSON = log._Cleaner(), log._Text(), log._Json()


def check(data):
    """The bytes as what a client sent, once and as often as a large message holds it."""
    text = data.decode("utf-8", "surrogateescape")
    _check_record(text)
    _check_secret(text)
    if data[:1] == b"\0":  # for one in a few: it is what takes the time
        began = time.thread_time()
        log._line(text * (_LONG // len(text) + 1), 4096)
        assert time.thread_time() - began < _SECONDS, "a long text takes too long"


def _check_record(text):
    record = logging.LogRecord("trunkline.fuzz", logging.ERROR, "x.py", 1, "%s raised %r\n%s", (text, text, text), None)
    assert _CLEANER.filter(record)
    assert "message" in record.clean
    assert "cannot be written" not in record.clean["message"] or "cannot be written" in text
    first, *below = _TEXT.format(record).split("\n")
    assert all(line.startswith("    ") for line in below)
    assert all(char.isprintable() or not _acts(char) for char in first + "".join(below))
    line = _JSON.format(record)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["logger"] == "trunkline.fuzz"


def _acts(char):
    return char in "\n\r\v\f\x85\u2028\u2029" or ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0


def _check_secret(text):
    """A line before it changes nothing about a secret."""
    if "CANARY" in text:
        return
    for named in ("Authorization: Bearer CANARY", "{'cookie': 'a=CANARY'}", "?token=CANARY&b=1"):
        assert "CANARY" not in log.redact(f"{text}\n{named}"), "a secret shows"
