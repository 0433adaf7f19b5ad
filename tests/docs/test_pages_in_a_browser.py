"""What the pages let a reader build for a browser, in a real one."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "first-chat.md"
SERVE_A_PAGE = ROOT / "docs" / "howto" / "serve-a-page.md"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def browser():
    """A Chromium; what a page says on its console as an error fails the test."""
    with sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser:
            yield browser


@pytest.fixture
def build(pages, tmp_path):
    """The folder of a reader who has come to the end of a page."""

    def build(page) -> Path:
        for block in pages(page):
            if block.title:
                file = tmp_path / block.title
                file.parent.mkdir(exist_ok=True)
                file.write_text(block.text)
        return tmp_path

    return build


def window(browser, url):
    """A window with nothing in common with the others."""
    page = browser.new_context().new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(url)
    return page


def say(page, text):
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()


def test_the_tutorials_chat_shows_in_one_window_what_is_sent_in_the_other(browser, build, run_trunkline):
    url = run_trunkline("chat.py", "--web", "web", cwd=build(TUTORIAL)).url("page")
    ann, ben = window(browser, url), window(browser, url)
    say(ann, "hello <b>Ben</b>")
    expect(ben.get_by_role("listitem")).to_have_text(["hello <b>Ben</b>"])
    say(ben, "hello Ann")
    expect(ann.get_by_role("listitem")).to_have_text(["You: hello <b>Ben</b>", "hello Ann"])


def test_the_tutorials_page_says_when_the_server_is_gone(browser, build, run_trunkline):
    running = run_trunkline("chat.py", "--web", "web", cwd=build(TUTORIAL))
    ann = window(browser, running.url("page"))
    say(ann, "hello")
    running.stop()
    expect(ann.get_by_role("listitem").last).to_have_text("The connection is closed.")


def test_the_tutorials_rooms_keep_to_themselves(browser, build, run_trunkline):
    url = run_trunkline("chat.py", "rooms.py", "--web", "web", cwd=build(TUTORIAL)).url("page")
    rooms = {"ann": "tea", "ben": "tea", "cia": "coffee"}
    ann, ben, cia = (window(browser, f"{url}rooms.html?room={room}") for room in rooms.values())
    for page, room in zip((ann, ben, cia), rooms.values(), strict=True):
        expect(page.get_by_role("heading")).to_have_text(room)
    say(ann, "Milk?")
    expect(ben.get_by_role("listitem")).to_have_text(["Milk?"])
    expect(ann.get_by_role("listitem")).to_have_text(["Milk?"])
    say(cia, "Black.")
    expect(cia.get_by_role("listitem")).to_have_text(["Black."])
    say(ann, "Sugar?")
    expect(ben.get_by_role("listitem")).to_have_text(["Milk?", "Sugar?"])


def test_the_page_of_the_how_to_comes_back_when_the_server_does(browser, build, run_trunkline, free_port):
    folder = build(SERVE_A_PAGE)
    shutil.copy(ROOT / "examples/chat/web/connection.js", folder / "web")
    arguments = ("clock.py", "--web", "web", "--port", str(free_port), "--admin", "off")
    running = run_trunkline(*arguments, cwd=folder)
    page = window(browser, running.url("page"))
    expect(page.locator("#state")).to_have_text("online")
    expect(page.locator("#time")).to_contain_text("+00:00")
    running.stop()
    expect(page.locator("#state")).to_contain_text("reconnecting")
    page.evaluate("document.getElementById('time').textContent = ''")
    run_trunkline(*arguments, cwd=folder)
    expect(page.locator("#state")).to_have_text("online", timeout=20_000)
    expect(page.locator("#time")).to_contain_text("+00:00")
    page.evaluate("document.getElementById('time').textContent = ''")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#time")).to_contain_text("+00:00")
