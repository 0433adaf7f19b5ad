"""URLs of HTTP integrations, and what a client's values become in them."""

from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import DeclarationError
from trunkline.integrations.base import MessageRefused
from trunkline.integrations.http_url import UrlTemplate

SECRET = "https://user:pass@api.test/"


def filled(text, values=None, query=None):
    return UrlTemplate(text).filled(values or {}, query or {})


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.test/a/{id}", "https://api.test/a/7"), ("http://api.test", "http://api.test/"),
        ("http://127.0.0.1:8000/{id}.json", "http://127.0.0.1:8000/7.json"), ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("https://api.test/{id}/{id}-{n.o}", "https://api.test/7/7-8"), ("https://api.test/?key=1", "https://api.test/?key=1"),
        ("https://api.test?id={id}", "https://api.test/?id=7"), ("https://api.test/a%20b#part", "https://api.test/a%20b"),
        ("https://api.test/a...b/...", "https://api.test/a...b/..."),
    ],
)  # fmt: skip
def test_what_a_url_is_filled_to(text, url):
    assert filled(text, {"id": "7", "n.o": "8", "other": "x"}) == url


def test_what_is_mapped_to_the_query_comes_behind_what_is_there():
    url = filled("https://api.test/?key=1", query={"a b": ["x&y", "z"], "c": ["é"]})
    assert url == "https://api.test/?key=1&a%20b=x%26y&a%20b=z&c=%C3%A9"
    assert filled("https://api.test/", query={"a": [""]}) == "https://api.test/?a="


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("../admin", "..%2Fadmin"), ("a/b", "a%2Fb"), ("a?b=c", "a%3Fb%3Dc"), ("a#b", "a%23b"), ("%2e%2e", "%252e%252e"),
        ("a\r\nHost: b", "a%0D%0AHost%3A%20b"), ("\0", "%00"), ("..;", "..%3B"), ("...", "..."), ("\\..\\", "%5C..%5C"), ("é", "%C3%A9"),
        ("@evil.test", "%40evil.test"), (" ", "%20"), ("~a-b_c.d", "~a-b_c.d"),
    ],
)  # fmt: skip
def test_a_value_is_one_segment(value, segment):
    assert filled("https://api.test/a/{id}/b", {"id": value}) == f"https://api.test/a/{segment}/b"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("https://api.test/a/{id}/b", {"id": "."}), ("https://api.test/a/{id}", {"id": ".."}),
        ("https://api.test/{id}{more}", {"id": ".", "more": "."}), ("https://api.test/.{id}/b", {"id": "."}),
        ("https://api.test/%2e{id}/b", {"id": "."}),
    ],
)  # fmt: skip
def test_a_value_that_leads_to_another_path_is_refused(text, values):
    with pytest.raises(MessageRefused, match="values make a segment of dots in the path of the URL") as refused:
        filled(text, values)
    assert refused.value.status == 400


@pytest.mark.parametrize("values", [{}, {"id": ""}, {"ID": "7"}])
def test_a_value_that_is_missing_or_empty_is_refused(values):
    with pytest.raises(MessageRefused, match=r"there is no value for \{id\} of the URL") as refused:
        filled("https://api.test/users/{id}", values)
    assert refused.value.status == 400


@given(st.text(min_size=1), st.dictionaries(st.text(), st.lists(st.text(), min_size=1, max_size=2), max_size=2))
def test_any_value_stays_one_segment(value, query):
    try:
        url = filled("https://api.test/a/{id}/b?id={id}", {"id": value}, query)
    except MessageRefused:
        assert value in {".", ".."}
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.test", "")
    segments = parts.path.split("/")
    assert (segments[:2], unquote(segments[2]), segments[3:]) == (["", "a"], value, ["b"])
    pairs = [("id", value), *((name, each) for name, values in query.items() for each in values)]
    assert parse_qsl(parts.query, keep_blank_values=True) == pairs
    # And it is what the client sends.
    assert httpx.URL(url).raw_path.decode() == url.removeprefix("https://api.test")


@pytest.mark.parametrize(
    "text",
    ["", "/a", "api.test/a", "ftp://api.test/", "https://", "https:///a", "https://:80/", "https://api.test:x/", "https://api.test:70000/",
     "https://api.test:0/", SECRET, "https://user@api.test/", "https://{host}/", "https://api.test:{port}/", "https://[::1/",
     "https://api.test/a b", "https://api.test/\r\n", "https://api.test/é", "https://${stageVariables.host}/"],
)  # fmt: skip
def test_what_is_no_url_is_refused(text):
    with pytest.raises(DeclarationError, match="the URL of an integration is expected to be http or https") as refused:
        UrlTemplate(text)
    assert "pass" not in str(refused.value).replace("password", "")


@pytest.mark.parametrize("path", ["/{proxy+}", "/{", "/a}", "/{}", "/{{a}}", "/?x={"])
def test_a_brace_that_is_no_place_is_refused(path):
    with pytest.raises(DeclarationError, match=r"has a brace that is no \{NAME\}"):
        UrlTemplate("https://api.test" + path)


@pytest.mark.parametrize("path", ["/..", "/a/./b", "/a/%2E./b", "/%2e"])
def test_a_path_with_dots_of_its_own_is_refused(path):
    with pytest.raises(DeclarationError, match=r"has \. or \.\. as a segment"):
        UrlTemplate("https://api.test" + path)
