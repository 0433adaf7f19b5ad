"""The chat of examples/chat in a real browser, served by a real `trunkline run`.

TRUNKLINE_SCREENSHOTS=1 writes the pictures of docs/images; otherwise they go to pytest's folder.
"""

import base64
import functools
import itertools
import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from websockets.sync.client import connect

ROOT = Path(__file__).parents[2]
CHAT = ROOT / "examples" / "chat"
PROGRAMS = [CHAT / "chat.py", CHAT / "chat_rooms.py", "--web", CHAT / "web", "--store", "memory:"]
NODE_MODULES = ROOT / ".venv" / "node" / "node_modules"
ONE_PROCESS, SYNTHESIZED = "one process", "as on AWS"
IN_BOTH_HOMES = pytest.mark.parametrize("server", [ONE_PROCESS, SYNTHESIZED], indirect=True)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The sandbox needs a user that is not root; the rest keeps the browser from calling anybody.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
RECORD_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
"""
HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
expect.set_options(timeout=10_000)


class Person:
    """Somebody in front of a page of their own; nothing is shared with others but the server."""

    def __init__(self, page, url, name, socket, room):
        self.page = page
        self.name = name
        self.complaints = []  # of the browser
        page.add_init_script(RECORD_VIOLATIONS)
        page.on("console", lambda message: self._console(message))
        page.on("pageerror", lambda error: self.complaints.append(f"raised: {error}"))
        page.on(
            "response",
            lambda response: response.status < 400 or self.complaints.append(f"{response.status} {response.url}"),
        )
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(f"{url}?socket={socket}&name={name}&room={room}")

    def _console(self, message):
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def all_complaints(self):
        return self.complaints + [f"CSP: {directive}" for directive in self.page.evaluate("window.violations")]

    def find(self, testid):
        return self.page.get_by_test_id(testid)

    def is_online(self):
        expect(self.find("status")).to_have_text("Online")
        return self

    def joins(self, room=None):
        if room is not None:
            self.find("room-input").fill(room)
        self.find("join").click()
        expect(self.find("leave")).to_be_visible()
        return self

    def says(self, text):
        self.find("message-input").fill(text)
        self.find("message-input").press("Enter")
        expect(self.find("message-input")).to_have_value("")

    def sees(self, author, text):
        """The newest message."""
        newest = self.find("message").last
        expect(newest.get_by_test_id("message-text")).to_have_text(text)
        expect(newest).to_have_attribute("data-author", author)

    def sees_members(self, *names):
        expect(self.find("members").locator("li span")).to_have_text(names)

    def sees_notice(self, text):
        expect(self.page.locator(".notice").last).to_have_text(text)

    def conversation(self):
        return self.find("message").evaluate_all(
            "items => items.map(item => [item.dataset.author, item.querySelector('.message-text').textContent])"
        )

    def own(self):
        return self.page.locator(".message.own")

    def contrast(self, selector):
        """Of the text against what is behind it, as WCAG counts it: 21 is black on white."""
        return self.page.eval_on_selector(selector, CONTRAST)


CONTRAST = """(element) => {
    const paint = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
        .getContext("2d", { willReadFrequently: true });
    const rgb = (...colours) => {
        paint.clearRect(0, 0, 1, 1);
        for (const colour of colours) { paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1); }
        return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (colour) => {
        const [r, g, b] = colour.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = [];
    for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
    const pair = [light(rgb(...behind, getComputedStyle(element).color)), light(rgb(...behind))].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
}"""


@pytest.fixture(scope="module")
def browser():
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert executable is not None, f"none of {', '.join(BROWSERS)} is installed; scripts/install does it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


LOOK = """async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const { width, height } = image;
    const paint = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
    paint.drawImage(image, 0, 0);
    const pixels = new Uint32Array(paint.getImageData(0, 0, width, height).data.buffer);
    const light = (pixel) => ((pixel & 255) + ((pixel >> 8) & 255) + ((pixel >> 16) & 255)) / 3;
    const brightness = pixels.reduce((sum, pixel) => sum + light(pixel), 0) / pixels.length;
    return { width, height, brightness, colours: new Set(pixels).size };
}"""


@pytest.fixture
def look_at(browser):
    """What is on a PNG: width, height, mean brightness (255 is white), number of colours."""

    def look_at(png):
        page = browser.new_page()
        try:
            return page.evaluate(LOOK, f"data:image/png;base64,{base64.b64encode(png).decode()}")
        finally:
            page.close()

    return look_at


@pytest.fixture(scope="module")
def homes(run_for_all, trunkline, tmp_path_factory):
    """Both chats in one process; or as they are on AWS: functions under Lambda's Runtime API, tables in a DynamoDB."""

    @functools.cache
    def started(home):
        if home == ONE_PROCESS:
            return run_for_all(*PROGRAMS)
        folder = tmp_path_factory.mktemp("aws")
        code, _, err = trunkline("synth", *PROGRAMS[:2], "--output", folder)
        assert code == 0, err
        return run_for_all(folder / "template.yaml", "--web", CHAT / "web", "--node-modules", NODE_MODULES)

    return started


