"""What the pages say is so: their programs run, their output is what comes, their links lead somewhere."""

import ast
import asyncio
import contextvars
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from trunkline import testing, websocket
from trunkline.cli.main import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
]
CHAT = ROOT / "examples" / "chat" / "chat.py"
TUTORIAL = ROOT / "docs" / "tutorial" / "first-chat.md"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<(https?://[^>]+)>|src=\"([^\"]+)\"")


def named(documents):
    return [pytest.param(document, id=str(document.relative_to(ROOT))) for document in documents]


def prose(document: Path) -> str:
    """Without code."""
    text = re.sub(r"^ *```.*?^ *```$", "", document.read_text(), flags=re.M | re.S)
    return re.sub(r"(`+)[^`]+\1(?!\])", "code", text)


def anchors(document: Path) -> set[str]:
    """What links may name behind '#': headings, as they are written in addresses."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^ *```.*?^ *```$", "", document.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(document: Path) -> list[str]:
    text = re.sub(r"^ *```.*?^ *```$", "", document.read_text(), flags=re.M | re.S)
    return [next(filter(None, found)) for found in LINK.findall(text)]


# Code.


def test_the_code_of_a_page_runs(page, reader):
    reader(page).follow()


def test_the_readmes_program_is_that_of_the_example_without_its_docstring(pages):
    source = CHAT.read_text()
    docstring = ast.parse(source).body[0]
    code = "".join(source.splitlines(keepends=True)[docstring.end_lineno :]).lstrip("\n")
    assert [block.text for block in pages(ROOT / "README.md") if block.language == "python"] == [code]


def test_the_tutorials_chat_is_that_of_the_example_too(pages):
    (readme,) = [block.text for block in pages(ROOT / "README.md") if block.language == "python"]
    assert readme in [block.text for block in pages(TUTORIAL)]


async def test_the_readmes_program_does_what_the_readme_says(pages, tmp_path):
    (program,) = [block.text for block in pages(ROOT / "README.md") if block.language == "python"]
    (tmp_path / "chat.py").write_text(program)
    async with testing.node(tmp_path / "chat.py") as node:
        ann, *others = [await node.connect("socket") for _ in range(4)]
        await ann.send("hello")
        assert [await other.receive() for other in others] == ["hello"] * 3
        await ann.nothing()


async def test_the_tutorials_first_program_answers(pages, tmp_path):
    (tmp_path / "chat.py").write_text(next(block.text for block in pages(TUTORIAL) if block.title == "chat.py"))
    async with testing.node(tmp_path / "chat.py") as node, await node.connect("socket") as client:
        await client.send("hello")
        assert await client.receive() == "You said: hello"


# What the explanations say and no block shows.


async def test_context_variables_are_seen_by_later_handlers_of_their_connection_and_by_no_other():
    who, socket = contextvars.ContextVar("who", default="nobody"), websocket("socket")

    @socket.on("connect")
    async def connect(ctx):
        who.set(ctx.req.query["name"])

    @socket.on("message")
    async def message(ctx):
        before = who.get()
        who.set(ctx.req.data)
        return before

    async with testing.node([socket]) as node:
        ann, ben = [await node.connect("socket", query={"name": name}) for name in ("Ann", "Ben")]
        for client, name in ((ann, "Ann"), (ben, "Ben")):
            await client.send("other")
            assert await client.receive() == name
            await client.send("")
            assert await client.receive() == "other"


async def test_a_ping_keeps_a_connection_from_being_idle():
    async with testing.node([websocket("socket")]) as node:
        client = await node.connect("socket")
        for _ in range(5):
            await asyncio.sleep(400)
            await client.ping()
        await client.nothing(seconds=500)
        assert (await client.closed(timeout=200)).code == 1001


async def test_a_room_of_256_hears_broadcasts_that_are_made_at_once_in_one_order():
    socket = websocket("socket")
    async with testing.node([socket]) as node:
        clients = [await node.connect("socket") for _ in range(256)]
        ids = list(node.running.connections._sinks)

        async def stream():
            for id in ids:
                yield id

        await asyncio.gather(*[socket.broadcast(text, to=stream()) for text in "abc"])
        heard = {"".join([await client.receive() for _ in "abc"]) for client in clients}
        assert len(heard) == 1


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_every_block_says_its_language(document, pages):
    assert document.read_text().count("```") == 2 * len(pages(document))
    assert {block.language for block in pages(document)} <= {
        "python", "console", "bash", "text", "toml", "html", "js", "json", "markdown", "yaml",
    }  # fmt: skip


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_every_command_of_make_and_every_script_exists(document, pages):
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    text = document.read_text()
    for target in re.findall(r"(?:`|^ *|\$ )make ([a-z]+)(?:`| *#|$)", text, re.M):
        assert target in targets
    for script in re.findall(r"\bscripts/([a-z]+)\b", text):
        assert (ROOT / "scripts" / script).is_file()


def commands(document: Path) -> list[list[str]]:
    """The arguments of every `trunkline run` in a block of code, fenced or indented."""
    lines = re.findall(
        r"^ *(?:\$ |exec )?(?:\w+=\S+ )*(?:\.venv/bin/(?:python -m )?)?trunkline run (.*)$", document.read_text(), re.M
    )
    return [shlex.split(line.replace(' "$@"', ""), comments=True) for line in lines]


@pytest.mark.parametrize("document", named([*DOCUMENTS, ROOT / "scripts" / "demo"]))
def test_every_flag_and_every_example_of_a_command_exists(document):
    run = get_command(app).commands["run"]
    for arguments in commands(document):
        arguments = [argument for argument in arguments if argument != "&"]
        asked = run.make_context("run", arguments).params
        for program in asked["programs"]:
            assert not program.startswith(("examples/", "benchmarks/")) or (ROOT / program).is_file()


def test_commands_are_found_where_they_stand():
    assert {str(d.relative_to(ROOT)) for d in [*DOCUMENTS, ROOT / "scripts/demo"] if commands(d)} >= {
        "README.md", "examples/chat/README.md", "benchmarks/README.md", "scripts/demo", "docs/tutorial/first-chat.md",
    }  # fmt: skip


# Links.


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_every_link_leads_somewhere(document):
    for link in links(document):
        if link.startswith(("http://", "https://")):
            # What is elsewhere cannot be looked at from a test, so there is nothing but the reader's own machine.
            assert link.startswith("http://127.0.0.1:"), link
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{link} is not there"
        if anchor:
            assert anchor in anchors(target), f"{link}: there is no such heading"


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        if document in reached or document.suffix != ".md":
            continue
        reached.add(document)
        waiting += [
            (document.parent / link.partition("#")[0]).resolve()
            for link in links(document)
            if not link.startswith(("http", "#"))
        ]
    assert set(DOCUMENTS) <= reached


def test_the_readme_shows_the_chat():
    assert "docs/images/chat.png" in links(ROOT / "README.md")
    assert (ROOT / "docs/images/chat.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "path", re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/explanation/architecture.md").read_text())
)
def test_every_test_that_proves_a_promise_exists(path):
    file, test = path
    assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.M)
