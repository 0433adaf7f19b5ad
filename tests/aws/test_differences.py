"""What AWS weakens of a program, as far as the program touches it."""

import re

import pytest

from trunkline.aws.differences import differences
from trunkline.config import Settings
from trunkline.model.api import Rate

EVERYTHING = """\
import trunkline
from trunkline import Allow, Limits, collection, websocket

socket = websocket("live", limits=Limits(idle_seconds=60, handler_seconds=5))
strict = socket.allow("closing")

@socket.on("message", route="a b")
async def bid(ctx): ...

@socket.on("disconnect")
async def left(ctx): ...

@socket.authorizer()
async def decide(ctx): ...

@trunkline.lifespan
async def life():
    yield
"""
LITTLE = """\
from trunkline import websocket

socket = websocket("live", ordered=False)

@socket.on("message")
async def message(ctx): ...
"""
SAYS = [
    ("live.py:4", "websocket('live') is ordered, which API Gateway knows nothing of"),
    ("live.py:4", "websocket('live') lowers idle_seconds to 60; API Gateway has 600 for everybody"),
    ("live.py:4", "websocket('live'): a page of any site may connect; API Gateway does not look at Origin"),
    (
        "live.py:4",
        "send() is True once API Gateway took it, which promises no order between two messages; a client that reads slowly is Throttled after pauses, not SlowConsumer at once",
    ),
    ("live.py:5", "API Gateway closes with 1000, whatever code and reason close() is given"),
    ("live.py:7", "route 'a b' may be refused by API Gateway"),
    ("live.py:10", "a disconnect handler is best effort on AWS: it may never run for a connection"),
    ("live.py:13", "API Gateway closes no connection at the end that Allow(expires_at=...) gives"),
    (
        "live.py:16",
        "Lambda does not say when a process ends, so what stands behind this lifespan's `yield` may not run",
    ),
]


@pytest.fixture
def told(on_aws):
    def tell(text, **settings):
        return differences(on_aws(live=text), Settings(**settings))

    return tell


def test_each_is_named_with_the_line_that_touches_it(told):
    lines = told(EVERYTHING)
    assert [line.partition(": ")[0] for line in lines] == [where for where, _ in SAYS]
    for line, (where, text) in zip(lines, SAYS, strict=True):
        assert line.startswith(f"{where}: {text}")


def test_a_program_that_touches_little_is_told_little(told):
    assert [re.sub(r":.*", "", line.partition(": ")[2]) for line in told(LITTLE)] == [
        "websocket('live')", "send() is True once API Gateway took it, which promises no order between two messages; a client that reads slowly is Throttled after pauses, not SlowConsumer at once",
    ]  # fmt: skip


def test_a_socket_whose_messages_nobody_handles_has_no_order_to_lose(told):
    text = LITTLE.replace(", ordered=False", "").replace('"message"', '"connect"')
    assert not [line for line in told(text) if "ordered" in line]


def test_a_limit_that_the_settings_lower_counts(told):
    assert [line for line in told(LITTLE, limit={"frame_bytes": 1024, "handler_seconds": 3}) if "lowers" in line] == [
        "live.py:3: websocket('live') lowers frame_bytes to 1,024; API Gateway has 32,768 for everybody"
    ]


@pytest.mark.parametrize("key", ["bid", "lot/bid", "a-b_c.d", "B1"])
def test_a_route_of_characters_that_are_known_to_be_taken_is_not_told(told, key):
    text = LITTLE.replace('"message"', f'"message", route={key!r}')
    assert not [line for line in told(text) if "refused" in line]


def test_settings_that_mean_nothing_on_aws_are_named(told):
    rates = {"address.messages": Rate(1, 1), "socket.live": Rate(1, 1)}
    lines = told(
        LITTLE, web="pages", rate=rates, max_connections=5, trust_proxy=("10.0.0.1",), origin=("https://a.example",)
    )
    assert [line for line in lines if line.startswith("the setting")] == [
        "the setting web serves pages, which API Gateway does not: put the page somewhere else",
        "the setting rate has address.messages, which API Gateway does not count",
        "the setting max_connections means nothing on AWS",
        "the setting trust_proxy means nothing on AWS",
        "the setting origin means nothing on AWS: API Gateway does not look at Origin",
    ]


def test_a_word_that_two_files_ask_for_is_told_once_for_each_line(on_aws):
    shared = 'from trunkline import websocket\nlive = websocket("live").allow("closing")\n'
    files = {
        name: f'from shared import live\n@live.on("message", route="{name}")\nasync def f(ctx): ...\n'
        for name in ("a", "b")
    }
    lines = differences(on_aws("a.py", "b.py", shared=shared, **files), Settings())
    assert [line for line in lines if "closes with 1000" in line] == [
        "shared.py:2: API Gateway closes with 1000, whatever code and reason close() is given"
    ]
