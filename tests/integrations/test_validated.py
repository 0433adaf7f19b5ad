"""What the models of a route do not take reaches no integration."""

import json
import threading

import pytest

from trunkline import testing
from trunkline.errors import DeclarationError
from trunkline.integrations.base import MessageRefused
from trunkline.integrations.validated import ValidatedIntegration
from trunkline.model.api import Response

NUMBER = '{"type": "object", "required": ["number"]}'
TEXT = '{"type": "object", "required": ["text"]}'


class Behind:
    def __init__(self):
        self.events = []

    async def invoke(self, event):
        self.events.append(event.data)
        return Response(200, "taken")


async def answer(message, select="$request.body.kind", models=None, event="message"):
    behind = Behind()
    validated = ValidatedIntegration(behind, select, {"number": NUMBER, "$default": TEXT} if models is None else models)
    try:
        response = await validated.invoke(testing.context(message, event=event).req)
    except MessageRefused as refused:
        assert behind.events == []
        return str(refused)
    assert behind.events == [message]
    return response.body


@pytest.mark.parametrize(
    ("message", "answered"),
    [
        ('{"kind": "number", "number": 1}', "taken"),
        ('{"kind": "number", "text": "secret"}', "its model refuses it: required"),
        ('{"kind": "other", "text": "x"}', "taken"),
        ('{"kind": "other", "number": 1}', "its model refuses it: required"),
        ('{"text": "x"}', "taken"),
        ("[1]", "its model refuses it: type"),
        ("no JSON", "it is no JSON"),
        ('{"kind": "number", "number": 1} and more', "it is no JSON"),
        ("[" * 3000, "it is no JSON"),
        ("", "it is no JSON"),
    ],
)
async def test_a_message_is_judged_by_the_model_that_it_names_and_else_by_the_default(message, answered):
    assert await answer(message) == answered


async def test_a_message_whose_key_has_no_model_is_refused_where_there_is_no_default():
    told = "its key has no model, and there is none for $default"
    assert await answer('{"kind": "other"}', models={"number": NUMBER}) == told
    assert await answer("[1]", models={"number": NUMBER}) == told


@pytest.mark.parametrize("select", ["$default", "\\$default"])
async def test_the_default_may_be_named_outright(select):
    assert await answer('{"kind": "number", "text": "x"}', select) == "taken"


async def test_an_expression_may_be_a_constant():
    assert await answer('{"number": 1}', "number") == "taken"


@pytest.mark.parametrize("event", ["connect", "disconnect"])
async def test_what_has_no_body_is_handed_on(event):
    assert await answer("", event=event) == "taken"


async def test_a_large_message_is_judged_beside_the_loop(monkeypatch):
    threads = []
    refusal = ValidatedIntegration._refusal

    def noting(self, data):
        threads.append(threading.current_thread() is threading.main_thread())
        return refusal(self, data)

    monkeypatch.setattr(ValidatedIntegration, "_refusal", noting)
    assert await answer(json.dumps({"text": "x" * 5000})) == "taken"
    assert await answer(json.dumps({"other": "x" * 5000})) == "its model refuses it: required"
    assert await answer('{"text": ""}') == "taken"
    assert threads == [False, False, True]


def test_a_wrong_expression_is_an_error():
    with pytest.raises(DeclarationError, match="starts no variable"):
        ValidatedIntegration(Behind(), "$nothing", {})
