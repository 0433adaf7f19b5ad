"""Plain HTTP answers as bytes."""

import time
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway import http
from trunkline.gateway.http import HttpResponse, encode, refusal
from trunkline.model.api import Response


def parts(raw):
    """First line, headers but the date, body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    headers.pop("date")
    return first, headers, body


def test_a_line_of_text():
    first, headers, body = parts(encode(HttpResponse.text(404, "né", {"allow": "GET"})))
    assert first == "HTTP/1.1 404 Not Found"
    assert headers == {"content-type": "text/plain; charset=utf-8", "allow": "GET", "content-length": "4"}
    assert body == "né\n".encode()


def test_forbidden_is_the_answer_of_api_gateway():
    first, headers, body = parts(encode(HttpResponse.forbidden()))
    assert first == "HTTP/1.1 403 Forbidden"
    assert headers["x-amzn-errortype"] == "ForbiddenException"
    assert (headers["content-type"], body) == ("application/json", b'{"message":"Forbidden"}')


def test_no_body_has_the_length_0():
    assert parts(encode(HttpResponse(200))) == ("HTTP/1.1 200 OK", {"content-length": "0"}, b"")


def test_a_head_says_the_length_and_leaves_the_body_out():
    whole = encode(HttpResponse(200, b"body"))
    assert encode(HttpResponse(200, b"body"), head_only=True) == whole.removesuffix(b"body")


def test_not_modified_has_no_length():
    assert parts(encode(HttpResponse(304, b"", {"etag": '"1"'}))) == (
        "HTTP/1.1 304 Not Modified", {"etag": '"1"'}, b"",
    )  # fmt: skip


def test_the_last_answer_says_so():
    assert parts(encode(HttpResponse(200, close=True)))[1]["connection"] == "close"


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\rb", "a\nb", "a\0b"])
def test_a_header_that_would_be_two_is_refused(value):
    with pytest.raises(ValueError, match="header etag has a control character"):
        encode(HttpResponse(200, b"", {"etag": value}))


@given(st.text(st.characters(exclude_characters="\r\n\0")))
def test_any_other_header_is_one_line(value):
    first, *lines = encode(HttpResponse(200, b"", {"x-name": value})).split(b"\r\n")
    assert len(lines) == 5
    assert lines[1].startswith(b"x-name: ")


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (413, b"Request Entity Too Large"), (414, b"Request-URI Too Long"), (416, b"Requested Range Not Satisfiable"),
        (422, b"Unprocessable Entity"),
    ],
)  # fmt: skip
def test_a_phrase_is_the_same_under_every_python(status, phrase):
    assert encode(HttpResponse(status)).startswith(b"HTTP/1.1 %d %s\r\n" % (status, phrase))


def test_a_status_without_a_phrase():
    assert encode(HttpResponse(599)).startswith(b"HTTP/1.1 599 \r\n")


def test_the_date_is_now(monkeypatch):
    assert abs(parsedate_to_datetime(http.date()).timestamp() - time.time()) < 2
    for second, text in ((0.0, "00:00:00"), (0.9, "00:00:00"), (1.0, "00:00:01"), (0.0, "00:00:00")):
        monkeypatch.setattr(time, "time", lambda now=second: now)
        assert http.date() == f"Thu, 01 Jan 1970 {text} GMT"


@pytest.mark.parametrize(
    ("response", "body", "kind"),
    [
        (Response(401, '{"message":"é"}'), '{"message":"é"}'.encode(), "application/json; charset=UTF-8"),
        (Response(401, b"\0\xff", {"content-type": "image/png"}), b"\0\xff", "image/png"),
        (Response(401), b"", "application/json; charset=UTF-8"),
    ],
)
def test_a_refusal_is_the_integrations_own_under_the_headers_of_api_gateway(response, body, kind):
    first, headers, sent = parts(refusal(response, "request-1"))
    assert (first, sent) == ("HTTP/1.1 401 Unauthorized", body)
    assert headers == {
        "content-type": kind, "x-amz-apigw-id": "request-1", "content-length": str(len(body)), "connection": "close",
    }  # fmt: skip
