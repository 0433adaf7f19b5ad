"""What a type checker must see of the public API: mypy and pyright read this file, nothing runs it.

Lines with `# type: ignore` and `# pyright: ignore` are mistakes that the types must refuse: an ignore that
is not needed is an error itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from typing_extensions import assert_type

import trunkline
from trunkline import (
    Allow,
    BroadcastResult,
    Collection,
    Context,
    Document,
    Limits,
    Page,
    Websocket,
    collection,
    websocket,
)

books = collection("books").allow("reading", "writing")
assert_type(books, Collection)
books.allow("sending")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

socket = websocket("socket", binary=True, limits=Limits(idle_seconds=60)).allow("closing", "inspecting")
assert_type(socket, Websocket)


@socket.authorizer(identity=["route.request.querystring.token"])
async def authorize(ctx: Context) -> Allow | None:
    if ctx.req.query["token"] != "42":
        return None
    return Allow("ann", {"team": "blue", "level": 7, "rate": 2.5, "admin": True}, expires_at=2e9)


async def as_it_was_declared(ctx: Context) -> None:
    assert_type(await authorize(ctx), Allow | None)


@socket.authorizer()
async def authorize_as_a_lambda_function(ctx: Context) -> dict[str, Any]:
    return {"principalId": "ann", "policyDocument": {}}


@socket.authorizer()  # type: ignore[type-var]  # pyright: ignore
async def authorize_with_a_bool(ctx: Context) -> bool:
    return True


@socket.authorizer()  # type: ignore[type-var]  # pyright: ignore
def authorize_in_a_plain_def(ctx: Context) -> Allow:
    return Allow("ann")


@socket.authorizer  # type: ignore[call-arg, arg-type]  # pyright: ignore
async def authorize_without_parentheses(ctx: Context) -> Allow:
    return Allow("ann")


socket.authorizer(identity=[b"route.request.header.x"])  # type: ignore[list-item]  # pyright: ignore
Allow()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Allow("ann", {"groups": ["a"]})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
Allow("ann", {}, 2e9)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


@socket.on("connect")
async def connect(ctx: Context) -> None:
    assert_type(ctx.req.authorizer.get("principalId"), str | None)
    assert_type(ctx.req.headers.get("origin"), str | None)
    assert_type(ctx.req.query.getlist("room"), list[str])
    ctx.res.reject(403, "no")
    ctx.res.subprotocol = "chat"


@socket.on("message")
async def message(ctx: Context) -> dict[str, int]:
    assert_type(ctx.req.data, str | bytes)
    assert_type(ctx.req.text(), str)
    assert_type(await socket.send(ctx.req.connection_id, "hello"), bool)
    return {"answer": 42}


@socket.on("message", route="bid")
async def bid(ctx: Context) -> str:
    result = await socket.broadcast("x", to=books.query().stream(), exclude=ctx.req.connection_id)
    assert_type(result, BroadcastResult)
    info = await socket.info("id")
    if info is not None:
        assert_type(info.source_ip, str)
    return socket.url()


@socket.on("disconnect")
async def disconnect(ctx: Context) -> None:
    assert_type(await socket.close(ctx.req.connection_id), bool)


@socket.on("connect")  # type: ignore[type-var]  # pyright: ignore
async def connect_with_reply(ctx: Context) -> str:
    return "a connect handler has no reply"


@socket.on("connect", route="bid")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore
async def connect_with_route(ctx: Context) -> None: ...


@socket.on("message")  # type: ignore[type-var]  # pyright: ignore
def plain_def(ctx: Context) -> None: ...


@trunkline.lifespan
async def lifespan() -> AsyncIterator[None]:
    yield


async def documents() -> None:
    ref = books.doc("1")
    value: Any = await ref.get()
    assert_type(await ref.set({"title": value}, if_version=1, expires_in=60), int)
    assert_type(await ref.create([]), int)
    assert_type(await ref.delete(), None)
    assert_type(await ref.fetch(), Document | None)
    page = await books.query().where("price", "<", 10).limit(10).page_from(None).fetch()
    assert_type(page, Page)
    assert_type(page.token, str | None)
    async for document in books.collection("chapters").query().stream():
        assert_type(document, Document)
    await ref.collection("chapters").doc("2").set({})
    books.query().where("price", "~", 10)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def node() -> None:
    async with trunkline.open("chat.py", store="memory:") as running:
        assert_type(running.url("socket"), str)
