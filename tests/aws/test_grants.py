"""What a program may do: said, kept, compared with before and with what is used."""

from dataclasses import replace
from pathlib import Path

import pytest

from trunkline.aws.grants import Grant, actions_of, grants_of, grown, read_grants, shown, unused, write_grants
from trunkline.aws.iam import Calls, Logs, OfTable
from trunkline.aws.program import AwsProgram, Function, Use
from trunkline.errors import ConfigurationError
from trunkline.resources.application import Application
from trunkline.resources.permissions import Declared
from trunkline.resources.usage import Used

FOLDER = Path("/app")
READING = Use("collection", "people", "reading", Declared("chat.py", 3))
CLOSING = Use("websocket", "socket", "closing", Declared("shared.py", 4))
CHAT = Function("Chat", "chat.py", (FOLDER / "chat.py", FOLDER / "shared.py"), (READING, CLOSING))
PROGRAM = AwsProgram("chat", FOLDER, Application(), (CHAT,), (), ())
LOG = "its own log group"
CALLS = "DELETE @connections of socket, any connection"


def test_each_action_on_each_resource_is_a_grant_with_the_lines_that_ask_for_it():
    assert grants_of(PROGRAM) == [
        Grant("Chat", "dynamodb:GetItem", "table of people", ("chat.py:3 reading",)),
        Grant("Chat", "dynamodb:Query", "table of people", ("chat.py:3 reading",)),
        Grant("Chat", "execute-api:ManageConnections", CALLS, ("shared.py:4 closing",)),
        Grant("Chat", "logs:CreateLogStream", LOG),
        Grant("Chat", "logs:PutLogEvents", LOG),
    ]


def test_a_resource_is_shown_to_people():
    found = [shown(one) for one in (OfTable("people"), Calls("socket", "DELETE"), Logs("Chat"))]
    assert found == ["table of people", CALLS, LOG]


def test_the_actions_of_a_word_are_iams():
    assert actions_of(READING) == ["dynamodb:GetItem", "dynamodb:Query"]
    assert actions_of(CLOSING) == ["execute-api:ManageConnections"]


def test_grants_are_kept_a_line_each(tmp_path):
    file = tmp_path / "permissions.json"
    file.write_text(write_grants(grants_of(PROGRAM)))
    assert len(file.read_text().splitlines()) == 5 + 2
    assert read_grants(file) == grants_of(PROGRAM)


@pytest.mark.parametrize("text", [None, "", "{}", '[{"function": 1}]'])
def test_a_file_that_has_none_is_refused(tmp_path, text):
    file = tmp_path / "permissions.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"permissions\.json: .*; expected what explain --json wrote"):
        read_grants(file)


def test_a_grant_that_moved_to_another_line_has_not_grown():
    moved = [Grant(one.function, one.action, one.resource, ("chat.py:99",)) for one in grants_of(PROGRAM)]
    assert grown(grants_of(PROGRAM), moved) == ([], [])


def test_what_came_and_what_went_is_told_apart():
    before = [Grant("Chat", "a:A", "x"), Grant("Chat", "a:B", "x")]
    now = [Grant("Chat", "a:B", "x"), Grant("Chat", "a:B", "y"), Grant("Admin", "a:B", "x")]
    assert grown(before, now) == ([now[1], now[2]], [before[0]])


@pytest.mark.parametrize(
    ("used", "left"),
    [
        ([], [READING, CLOSING]),
        ([Used("collection", "people", "reading", "chat.py", 9)], [CLOSING]),
        ([Used("collection", "people", "reading", "shared.py", 1)], [CLOSING]),
        ([Used("collection", "people", "reading", "admin.py", 9)], [READING, CLOSING]),
        ([Used("collection", "people", "writing", "chat.py", 9)], [READING, CLOSING]),
        ([Used("websocket", "socket", "closing", "/app/shared.py", 9)], [READING]),
    ],
)
def test_a_word_is_used_if_a_file_of_the_function_used_it(used, left):
    assert unused(PROGRAM, used, FOLDER) == [("Chat", use) for use in left]


def test_each_function_uses_its_own_words():
    other = replace(CHAT, name="Other", sources=(FOLDER / "other.py",), uses=(READING,))
    program = replace(PROGRAM, functions=(CHAT, other))
    found = unused(program, [Used("collection", "people", "reading", "other.py", 1)], FOLDER)
    assert found == [("Chat", READING), ("Chat", CLOSING)]
