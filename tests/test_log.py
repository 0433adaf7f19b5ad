"""Logging: only after it was asked for, and then nothing that a client sent can forge a line of it or leak through it."""

import json
import logging
import re
import time
import unicodedata
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import log
from trunkline.config import settings
from trunkline.errors import ConfigurationError
from trunkline.model.events import MultiDict

BEGIN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+: "
SRC = Path(log.__file__).parent
FORGED = "2026-01-01 00:00:00,000 INFO trunkline.gateway: all is well"
LOGGER = logging.getLogger("trunkline.test")


@pytest.fixture(autouse=True)
def as_before():
    """What the tests configure ends with them."""
    loggers = [logging.getLogger(name) for name in ("trunkline", "asyncio")]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:] = handlers
        logger.propagate = propagate
        logger.setLevel(level)


@pytest.fixture(params=["text", "json"])
def layout(request):
    return request.param


@pytest.fixture
def written(capsys):
    """What one record is in a layout."""

    def written(layout, message, *values, **more):
        log.configure("debug", layout)
        LOGGER.error(message, *values, **more)
        return capsys.readouterr().err

    return written


def raised(error):
    """The exc_info of an error that a function raised."""
    try:
        raise error
    except BaseException as caught:
        return type(caught), caught, caught.__traceback__


# Who is configured, and who is not.


def test_nothing_is_configured_by_importing():
    root = logging.getLogger("trunkline")
    assert (root.handlers, root.level, root.propagate) == ([], logging.NOTSET, True)


def test_only_the_command_line_configures_and_every_logger_is_below_ours():
    texts = {str(file.relative_to(SRC)): file.read_text() for file in SRC.rglob("*.py") if file.name != "log.py"}
    # A function of Lambda has a command line of its own, so to speak: it hands our records to Lambda's log.
    of_lambda = {"aws/lambda_handler.py", "aws/lambda_log.py"}
    assert {name for name, text in texts.items() if "log.configure(" in text} == {"cli/run.py", *of_lambda}
    ours = [text for name, text in texts.items() if name != "aws/lambda_log.py"]
    named = [name for text in ours for name in re.findall(r"getLogger\((.*?)\)", text)]
    assert named
    assert all(re.fullmatch(r'"trunkline\.\w+"', name) for name in named)


def test_records_go_to_standard_error_with_time_level_and_name(capsys):
    log.configure()
    logging.getLogger("trunkline.gateway").info("%s is up", "it")
    logging.getLogger("trunkline.gateway").debug("not this")
    logging.getLogger("other").warning("nor this")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO trunkline.gateway: it is up\n", err)


@pytest.mark.parametrize(
    ("level", "said"), [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e"), (logging.INFO, "iwe")]
)
def test_the_level_is_the_least_that_is_written(capsys, level, said):
    log.configure(level)
    for number, letter in ((10, "d"), (20, "i"), (30, "w"), (40, "e")):
        LOGGER.log(number, letter)
    assert "".join(line[-1] for line in capsys.readouterr().err.splitlines()) == said


def test_configuring_twice_does_not_write_twice(capsys):
    log.configure()
    log.configure(logging.DEBUG)
    logging.getLogger("trunkline.x").debug("once")
    assert capsys.readouterr().err.count("once") == 1


def test_the_roots_handlers_are_left_alone(caplog):
    before = logging.getLogger().handlers[:]
    log.configure()
    logging.getLogger("trunkline.x").error("ours")
    assert logging.getLogger().handlers == before
    assert "ours" not in caplog.text


def test_what_asyncio_reports_is_written_in_the_same_way(capsys, layout):
    log.configure("debug", layout)
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Task token=\x1bCANARY>")
    logging.getLogger("asyncio").debug("Using selector: EpollSelector")
    (line, *below) = capsys.readouterr().err.splitlines()
    assert "Task exception was never retrieved" in line
    assert below == (["    future: <Task token=[redacted]>"] if layout == "text" else [])


# JSON.


def test_json_is_one_object_a_line_with_utc_in_milliseconds(written, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1767225599.5)
    monkeypatch.setattr(time, "time_ns", lambda: 1767225599_500_000_000)
    line = written("json", "%s is up", "it")
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "time": "2025-12-31T23:59:59.500Z", "level": "ERROR", "logger": "trunkline.test", "message": "it is up",
    }  # fmt: skip


