"""What integrations share: how long a backend may take, what a function that was not run is, how large a reply may be."""

import asyncio

import pytest

from trunkline.integrations.base import (
    IntegrationError,
    IntegrationTimeout,
    ReplyTooLarge,
    check_reply,
    in_time,
    run_function,
)
from trunkline.testing import Function


async def after(seconds, value=None):
    await asyncio.sleep(seconds)
    return value


async def test_an_answer_in_time_is_given():
    assert await in_time(after(1.9, "hello"), 2, "it") == "hello"


async def test_an_answer_that_comes_later_is_a_timeout():
    with pytest.raises(IntegrationTimeout, match="^it did not answer within 2.5 s$") as error:
        await in_time(after(2.6), 2.5, "it")
    assert error.value.status == 504


async def test_a_failure_in_time_is_that_failure():
    async def fail():
        raise IntegrationError("no")

    with pytest.raises(IntegrationError, match="^no$"):
        await in_time(fail(), 2, "it")


async def test_a_function_is_run():
    invocation = await run_function(Function(lambda event, context: event, name="f"), b'{"a": 1}')
    assert (invocation.payload, invocation.function_error) == (b'{"a": 1}', None)


async def test_a_function_that_is_not_run_is_an_error():
    function = Function(lambda event, context: event, name="f")
    function.refuse()
    with pytest.raises(IntegrationError, match="^the function f was not run: Rate Exceeded.$"):
        await run_function(function, b"{}")


@pytest.mark.parametrize("body", [None, "", "abcd", "éé", b"", b"abcd"])
def test_a_reply_up_to_the_limit_passes(body):
    check_reply(body, 4, "it")


@pytest.mark.parametrize("body", ["abcde", "ééé", b"abcde"])
def test_a_reply_over_the_limit_is_too_large(body):
    with pytest.raises(ReplyTooLarge, match="^it answered [56] bytes; the limit message_bytes is 4$"):
        check_reply(body, 4, "it")
