"""The opening handshake, both roles."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.wire.handshake import (
    HandshakeError,
    accept_key,
    accept_response,
    check_accept,
    check_upgrade,
    client_request,
    is_upgrade,
    parse_subprotocols,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
DATE = "Fri, 25 Sep 2026 00:01:14 GMT"
REQUEST = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
ANSWER = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-accept": ACCEPT}
TOKENS = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=8)


def changed(headers, changes):
    """The pairs of a header, some replaced, added, or with None left out."""
    return [(name, value) for name, value in (headers | changes).items() if value is not None]


def parsed(raw):
    start, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    return start, [tuple(line.split(": ", 1)) for line in lines]


def test_the_rfcs_example_of_an_accept_key():
    assert accept_key(KEY) == ACCEPT


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Upgrade": "WebSocket"},
        {"Upgrade": "foo/2,\twebsocket"},
        {"Connection": "keep-alive, UPGRADE"},
        {"Connection": "keep-alive", "connection": "upgrade"},
        {"Sec-WebSocket-Key": f" {KEY} "},
        {"Host": None, "X-Other": "1"},
    ],
    ids=["plain", "letter case", "among others", "in a list", "in a second header", "spaces", "other headers"],
)
def test_a_valid_request_gives_its_key(changes):
    assert check_upgrade("GET", "1.1", changed(REQUEST, changes)) == KEY


@pytest.mark.parametrize(
    ("method", "version", "changes", "status", "message"),
    [
        ("POST", "1.1", {}, 405, "this is a POST"),
        ("get", "1.1", {}, 405, "this is a get"),
        ("GET", "1.0", {}, 400, "this is HTTP/1.0"),
        ("GET", "2", {}, 400, "this is HTTP/2"),
        ("GET", "1.1", {"Upgrade": None}, 400, "Upgrade: websocket"),
        ("GET", "1.1", {"Upgrade": "h2c"}, 400, "Upgrade: websocket"),
        ("GET", "1.1", {"Upgrade": "websockets"}, 400, "Upgrade: websocket"),
        ("GET", "1.1", {"Connection": None}, 400, "Connection: Upgrade"),
        ("GET", "1.1", {"Connection": "keep-alive"}, 400, "Connection: Upgrade"),
        ("GET", "1.1", {"Sec-WebSocket-Version": None}, 426, "must be 13"),
        ("GET", "1.1", {"Sec-WebSocket-Version": "8"}, 426, "must be 13"),
        ("GET", "1.1", {"sec-websocket-version": "13"}, 426, "must be 13"),
        ("GET", "1.1", {"Sec-WebSocket-Key": None}, 400, "16 bytes in base64"),
        ("GET", "1.1", {"Sec-WebSocket-Key": ""}, 400, "16 bytes in base64"),
        ("GET", "1.1", {"sec-websocket-key": KEY}, 400, "16 bytes in base64"),
        ("GET", "1.1", {"Sec-WebSocket-Key": KEY[:-4]}, 400, "16 bytes in base64"),
        ("GET", "1.1", {"Sec-WebSocket-Key": "A" * 24}, 400, "16 bytes in base64"),
        ("GET", "1.1", {"Sec-WebSocket-Key": "A" * 23 + "="}, 400, "16 bytes in base64"),
        ("GET", "1.1", {"Sec-WebSocket-Key": "A" * 21 + "==="}, 400, "16 bytes in base64"),
        ("GET", "1.1", {"Sec-WebSocket-Key": "!" * 22 + "=="}, 400, "16 bytes in base64"),
        ("GET", "1.1", {"Sec-WebSocket-Key": "é" * 22 + "=="}, 400, "16 bytes in base64"),
    ],
)  # fmt: skip
def test_an_invalid_request_is_refused(method, version, changes, status, message):
    with pytest.raises(HandshakeError, match=message) as caught:
        check_upgrade(method, version, changed(REQUEST, changes))
    assert caught.value.status == status
    assert caught.value.message == str(caught.value)


def test_a_refusal_carries_what_the_client_may_do():
    with pytest.raises(HandshakeError) as caught:
        check_upgrade("PUT", "1.1", changed(REQUEST, {}))
    assert caught.value.headers == {"allow": "GET"}
    with pytest.raises(HandshakeError) as caught:
        check_upgrade("GET", "1.1", changed(REQUEST, {"Sec-WebSocket-Version": "14"}))
    assert caught.value.headers == {"sec-websocket-version": "13"}
    with pytest.raises(HandshakeError) as caught:
        check_upgrade("GET", "1.1", [])
    assert caught.value.headers == {}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [([("UPGRADE", "WebSocket")], True), ([("upgrade", "h2c"), ("upgrade", "websocket")], True), ([], False),
     ([("upgrade", "h2c")], False), ([("connection", "websocket")], False)],
)  # fmt: skip
def test_whether_a_request_asks_for_a_websocket(headers, expected):
    assert is_upgrade(headers) is expected


@pytest.mark.parametrize(
    ("values", "offered"),
    [
        ([], []),
        (["chat"], ["chat"]),
        (["a, b ,\tc"], ["a", "b", "c"]),
        (["b", "a,c"], ["b", "a", "c"]),
        (["a,A"], ["a", "A"]),
        (["!#$%&'*+-.^_`|~0Az"], ["!#$%&'*+-.^_`|~0Az"]),
    ],
    ids=["none", "one", "list", "two headers", "letter case counts", "every token character"],
)
def test_subprotocols_in_their_order(values, offered):
    assert parse_subprotocols(values) == offered


@pytest.mark.parametrize("value", ["a,,b", ",a", "a, ,", "a,"])
def test_an_empty_element_of_a_list_is_ignored(value):
    assert parse_subprotocols([value]) == [name for name in ("a", "b") if name in value]


@pytest.mark.parametrize(
    "values",
    [[""], [","], ["a b"], ["a/b"], ["a;q=1"], ['"a"'], ["é"], ["a\n"], ["a\r\nx: y"], ["a\0"], ["a,a"], ["a", "b,a"]],
    ids=repr,
)  # fmt: skip
def test_subprotocols_that_are_no_list_of_different_tokens(values):
    with pytest.raises(HandshakeError, match="a list of different tokens") as caught:
        parse_subprotocols(values)
    assert caught.value.status == 400


def test_the_answer_has_api_gateways_headers_in_its_order():
    assert accept_response(KEY, None, DATE) == (
        b"HTTP/1.1 101 Switching Protocols\r\ndate: Fri, 25 Sep 2026 00:01:14 GMT\r\nconnection: upgrade\r\n"
        b"upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


def test_the_answer_names_the_chosen_subprotocol_last():
    lines = accept_response(KEY, "chat.v2", DATE).split(b"\r\n")
    assert lines[-3:] == [b"sec-websocket-protocol: chat.v2", b"", b""]


@pytest.mark.parametrize("subprotocol", ["", "a b", "a,b", "a\r\nset-cookie: x", "a\n", "é"], ids=repr)
def test_a_subprotocol_that_breaks_the_answer_is_refused(subprotocol):
    with pytest.raises(ValueError, match="is not a token"):
        accept_response(KEY, subprotocol, DATE)


def test_a_clients_request():
    made = client_request("h:8000", "/socket?x=1", KEY, [("Origin", "https://h")], ["a", "b"])
    assert made == (
        b"GET /socket?x=1 HTTP/1.1\r\nHost: h:8000\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: a, b\r\nOrigin: https://h\r\n\r\n"
    )
    assert b"Protocol" not in client_request("h", "/", KEY)


@pytest.mark.parametrize("bad", ["x\r\ny: z", "x\n", "x\r", "x\0"], ids=repr)
@pytest.mark.parametrize("place", ["host", "target", "name", "value", "subprotocol"])
def test_a_line_break_in_a_request_is_refused(place, bad):
    parts = {"host": "h", "target": "/", "name": "n", "value": "v", "subprotocol": "s"} | {place: bad}
    with pytest.raises(ValueError, match="a line break or a NUL"):
        client_request(parts["host"], parts["target"], KEY, [(parts["name"], parts["value"])], [parts["subprotocol"]])


@pytest.mark.parametrize(
    ("changes", "offered", "chosen"),
    [
        ({}, (), None),
        ({"connection": "Upgrade", "upgrade": "WebSocket"}, (), None),
        ({}, ("a",), None),
        ({"Sec-WebSocket-Protocol": "b"}, ("a", "b"), "b"),
    ],
    ids=["plain", "letter case", "none chosen", "chosen"],
)
def test_a_valid_answer_gives_the_subprotocol(changes, offered, chosen):
    assert check_accept(101, changed(ANSWER, changes), KEY, offered) == chosen


@pytest.mark.parametrize(
    ("status", "changes", "message"),
    [
        (403, {}, "answered 403 instead of 101"),
        (200, {}, "answered 200 instead of 101"),
        (101, {"upgrade": None}, "does not upgrade"),
        (101, {"upgrade": "h2c"}, "does not upgrade"),
        (101, {"connection": None}, "does not upgrade"),
        (101, {"connection": "close"}, "does not upgrade"),
        (101, {"sec-websocket-accept": None}, "does not belong"),
        (101, {"sec-websocket-accept": ACCEPT.lower()}, "does not belong"),
        (101, {"Sec-WebSocket-Accept": ACCEPT}, "does not belong"),
        (101, {"sec-websocket-extensions": "permessage-deflate"}, "an extension that was not offered"),
        (101, {"sec-websocket-protocol": "c"}, "not offered: 'c'"),
        (101, {"sec-websocket-protocol": "A"}, "not offered: 'A'"),
        (101, {"sec-websocket-protocol": ""}, "not offered: ''"),
        (101, {"sec-websocket-protocol": "a, b"}, "not offered: 'a, b'"),
        (101, {"sec-websocket-protocol": "a", "Sec-WebSocket-Protocol": "a"}, "not offered: 'a, a'"),
    ],
)  # fmt: skip
def test_an_invalid_answer_is_refused(status, changes, message):
    with pytest.raises(HandshakeError, match=message) as caught:
        check_accept(status, changed(ANSWER, changes), KEY, ("a", "b"))
    assert caught.value.status == status


@given(nonce=st.binary(min_size=16, max_size=16), offered=st.lists(TOKENS, unique=True, max_size=4), data=st.data())
def test_both_roles_agree(nonce, offered, data):
    import base64

    sent = base64.b64encode(nonce).decode()
    start, headers = parsed(client_request("h", "/socket", sent, (), offered))
    assert start == "GET /socket HTTP/1.1"
    key = check_upgrade("GET", "1.1", headers)
    seen = parse_subprotocols([value for name, value in headers if name == "Sec-WebSocket-Protocol"])
    assert (key, seen) == (sent, offered)
    chosen = data.draw(st.sampled_from([None, *seen]))
    start, headers = parsed(accept_response(key, chosen, DATE))
    assert check_accept(int(start.split()[1]), headers, sent, offered) == chosen
