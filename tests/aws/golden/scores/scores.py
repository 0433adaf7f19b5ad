"""Scores for everybody who looks on; a file of a program of two."""

from people import people

from trunkline import Context, collection, websocket

watching = collection("watching").allow("reading", "writing", "deleting")
socket = websocket("live-scores")


@socket.on("connect")
async def connect(ctx: Context) -> None:
    name = ctx.req.query.get("name", "")
    if await people.doc(name).get() is None:
        ctx.res.reject(403, "nobody of that name")
    else:
        await watching.doc(ctx.req.connection_id).set({"name": name}, expires_in=7200)


@socket.on("disconnect")
async def disconnect(ctx: Context) -> None:
    await watching.doc(ctx.req.connection_id).delete()


@socket.on("message", route="score")
async def score(ctx: Context) -> str:
    result = await socket.broadcast(ctx.req.text(), to=watching.query().stream())
    return f"told {result.sent}"
