"""Starlette on uvicorn, with uvloop, httptools and uvicorn's own choice of WebSocket code.

`python starlette_server.py PORT echo|fan`
"""

import sys
from collections.abc import Awaitable, Callable

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

Reply = Callable[[str], Awaitable[str]]
sockets: dict[int, WebSocket] = {}  # a Starlette WebSocket is a mapping and has no hash


async def echo_text(text: str) -> str:
    return text


ROUTES: dict[str, Reply] = {"echo": echo_text}


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        handler = ROUTES[msgspec.json.decode(text)["action"]]
        await socket.send_text(await handler(text))


async def fan(socket: WebSocket) -> None:
    await socket.accept()
    place = id(socket)
    sockets[place] = socket
    try:
        async for text in socket.iter_text():
            for member in list(sockets.values()):
                if member is not socket:
                    await member.send_text(text)
    except WebSocketDisconnect:
        pass
    finally:
        del sockets[place]


def serve(port: int, handler: Callable[[WebSocket], Awaitable[None]]) -> None:
    app = Starlette(routes=[WebSocketRoute("/socket", handler)])
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        log_level="error",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
    )


if __name__ == "__main__":
    serve(int(sys.argv[1]), {"echo": echo, "fan": fan}[sys.argv[2]])
