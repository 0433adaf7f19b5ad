"""What the fuzzer found, where no test of a module's own says it."""

import asyncio
import threading

from trunkline import testing, websocket

REQUEST = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def first_status(sent):
    async with testing.node([websocket("socket")]) as node:
        client = node.client()
        client.send_bytes(sent)
        return (await client.response())[0]


async def test_a_handshake_in_the_same_read_is_not_answered_before_the_request_in_front_of_it():
    # The request's answer then stood behind the 101, where the client reads frames.
    assert await first_status(REQUEST + HANDSHAKE) == 404


async def test_bytes_that_are_no_http_do_not_take_the_answer_of_the_request_in_front_of_them():
    assert await first_status(REQUEST + b"rubbish\r\n\r\n") == 404


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
