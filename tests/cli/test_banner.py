"""What is printed when the door is open, on terminals of several widths."""

import io
import sys
import textwrap
from pathlib import Path

import pytest
from rich.console import Console

from trunkline import runtime
from trunkline.cli.banner import banner
from trunkline.config import Settings
from trunkline.resources.loading import load

PROGRAM = """
from trunkline import collection, websocket

auction = websocket("auction")
chat = websocket("chat").allow("closing")
bids = collection("bids").allow("deleting", "reading")
drafts = collection("drafts")

@auction.on("message")
async def anything(ctx): ...

@auction.on("message", route="bid")
async def bid(ctx): ...

@auction.on("disconnect")
async def gone(ctx): ...

@auction.on("connect")
async def came(ctx): ...
"""


@pytest.fixture(autouse=True)
def forget(tmp_path, monkeypatch):
    """The user is in the test's folder; what is loaded from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def program(tmp_path):
    """The program in that folder."""
    (tmp_path / "auction.py").write_text(textwrap.dedent(PROGRAM).lstrip())
    return load(["auction.py"])


async def printed(program, settings=None, *, width=80, color=False, store="memory:", admin=None):
    out = io.StringIO()
    console = Console(
        file=out,
        width=width,
        highlight=False,
        soft_wrap=True,
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
    )
    async with runtime.open(program, store=store) as node:
        node.admin_address = admin
        banner(node, settings or Settings(), console)
    return out.getvalue()


async def test_it_is_a_table_of_urls_routes_grants_and_documents(program):
    text = await printed(program, Settings(web="web"), admin=("127.0.0.1", 8001))
    assert text == textwrap.dedent(
        """\
        page        http://127.0.0.1:8000/
        socket      ws://127.0.0.1:8000/auction
                    $connect     came      auction.py:17
                    bid          bid       auction.py:11
                    $default     anything  auction.py:8
                    $disconnect  gone      auction.py:14
        socket      ws://127.0.0.1:8000/chat
                    allowed  sending, closing  auction.py:4
        collection  bids    reading, deleting  auction.py:5
        collection  drafts  nothing allowed    auction.py:6
        documents   in memory, until this ends
        admin       http://127.0.0.1:8001/ready
        listening at 127.0.0.1:8000; stop with Ctrl-C
        """
    )


async def test_a_narrow_terminal_cuts_nothing_off(program):
    assert await printed(program, width=20) == await printed(program, width=200)


async def test_a_terminal_gets_colours_and_the_same_words(program):
    coloured = await printed(program, color=True)
    assert "\x1b[" in coloured
    plain = await printed(program)
    for words in plain.split():
        assert words in coloured


async def test_a_pipe_gets_no_escapes_and_no_blanks_at_the_end_of_a_line(program):
    lines = (await printed(program)).splitlines()
    assert [line for line in lines if "\x1b" in line or line != line.rstrip()] == []


async def test_the_file_of_the_documents_is_named(program):
    assert "documents   in .trunkline/data.sqlite3\n" in await printed(program, store="sqlite:")


async def test_without_web_and_admin_neither_is_mentioned(program):
    text = await printed(program)
    assert "page " not in text
    assert "admin" not in text


async def test_an_ipv6_address_stands_in_brackets(program):
    assert "http://[::1]:8001/ready" in await printed(program, admin=("::1", 8001))


async def test_a_declaration_that_allows_nothing_is_left_out_beside_one_that_allows_something():
    Path("notes.py").write_text(
        'from trunkline import collection, websocket\ns = websocket("s")\nplain = collection("notes")\n'
        'notes = plain.allow("reading")\n'
    )
    lines = (await printed(load(["notes.py"]))).splitlines()
    assert [line for line in lines if line.startswith("collection")] == [
        "collection  notes  reading  notes.py:4",
    ]


async def test_a_file_elsewhere_is_named_the_shortest_way(tmp_path, monkeypatch):
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    (tmp_path / "a" / "near.py").write_text('from trunkline import collection\nnear = collection("near")\n')
    (tmp_path / "far.py").write_text('from trunkline import websocket, collection\ns = websocket("s")\n')
    monkeypatch.chdir(here)
    text = await printed(load(["../near.py", "../../far.py"]))
    assert "  ../near.py:2\n" in text


async def test_names_that_look_like_markup_are_printed_as_they_are():
    Path("markup.py").write_text(
        'from trunkline import websocket\ns = websocket("s")\n'
        '@s.on("message", route="[red]bid[/]")\nasync def bid(ctx): ...\n'
    )
    assert "[red]bid[/]  bid  markup.py:3\n" in await printed(load(["markup.py"]))
