"""What a request must be beyond what its parser checks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.wire.handshake import HandshakeError
from trunkline.wire.requests import check_extensions, check_line, check_request, end_of_line

HOST = ("Host", "example.org")


def refused(target="/", version="1.1", headers=(HOST,)):
    with pytest.raises(HandshakeError) as error:
        check_request(target, version, headers)
    return error.value.status, error.value.message


# The first line.


@pytest.mark.parametrize(
    ("data", "at", "end"),
    [
        (b"GET / HTTP/1.1\r\n", 0, 16),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", 0, 16),
        (b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 5, 21),
        (b"", 0, 0),
        (b"GET / HTTP/1.1\r", 0, 0),
        (b"GET / HTTP/1.1\n", 0, 0),
        (b"GET /\r\n", 0, 0),
        (b"\r\nGET / HTTP/1.1\r\n", 0, 0),
        (b"GET  / HTTP/1.1\r\n", 0, 0),
        (b"GET / HTTP/1.1\r\n", 1, 16),
    ],
)
def test_where_a_first_line_ends_if_it_is_whole_and_right(data, at, end):
    assert end_of_line(data, at) == end


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/1.1\r\n", b"M-SEARCH /a?b=%20 HTTP/1.0\r\n", b"GET /\\ HTTP/9.9\r\n", b"OPTIONS * HTTP/1.1\r\n"],
)
def test_a_first_line_is_method_target_and_version_with_one_space_between(line):
    check_line(line)


@pytest.mark.parametrize(
    "line",
    [
        b"GET  / HTTP/1.1\r\n", b"GET /  HTTP/1.1\r\n", b"GET / HTTP/1.1 \r\n", b" GET / HTTP/1.1\r\n", b"GET\t/ HTTP/1.1\r\n",
        b"GET /\tHTTP/1.1\r\n", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1", b"GET /\r\n", b"GET / HTTP/11.1\r\n",
        b"GET / HTTP/1.1\r\r\n", b"GET / http/1.1\r\n", b"SOURCE / ICE/1.0\r\n", b"OPTIONS / RTSP/1.0\r\n", b"GET /\xff HTTP/1.1\r\n",
        b"GET /\x7f HTTP/1.1\r\n", b"GET /\0 HTTP/1.1\r\n", b"GET /a b HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"",
    ],
)  # fmt: skip
def test_any_other_first_line_is_400(line):
    with pytest.raises(HandshakeError) as error:
        check_line(line)
    assert (error.value.status, error.value.message) == (400, "the request is not valid HTTP/1.1")


# Target and version.


@pytest.mark.parametrize("target", ["/", "/a?b", "//a", "/?", "/a%23b", "/a/../b"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_path_over_http_1_is_taken(target, version):
    check_request(target, version, [HOST])


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "2", "3", ""])
def test_any_other_version_is_505(version):
    assert refused(version=version) == (505, f"this server speaks HTTP/1.1; the request is HTTP/{version}")


@pytest.mark.parametrize(
    "target", ["", "*", "a", "?a", "http://example.org/", "example.org:80", "/#a", "/a?b#c", "/a#?b"]
)
def test_a_target_that_is_no_path_is_400(target):
    assert refused(target) == (400, "the request's target must be a path that begins with '/'")


# Headers that stand once.


@pytest.mark.parametrize(
    "name", ["Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Authorization", "Content-Length", "Origin"]
)
@pytest.mark.parametrize("again", [str, str.lower, str.upper])
def test_a_header_that_means_one_thing_stands_once(name, again):
    check_request("/", "1.1", [HOST, (name, "a")])
    assert refused(headers=[HOST, (name, "a"), ("X", ""), (again(name), "a")]) == (
        400, f"the request has more than one {again(name)}",
    )  # fmt: skip


def test_other_headers_may_stand_more_than_once():
    check_request(
        "/", "1.1", [HOST, *[("Cookie", "a=b"), ("X-Forwarded-For", "10.0.0.1"), ("Connection", "close")] * 2]
    )


# Host.


@pytest.mark.parametrize(
    "host",
    [
        "a", "a.b", "A.B", "a_b", "a:1", "a:65535", "a:", "127.0.0.1:80", "[::1]", "[::1]:80", "[::ffff:10.0.0.1]", "xn--bcher-kva.example",
        "a%20b", "a,b", "x" * 10_000,
    ],
)  # fmt: skip
def test_a_host_is_a_name_or_an_address_with_a_port_or_without(host):
    check_request("/", "1.1", [("host", host)])


@pytest.mark.parametrize(
    "host",
    [
        "", " ", "a b", "a/b", "a/?x", "a?x", "a#x", "a\\b", "u@a", "u:p@a", "@a", ":80", "a:x", "a:1:2", "a:123456", "a:-1", "a:+1", "[::1",
        "::1", "[]", "[::1]x", "[::1]:x", "[v1.a]", "a\x00", "a\tb", "a\xe9", "é", "a\n", "a:80\n", "[::1%eth0]", "<a>", '"a"', "a`b", "a^b",
    ],
)  # fmt: skip
def test_any_other_host_is_400(host):
    assert refused(headers=[("Host", host)]) == (
        400, "the request's Host is not a host name, or an address, with a port or without",
    )  # fmt: skip


@pytest.mark.parametrize("hosts", [["a", "a"], ["a", "b"], ["a", ""], ["", ""]])
def test_two_hosts_are_400(hosts):
    assert refused(headers=[("Host", hosts[0]), ("host", hosts[1])]) == (400, "the request has more than one host")


def test_http_1_1_has_a_host_and_http_1_0_may_have_none():
    assert refused(headers=[]) == (400, "the request has no Host")
    check_request("/", "1.0", [])
    assert refused(version="1.0", headers=[("Host", "a b")])[0] == 400


# Codings.


@pytest.mark.parametrize("coding", ["chunked", "Chunked"])
def test_a_body_may_be_chunked(coding):
    check_request("/", "1.1", [HOST, ("Transfer-Encoding", coding)])


@pytest.mark.parametrize(
    "coding", ["gzip, chunked", "identity", "chunked, chunked", "xchunked", "", '"chunked"', "chunked;a=b"]
)
def test_any_other_coding_of_a_body_is_501(coding):
    assert refused(headers=[HOST, ("Transfer-Encoding", coding)]) == (
        501, "the only Transfer-Encoding that is taken is chunked",
    )  # fmt: skip


def test_http_1_0_has_no_codings():
    assert refused(version="1.0", headers=[HOST, ("Transfer-Encoding", "chunked")])[0] == 501


# Extensions.


@pytest.mark.parametrize(
    "values",
    [
        [], [""], [",", " , ,"], ["permessage-deflate"], ["permessage-deflate; client_max_window_bits"], ["a;b=1;c=\"x\", d", "e"],
        ["a ; b = 1"], ['a; b=""'], ["a,,b"],
    ],
)  # fmt: skip
def test_extensions_are_a_list_of_tokens_with_parameters(values):
    check_extensions(values)


@pytest.mark.parametrize(
    "value",
    [
        "\x80\xff", "a b", "a;", ";a", "a;;b", "a=b", "a; =b", "a; b=", "a; b=c d", 'a; b="c', 'a; b="c"d', "a; b=(c)", "é", "a\x0bb", "a; b=\"\x00\"",
        'a; b="c,d"',
    ],
)  # fmt: skip
def test_what_is_no_list_of_extensions_is_400(value):
    with pytest.raises(HandshakeError) as error:
        check_extensions(["ok", value])
    assert (error.value.status, error.value.message) == (
        400, "Sec-WebSocket-Extensions must be a list of tokens with parameters",
    )  # fmt: skip


# Whatever comes.


@given(
    st.text(), st.text(), st.lists(st.tuples(st.sampled_from(["Host", "Origin", "Transfer-Encoding", "X"]), st.text()))
)
def test_any_request_is_taken_or_refused(target, version, headers):
    try:
        check_request(target, version, headers)
    except HandshakeError as error:
        assert error.status in {400, 501, 505}
    else:
        assert version in {"1.0", "1.1"}
        assert target.startswith("/")


@given(st.lists(st.text(alphabet='a;=", \t\\\x80')))
def test_any_extensions_are_taken_or_refused(values):
    try:
        check_extensions(values)
    except HandshakeError as error:
        assert error.status == 400
    else:
        assert "\x80" not in "".join(values)
