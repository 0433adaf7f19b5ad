"""For calls to @connections: who asks is told its connection id."""

from trunkline import Context, websocket

socket = websocket("socket")


@socket.on("message")
async def message(ctx: Context) -> str:
    return ctx.req.connection_id