def test_json_names_what_the_record_has_of_its_own(written):
    fields = {"connection_id": "c=", "request_id": "r=", "route": "$default", "where": "chat.py:3"}
    said = json.loads(written("json", "it raised", extra=fields))
    assert {name: said[name] for name in fields} == fields
    assert "traceback" not in said


def test_json_takes_these_names_from_a_records_values_too(written):
    said = json.loads(written("json", "%(route)s of %(connection_id)s", {"connection_id": "c=", "route": "bid"}))
    assert (said["message"], said["connection_id"], said["route"]) == ("bid of c=", "c=", "bid")


def test_json_has_the_traceback_as_a_field(written):
    said = json.loads(written("json", "it failed", exc_info=raised(ValueError("no"))))
    assert said["message"] == "it failed"
    assert said["traceback"].startswith("Traceback (most recent call last):\n  File ")
    assert said["traceback"].endswith("\nValueError: no")


def test_what_stands_below_the_line_of_a_message_is_its_traceback(written):
    said = json.loads(written("json", "%s raised\n%s", "it", "Traceback:\n  x\nValueError"))
    assert (said["message"], said["traceback"]) == ("it raised", "Traceback:\n  x\nValueError")


def test_a_stack_that_was_asked_for_is_part_of_it(written):
    said = json.loads(written("json", "here", stack_info=True))
    assert said["traceback"].startswith("Stack (most recent call last):\n")


def test_no_exception_is_no_traceback(written):
    assert "traceback" not in json.loads(written("json", "it failed", exc_info=True))


def test_json_is_ascii_and_says_every_letter(written):
    line = written("json", "%s", "Grüße, 世界 🙂")
    assert line.isascii()
    assert json.loads(line)["message"] == "Grüße, 世界 🙂"


# Forging: only what begins at column 0 is ours, and only once a record.


@pytest.mark.parametrize(
    ("char", "written_as"),
    [
        ("\n", r"\n"), ("\r", r"\r"), ("\t", r"\t"), ("\0", r"\x00"), ("\x1b[2J", r"\x1b[2J"), ("\x07", r"\x07"), ("\x7f", r"\x7f"),
        ("\x85", r"\x85"), ("\x9b31m", r"\x9b31m"), ("\u2028", r"\u2028"), ("\u2029", r"\u2029"), ("\u202e", r"\u202e"), ("\u2066", r"\u2066"),
        ("\ufeff", r"\ufeff"), ("\ud800", r"\ud800"),
    ],
)  # fmt: skip
def test_what_is_not_for_reading_is_an_escape(written, char, written_as):
    assert written("text", "GET %s failed", f"/{char}x").endswith(f": GET /{written_as}x failed\n")
    assert json.loads(written("json", "GET %s failed", f"/{char}x"))["message"] == f"GET /{written_as}x failed"


def test_backslashes_are_not_doubled(written):
    assert written("text", "%s", r"C:\new").endswith(r": C:\new" + "\n")


def test_a_value_cannot_begin_a_line(written, layout):
    assert written(layout, "%s raised", f"it\n{FORGED}\r\n{FORGED}").count("\n") == 1


def test_lines_of_a_traceback_are_indented_whatever_its_exception_says(written):
    text = written(
        "text",
        "it raised\n%s",
        f"Traceback:\n  File\nValueError: x\n{FORGED}\r{FORGED}",
        exc_info=raised(ValueError(f"\n{FORGED}")),
    )
    first, *below = text.rstrip("\n").split("\n")
    assert re.match(BEGIN + "it raised$", first)
    assert below[:4] == ["    Traceback:", "      File", "    ValueError: x", f"    {FORGED}\\r{FORGED}"]
    assert all(line.startswith("    ") for line in below)


def test_a_value_cannot_pass_for_the_end_of_a_line_of_ours(written):
    said = json.loads(written("json", "%s raised\n%s", f"{log._BREAK[:5]}\n\n\0", "Traceback"))
    assert said["message"].endswith(r"\n\n\x00 raised")
    assert said["traceback"] == "Traceback"


def readable(char):
    return unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"}


