"""A broadcast: whatever one connection sends, every other one gets."""

from trunkline import Context, websocket

socket = websocket("socket")
ids: dict[str, None] = {}


@socket.on("connect")
async def connect(ctx: Context) -> None:
    ids[ctx.req.connection_id] = None


@socket.on("disconnect")
async def disconnect(ctx: Context) -> None:
    ids.pop(ctx.req.connection_id, None)


@socket.on("message")
async def message(ctx: Context) -> None:
    await socket.broadcast(ctx.req.data, to=ids, exclude=ctx.req.connection_id)
