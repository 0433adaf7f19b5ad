"""`trunkline new`: what it writes runs, is tested, reads well, and is whole or not there."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from websockets.sync.client import connect

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("trunkline")
SKELETON = ROOT / "src" / "trunkline" / "cli" / "skeleton"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WRITTEN = [
    ".gitignore", "README.md", "my_chat.py", "pyproject.toml", "test_my_chat.py",
    "web/index.html", "web/page.css", "web/page.js",
]  # fmt: skip
LONG = "a-name-as-long-as-a-name-can-be-which-is-sixty-four-characters-x"


def contents(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.fixture
def made(trunkline, tmp_path):
    """A folder as it is written."""

    def made(name="my-chat"):
        code, _, err = trunkline("new", name, cwd=tmp_path)
        assert (code, err) == (0, "")
        return tmp_path / name

    return made


@pytest.fixture(scope="module")
def running(trunkline, run_for_all, tmp_path_factory):
    """The node that serves it, started as its README says."""
    folder = tmp_path_factory.mktemp("running")
    assert trunkline("new", "my-chat", cwd=folder)[0] == 0
    return run_for_all("my_chat.py", "--web", "web", cwd=folder / "my-chat")


def tool(folder, *arguments):
    """A tool of this environment, run in the folder with no configuration but its own."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


# What it writes.


def test_the_folder_has_a_program_a_page_and_a_test_and_is_the_only_thing_there(made, tmp_path):
    assert contents(made()) == WRITTEN
    assert [entry.name for entry in tmp_path.iterdir()] == ["my-chat"]


SAYS = """\
my-chat is there: a program, its page and its test. Now type:

  cd my-chat
  trunkline run my_chat.py --web web
  pytest
"""


def test_it_says_what_to_type(trunkline, tmp_path):
    assert trunkline("new", "my-chat", cwd=tmp_path) == (0, SAYS, "")


def test_the_reference_shows_what_it_says():
    assert f"```text\n$ trunkline new my-chat\n{SAYS}```\n" in (ROOT / "docs/reference/command-line.md").read_text()


def test_no_mark_of_the_skeleton_is_left(made):
    folder = made()
    for name in WRITTEN:
        assert not re.search("@[A-Z]+@", (folder / name).read_text())


def test_the_readme_has_three_commands_and_they_are_for_this_program(made):
    readme = (made() / "README.md").read_text()
    assert re.findall(r"^    (.+)$", readme, re.M) == [
        "trunkline run my_chat.py --web web", 'trunkline connect "/my_chat?name=Ben"', "pytest",
    ]  # fmt: skip