@pytest.fixture
def server(request, homes):
    """Where the chats are; others have been there before."""
    return homes(getattr(request, "param", ONE_PROCESS))


ROOMS = (f"garden-{number}" for number in itertools.count(1))


@pytest.fixture
def room():
    """One where nobody has been: who was in the last test's may be leaving it still."""
    return next(ROOMS)


@pytest.fixture
def open_page(browser, room):
    """Open a page for a person, in the test's room unless another is named; at the end, no browser may have complained but of what the test said it would."""
    people, own = [], room

    def open_page(url, name, *, socket="socket", room=own, width=1200, height=800, scheme="light", forgive=None):
        context = browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            locale="en-GB",
            reduced_motion="reduce",
        )
        person = Person(context.new_page(), url, name, socket, room)
        people.append((person, forgive))
        return person

    yield open_page
    for person, forgive in people:
        complaints = [each for each in person.all_complaints() if forgive is None or forgive not in each]
        person.page.context.close()
        assert complaints == []


@pytest.fixture
def talkers(server, open_page):
    """Three people in the simple chat."""
    return [open_page(server.url("page"), name).is_online() for name in ("Jade Otter", "Coral Finch", "Azure Lynx")]


@pytest.fixture
def roommates(server, open_page):
    """Three people who are about to join a room."""
    names = ("Jade Otter", "Coral Finch", "Azure Lynx")
    return [open_page(server.url("page"), name, socket="rooms").is_online() for name in names]


# The simple chat.


def test_200_messages_reach_the_others_in_order_and_the_sender_once_as_its_own(talkers):
    ann, *others = talkers
    texts = [f"message {number}" for number in range(200)]
    ann.page.evaluate(
        """(texts) => {
            const [text, form] = ["text", "composer"].map((id) => document.getElementById(id));
            for (const said of texts) {
                text.value = said;
                form.requestSubmit();
            }
        }""",
        texts,
    )
    expected = [["Jade Otter", text] for text in texts]
    for other in others:
        other.sees("Jade Otter", texts[-1])
        assert other.conversation() == expected
        expect(other.own()).to_have_count(0)
    assert ann.conversation() == expected
    expect(ann.own()).to_have_count(200)


@IN_BOTH_HOMES
def test_everybody_can_answer(talkers):
    ann, ben, cia = talkers
    ann.says("Who is there?")
    for person in (ben, cia):
        person.sees("Jade Otter", "Who is there?")
    cia.says("I am")
    for person in (ann, ben):
        person.sees("Azure Lynx", "I am")


def test_a_terminal_that_joins_in_is_shown_as_anonymous(server, talkers):
    with connect(server.url("socket")) as client:
        client.send("hello from a terminal")
        talkers[0].sees("anonymous", "hello from a terminal")


@IN_BOTH_HOMES
def test_a_line_break_stays_one(talkers):
    ann, ben, _ = talkers
    ann.find("message-input").press_sequentially("one")
    ann.find("message-input").press("Shift+Enter")
    ann.find("message-input").press_sequentially("two")
    ann.find("send").click()
    ben.sees("Jade Otter", "one\ntwo")
    assert ben.find("message-text").evaluate("text => getComputedStyle(text).whiteSpace").startswith("pre-wrap")