@given(
    st.lists(st.text(st.characters() | st.sampled_from("\r\n\x1b\u2028\x85{}\"'\\"))), st.sampled_from(["text", "json"])
)
def test_whatever_is_said_one_record_begins_one_line(texts, layout):
    record = LOGGER.makeRecord(
        "trunkline.test", 40, "x.py", 1, "%r %s\n%s", (texts, "".join(texts), "\n".join(texts)), None
    )
    log._Cleaner().filter(record)
    formatter = log._Json() if layout == "json" else log._Text()
    first, *below = formatter.format(record).split("\n")
    assert all(map(readable, "".join([first, *below])))
    if layout == "json":
        assert below == []
        assert json.loads(first)["logger"] == "trunkline.test"
    else:
        assert re.match(BEGIN, first)
        assert all(line.startswith("    ") for line in below)


# Lengths.


def test_a_message_has_at_most_4096_characters_of_its_own(written, layout):
    line = written(layout, "%s", "a" * 5000 + "z" * 5000)
    assert "a" * 2048 + " ... 5,904 characters left out ... " + "z" * 2048 in line
    assert len(line) < 4300


def test_a_message_is_cut_after_it_was_escaped(written):
    assert len(written("text", "%s", "\x1b" * 10_000)) < 4300


def test_a_traceback_has_at_most_32768_characters_with_its_end(written, layout):
    text = written(layout, "it raised", exc_info=raised(ValueError("x" * 200_000 + "the end")))
    assert "Traceback (most recent call last)" in text
    assert "the end" in text
    assert len(text) < 33_200


def test_other_fields_have_at_most_512_characters(written):
    assert len(json.loads(written("json", "x", extra={"route": "r" * 9999}))["route"]) < 560


# Records that cannot be written.


def test_a_value_that_cannot_be_shown_costs_its_record_and_no_more(written, layout):
    class Bad:
        def __str__(self):
            raise RuntimeError("CANARY")

    for values in ((Bad(),), (), ("too", "many")):
        text = written(layout, "%s", *values) if values else written(layout, "%d", "no number")
        assert re.search(r"a record made at .*test_log.py:\d+ cannot be written: (RuntimeError|TypeError)", text)
        assert "CANARY" not in text


def test_a_closed_standard_error_is_no_error(capsys):
    log.configure()
    handler = logging.getLogger("trunkline").handlers[0]
    stream = open("/dev/null", "w")
    stream.close()
    handler.setStream(stream)
    LOGGER.error("nobody hears this")
    assert capsys.readouterr().err == ""


# Secrets.

