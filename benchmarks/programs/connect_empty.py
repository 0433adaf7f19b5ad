"""A connect handler that does nothing: what a handshake costs, and what an idle connection holds."""

from trunkline import Context, websocket

socket = websocket("socket")


@socket.on("connect")
async def connect(ctx: Context) -> None:
    pass
