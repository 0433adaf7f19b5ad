"""What the fuzzer found, where no test of a module's own says it."""

import asyncio
import threading

import pytest

from trunkline import testing, websocket

REQUEST = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def statuses(count, *pieces):
    """Of so many answers to what comes in these reads."""
    async with testing.node([websocket("socket")]) as node:
        client = node.client()
        for piece in pieces:
            client.send_bytes(piece)
            await asyncio.sleep(0.1)
        return [(await client.response())[0] for _ in range(count)]


async def test_a_handshake_in_the_same_read_is_not_answered_before_the_request_in_front_of_it():
    # The request's answer then stood behind the 101, where the client reads frames.
    assert await statuses(2, REQUEST + HANDSHAKE) == [404, 101]


async def test_bytes_that_are_no_http_do_not_take_the_answer_of_the_request_in_front_of_them():
    assert await statuses(2, REQUEST + b"rubbish\r\n\r\n") == [404, 400]


async def test_a_head_that_is_cut_behind_its_content_length_is_not_counted_as_the_body():
    # What is left of the body was then taken for the next request.
    head, rest = b"POST /x HTTP/1.1\r\nContent-Length: 40\r\nX: y\r\n", b"Host: localhost\r\n\r\n" + b"b" * 40
    assert await statuses(2, head + rest + REQUEST) == [404, 404]
    assert await statuses(2, head, rest + REQUEST) == [404, 404]


@pytest.mark.parametrize("blank", ["\xa0", "\x85"])
async def test_only_a_blank_or_a_tab_is_no_part_of_a_headers_value(blank):
    # Python strips more from a text than HTTP does from a value: a proxy reads another one.
    with_blank = HANDSHAKE.replace(b"Upgrade: websocket", f"Upgrade: {blank}websocket".encode("latin-1"))
    assert (await statuses(1, with_blank))[0] >= 400


def test_a_year_of_virtual_time_passes():
    loop = testing.JumpingLoop()
    guard = threading.Timer(5, loop.call_soon_threadsafe, [loop.stop])
    guard.start()
    try:
        began = loop.time()
        loop.run_until_complete(asyncio.sleep(365 * 24 * 3600))
        assert loop.time() - began >= 365 * 24 * 3600
    finally:
        guard.cancel()
        guard.join()
        loop.close()