def test_nothing_is_sent_while_nothing_is_written(talkers):
    ann = talkers[0]
    expect(ann.find("send")).to_be_disabled()
    ann.find("message-input").fill("   ")
    expect(ann.find("send")).to_be_disabled()
    ann.find("message-input").press("Enter")
    assert ann.conversation() == []


@pytest.mark.parametrize("socket", ["socket", "rooms"])
def test_what_a_stranger_writes_is_only_ever_text(server, open_page, socket):
    """Message, name and room; a dialog or a request of the markup would be a complaint of the browser."""
    people = [open_page(server.url("page"), name, socket=socket).is_online() for name in ("Ann", "<b>Ben</b>")]
    if socket == "rooms":
        people[0].joins()
        people[1].joins()
        people[0].sees_notice("<b>Ben</b> joined")
        people[0].sees_members("Ann", "<b>Ben</b>")
    people[1].says(HOSTILE)
    people[0].sees("<b>Ben</b>", HOSTILE)
    for person in people:
        assert person.page.locator("#messages img, #messages script, #messages b, #members b").count() == 0


def test_a_reader_who_scrolled_up_is_left_in_peace(talkers):
    ann, ben, _ = talkers
    for number in range(12):
        ann.says(f"line {number}\n" * 3)
    ben.sees("Jade Otter", "line 11\nline 11\nline 11")
    ben.page.evaluate("document.getElementById('scroller').scrollTop = 0")
    ann.says("and another")
    newer = ben.page.get_by_role("button", name="1 new message")
    expect(newer).to_be_visible()
    assert ben.page.evaluate("document.getElementById('scroller').scrollTop") == 0
    newer.click()
    expect(ben.find("message").last).to_be_in_viewport()
    expect(newer).to_be_hidden()


# Rooms.


@IN_BOTH_HOMES
def test_who_joins_a_room_sees_who_is_there_and_is_seen(roommates, room):
    ann, ben, cia = roommates
    ann.joins()
    ben.joins()
    ann.sees_notice("Coral Finch joined")
    cia.joins()
    for person in roommates:
        person.sees_members("Jade Otter", "Coral Finch", "Azure Lynx")
    cia.sees_notice(f"You joined {room} as Azure Lynx")


@IN_BOTH_HOMES
def test_what_is_said_in_a_room_is_seen_by_everyone_in_it_in_one_order(roommates):
    ann, ben, cia = (person.joins() for person in roommates)
    ann.says("Morning!")
    ben.sees("Jade Otter", "Morning!")
    ben.says("Morning to you")
    cia.sees("Coral Finch", "Morning to you")
    cia.says("Hello")
    for person in roommates:
        person.sees("Azure Lynx", "Hello")
        assert person.conversation() == [
            ["Jade Otter", "Morning!"], ["Coral Finch", "Morning to you"], ["Azure Lynx", "Hello"],
        ]  # fmt: skip
        expect(person.own()).to_have_count(1)


@IN_BOTH_HOMES
def test_another_room_hears_nothing(roommates):
    ann, ben, cia = roommates
    ann.joins()
    ben.joins()
    cia.joins("kitchen")
    ann.says("only the garden")
    ben.sees("Jade Otter", "only the garden")
    cia.says("only the kitchen")
    cia.sees("Azure Lynx", "only the kitchen")
    assert cia.conversation() == [["Azure Lynx", "only the kitchen"]]
    assert ann.conversation() == [["Jade Otter", "only the garden"]]


@IN_BOTH_HOMES
def test_who_leaves_is_missed_and_hears_no_more(roommates):
    ann, ben, cia = (person.joins() for person in roommates)
    cia.find("leave").click()
    for person in (ann, ben):
        person.sees_notice("Azure Lynx left")
        person.sees_members("Jade Otter", "Coral Finch")
    cia.sees_notice("You left")
    expect(cia.find("members")).to_be_hidden()
    expect(cia.find("message-input")).to_have_attribute("placeholder", "Join a room to write to it")
    ann.says("gone?")
    ben.sees("Jade Otter", "gone?")
    assert cia.conversation() == []


@IN_BOTH_HOMES
def test_who_closes_the_page_has_left(roommates):
    ann, ben, cia = (person.joins() for person in roommates)
    cia.page.goto("about:blank")
    for person in (ann, ben):
        person.sees_notice("Azure Lynx left")
        person.sees_members("Jade Otter", "Coral Finch")
    cia.page.evaluate("window.violations = []")


