"""What Autobahn's client talks to: every message comes back through the whole gateway."""

from trunkline import Context, websocket

socket = websocket("socket", binary=True)


@socket.on("message")
async def message(ctx: Context) -> str | bytes:
    return ctx.req.data