CANARY = "CANARY/with+base64=="
HEADERS = {
    "Authorization": f"Bearer {CANARY}",
    "cookie": f"a=1; session={CANARY}",
    "Sec-WebSocket-Protocol": f"access_token, {CANARY}",
}
SETS_COOKIE = ("Set-Cookie", f"session={CANARY}; HttpOnly")
QUERY = f"room=tea&token={CANARY}&access_token={CANARY}&API_KEY={CANARY}&api-key={CANARY}"
SIGNED = f"X-Amz-Credential=AKID%2F{CANARY}&X-Amz-Signature={CANARY}&x-amz-security-token={CANARY}&X-Amz-Date=20260101T000000Z"
LEAKS = {
    "header lines": "\r\n".join(f"{name}: {value}" for name, value in [*HEADERS.items(), SETS_COOKIE]),
    "proxy": f"proxy-authorization:Basic {CANARY}",
    "a dict": repr(HEADERS),
    "a dict of lists": repr({name: ["first", value] for name, value in HEADERS.items()}),
    "a dict of tuples": repr({name: ("first", value) for name, value in HEADERS.items()}),
    "pairs": repr([*HEADERS.items(), SETS_COOKIE]),
    "pairs of bytes": repr([(name.encode(), value.encode()) for name, value in HEADERS.items()]),
    "ours": repr(MultiDict([*HEADERS.items(), SETS_COOKIE])),
    "JSON": json.dumps(HEADERS),
    "compact JSON": json.dumps(HEADERS, separators=(",", ":")),
    "JSON in JSON": json.dumps(json.dumps(HEADERS)),
    "JSON in JSON in a repr": repr(json.dumps(json.dumps(json.dumps(HEADERS)))),
    "quotes in a cookie": repr({"cookie": f"a=\"1\"; b='2'; c={CANARY}"}),
    "quotes in a cookie, deeper": json.dumps(json.dumps({"cookie": f"a=\"1\"; b='2'; c={CANARY}"})),
    "a bracket in a cookie": repr({"cookie": [f"a=[1]; c={CANARY}"]}),
    "an upper-case name": f"AUTHORIZATION: {CANARY}",
    "keyword arguments": f"Request(cookie='a={CANARY}', authorization={CANARY!r}, token={CANARY!r})",
    "a query string": f"GET /chat?{QUERY} HTTP/1.1",
    "a signed query string": f"wss://example.execute-api.eu-west-1.amazonaws.com/prod?{SIGNED}",
    "a query as a dict": repr(dict(part.split("=", 1) for part in f"{QUERY}&{SIGNED}".split("&"))),
    "a query in a query": f"/login?to=https%3A%2F%2Fexample.com%2F%3Ftoken%3D{CANARY}%26b%3D1",
    "a signature": f"AWS4-HMAC-SHA256 Credential=AKID/{CANARY}, SignedHeaders=host, Signature={CANARY}",
    "bearer": f"not allowed: bearer {CANARY}",
    "a bearer subprotocol": f"chat.v1, bearer.{CANARY}",
    "Kubernetes' subprotocol": f"base64url.bearer.authorization.k8s.io.{CANARY}, v4.channel.k8s.io",
    "subprotocols": repr(["access_token", CANARY]),
    "basic": "Basic dXNlcjpDQU5BUlk=",
    "a token alone": "no such user: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJDQU5BUlkifQ.c2lnbmVkCANARY",
    "a message": json.dumps({"action": "login", "password": CANARY, "idToken": CANARY, "clientSecret": CANARY}),
    "a number": '{"token": 73CANARY}',
    "said by a program": f"wrong token: {CANARY}",
    "a database": f"cannot connect to postgresql://chat:{CANARY}@db.example/chat".replace("CANARY/with", "CANARY"),
    "the environment": f"AWS_SECRET_ACCESS_KEY={CANARY} AWS_SESSION_TOKEN={CANARY}",
    "cut short": repr(HEADERS)[: repr(HEADERS).index("CANARY") + 6],
}  # fmt: skip


@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS)
def test_secrets_are_redacted(text):
    assert "CANARY" in text or "Q0FOQVJZ" in text or "DQU5BUlk" in text
    safe = log.redact(text)
    assert "[redacted]" in safe
    assert not re.search("CANARY|DQU5BUlk|JDQU5BUlkifQ|base64", safe.replace("base64url.bearer", ""))


@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS)
def test_redacting_twice_is_redacting_once(text):
    assert log.redact(log.redact(text)) == log.redact(text)


def test_secrets_are_redacted_wherever_a_record_has_them(written, layout):
    error = ValueError(f"{HEADERS} in the exception")
    text = written(
        layout,
        "%s raised\n%s",
        QUERY,
        f"ValueError: {SIGNED}",
        exc_info=raised(error),
        extra={"route": QUERY, "where": SIGNED},
    )
    assert "in the exception" in text
    assert "CANARY" not in text


def test_a_secret_is_redacted_before_its_message_is_cut(written):
    # A cut through the middle of a secret, or between it and its name, would leave it unknown.
    for before in range(1980, 2060, 3):
        text = written("text", "%s", "a" * before + f" token={'CANARY' * 20} " + "z" * 4000)
        assert not re.search("CAN|ARY", text)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (f"GET /?room=tea&token={CANARY}&x=1 HTTP/1.1", "GET /?room=tea&token=[redacted]&x=1 HTTP/1.1"),
        (f"{{'cookie': 'a={CANARY}', 'host': 'x'}}", "{'cookie': '[redacted]', 'host': 'x'}"),
        (f'{{"token":"{CANARY}","a":1}}', '{"token":"[redacted]","a":1}'),
        (f"{{'cookie': ['{CANARY}', '{CANARY}'], 'host': ['x']}}", "{'cookie': ['[redacted]'], 'host': ['x']}"),
        ("bearer.abc, chat", "bearer.[redacted], chat"),
        ("redis://:pw@h ws://h:80/x?a@b", "redis://:[redacted]@h ws://h:80/x?a@b"),
        (f"Cookie: {CANARY}\nHost: x", "Cookie: [redacted]\nHost: x"),
    ],
)  # fmt: skip
def test_what_stands_around_a_secret_stays(text, safe):
    assert log.redact(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "the handler of $default at /srv/chat.py:12 raised; connection Zm9vYmFyYmF6cXV4MTI=, request AAAAAAAAAAAAAAA=",
        "Sec-WebSocket-Protocol must be a list of different tokens",
        '    token = ctx.req.query["token"]',
        '    cookies = parse(ctx.req.headers["cookie"])',
        "    if tokens[token] == password:",
        "Basic authentication is not supported",
        "page_from('abc'): expected the token of an earlier page of this query",
        "the token, the cookie and the signature are missing; no bearer",
        "connect to ws://127.0.0.1:8000/chat?room=tea&name=Ann",
        "ValueError: expected authorization:",
    ],
)
def test_what_is_no_secret_stays(text):
    assert log.redact(text) == text


