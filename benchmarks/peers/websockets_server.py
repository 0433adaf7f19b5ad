"""websockets' asyncio server on uvloop: `python websockets_server.py PORT echo|fan`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosedError

Reply = Callable[[str | bytes], Awaitable[str | bytes]]
members: dict[ServerConnection, None] = {}


async def echo_text(text: str | bytes) -> str | bytes:
    return text


ROUTES: dict[str, Reply] = {"echo": echo_text}


async def echo(socket: ServerConnection) -> None:
    with suppress(ConnectionClosedError):
        async for text in socket:
            handler = ROUTES[msgspec.json.decode(text)["action"]]
            await socket.send(await handler(text))


async def fan(socket: ServerConnection) -> None:
    members[socket] = None
    with suppress(ConnectionClosedError):
        async for text in socket:
            broadcast([member for member in members if member is not socket], text)
    del members[socket]


async def run(port: int, handler: Callable[[ServerConnection], Awaitable[None]]) -> None:
    async with serve(handler, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), {"echo": echo, "fan": fan}[sys.argv[2]]))
