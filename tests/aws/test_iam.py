"""The words of a file as statements of IAM: these actions on these resources, and nothing else."""

from pathlib import Path

import pytest

from trunkline.aws.iam import Calls, Logs, OfTable, statements
from trunkline.aws.program import Function, Use
from trunkline.resources.permissions import Declared

LOG = ("logs:CreateLogStream", "logs:PutLogEvents")


def use(kind, name, word, line=1):
    return Use(kind, name, word, Declared("chat.py", line))


def said(*uses):
    found = statements(Function("Chat", "chat.py", (Path("chat.py"),), uses))
    return [(statement.resource, statement.actions) for statement in found]


def test_a_function_that_asks_for_nothing_writes_its_own_log_and_does_nothing_else():
    assert said() == [(Logs("Chat"), LOG)]


@pytest.mark.parametrize(
    ("word", "actions"),
    [
        ("reading", ("dynamodb:GetItem", "dynamodb:Query")),
        ("writing", ("dynamodb:PutItem",)),
        ("deleting", ("dynamodb:DeleteItem",)),
    ],
)
def test_a_word_for_a_collection_is_these_actions_on_its_table(word, actions):
    assert said(use("collection", "a", word))[1:] == [(OfTable("a"), actions)]


@pytest.mark.parametrize(("word", "verb"), [("sending", "POST"), ("closing", "DELETE"), ("inspecting", "GET")])
def test_a_word_for_a_socket_is_one_verb_of_its_stage(word, verb):
    assert said(use("websocket", "s", word))[1:] == [(Calls("s", verb), ("execute-api:ManageConnections",))]


def test_the_words_of_one_collection_are_one_statement_with_a_reason_for_each():
    uses = (
        use("collection", "a", "deleting", 3),
        use("collection", "a", "reading", 1),
        use("collection", "b", "reading"),
    )
    _, first, second = statements(Function("Chat", "chat.py", (), uses))
    assert first.actions == ("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Query")
    assert first.reasons == uses[:2]
    assert second.resource == OfTable("b")
