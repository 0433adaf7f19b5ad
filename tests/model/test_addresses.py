"""Addresses, networks and origins."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import ConfigurationError
from trunkline.model.addresses import (
    authority,
    check_origin,
    is_in,
    is_loopback,
    origin_parts,
    parse_address,
    parse_network,
    subscriber,
)

# Origins.


@pytest.mark.parametrize(
    ("origin", "parts"),
    [
        ("https://app.example", ("https", "app.example", 443)),
        ("http://app.example", ("http", "app.example", 80)),
        ("https://app.example:8443", ("https", "app.example", 8443)),
        ("HTTPS://App.Example", ("https", "app.example", 443)),
        ("http://[::1]:8000", ("http", "::1", 8000)),
        ("http://127.0.0.1:8000", ("http", "127.0.0.1", 8000)),
        ("chrome-extension://abc", ("chrome-extension", "abc", 0)),
    ],
)
def test_an_origin_is_scheme_host_and_port(origin, parts):
    assert origin_parts(origin) == parts


@pytest.mark.parametrize(
    "origin",
    [
        "", "null", "app.example", "//app.example", "https://", "https://app.example/", "https://app.example/x", "https://app.example?x",
        "https://app.example#x", "https://u@app.example", "https://u:p@app.example", "https://app.example:x", "https://app.example:65536",
        "https://[::1", "file://", "https:app.example", "https:///app.example", "javascript:alert(1)", "https://app.example:-1",
    ],
)  # fmt: skip
def test_what_is_no_origin_has_no_parts(origin):
    assert origin_parts(origin) is None


def test_an_origin_is_declared_as_browsers_write_it():
    assert check_origin("https://app.example") == "https://app.example"
    assert check_origin("http://localhost:5173") == "http://localhost:5173"


@pytest.mark.parametrize(
    "text", ["null", "*", "app.example", "https://app.example/", "https://App.example", "https://*.app.example/x"]
)
def test_a_declared_origin_that_no_browser_sends_is_told(text):
    with pytest.raises(
        ConfigurationError, match="^origin '.*': expected what browsers send, such as https://app.example$"
    ):
        check_origin(text)


@given(st.text())
def test_any_text_is_an_origin_or_none(text):
    parts = origin_parts(text)
    assert parts is None or (parts[0] and parts[1] and 0 <= parts[2] <= 65535)


# Host headers.


@pytest.mark.parametrize(
    ("host", "scheme", "expected"),
    [
        ("app.example", "https", ("app.example", 443)),
        ("app.example", "http", ("app.example", 80)),
        ("App.Example:8000", "http", ("app.example", 8000)),
        ("[::1]:8000", "http", ("::1", 8000)),
        ("[::1]", "http", ("::1", 80)),
        ("app.example:", "http", ("app.example:", 80)),
        ("app.example", "chrome-extension", ("app.example", 0)),
    ],
)
def test_a_host_header_without_a_port_has_that_of_the_scheme(host, scheme, expected):
    assert authority(host, scheme) == expected


# Loopback.


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "app.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_these_are_this_machine(name):
    assert is_loopback(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "evil-localhost", "notlocalhost", "127.0.0.1.example", "127.1", "2130706433",
        "0x7f000001", "example.org", "127.0.0.1:80",
    ],
)  # fmt: skip
def test_these_are_not(name):
    assert not is_loopback(name)


# Addresses and networks.


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::0001", "::1"),
        ("[::1]", "::1"),
        ("FE80::1", "fe80::1"),
        ("::ffff:10.0.0.1", "::ffff:a00:1"),
    ],
)
def test_an_address_has_one_form(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "unknown", "_hidden", "10.0.0.1:80", "10.0.0", "10.0.0.256", "[::1]:80", "10.0.0.01", "1" * 5000]
)
def test_what_is_no_address_is_none(text):
    assert parse_address(text) is None


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.0.0.1", "::1", "fd00::/8"])
def test_a_network_is_one_or_an_address(text):
    assert parse_network(text) == ipaddress.ip_network(text)


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8/8", "*"])
def test_what_is_no_network_is_told(text):
    with pytest.raises(
        ConfigurationError, match="^trust_proxy '.*': expected an address or a network, such as 10.0.0.0/8$"
    ):
        parse_network(text)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True), ("11.0.0.1", False), ("::ffff:10.1.2.3", True), ("::ffff:11.0.0.1", False), ("fd00::1", True), ("fe80::1", False),
        ("", False), ("unknown", False),
    ],
)  # fmt: skip
def test_an_address_is_in_one_of_the_networks(address, inside):
    assert is_in(address, [parse_network("10.0.0.0/8"), parse_network("fd00::/8")]) is inside
    assert not is_in(address, [])


# Subscribers.


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("somewhere", "somewhere"),
    ],
)
def test_an_address_stands_for_itself_or_its_64(address, key):
    assert subscriber(address) == key
