"""From bytes to requests: whole, in order, the same however the bytes are split, and nothing behind an end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline import limits
from trunkline.gateway.request_reader import GoOn, HttpRequest, Refusal, RequestReader, Upgrade

GET = b"GET /a?b=c HTTP/1.1\r\nHost: localhost\r\nX-One: 1\r\nx-one: 2\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
CLOSING = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
H2C = b"GET /h2 HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
BAD = b"rubbish\r\n\r\n"
PARTS = [GET, POST, CHUNKED, CLOSING, UPGRADE, H2C, BAD]


def read(*pieces):
    reader = RequestReader("203.0.113.7")
    return [item for piece in pieces for item in reader.feed(piece)]


def told(item):
    """An item as something that can be compared."""
    if isinstance(item, HttpRequest):
        return (item.method, item.path, item.query, item.headers, item.body, item.keep_alive)
    if isinstance(item, Upgrade):
        return ("upgrade", item.request.path, item.error and item.error.status)
    if isinstance(item, GoOn):
        return ("go on", "")
    return (item.status, item.text)


def test_a_request_has_its_parts():
    (request,) = read(GET)
    assert (request.method, request.path, request.query, request.version) == ("GET", "/a", "b=c", "1.1")
    assert request.values("x-one") == ["1", "2"]
    assert (request.header("x-one"), request.header("nothing"), request.peer) == ("2", None, "203.0.113.7")


@pytest.mark.parametrize("raw", [POST, CHUNKED])
def test_a_body_is_whole(raw):
    (request,) = read(raw)
    assert request.body == b"hello"


def test_names_of_headers_have_no_case():
    (request,) = read(b"GET / HTTP/1.1\r\nHOST:\t a \t\r\nX-A: 1\r\nx-a:2\r\n\r\n")
    assert request.named == {"host": "a", "x-a": "2"}
    assert request.headers == [("HOST", "a"), ("X-A", "1"), ("x-a", "2")]
    assert HttpRequest("GET", "/", "", [("X-A", "1"), ("x-a", "2")]).named == {"x-a": "2"}


def test_who_waits_with_a_body_is_to_be_told_before_it_comes():
    head = POST.removesuffix(b"\r\n\r\nhello") + b"\r\nExpect: 100-CONTINUE\r\n\r\n"
    reader = RequestReader("")
    (go_on,) = reader.feed(head)
    assert isinstance(go_on, GoOn)
    (request,) = reader.feed(b"hello")
    assert request.body == b"hello"
    assert len(read(head.replace(b"100-CONTINUE", b"more") + b"hello")) == 1


@pytest.mark.parametrize(("size", "status"), [(limits.MESSAGE_BYTES, None), (limits.MESSAGE_BYTES + 1, 413)])
def test_a_chunked_body_is_bounded_to_the_byte(size, status):
    head = CHUNKED.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    (item,) = read(head + b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n")
    assert (len(item.body) == size) if status is None else (item.status == status)


def test_headers_behind_a_body_are_bounded_and_none():
    (request,) = read(CHUNKED.removesuffix(b"\r\n") + b"Host: b\r\n\r\n")
    assert request.named["host"] == "localhost"
    (refusal,) = read(CHUNKED.removesuffix(b"\r\n") + (b"x: " + b"y" * 1000 + b"\r\n") * 40 + b"\r\n")
    assert refusal.status == 431


def test_a_head_that_is_cut_is_the_same_wherever_it_is_cut():
    for at in range(len(POST)):
        (request,) = read(POST[:at], POST[at:])
        assert (request.body, request.headers) == (b"hello", [("Host", "localhost"), ("Content-Length", "5")])


def test_requests_of_one_read_come_in_order():
    assert [told(item)[1] for item in read(GET + POST + CHUNKED + GET)] == ["/a", "/p", "/c", "/a"]


def test_behind_the_last_request_nothing_is_read():
    assert [told(item)[1] for item in read(CLOSING + GET + BAD)] == ["/last"]


def test_an_upgrade_has_what_stands_behind_it():
    first, upgrade = read(GET + UPGRADE + b"frames")
    assert isinstance(first, HttpRequest)
    assert (upgrade.request.path, upgrade.rest, upgrade.error) == ("/socket", b"frames", None)


def test_an_offer_of_another_protocol_is_a_request():
    (request,) = read(H2C + b"PRI * HTTP/2.0")
    assert (request.path, request.keep_alive) == ("/h2", False)


def test_a_connect_is_no_request_that_can_be_answered():
    (item,) = read(b"CONNECT /socket HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert isinstance(item, Upgrade)


def test_what_stands_in_front_of_rubbish_is_read():
    request, refusal = read(GET + BAD + GET)
    assert request.path == "/a"
    assert (refusal.status, type(refusal)) == (400, Refusal)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"], 414),
        ([b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 101 + b"\r\n"], 431),
        ([b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 33_000 + b"\r\n\r\n"], 431),
        ([b"GET / HTTP/1.1\r\nHost: a\r\nx: ", *[b"y" * 1000] * 60], 431),
        ([b"\r\n" * 30_000], 431),
        ([b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 131073\r\n\r\n"], 413),
        ([b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20001\r\n" + b"x" * 0x20001], 413),
        ([b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"], 400),
        ([b"GET / HTTP/1.1\r\n\r\n"], 400),
        ([b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"], 505),
    ],
)
def test_what_is_over_a_limit_or_wrong_is_refused_once(pieces, status):
    (refusal,) = read(*pieces, b"more" * 1000)
    assert refusal.status == status


def test_a_body_at_the_limit_is_taken():
    size = limits.MESSAGE_BYTES
    (request,) = read(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    assert len(request.body) == size


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4), st.lists(st.integers(0, 800), max_size=12))
def test_however_the_bytes_are_split_the_requests_are_the_same(parts, cuts):
    raw = b"".join(parts)
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    pieces = [raw[start:stop] for start, stop in zip(edges, edges[1:], strict=False)]
    assert [told(item) for item in read(*pieces)] == [told(item) for item in read(raw)]


def test_a_request_that_is_said_again_differs_in_its_body_alone():
    first, second, third = read(POST + POST.replace(b"hello", b"world"), POST)
    assert [item.body for item in (first, second, third)] == [b"hello", b"world", b"hello"]
    assert told(second)[:4] == told(first)[:4]
    assert (second.peer, second.version, second.named) == (first.peer, first.version, first.named)


def test_a_request_that_is_said_again_may_come_in_pieces():
    for cut in range(1, len(POST)):
        again = POST.replace(b"hello", b"world")
        items = read(POST, again[:cut], again[cut:] + GET, GET)
        assert [told(item)[1] for item in items] == ["/p", "/p", "/a", "/a"]
        assert items[1].body == b"world"


@pytest.mark.parametrize(
    "raw",
    [
        CHUNKED,
        POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
        POST.replace(b"Host", b"X-Long: " + b"x" * 2048 + b"\r\nHost"),
    ],
)
def test_a_request_of_another_kind_is_read_anew(raw):
    reader = RequestReader("203.0.113.7")
    reader.feed(raw)
    assert reader._before is None
    assert [told(item) for item in read(raw, raw)] == 2 * [told(item) for item in read(raw)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([GET, POST, POST.replace(b"hello", b"world"), CHUNKED, b"\r\n" + POST]), max_size=8))
def test_what_was_said_before_changes_nothing(parts):
    assert [told(item) for item in read(*parts)] == [told(read(part)[-1]) for part in parts]


def test_much_that_is_said_again_is_not_counted_as_one_head():
    long = b"POST /p HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000
    assert [told(item)[1] for item in read(long, long, long + GET)] == ["/p", "/p", "/p", "/a"]
