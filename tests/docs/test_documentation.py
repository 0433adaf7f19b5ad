"""What the pages say is so: their programs run, their output is what comes, their links lead somewhere."""

import ast
import re
from pathlib import Path

import pytest

from trunkline import testing

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
    assert readme in [block.text for block in pages(ROOT / "docs/tutorial/first-chat.md")]


async def test_the_readmes_program_does_what_the_readme_says(pages, tmp_path):
    (program,) = [block.text for block in pages(ROOT / "README.md") if block.language == "python"]
    (tmp_path / "chat.py").write_text(program)
    async with testing.node(tmp_path / "chat.py") as node:
        ann, *others = [await node.connect("socket") for _ in range(4)]
        await ann.send("hello")
        assert [await other.receive() for other in others] == ["hello"] * 3
        await ann.nothing()


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_every_block_says_its_language(document, pages):
    assert document.read_text().count("```") == 2 * len(pages(document))
    assert {block.language for block in pages(document)} <= {
        "python", "console", "bash", "text", "toml", "html", "js", "json", "markdown",
    }  # fmt: skip


@pytest.mark.parametrize("document", named(DOCUMENTS))
def test_every_command_of_make_and_every_script_exists(document, pages):
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    text = document.read_text()
    for target in re.findall(r"(?:`|^ *|\$ )make ([a-z]+)(?:`| *#|$)", text, re.M):
        assert target in targets
    for script in re.findall(r"\bscripts/([a-z]+)\b", text):
        assert (ROOT / "scripts" / script).is_file()


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
