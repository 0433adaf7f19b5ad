"""Hostile clients, which meanwhile do what they can; each knows what should become of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random

from stress.client import Client
from stress.field import Field, Tally, together
from stress.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame

__all__ = ["attacks"]

CUT_SECONDS = 11.0  # a handshake has 10; one for a busy machine
FLOOD_BYTES = 4 * 1024 * 1024


async def attacks(field: Field) -> None:
    """All of them at once, spread over the round."""
    tally = field.tally("hostile clients")
    times = range(4)
    tasks: list[Awaitable[None]] = [broken(field, tally, *attack) for attack in BROKEN for _ in times]
    tasks += [garbage(field, tally, *request) for request in GARBAGE for _ in times]
    tasks += [flood(field, tally, kind) for kind in (pings, echoes) for _ in times]
    tasks += [torn(field, tally) for _ in times]
    if field.whole:
        tasks += [half_a_handshake(field, tally, trickling=number % 2 == 0) for number in range(20)]
    await together(tasks)


# What is illegal is answered with a close code.


async def broken(field: Field, tally: Tally, path: str, code: int, make: Callable[[Random], bytes]) -> None:
    """A good message, an illegal one, and a close with the code for it."""
    client, random = field.client(tally, path)
    await client.open(field.port)
    await field.spread(random, 1)
    await client.ask()
    client.broke(code, make(random))
    await client.until(lambda: client.lost)
    tally.expect(f"{make.__name__} closed with {code}, and not {client.code}", 1, client.code == code)


def unmasked(_: Random) -> bytes:
    """A frame without a mask."""
    return frame(TEXT, b"hello", masked=False)


def reserved(random: Random) -> bytes:
    """A reserved bit."""
    return frame(TEXT, b"hello", first=0x80 | random.choice([0x10, 0x20, 0x40]))


def no_opcode(random: Random) -> bytes:
    """An opcode that is none."""
    return frame(random.choice([3, 7, 11, 15]), b"hello")


def nothing_to_continue(_: Random) -> bytes:
    """A continuation of nothing."""
    return frame(CONTINUATION, b"hello")


def long_ping(_: Random) -> bytes:
    """A control frame of 126 bytes."""
    return frame(PING, b"x" * 126)


def bad_code(random: Random) -> bytes:
    """A close code that nobody may send."""
    return frame(CLOSE, random.choice([999, 1004, 1005, 1006, 2999, 5000]).to_bytes(2, "big"))


def not_utf8(random: Random) -> bytes:
    """Text that is none."""
    return frame(TEXT, random.choice([b"\xff", b"a\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]))


def long_frame(random: Random) -> bytes:
    """A frame that says it is too long, up to 2^63 - 1 bytes, and none of these."""
    return frame(TEXT, size=random.choice([32 * 1024 + 1, 1 << 20, 1 << 40, (1 << 63) - 1]))


def long_message(_: Random) -> bytes:
    """Frames that are legal, of a message that is too long."""
    return frame(BINARY, b"x" * 32768, first=0) + frame(CONTINUATION, b"x" * 32768, first=0) * 4


def fragments(random: Random) -> bytes:
    """A message in ten thousand pieces of nothing."""
    return frame(TEXT, b"x", first=0) + frame(CONTINUATION, b"y" * random.randrange(2), first=0) * 10_000


def some_bytes(_: Random) -> bytes:
    """Bytes for a socket that takes text only."""
    return frame(BINARY, b"hello")


BROKEN: tuple[tuple[str, int, Callable[[Random], bytes]], ...] = (
    *(("stress", 1002, make) for make in (unmasked, reserved, no_opcode, nothing_to_continue, long_ping, bad_code)),
    ("stress", 1007, not_utf8),
    *(("stress", 1009, make) for make in (long_frame, long_message, fragments)),
    ("loose", 1003, some_bytes),
)


# What is no handshake is answered with a status, and the socket ends.


async def garbage(field: Field, tally: Tally, status: int, request: bytes) -> None:
    """An HTTP request that is refused."""
    tally.connections += 1
    await field.spread(field.random(f"{tally.connections}"), 1)
    answer = await _exchange(field.port, [request])
    found = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
    tally.expect(f"{request[:60]!r} answered with {status}, and not {found}", 1, found == status)


async def _exchange(port: int, parts: list[bytes], pause: float = 0.0) -> bytes:
    """What comes back until the socket ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                if reader.at_eof() or writer.is_closing():
                    break
                writer.write(part)
                await asyncio.sleep(pause)
            async with asyncio.timeout(CUT_SECONDS + 5):
                return await reader.read()
    except TimeoutError:
        return b"nothing"
    finally:
        writer.transport.abort()
    return b""