@IN_BOTH_HOMES
def test_a_nickname_can_be_changed_in_the_room(roommates):
    ann, ben, _ = (person.joins() for person in roommates)
    expect(ben.find("join")).to_have_text("Joined")
    expect(ben.find("join")).to_be_disabled()
    ben.find("name-input").fill("Ben")
    ben.page.get_by_role("button", name="Rename").click()
    ann.sees_members("Jade Otter", "Azure Lynx", "Ben")
    expect(ben.find("join")).to_have_text("Joined")
    ben.says("It is me")
    ann.sees("Ben", "It is me")


def test_a_name_or_room_that_cannot_be_is_said_beside_the_form(roommates):
    ann = roommates[0]
    ann.find("room-input").fill("no such place!")
    ann.find("join").click()
    expect(ann.page.get_by_role("alert")).to_have_text("A room is 1 to 32 letters, digits, - and _.")
    ann.joins("garden")
    expect(ann.page.get_by_role("alert")).to_be_hidden()


def test_a_name_is_kept_for_the_next_visit(server, open_page):
    ann = open_page(server.url("page"), "Ann").is_online()
    ann.find("name-input").fill("Anna")
    ann.find("name-input").press("Enter")
    ann.page.goto(server.url("page"))
    expect(ann.find("name-input")).to_have_value("Anna")


# The states of the connection.

REFUSED = "WebSocket connection to"  # the browser itself tells its console of every attempt that fails


def test_while_the_server_decides_the_page_says_that_it_connects(run_trunkline, open_page, tmp_path):
    program = tmp_path / "slow.py"
    program.write_text(
        "import asyncio\nfrom trunkline import websocket\n\nsocket = websocket('socket')\n\n"
        "@socket.on('connect')\nasync def connect(ctx):\n    await asyncio.sleep(1.5)\n"
    )
    server = run_trunkline(program, "--web", CHAT / "web", "--store", "memory:")
    ann = open_page(server.url("page"), "Ann")
    expect(ann.find("status")).to_have_text("Connecting…")
    expect(ann.find("waiting")).to_be_visible()
    expect(ann.find("send")).to_be_disabled()
    ann.is_online()
    expect(ann.find("waiting")).to_be_hidden()


def test_an_empty_chat_says_what_to_do_and_offers_a_second_window(talkers):
    ann = talkers[0]
    expect(ann.find("empty")).to_contain_text("It is quiet here")
    with ann.page.context.expect_page() as second:
        ann.page.get_by_role("link", name="Open a second window").click()
    invited = second.value
    expect(invited.get_by_test_id("status")).to_have_text("Online")
    assert invited.get_by_test_id("name-input").input_value() != "Jade Otter"
    ann.says("hello")
    expect(invited.get_by_test_id("message-text")).to_have_text("hello")
    expect(ann.find("empty")).to_be_hidden()


def test_a_socket_that_is_not_there_is_named_with_what_to_do(server, open_page):
    ann = open_page(server.url("page"), "Ann", socket="attic", forgive=REFUSED)
    expect(ann.find("waiting")).to_contain_text("Nobody answers at /attic")
    expect(ann.find("status")).to_contain_text("Reconnecting")


