"""A routed echo: the JSON's `action` chooses the handler, and what it returns is the reply."""

from trunkline import Context, websocket

socket = websocket("socket")


@socket.on("message", route="echo")
async def echo(ctx: Context) -> str:
    return ctx.req.text()
