"""Static files: what is served, as what, and everything that is not."""

import os
import re
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.static_files import StaticFiles


@pytest.fixture
def folder(tmp_path):
    """A folder beside a secret, with one of everything."""
    (tmp_path / "secret.txt").write_text("secret")
    web = tmp_path / "web"
    (web / "sub" / ".git").mkdir(parents=True)
    (web / "index.html").write_text("<p>home")
    (web / "sub" / "index.html").write_text("<p>sub")
    (web / "sub" / "a b.txt").write_text("spaced")
    (web / "é.txt").write_text("accented")
    (web / "..hidden").write_text("secret")
    (web / ".env").write_text("secret")
    (web / "sub" / ".git" / "config").write_text("secret")
    (web / "a\\b.txt").write_text("secret")
    (web / "empty").mkdir()
    return web


def get(folder, path, if_none_match=None, if_modified_since=None):
    return StaticFiles(folder).respond(path, if_none_match, if_modified_since)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", b"<p>home"),
        ("/index.html", b"<p>home"),
        ("//index.html", b"<p>home"),
        ("/sub", b"<p>sub"),
        ("/sub/", b"<p>sub"),
        ("/sub/a%20b.txt", b"spaced"),
        ("/%C3%A9.txt", b"accented"),
        ("/%69ndex.html", b"<p>home"),
        ("/sub%2Findex.html", b"<p>sub"),
    ],
)
def test_a_file_of_the_folder(folder, path, body):
    response = get(folder, path)
    assert (response.status, response.body) == (200, body)


OUTSIDE = [
    "/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt", "/%2E%2E%2Fsecret.txt", "/..%2fsecret.txt",
    "/sub/%2e%2e/%2e%2e/secret.txt", "/..%5csecret.txt", "/..\\secret.txt", "/%252e%252e/secret.txt",
    "/....//secret.txt", "/./index.html", "/sub/../index.html", "/%c0%ae%c0%ae/secret.txt", "/.%2e/secret.txt",
]  # fmt: skip
HIDDEN = ["/.env", "/%2eenv", "/sub/.git/config", "/sub/.git", "/sub/.git/", "/..hidden"]
NAMELESS = [
    "/index.html%00", "/%00", "/secret.txt%00.html", "/a\\b.txt", "/a%5Cb.txt", "/nothing", "/empty", "/empty/",
    "/index.html/", "/index.html/more", "/" + "x" * 300, "/" + "x/" * 2000, "/%ff%fe", "/?", "/~root",
]  # fmt: skip


@pytest.mark.parametrize("path", [*OUTSIDE, *HIDDEN, *NAMELESS])
def test_nothing_outside_nothing_hidden_nothing_that_is_no_file(folder, path):
    response = get(folder, path)
    # A slash behind a file's name is the file: it is inside all the same.
    assert response is None or (path == "/index.html/" and response.body == b"<p>home")


def test_an_absolute_path_is_of_the_folder(folder):
    assert get(folder, "/" + str(folder.parent / "secret.txt")) is None
    assert get(folder, "/%2F" + str(folder / "index.html")[1:]) is None


@given(st.lists(st.sampled_from(["..", ".", "/", "%2e", "%2f", "%5c", "\\", "%00", "sub", "secret.txt", "web"])))
def test_no_mixture_of_dots_and_slashes_leads_out(tmp_path_factory, parts):
    root = tmp_path_factory.getbasetemp() / "mixtures"
    if not root.exists():
        (root / "web" / "sub").mkdir(parents=True)
        (root / "secret.txt").write_text("secret")
    assert get(root / "web", "/" + "".join(parts)) is None


def test_a_link_inside_the_folder_is_followed_and_one_out_of_it_is_not(folder):
    (folder / "inside").symlink_to(folder / "sub" / "a b.txt")
    (folder / "outside").symlink_to(folder.parent / "secret.txt")
    (folder / "up").symlink_to(folder.parent)
    (folder / "nowhere").symlink_to(folder / "gone")
    assert get(folder, "/inside").body == b"spaced"
    assert get(folder, "/outside") is None
    assert get(folder, "/up/secret.txt") is None
    assert get(folder, "/up/") is None
    assert get(folder, "/nowhere") is None


