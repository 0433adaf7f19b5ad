"""`trunkline explain`: what a program may do on AWS, which line asks for it, and whether that has grown."""

import json
import textwrap

import pytest

CHAT = """
from trunkline import collection, websocket

people = collection("people").allow("reading")
socket = websocket("socket").allow("closing")

@socket.on("message")
async def message(ctx):
    await people.doc("a").get()
    await socket.send(ctx.req.connection_id, "hello")
"""
ADMIN = """
from trunkline import collection, websocket

audit = collection("audit").allow("writing")
socket = websocket("socket")

@socket.on("message", route="audit")
async def write(ctx):
    await audit.doc("a").set({})
"""


@pytest.fixture
def explain(trunkline, tmp_path, write):
    """What it prints, for files of a folder."""
    write("chat.py", CHAT)

    def explain(*arguments, code=0):
        found, out, err = trunkline("explain", *arguments, cwd=tmp_path)
        assert found == code, err
        return out + err

    return explain


def test_each_action_stands_behind_the_line_that_asks_for_it(explain):
    assert explain("chat.py") == textwrap.dedent("""\
        Chat  chat.py
          always              logs:CreateLogStream, logs:PutLogEvents on its own log    
                              group                                                     
          chat.py:3  reading  dynamodb:GetItem, dynamodb:Query on table of people       
          chat.py:4  closing  execute-api:ManageConnections on DELETE @connections of   
                              socket, any connection                                    
          chat.py:4  sending  execute-api:ManageConnections on POST @connections of     
                              socket, any connection                                    
        """)  # fmt: skip  # noqa: W291


def test_each_file_is_a_function_with_its_own(explain, write):
    write("admin.py", ADMIN)
    chat, admin = explain("chat.py", "admin.py").split("Admin  admin.py")
    assert "PutItem" not in chat
    assert "admin.py:3  writing  dynamodb:PutItem on table of audit" in admin
    assert "GetItem" not in admin


def test_grants_are_printed_to_be_kept(explain):
    found = json.loads(explain("chat.py", "--json"))
    assert {
        "function": "Chat",
        "action": "dynamodb:GetItem",
        "resource": "table of people",
        "because": ["chat.py:3 reading"],
    } in found
    assert len(found) == 6


def test_what_has_not_grown_is_well(explain, tmp_path):
    (tmp_path / "permissions.json").write_text(explain("chat.py", "--json"))
    assert explain("chat.py", "--diff", "permissions.json") == "permissions have not grown: 6 grants, none fewer\n"


def test_what_has_grown_is_exit_code_1(explain, tmp_path, write):
    (tmp_path / "permissions.json").write_text(explain("chat.py", "--json"))
    write("chat.py", CHAT.replace('"reading"', '"writing"').replace(".get()", ".set({})"))
    assert explain("chat.py", "--diff", "permissions.json", code=1).splitlines() == [
        "+ Chat: dynamodb:PutItem on table of people  chat.py:3 writing",
        "- Chat: dynamodb:GetItem on table of people  chat.py:3 reading",
        "- Chat: dynamodb:Query on table of people  chat.py:3 reading",
        "permissions have grown by 1; if that is meant, write them anew with explain --json",
    ]


def test_what_has_shrunk_is_well_and_said(explain, tmp_path, write):
    (tmp_path / "permissions.json").write_text(explain("chat.py", "--json"))
    write("chat.py", CHAT.replace('.allow("closing")', ""))
    *gone, last = explain("chat.py", "--diff", "permissions.json").splitlines()
    assert len(gone) == 1
    assert last == "permissions have not grown: 5 grants, 1 fewer"


def test_what_a_recorded_run_never_used_is_warned_of(explain, run_trunkline, tmp_path):
    from websockets.sync.client import connect

    running = run_trunkline(tmp_path / "chat.py", "--record-usage", tmp_path / "usage.json", "--store", "memory:")
    with connect(running.url("socket")) as client:
        client.send("hello")
        assert client.recv(timeout=10) == "hello"
    assert running.stop()[0] == 0
    told = explain("chat.py", "--usage", "usage.json").splitlines()[-1]
    assert told == "warning  chat.py:4: Chat never used \"closing\" of websocket('socket')"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("none.py",), "none.py does not exist; expected a Python file such as chat.py"),
        (("chat.py", "--diff", "none.json"), "none.json: No such file or directory; expected what explain --json wrote"),
        (("chat.py", "--usage", "none.json"), "none.json: No such file or directory; expected what run --record-usage wrote"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(explain, arguments, error):
    assert explain(*arguments, code=2).splitlines()[-1] == f"trunkline: {error}"