def test_the_wheel_has_the_whole_skeleton(tmp_path):
    code, out = tool(ROOT, "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert code == 0, out
    (wheel,) = tmp_path.glob("*.whl")
    prefix = "trunkline/cli/skeleton/"
    packed = {name.removeprefix(prefix) for name in zipfile.ZipFile(wheel).namelist() if name.startswith(prefix)}
    assert packed == set(contents(SKELETON))


# It works at once.


@pytest.mark.parametrize("name", ["my-chat", "x", LONG])
def test_its_own_tests_pass(made, name):
    code, out = tool(made(name), "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    assert code == 0, out
    assert re.search(r"^3 passed in ", out, re.M)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What mypy has found out about Trunkline and Python, for the next folder."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.parametrize("name", ["my-chat", "x", LONG])
def test_linters_have_nothing_to_say(made, name, cache):
    folder = made(name)
    assert tool(folder, "ruff", "check", "--isolated", "--no-cache", ".") == (0, "All checks passed!\n")
    code, out = tool(folder, "ruff", "format", "--isolated", "--no-cache", "--check", ".")
    assert code == 0, out
    code, out = tool(folder, "mypy", "--strict", "--cache-dir", str(cache), ".")
    assert code == 0, out


def test_it_keeps_the_rules_of_our_examples(made):
    rules = ["--config", str(ROOT / "pyproject.toml"), "--extend-ignore", "D,INP"]
    code, out = tool(made(), "ruff", "check", "--no-cache", *rules, "my_chat.py")
    assert code == 0, out


def test_the_page_is_served_with_all_that_it_needs(running):
    port = int(running.url("page").split(":")[-1].strip("/"))
    for path, kind in {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript"}.items():
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.request("GET", path)
        response = client.getresponse()
        assert (response.status, response.headers.get_content_type()) == (200, kind)
        assert response.read()
        client.close()


def test_what_one_says_everybody_reads(running):
    url = running.url("socket")
    assert url.endswith("/my_chat")
    with connect(f"{url}?name=Ann") as ann, connect(f"{url}?name=Ben") as ben:
        ann.send('{"action": "say", "text": "hello"}')
        for client in (ann, ben):
            assert json.loads(client.recv(timeout=10)) == {"name": "Ann", "text": "hello"}
        ben.send("hello")
        assert "Send" in json.loads(ben.recv(timeout=10))["error"]


def test_the_readmes_client_can_talk_to_it(running):
    done = subprocess.run(
        [COMMAND, "connect", f"{running.url('socket')}?name=Ben", "--wait", "1"],
        input='{"action": "say", "text": "hello"}\n', capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, json.loads(done.stdout)) == (0, {"name": "Ben", "text": "hello"})


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser:
            yield browser


def window(browser, url, **options):
    page = browser.new_context(**options).new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.on("console", lambda message: message.type == "error" and pytest.fail(message.text))
    page.goto(url)
    expect(page.get_by_role("status")).to_have_text("Online")
    return page


def test_the_page_talks_in_two_windows_and_text_stays_text(browser, running):
    ann, ben = [window(browser, running.url("page")) for _ in range(2)]
    ann.get_by_label("Your name").fill("Ann")
    ann.get_by_label("Your name").blur()
    expect(ann.get_by_role("status")).not_to_have_text("Online")
    expect(ann.get_by_role("status")).to_have_text("Online")
    ann.get_by_label("Text").fill("<b>hello</b>")
    ann.get_by_role("button", name="Say").click()
    for page in (ann, ben):
        expect(page.get_by_role("listitem")).to_have_text(["Ann<b>hello</b>"])


def test_the_page_shows_what_the_program_refuses(browser, running):
    ann = window(browser, running.url("page"))
    ann.evaluate("document.getElementById('text').removeAttribute('maxlength')")
    ann.get_by_label("Text").fill("x" * 1001)
    ann.get_by_label("Text").press("Enter")
    expect(ann.get_by_role("listitem")).to_have_text(["A text has 1 to 1000 characters."])


def test_the_page_is_light_or_dark_as_its_reader_wishes(browser, running):
    backs = {
        scheme: window(browser, running.url("page"), color_scheme=scheme).evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        for scheme in ("light", "dark")
    }
    assert backs == {"light": "rgb(244, 242, 238)", "dark": "rgb(20, 20, 26)"}


# What it refuses, and that nothing is left then.


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "'' is no name for a program; expected a letter, then letters, digits, '-' and '_', such as my-chat"),
        ("9lives", "is no name"),
        ("-x", "No such option"),
        ("_x", "is no name"),
        ("a b", "is no name"),
        ("chat.py", "is no name"),
        ("projects/chat", "is no name"),
        ("..", "is no name"),
        ("übung", "is no name"),
        (f"{LONG}x", "is no name"),
        ("class", "'class' is a word of Python itself; expected another name, such as my-class"),
        ("json", "json.py would hide the module 'json' from Python; expected another name, such as my-json"),
        ("trunkline", "would hide the module 'trunkline'"),
        ("rich", "would hide the module 'rich'"),
        ("conftest", "pytest would take conftest.py for its own"),
        ("test-chat", "pytest would take test_chat.py for its own"),
    ],
)
def test_a_name_that_cannot_be_is_one_line_and_2(trunkline, tmp_path, name, said):
    code, out, err = trunkline("new", name, cwd=tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("trunkline: ")
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_left_as_it_is(trunkline, tmp_path):
    (tmp_path / "chat").mkdir()
    (tmp_path / "chat" / "mine").write_text("mine")
    assert trunkline("new", "chat", cwd=tmp_path) == (
        2, "", "trunkline: chat is there already and is not empty; expected a new name\n",
    )  # fmt: skip
    assert contents(tmp_path) == ["chat/mine"]


def test_an_empty_folder_is_filled(trunkline, tmp_path):
    (tmp_path / "my-chat").mkdir()
    assert trunkline("new", "my-chat", cwd=tmp_path)[0] == 0
    assert contents(tmp_path / "my-chat") == WRITTEN


def test_a_file_or_a_link_of_that_name_is_left_as_it_is(trunkline, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "nowhere").symlink_to("away")
    before = sorted(tmp_path.rglob("*"))
    for name in ("file", "link", "nowhere"):
        said = f"trunkline: {name} is there already; expected a new name\n"
        assert trunkline("new", name, cwd=tmp_path) == (2, "", said)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_of_the_same_name_in_the_working_directory_is_no_module(tmp_path):
    (tmp_path / "chat").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "trunkline", "new", "chat"], cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_where_it_cannot_be_written_whole_nothing_is_left(tmp_path):
    done = subprocess.run(
        ["sh", "-c", f'ulimit -f 1; exec "{COMMAND}" new chat'],  # no file over 512 bytes, or 1024
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "trunkline: chat cannot be written: File too large\n")
    assert list(tmp_path.iterdir()) == []