def test_a_folder_that_is_a_link_itself_is_served(folder):
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert get(link, "/index.html").body == b"<p>home"


def test_what_is_no_regular_file_is_not_read(folder):
    os.mkfifo(folder / "pipe")  # reading it would wait for a writer
    assert get(folder, "/pipe") is None


def test_a_file_that_vanishes_under_us_is_not_there(folder, monkeypatch):
    files = StaticFiles(folder)
    found = files._find("/index.html")
    monkeypatch.setattr(StaticFiles, "_find", lambda self, path: found)
    found.unlink()
    assert files.respond("/index.html", None, None) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.webmanifest", "application/manifest+json; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.wasm", "application/wasm"),
        ("a", "application/octet-stream"),
        ("a.nonesuch", "application/octet-stream"),
    ],
)
def test_a_file_is_sent_as_what_its_name_says_and_as_nothing_else(tmp_path, name, kind):
    (tmp_path / name).write_bytes(b"\0")
    headers = get(tmp_path, "/" + name).headers
    assert headers["content-type"] == kind
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache", "a changed file is seen at the next load"


# What a browser has already.


def test_a_file_that_the_client_has_is_not_sent_again(folder):
    etag = get(folder, "/").headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]+-[0-9a-f]+"', etag)
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*", " * "):
        response = get(folder, "/", known)
        assert (response.status, response.body, response.headers["etag"]) == (304, b"", etag)


def test_a_file_that_changed_is_sent(folder):
    file = folder / "index.html"
    before = get(folder, "/")
    file.write_text("<p>more")  # as long as before
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    for known in (before.headers["etag"], '"other"', ""):
        response = get(folder, "/", known, before.headers["last-modified"])
        assert (response.status, response.body) == (200, b"<p>more"), "an ETag counts for more than a time"


def test_a_file_that_is_not_newer_is_not_sent_again(folder):
    os.utime(folder / "index.html", (1_000_000, 1_000_000.5))
    assert get(folder, "/").headers["last-modified"] == "Mon, 12 Jan 1970 13:46:40 GMT"
    for second, status in ((999_999, 200), (1_000_000, 304), (1_000_001, 304)):
        assert get(folder, "/", None, formatdate(second, usegmt=True)).status == status


@pytest.mark.parametrize(
    "when", ["", "yesterday", "0", "Mon, 99 Foo 1970 99:99:99 GMT", "Mon, 12 Jan 1970 13:46:40 +9999"]
)
def test_a_time_that_is_none_is_not_asked_about(folder, when):
    assert get(folder, "/", None, when).status == 200


@given(
    st.text(st.characters(codec="latin-1"))
    | st.from_regex(
        r"Mon, [0-9]{1,3} (Jan|Dec) [0-9]{1,5} [0-9]{1,3}:[0-9]{1,3}:[0-9]{1,3} [+-][0-9]{1,6}", fullmatch=True
    )
)
def test_no_time_of_a_client_is_an_error(tmp_path_factory, when):
    file = tmp_path_factory.getbasetemp() / "time.txt"
    file.touch()
    assert get(file.parent, "/time.txt", None, when).status in {200, 304}


def test_an_index_that_is_a_link_out_of_the_folder_is_not_served(tmp_path):
    (tmp_path / "secret").write_text("secret")
    web = tmp_path / "web"
    (web / "sub").mkdir(parents=True)
    (web / "sub" / "index.html").symlink_to(tmp_path / "secret")
    files = StaticFiles(web)
    assert files.respond("/sub/index.html", None, None) is None
    assert files.respond("/sub/", None, None) is None


def test_a_link_to_itself_is_not_there(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert StaticFiles(tmp_path).respond("/loop", None, None) is None


def test_a_time_that_is_too_large_is_not_asked_about(tmp_path):
    (tmp_path / "a.txt").touch()
    when = "Mon, 12 Jan 10000000000 13:46:40 GMT"
    assert StaticFiles(tmp_path).respond("/a.txt", None, when).status == 200
