"""The tutorial's loop, as in examples/chat/chat.py: who is connected stands in a collection."""

from trunkline import Context, collection, websocket

connections = collection("connections").allow("reading", "writing", "deleting")
socket = websocket("socket")


@socket.on("connect")
async def connect(ctx: Context) -> None:
    await connections.doc(ctx.req.connection_id).set({})


@socket.on("disconnect")
async def disconnect(ctx: Context) -> None:
    await connections.doc(ctx.req.connection_id).delete()


@socket.on("message")
async def message(ctx: Context) -> None:
    async for connection in connections.query().stream():
        if connection.id != ctx.req.connection_id:
            await socket.send(connection.id, ctx.req.data)