def test_a_chat_that_was_not_started_is_named_with_the_command_that_starts_both(run_trunkline, open_page):
    server = run_trunkline(CHAT / "chat.py", *PROGRAMS[2:])
    ann = open_page(server.url("page"), "Ann", socket="rooms", width=320, height=600, forgive=REFUSED)
    expect(ann.find("waiting")).to_contain_text("trunkline run examples/chat/chat.py examples/chat/chat_rooms.py --web")
    expect(ann.page.get_by_role("heading", name="Nobody answers at /rooms")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("socket", ["socket", "rooms"])
def test_after_the_server_restarts_the_page_comes_back_by_itself_and_works(run_trunkline, open_page, free_port, socket):
    first = run_trunkline(*PROGRAMS, "--port", free_port)
    names = ("Jade Otter", "Coral Finch", "Azure Lynx")
    people = [open_page(first.url("page"), name, socket=socket, forgive=REFUSED).is_online() for name in names]
    if socket == "rooms":
        for person in people:
            person.joins()
    ann, ben, cia = people
    ann.says("before")
    ben.sees("Jade Otter", "before")

    assert first.stop() == (0, "", "")
    for person in people:
        expect(person.find("status")).to_contain_text("Reconnecting")
        expect(person.page.get_by_text("Connection lost. What you write stays here.")).to_be_visible()
    ann.find("message-input").fill("after")
    expect(ann.find("send")).to_be_disabled()
    ann.find("message-input").press("Enter")
    expect(ann.find("message-input")).to_have_value("after")

    run_trunkline(*PROGRAMS, "--port", free_port)
    for person in people:
        expect(person.find("status")).to_have_text("Online", timeout=30_000)
    if socket == "rooms":
        for person in people:
            expect(person.find("leave")).to_be_visible()  # it has joined again
    expect(ann.find("send")).to_be_enabled()
    ann.find("message-input").press("Enter")
    for person in (ben, cia):
        person.sees("Jade Otter", "after")
        assert person.conversation() == [["Jade Otter", "before"], ["Jade Otter", "after"]]


# What it looks like.


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_in_light_and_dark(server, open_page, scheme):
    ann, ben = [
        open_page(server.url("page"), name, socket="rooms", scheme=scheme).is_online().joins()
        for name in ("Ann", "Ben")
    ]
    ann.says("hello")
    ben.says("hello to you")
    ann.sees("Ben", "hello to you")
    for selector in (
        "h1", ".brand-kind", ".status", ".switch a", ".switch a[aria-current]", "label", "#name", "#leave", ".notice",
        ".message-author", ".message-time", ".message:not(.own) .message-text", ".own .message-text", "#people-title",
        "#members span", "#hint",
    ):  # fmt: skip
        assert ann.contrast(selector) >= 4.5, selector


def test_dark_is_dark_and_light_is_light(server, open_page, look_at):
    def brightness(scheme):
        page = open_page(server.url("page"), "Ann", scheme=scheme).is_online().page
        return look_at(page.screenshot(animations="disabled"))["brightness"]

    assert brightness("light") > 200
    assert brightness("dark") < 60


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_nothing_is_cut_off_and_nothing_scrolls_sideways(server, open_page, width):
    ann = open_page(server.url("page"), "Jade Otter", socket="rooms", width=width, height=700).is_online().joins()
    ann.says("averyveryverylongwordwithoutanyspace" * 5)
    for testid in ("status", "name-input", "room-input", "leave", "members", "message-text", "message-input", "send"):
        box = ann.find(testid).bounding_box()
        assert box["x"] >= 0, testid
        assert box["x"] + box["width"] <= width, testid
    assert ann.page.evaluate("document.documentElement.scrollWidth") == width


TALK = [
    ("Jade Otter", "Morning! The beans came up, but the slugs came first."),
    ("Coral Finch", "Copper tape around the beds. Works wonders."),
    ("Coral Finch", "I have half a roll left, I can bring it on Saturday."),
    ("Indigo Owl", "Saturday it is. I bring the coffee."),
    ("Jade Otter", "And I bring what the slugs have left us."),
]


@pytest.mark.parametrize(("scheme", "file"), [("light", "chat.png"), ("dark", "chat-dark.png")])
def test_the_picture_for_the_documentation(run_trunkline, open_page, look_at, tmp_path, scheme, file):
    server = run_trunkline(*PROGRAMS)  # its room has a name that is worth a picture
    folder = ROOT / "docs" / "images" if os.environ.get("TRUNKLINE_SCREENSHOTS") else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    people = {
        name: open_page(server.url("page"), name, socket="rooms", room="garden", scheme=scheme).is_online().joins()
        for name in ("Jade Otter", "Indigo Owl", "Coral Finch")
    }
    for name, text in TALK:
        people[name].says(text)
        for person in people.values():
            person.sees(name, text)
    page = people["Indigo Owl"].page
    page.mouse.move(0, 0)
    page.get_by_test_id("message-input").fill("See you at n")
    page.screenshot(path=folder / file, animations="disabled")
    picture = (folder / file).read_bytes()
    seen = look_at(picture)
    assert (seen["width"], seen["height"]) == (1200, 800)
    assert seen["colours"] > 100  # it is no blank page
    assert len(picture) < 200_000