# A long text takes no longer than its length: 100 kB at most 50 ms of the processor.

UNITS = [
    "token", "token=", "token='", "token=['", "'token':['\\\\", "token:", "token        ", "cookie:", "cookie: \n", "authorization", "sec-websocket-protoco",
    "\\", '\\\\"', 'token\\\\\\\\"', "secret\\\\\\\\", "'", "['", "']", "eyJ", "-eyJ", "-eyJabcdef", "eyJabcdef.", "bearer ", "bearer", "access_token,", "://", "://a:b",
    ":", "basic ", "Basic a", "Basic abcdefgh", " ", "\n", "a", "\x1b", "\u2028", "t", "%3D", "&token=x", "@",
]  # fmt: skip


def is_fast(prefix, unit):
    """Within 50 ms, once of three times: the collector may come between."""
    text = (prefix + unit * (100_000 // len(unit) + 1))[:100_000]
    for _ in range(3):
        began = time.thread_time()
        log._line(text, 4096)
        if time.thread_time() - began < 0.05:
            return True
    return False


@pytest.mark.parametrize(
    "prefix", ["", "token='", "token=['", 'token=\\\\\\"', "cookie: ", "eyJabcdef.", "://"], ids=ascii
)
@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_100_kb_take_less_than_50_milliseconds(prefix, unit):
    assert is_fast(prefix, unit)


@hypothesis.settings(deadline=None)  # of the wall's clock: others use the processor too
@given(
    st.text(st.sampled_from("token=:,'\"\\[]() \n\t/@.-_eyJbarcookie&%3D"), min_size=1, max_size=24),
    st.sampled_from(UNITS),
)
def test_100_kb_of_anything_take_less_than_50_milliseconds(unit, other):
    assert is_fast("", unit + other)


# The page about it.


def test_the_lines_of_the_documentation_are_what_a_record_is(written):
    page = (Path(__file__).parents[1] / "docs" / "howto" / "logs.md").read_text()
    (said,) = [json.loads(line) for line in re.findall(r"^{.*}$", page, re.M) if '"level"' in line]
    text = f"{said['message']}\n" + said["traceback"]
    shown = re.search(rf"^{BEGIN}the handler.*?(?=^```)", page, re.M | re.S)[0]
    assert re.sub(BEGIN, "", written("text", text)) == re.sub(BEGIN, "", shown)
    again = json.loads(written("json", text))
    assert list(again) == list(said)
    assert (again["message"], again["traceback"]) == (said["message"], said["traceback"])


# The settings.


@pytest.mark.parametrize(("name", "default", "other"), [("log_format", "text", "json"), ("log_level", "info", "debug")])
def test_format_and_level_are_settings(tmp_path, name, default, other):
    assert getattr(settings(tmp_path, {}, {}), name) == default
    assert getattr(settings(tmp_path, {name: other}, {}), name) == other
    assert getattr(settings(tmp_path, {}, {f"TRUNKLINE_{name.upper()}": other.upper()}), name) == other
    (tmp_path / "pyproject.toml").write_text(f"[tool.trunkline]\n{name} = '{other}'\n")
    assert getattr(settings(tmp_path, {}, {}), name) == other


@pytest.mark.parametrize(
    ("name", "expected"), [("log_format", "text or json"), ("log_level", "debug or info or warning or error")]
)
def test_another_format_or_level_is_told(tmp_path, name, expected):
    with pytest.raises(ConfigurationError, match=f"^the environment sets {name} to 'xml'; expected {expected}$"):
        settings(tmp_path, {}, {f"TRUNKLINE_{name.upper()}": "xml"})
