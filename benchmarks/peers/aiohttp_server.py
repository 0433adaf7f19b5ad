"""aiohttp on uvloop: `python aiohttp_server.py PORT echo|fan`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import msgspec
import uvloop
from aiohttp import WSMsgType, web

Reply = Callable[[str], Awaitable[str]]
members: dict[web.WebSocketResponse, None] = {}


async def echo_text(text: str) -> str:
    return text


ROUTES: dict[str, Reply] = {"echo": echo_text}


async def echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False, autoping=True)
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            handler = ROUTES[msgspec.json.decode(message.data)["action"]]
            await socket.send_str(await handler(message.data))
    return socket


async def fan(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False, autoping=True)
    await socket.prepare(request)
    members[socket] = None
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                for member in list(members):
                    if member is not socket:
                        await member.send_str(message.data)
    finally:
        del members[socket]
    return socket


async def serve(port: int, handler: Callable[[web.Request], Awaitable[web.WebSocketResponse]]) -> None:
    app = web.Application()
    app.router.add_get("/socket", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), {"echo": echo, "fan": fan}[sys.argv[2]]))