def _request(start: str = "GET /stress HTTP/1.1", **changes: str | None) -> bytes:
    headers: dict[str, str | None] = {
        "Host": "127.0.0.1", "Upgrade": "websocket", "Connection": "Upgrade",
        "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    kept = {name: value for name, value in (headers | changes).items() if value is not None}
    lines = [start, *(f"{name.replace('_', '-')}: {value}" for name, value in kept.items()), "", ""]
    return "\r\n".join(lines).encode()


GARBAGE: tuple[tuple[int, bytes], ...] = (
    (400, bytes(range(256))),
    (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    (400, b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
    (400, _request(Sec_WebSocket_Key="short")),
    (400, _request("GET /stress HTTP/1.0")),
    (403, _request("GET /nowhere HTTP/1.1")),
    (405, _request("POST /stress HTTP/1.1")),
    (414, _request(f"GET /stress?{'x' * 5000} HTTP/1.1")),
    (426, _request(Sec_WebSocket_Version="12")),
    (431, _request(Cookie="x" * 40_000)),
)


async def half_a_handshake(field: Field, tally: Tally, *, trickling: bool) -> None:
    """A request that does not end, in one piece or byte after byte: it is cut after ten seconds."""
    tally.connections += 1
    request = _request()[:-2]
    began = asyncio.get_running_loop().time()
    parts = [request[at : at + 1] for at in range(len(request))] if trickling else [request]
    answer = await _exchange(field.port, parts, 0.2 if trickling else 0)
    in_time = answer == b"" and asyncio.get_running_loop().time() - began < CUT_SECONDS
    tally.expect("half handshakes cut in time", 1, in_time)


# What is legal and costs memory unless it is bounded.


async def flood(field: Field, tally: Tally, make: Callable[[Client], bytes]) -> None:
    """Send as much as the server takes, and read nothing of what it answers."""
    client, random = field.client(tally)
    client.small = True
    tally.expect("opened", 1, await client.open(field.port))
    client.turn_deaf()
    sent = 0
    while sent < FLOOD_BYTES and not client.lost:
        if client.waiting() < 100_000:
            data = make(client)
            client.write(data)
            sent += len(data)
            await asyncio.sleep(0.01)
        else:
            await asyncio.sleep(0.1)
            sent += 20_000
    await field.spread(random, 4)
    client.vanish()
    await client.until(lambda: client.lost)


def pings(_: Client) -> bytes:
    """Pings as long as they may be."""
    return frame(PING, b"x" * 125) * 500


def echoes(client: Client) -> bytes:
    """Messages whose replies nobody reads."""
    return b"".join(client.frames(pad="x" * 4000) for _ in range(10))


async def torn(field: Field, tally: Tally) -> None:
    """Gone in the middle of a frame, or of a message."""
    client, random = field.client(tally)
    tally.expect("opened", 1, await client.open(field.port))
    await client.ask()
    whole = frame(TEXT, b"x" * 1000, first=random.choice([0x80, 0]))
    client.write(whole[: random.randrange(1, len(whole))])
    await field.spread(random, 2)
    client.vanish(reset=random.random() < 0.5)
    await client.until(lambda: client.lost)
