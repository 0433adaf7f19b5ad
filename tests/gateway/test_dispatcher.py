"""From a message to its route, and from what went wrong to the log."""

import dataclasses
import json
import logging
import re

import pytest

from trunkline import testing
from trunkline.gateway.dispatcher import (
    bad_request_body,
    error_body,
    log_handler_error,
    log_integration_error,
    log_refused,
    select_route,
    timed_out,
)
from trunkline.integrations.base import IntegrationError, MessageRefused
from trunkline.model.api import CompiledApi, CompiledRoute
from trunkline.model.events import Handshake
from trunkline.model.expressions import compile_selector


async def nothing(event):
    return None


DEFAULT, BID = CompiledRoute("$default", nothing, "chat.py:1"), CompiledRoute("bid", nothing, "chat.py:2")
API = CompiledApi("socket", "id", "socket", compile_selector("$request.body.action"), {"$default": DEFAULT, "bid": BID})
EVENT = testing.context("x").req


@pytest.mark.parametrize(
    ("data", "route"),
    [
        ('{"action":"bid"}', BID),
        (b'{"action":"bid"}', BID),
        ('{"action":"sell"}', DEFAULT),
        ("{}", DEFAULT),
        ("no json", DEFAULT),
        (b"\xff", DEFAULT),
        ('{"action":"$default"}', DEFAULT),
    ],
)
def test_a_message_goes_to_the_route_that_it_names_and_else_to_the_default(data, route):
    assert select_route(API, data) is route


def test_without_a_default_a_message_that_names_no_route_has_none():
    api = dataclasses.replace(API, routes={"bid": BID})
    assert select_route(api, '{"action":"bid"}') is BID
    assert select_route(api, '{"action":"sell"}') is None
    assert select_route(api, "no json") is None


def test_without_custom_routes_messages_are_not_read():
    api = dataclasses.replace(API, select=None)
    assert select_route(api, '{"action":"bid"}') is DEFAULT


def test_an_error_is_the_text_of_api_gateway():
    text = error_body("Forbidden", EVENT)
    assert json.loads(text) == {
        "message": "Forbidden", "connectionId": EVENT.connection_id, "requestId": EVENT.request_id,
    }  # fmt: skip
    assert text.startswith('{"message": "Forbidden", "connectionId":"')


def test_a_refused_message_is_told_by_its_own_id_in_the_text_of_api_gateway():
    text = bad_request_body(EVENT)
    told = (
        rf'\{{"message": "Bad request body", "connectionId":"{EVENT.connection_id}", "messageId":"([\w-]{{18}}==)"\}}'
    )
    assert re.fullmatch(told, text)
    assert json.loads(text)["messageId"] != EVENT.connection_id


def caught(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return error
    raise AssertionError


def logged(caplog, error):
    log_handler_error(DEFAULT, EVENT, error)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("trunkline.handlers", "ERROR")
    first, *lines = record.getMessage().split("\n")
    assert first == (
        f"the handler of $default at chat.py:1 raised; connection {EVENT.connection_id}, request {EVENT.request_id}"
    )
    return lines


def test_what_a_handler_raised_is_logged_with_where(caplog):
    lines = logged(caplog, caught(lambda: 1 / 0))
    assert lines[0] == "Traceback (most recent call last):"
    assert "test_dispatcher.py" in lines[1]
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_our_frames_around_the_handler_are_left_out(caplog):
    def handler_called_by_us(event):
        return Handshake(((1, 2),), "")  # fails inside our package, two frames down

    lines = logged(caplog, caught(handler_called_by_us, EVENT))
    assert any("handler_called_by_us" in line for line in lines)
    assert not any("events.py" in line for line in lines), "what of ours the handler called is not its business"


def test_an_error_inside_our_package_alone_keeps_its_frames(caplog):
    error = caught(Handshake, ((1, 2),), "")
    error = error.with_traceback(error.__traceback__.tb_next)
    lines = logged(caplog, error)
    assert any("events.py" in line for line in lines)
    assert not any("test_dispatcher.py" in line for line in lines)


def test_an_error_that_was_never_raised_is_its_text(caplog):
    assert logged(caplog, ValueError("why")) == ["ValueError: why"]


def test_a_group_of_errors_is_logged_whole(caplog):
    lines = logged(caplog, ExceptionGroup("many", [ValueError("one"), KeyError("two")]))
    assert any("ValueError: one" in line for line in lines)
    assert any("KeyError: 'two'" in line for line in lines)


def test_an_error_that_cannot_be_written_is_logged_all_the_same(caplog):
    class Broken(Exception):
        def __str__(self):
            raise ZeroDivisionError

    assert logged(caplog, Broken()) == [f"{Broken.__module__}.{Broken.__qualname__}: <exception str() failed>"]


@pytest.mark.parametrize(("where", "said"), [("template.yaml:3", " at template.yaml:3"), ("", "")])
def test_an_integration_that_failed_is_logged_in_its_own_words_without_a_traceback(caplog, where, said):
    route = dataclasses.replace(BID, where=where)
    log_integration_error(route, EVENT, IntegrationError("the function was killed"))
    (message,) = caplog.messages
    assert message == (
        f"the integration of bid{said} failed: the function was killed; "
        f"connection {EVENT.connection_id}, request {EVENT.request_id}"
    )
    assert caplog.records[0].exc_info is None


@pytest.mark.parametrize(("where", "said"), [("template.yaml:3", " at template.yaml:3"), ("", "")])
def test_why_a_message_was_refused_is_logged_and_no_error(caplog, where, said):
    caplog.set_level(logging.INFO, "trunkline.handlers")
    log_refused(dataclasses.replace(BID, where=where), EVENT, MessageRefused("it is no JSON"))
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage() == (
        f"what came to bid{said} was refused: it is no JSON; "
        f"connection {EVENT.connection_id}, request {EVENT.request_id}"
    )


def test_a_handler_past_its_deadline_is_logged_with_the_limit(caplog):
    timed_out(BID, EVENT, 0.5)
    (message,) = caplog.messages
    assert message == (
        "the handler of bid at chat.py:2 was cancelled after 0.5 s (limit handler_seconds); "
        f"connection {EVENT.connection_id}, request {EVENT.request_id}"
    )
